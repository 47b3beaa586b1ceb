"""The waiting room by itself, on a clock that jumps: how long somebody waits, whoever asks or does not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import admission
from engine.admission import (
    FULL_EACH,
    MAX_WAITING,
    UNDECIDED,
    UNWATCHED,
    WAIT_SECONDS,
    WaitingRoom,
    hold,
    waiting_facts,
)
from engine.api import Refusal
from engine.book import CallBook
from engine.calls import Call, Draft, Event, State
from engine.calls.policy import Decision
from engine.carriers.base import CarrierEvent, Pause, Redirect
from engine.carriers.links import read_link
from engine.clock import epoch_ms
from engine.recorder import Recorder
from engine.store import EventLog, StoreError
from tests.virtual_time import virtual_time

STRANGER = "+15550100142"
OURS = "+15550109999"


class MemoryLog:
    """Stores at once, or refuses to."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.broken = False
        self.on_committed: Callable[[Sequence[Event]], None] = lambda events: None

    async def append(self, drafts: Sequence[Draft]) -> Sequence[Event]:
        await asyncio.sleep(0)
        if self.broken:
            raise StoreError("the disk is full")
        first = len(self.events) + 1
        events = [
            Event(first + n, draft.at or epoch_ms(), draft.call_id, draft.type, draft.data)
            for n, draft in enumerate(drafts)
        ]
        self.events += events
        self.on_committed(events)
        return events


class Bench:
    """A waiting room and what is around it."""

    def __init__(self) -> None:
        self.log = MemoryLog()
        self.book = CallBook()
        self.watched = False
        self.let_in: list[str] = []
        self.recorder = Recorder(cast(EventLog, self.log), self.book, self._changed)
        self.room = self.new_room()

    def new_room(self) -> WaitingRoom:
        return WaitingRoom(
            "pairing",
            [],
            self.recorder,
            self.book,
            lambda: self.watched,
            lambda call: self.let_in.append(call.call_id),
        )

    def _changed(self, before: Call | None, after: Call) -> None:
        self.room.changed(before, after)

    async def comes(self, call_id: str, number: str = STRANGER, attestation: str = "") -> bool:
        event = CarrierEvent("incoming", f"CA{call_id}", from_number=number, attestation=attestation)
        return await self.room.take_in(call_id, begun(call_id, number), event)

    def call(self, call_id: str) -> Call:
        call = self.book.get(call_id)
        assert call is not None
        return call

    def data(self, type_: str) -> list[dict[str, object]]:
        return [dict(event.data) for event in self.log.events if event.type == type_]


def begun(call_id: str, number: str, at: int | None = None) -> list[Draft]:
    facts = {"provider": "mock", "direction": "inbound", "mode": "conversation", "from": number, "to": OURS}
    return [Draft("call.initiated", call_id, facts, at), Draft("call.ringing", call_id, {}, at)]


@asynccontextmanager
async def bench() -> AsyncIterator[Bench]:
    made = Bench()
    recording = asyncio.create_task(made.recorder.run())
    try:
        yield made
    finally:
        await made.room.close()
        recording.cancel()


@virtual_time
async def test_after_thirty_seconds_without_a_decision_the_engine_says_no_although_nobody_asked_again() -> None:
    async with bench() as made:
        made.watched = True
        assert await made.comes("c")
        await asyncio.sleep(WAIT_SECONDS - 0.1)
        assert made.call("c").waiting
        await asyncio.sleep(0.2)
        call = made.call("c")
        assert (call.live, call.end_reason, call.ended_by) == (False, State.HANGUP_BOT, "engine")
        assert made.data("call.admitted") == [{"verdict": "no", "by": "engine", "why": UNDECIDED}]
        assert made.data("call.ended") == [{"reason": "hangup-bot", "by": "engine", "detail": UNDECIDED}]


@virtual_time
async def test_without_any_console_somebody_waits_as_long_and_the_reason_says_so() -> None:
    async with bench() as made:
        await made.comes("c")
        await asyncio.sleep(WAIT_SECONDS - 0.1)
        assert made.call("c").waiting
        await asyncio.sleep(0.2)
        assert made.data("call.admitted") == [{"verdict": "no", "by": "engine", "why": UNWATCHED}]


