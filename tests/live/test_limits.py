from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any, cast

from engine.book import CallBook
from engine.calls import Draft, Event, State
from engine.clock import epoch_ms
from engine.config import Config, parse_config
from engine.live.limits import STREAM_SECONDS, Limits
from engine.live.parts import Parts
from tests.virtual_time import virtual_time


@dataclass
class Case:
    """One call under its limits."""

    direction: str = "outbound"
    age_ms: int = 0
    changes: dict[str, Any] = field(default_factory=dict)
    answered: asyncio.Event = field(default_factory=asyncio.Event)
    streaming: asyncio.Event = field(default_factory=asyncio.Event)
    ended: list[tuple[State, str]] = field(default_factory=list)
    told: list[Draft] = field(default_factory=list)

    def limits(self) -> Limits:
        config: Config = parse_config(b"", None, {}).config.model_copy(update=self.changes)
        book = CallBook()
        book.take([Event(1, epoch_ms() - self.age_ms, "c", "call.initiated", {"direction": self.direction})])

        told = self.told

        class Recorder:
            def post(self, *drafts: Draft) -> None:
                told.extend(drafts)

        @dataclass
        class Borrowed:
            config: Config
            book: CallBook
            recorder: Recorder

            def hang_up(self_, call_id: str, reason: State, by: str, detail: str = "") -> None:  # noqa: N805
                self.ended.append((reason, detail))

        return Limits("c", cast(Parts, Borrowed(config, book, Recorder())), self.answered, self.streaming)


@virtual_time
async def test_a_call_that_nobody_answers_is_given_up_when_the_carrier_does_not() -> None:
    case = Case(changes={"ring_timeout_ms": 20_000})
    await case.limits().run()
    assert case.ended == [(State.NO_ANSWER, "nobody answered in time")]
    assert asyncio.get_running_loop().time() == 35.0


@virtual_time
async def test_the_reaper_never_cuts_the_time_that_a_call_may_ring() -> None:
    case = Case(changes={"ring_timeout_ms": 60_000, "stale_call_reaper_seconds": 10})
    await case.limits().run()
    assert asyncio.get_running_loop().time() == 65.0


@virtual_time
async def test_an_answered_call_without_a_stream_is_ended() -> None:
    case = Case()
    case.answered.set()
    await case.limits().run()
    assert [reason for reason, _ in case.ended] == [State.ERROR]
    assert asyncio.get_running_loop().time() == STREAM_SECONDS


@virtual_time
async def test_a_call_ends_when_its_longest_duration_is_over() -> None:
    case = Case(changes={"max_duration_seconds": 120})
    case.answered.set()
    case.streaming.set()
    await case.limits().run()
    assert [reason for reason, _ in case.ended] == [State.TIMEOUT]
    assert 119 <= asyncio.get_running_loop().time() <= 120


@virtual_time
async def test_a_call_that_was_taken_up_again_keeps_its_age() -> None:
    case = Case(age_ms=100_000, changes={"max_duration_seconds": 120})
    case.answered.set()
    case.streaming.set()
    await case.limits().run()
    assert 19 <= asyncio.get_running_loop().time() <= 20


@virtual_time
async def test_without_a_reaper_an_inbound_call_rings_as_long_as_the_carrier_lets_it() -> None:
    case = Case(direction="inbound", changes={"stale_call_reaper_seconds": 0})
    running = asyncio.create_task(case.limits().run())
    await asyncio.sleep(86_400)
    assert not running.done() and not case.ended
    running.cancel()
