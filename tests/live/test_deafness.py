"""A caller whom nobody hears is told, and let go politely; a person who has the floor decides by themselves."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from types import SimpleNamespace
from typing import Any, cast

from engine.calls import State
from engine.config import Config, parse_config
from engine.live.deafness import EXCUSE, FAREWELL, Deafness
from engine.live.lines import Ending, MouthFull, Speaking
from engine.live.parts import Parts


class Rig:
    """A call that may be spoken in, with a mouth that only remembers."""

    def __init__(self, config: Config) -> None:
        self.agent_speaks = True
        self.full = False
        self.ending: Ending | None = "heard"
        self.lines: list[str] = []
        self.ends: list[tuple[State, str]] = []
        self.silenced = 0
        self.line = SimpleNamespace()
        self.answered = asyncio.Event()
        self.answered.set()
        self.config = config
        self.tasks: list[asyncio.Task[None]] = []
        self.deafness = Deafness("call", cast(Parts, self), cast(Speaking, self), self, self.answered, self._spawn)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        self.tasks.append(asyncio.create_task(work))

    async def settle(self) -> None:
        await asyncio.wait_for(asyncio.gather(*self.tasks), 5)

    def say(self, text: str) -> Any:
        if self.full:
            raise MouthFull("full")
        self.lines.append(text)
        done: asyncio.Future[Ending] = asyncio.get_running_loop().create_future()
        if self.ending is not None:
            done.set_result(self.ending)
        self.line = SimpleNamespace(done=done)
        return self.line

    def be_silent(self, why: str) -> None:
        self.silenced += 1

    def hang_up(self, call_id: str, reason: State, by: str, detail: str = "") -> None:
        self.ends.append((reason, detail))


def rig(**streaming: Any) -> Rig:
    config = parse_config(b"", None, {}).config
    changed = config.streaming.model_copy(update=streaming)
    return Rig(config.model_copy(update={"streaming": changed}))


async def test_a_moment_of_deafness_is_excused_and_nothing_more() -> None:
    it = rig()
    it.deafness.began(False)
    it.deafness.over()
    assert it.lines == [EXCUSE] and it.ends == [] and it.tasks == []


async def test_a_call_that_stays_deaf_says_goodbye_and_ends_with_an_error() -> None:
    it = rig()
    it.deafness.began(True)
    assert it.deafness.leaving
    it.deafness.began(True)
    await it.settle()
    assert it.lines == [FAREWELL] and it.silenced == 1
    assert it.ends == [(State.ERROR, "nobody could hear the caller")]


async def test_a_call_that_is_not_answered_yet_is_taken_leave_of_when_it_is() -> None:
    it = rig()
    it.answered.clear()
    it.deafness.began(True)
    await asyncio.sleep(0)
    assert it.lines == []
    it.answered.set()
    await it.settle()
    assert it.lines == [FAREWELL] and len(it.ends) == 1


async def test_a_call_that_hears_again_before_it_is_answered_goes_on() -> None:
    it = rig()
    it.answered.clear()
    it.deafness.began(True)
    it.deafness.over()
    it.answered.set()
    await it.settle()
    assert it.lines == [] and it.ends == [] and not it.deafness.leaving


async def test_while_a_person_has_the_floor_they_decide() -> None:
    it = rig()
    it.agent_speaks = False
    it.deafness.began(False)
    it.deafness.began(True)
    assert it.lines == [] and it.tasks == []
    it.agent_speaks = True  # they give it back
    it.deafness.act()
    await it.settle()
    assert it.lines == [FAREWELL] and len(it.ends) == 1


async def test_a_person_who_takes_the_floor_during_the_farewell_keeps_the_call() -> None:
    it = rig()
    it.ending = None
    it.deafness.began(True)
    await asyncio.sleep(0)
    assert it.lines == [FAREWELL]
    it.agent_speaks = False
    it.line.done.set_result("cut")
    await it.settle()
    assert it.ends == [] and not it.deafness.leaving


async def test_without_a_hang_up_the_caller_is_only_told() -> None:
    it = rig(deaf_hangup=False)
    it.deafness.began(True)
    await it.settle()
    assert it.lines == [EXCUSE] and it.ends == []


async def test_a_mouth_that_takes_no_line_does_not_keep_the_call_up() -> None:
    it = rig()
    it.full = True
    it.deafness.began(True)
    await it.settle()
    assert len(it.ends) == 1