@virtual_time
async def test_a_console_that_attaches_meanwhile_counts() -> None:
    async with bench() as made:
        await made.comes("c")
        await asyncio.sleep(WAIT_SECONDS / 2)
        made.watched = True
        await asyncio.sleep(WAIT_SECONDS)
        assert made.data("call.admitted")[0]["why"] == UNDECIDED


@virtual_time
async def test_one_who_was_let_in_or_hung_up_is_not_decided_about_again() -> None:
    async with bench() as made:
        await made.comes("in")
        await made.comes("gone")
        await made.room.decide("in", "once", "console")
        await made.recorder.record(Draft("call.ended", "gone", {"reason": "hangup-user", "by": "caller"}))
        await asyncio.sleep(2 * WAIT_SECONDS)
        assert made.data("call.admitted") == [{"verdict": "once", "by": "console"}]
        assert made.let_in == ["in"] and made.call("in").live
        assert made.call("gone").end_reason is State.HANGUP_USER


@virtual_time
async def test_places_are_bounded_and_come_back_with_every_end() -> None:
    async with bench() as made:
        came = await asyncio.gather(
            *(made.comes(str(number), f"+155501001{number:02}") for number in range(MAX_WAITING + 3))
        )
        assert came == [True] * MAX_WAITING + [False] * 3
        assert made.book.get(str(MAX_WAITING)) is None, "who finds no place is not recorded here"
        await made.room.decide("0", "no", "console")
        await made.room.decide("1", "once", "console")
        await made.recorder.record(Draft("call.ended", "2", {"reason": "hangup-user"}))
        assert [await made.comes(f"later {number}", f"+155501002{number:02}") for number in range(4)] == [
            True,
            True,
            True,
            False,
        ]
        await asyncio.sleep(WAIT_SECONDS + 1)
        assert await made.comes("much later")


@virtual_time
async def test_after_a_restart_somebody_waits_for_the_rest_of_their_time_only() -> None:
    async with bench() as made:
        now = epoch_ms()
        for call_id, age_s in (("fresh", 10), ("old", 90)):
            at = now - age_s * 1000
            await made.recorder.record(*begun(call_id, STRANGER, at), Draft("call.waiting", call_id, {}, at))
        made.room = made.new_room()
        made.room.restore([])
        await asyncio.sleep(1)
        assert not made.call("old").live and made.call("fresh").waiting
        await asyncio.sleep(WAIT_SECONDS - 10 - 2)
        assert made.call("fresh").waiting
        await asyncio.sleep(2)
        assert not made.call("fresh").live


@virtual_time
async def test_a_store_that_fails_for_a_while_keeps_nobody_waiting_for_ever() -> None:
    async with bench() as made:
        await made.comes("c")
        made.log.broken = True
        with pytest.raises(Refusal) as refused:
            await made.room.decide("c", "always", "console")
        assert refused.value.code == "store_failed"
        assert made.room.judge(STRANGER).verdict == "ask", "what is not stored is not decided"
        await asyncio.sleep(WAIT_SECONDS + 5)
        made.log.broken = False
        await asyncio.sleep(5)
        assert made.call("c").end_reason is State.HANGUP_BOT


@virtual_time
async def test_a_call_that_could_not_be_recorded_takes_no_place() -> None:
    async with bench() as made:
        made.log.broken = True
        for number in range(MAX_WAITING + 1):
            with pytest.raises(StoreError):
                await made.comes(str(number))
        made.log.broken = False
        assert await made.comes("c")


@virtual_time
async def test_one_who_hangs_up_in_the_moment_of_the_decision_is_not_let_in() -> None:
    async with bench() as made:
        await made.comes("c")
        ending = asyncio.create_task(made.recorder.record(Draft("call.ended", "c", {"reason": "hangup-user"})))
        await asyncio.sleep(0)  # the end is written down first
        with pytest.raises(Refusal) as refused:
            await made.room.decide("c", "once", "console")
        await ending
        assert refused.value.code == "call_ended" and made.let_in == []


