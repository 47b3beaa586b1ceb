"""What a carrier's recogniser reports becomes turns, and a turn that does not end is given up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from engine.calls import Draft
from engine.live.native_ears import FINAL_SECONDS, NativeEars
from engine.live.turn_clock import TurnClock
from tests.virtual_time import virtual_time


class Call:
    """What the call was told, and the facts."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.told: list[Any] = []
        self.facts: list[Draft] = []
        self.partials: list[object] = []
        self.clocks: list[TurnClock] = []
        self.ears = NativeEars(
            "c1",
            self,
            lambda *drafts: self.facts.extend(drafts),
            lambda call_id, type_, data: self.partials.append(data["text"]),
            lambda: loop.time() * 1000,
            lambda: self.told.append("quiet"),
        )

    def caller_began(self) -> None:
        self.told.append("began")

    def caller_interrupts(self) -> None:
        self.told.append("interrupts")

    def caller_said_nothing(self) -> None:
        self.told.append("nothing")

    def caller_said(self, text: str, clock: TurnClock, after: str | None = None) -> None:
        self.told.append((text, after))
        self.clocks.append(clock)


@asynccontextmanager
async def hearing() -> AsyncGenerator[Call, None]:
    it = Call()
    running = asyncio.create_task(it.ears.run())
    try:
        yield it
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


@virtual_time
async def test_growing_words_are_one_turn_that_begins_once_and_ends_with_its_text() -> None:
    async with hearing() as it:
        it.ears.partial("I need")
        it.ears.partial("I need an")
        assert it.ears.in_turn
        await asyncio.sleep(1)
        it.ears.speech("I need an appointment.", "s1")
        assert not it.ears.in_turn
        assert it.told == ["began", ("I need an appointment.", "s1")]
        assert it.partials == ["I need", "I need an", ""]
        assert [fact.type for fact in it.facts] == ["speech.started", "speech.final"]
        assert it.facts[-1].data["turn"] == 1
        assert it.clocks[0].points == {"text": 1000.0}


@virtual_time
async def test_words_that_come_at_once_begin_a_turn_as_well() -> None:
    async with hearing() as it:
        it.ears.speech("Yes.", "")
        it.ears.speech("No.", "")
        assert it.told == ["began", ("Yes.", ""), "began", ("No.", "")]
        assert [fact.data["turn"] for fact in it.facts if fact.type == "speech.final"] == [1, 2]


@virtual_time
async def test_silence_ends_what_came_to_nothing_and_is_nothing_by_itself() -> None:
    async with hearing() as it:
        it.ears.silence()
        assert it.told == []
        it.ears.partial("hm")
        it.ears.silence()
        assert it.told == ["began", "nothing"]


@virtual_time
async def test_a_turn_of_which_nothing_more_is_heard_is_given_up() -> None:
    async with hearing() as it:
        it.ears.partial("I need")
        await asyncio.sleep(FINAL_SECONDS - 1)
        it.ears.partial("I need an")
        await asyncio.sleep(FINAL_SECONDS - 1)
        assert it.ears.in_turn, "it goes on as long as something is heard"
        await asyncio.sleep(2)
        assert not it.ears.in_turn
        assert it.told == ["began", "nothing", "quiet"]
        it.ears.partial("Hello?")
        await asyncio.sleep(FINAL_SECONDS + 1)
        assert it.told[3:] == ["began", "nothing", "quiet"], "and so is the next one"