@virtual_time
async def test_numbers_that_are_let_in_always_are_compared_digit_by_digit() -> None:
    async with bench() as made:
        made.room.restore([STRANGER, "", "anonymous"])
        assert made.room.judge("+1 (555) 010-0142").verdict == "accept"
        assert made.room.judge(STRANGER[:-1]).verdict == "ask"
        assert made.room.judge("anonymous").verdict == "ask"
        assert made.room.judge("").verdict == "ask"


@virtual_time
async def test_one_number_does_not_keep_the_others_out() -> None:
    async with bench() as made:
        assert [await made.comes(str(number)) for number in range(4)] == [True, True, False, False]
        assert made.room.full(STRANGER) == FULL_EACH and made.room.full("+15550100199") == ""
        assert [await made.comes(f"hidden {number}", "") for number in range(3)] == [True, True, False]
        assert await made.comes("another", "+15550100199")
        await made.room.decide("0", "no", "console")
        assert await made.comes("again")


@virtual_time
async def test_only_a_telephone_number_is_let_in_always() -> None:
    """Anybody may call with any From: control characters, an address, a name with digits in it."""
    async with bench() as made:
        made.room.restore(["\x1b[31m5550100", "sip:+15550100142@evil.example"])
        assert made.room.always == []
        for index, name in enumerate(("\x1b[2J+15550100142", "sip:+15550100142@evil.example", "Bob 15550100142", "")):
            assert await made.comes(str(index), name)
            with pytest.raises(Refusal) as refused:
                await made.room.decide(str(index), "always", "console")
            assert refused.value.code == "not_supported" and refused.value.hint
            await made.room.decide(str(index), "once", "console")
        await made.comes("number")
        await made.room.decide("number", "always", "console")
        assert made.room.judge(STRANGER).verdict == "accept"
        assert made.room.judge(f"sip:{STRANGER}@evil.example").verdict == "ask", "the digits alone are not the number"


def test_every_hold_leads_to_another_address_so_that_no_carrier_repeats_itself_to_the_byte() -> None:
    first, second = (hold("https://calls.example.com/w?a=1", "id-1", now) for now in (1000, 3000))
    urls = []
    for document in (first, second):
        pause, redirect = document
        assert pause == Pause(admission.ASK_SECONDS) and isinstance(redirect, Redirect)
        flow, query = read_link(redirect.url)
        assert (flow, query["callId"], query["a"]) == ("hold", "id-1", "1")
        urls.append(redirect.url)
    assert urls[0] != urls[1]


def test_a_person_who_decides_is_told_what_the_carrier_says_of_the_number_and_how_often_it_was_here() -> None:
    def call(call_id: str, number: str) -> Call:
        return Call(call_id, "mock", "inbound", "conversation", number, OURS, 1)

    known = [call("a", STRANGER), call("b", STRANGER + "1"), call("c", ""), call("d", "+1 555 010 0142")]
    event = CarrierEvent("incoming", "CA1", from_number=STRANGER, attestation="TN-Validation-Passed-A")
    assert waiting_facts(event, known) == {"seconds": 30, "earlier": 2, "attestation": "TN-Validation-Passed-A"}
    assert waiting_facts(CarrierEvent("incoming", "CA1"), known) == {"seconds": 30, "earlier": 0}


@given(
    st.lists(
        st.tuples(st.sampled_from(["once", "always", "no"]), st.sampled_from("abc"), st.integers(0, 40)), max_size=8
    )
)
def test_whatever_is_decided_whenever_each_call_is_decided_about_once(
    plan: list[tuple[Decision, str, int]],
) -> None:
    @virtual_time
    async def run() -> None:
        async with bench() as made:
            for index, call_id in enumerate("abc"):
                await made.comes(call_id, f"+1555010020{index}")

            async def decide(verdict: Decision, call_id: str, at: int) -> None:
                await asyncio.sleep(at)
                try:
                    await made.room.decide(call_id, verdict, "console")
                except Refusal as refusal:
                    assert refusal.code in ("not_waiting", "call_ended", "not_supported")

            await asyncio.gather(*(decide(*each) for each in plan))
            await asyncio.sleep(WAIT_SECONDS + 1)
            decided = [event.call_id for event in made.log.events if event.type == "call.admitted"]
            assert sorted(str(call_id) for call_id in decided) == ["a", "b", "c"]
            assert not any(call.waiting for call in made.book.all())

    run()
