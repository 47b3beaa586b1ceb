"""A dial whose outcome is not known, and another to the same number: the carrier's call belongs to one of them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from engine.api import Refusal
from engine.calls import Call, State
from engine.carriers.base import CarrierError, LostDial
from tests.engine.fake_carrier import Table, sid, table
from tests.engine.twilio_rig import SINK, live

NUMBER = "+15550100142"
Find = Callable[[LostDial], Awaitable[str | None]]


def lose_next_dial(at: Table) -> None:
    at.carrier.fail["dial"] = CarrierError("no answer", kind="unknown")


async def lost_call(at: Table, message: str = "One.") -> Call:
    """A dial whose outcome nobody knows."""
    lose_next_dial(at)
    with pytest.raises(Refusal) as refused:
        await at.engine.initiate(NUMBER, message, "conversation", by="cli")
    assert refused.value.code == "outcome_unknown"
    found = at.engine.call(refused.value.call_id)
    assert found is not None
    return found


def finding(at: Table, monkeypatch: pytest.MonkeyPatch, find: Find) -> asyncio.Event:
    """Have the carrier find with `find`; set when it was asked."""
    asked = asyncio.Event()

    async def looked(lost: LostDial) -> str | None:
        asked.set()
        return await find(lost)

    monkeypatch.setattr(at.carrier, "find", looked)
    return asked


async def test_a_redial_within_a_second_keeps_its_call_and_the_lost_one_was_never_placed(tmp_path: Path) -> None:
    """The looking lasts longer than the time until the redial: the call that it sees then is the second one's."""
    async with live(tmp_path, changes={"max_concurrent_calls": 5}) as at:
        at.far.fail("dial", "500-before")
        with pytest.raises(Refusal) as caught:
            await at.dial(SINK, "The first one.")
        assert caught.value.code == "outcome_unknown"
        (first,) = at.engine.live_calls()
        await asyncio.sleep(0.2)  # the first look is over: it found nothing, and there will be another in a second
        second, far = await at.dial(SINK, "The second one.")
        lost = await at.until(first, lambda call: not call.live)
        assert (lost.end_reason, lost.provider_call_id) == (State.FAILED, None)
        kept = await at.until(second, lambda call: "heard" in call.rungs or not call.live)
        assert kept.live and kept.provider_call_id == far.state.sid
        assert [line.text for line in kept.transcript] == ["The second one."]
        assert "call.accepted" not in await at.types(first)
        assert len(at.far.calls) == 1


async def test_a_call_that_another_got_while_the_carrier_was_asked_is_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.reconcile.PAUSES", (0.01,))
    async with table(tmp_path) as at:
        go = asyncio.Event()
        seen: list[bool] = []

        async def find(lost: LostDial) -> str | None:
            await go.wait()
            seen.append("CA1" in lost.owned)
            return "CA1"

        asked = finding(at, monkeypatch, find)
        first = await lost_call(at)
        await asked.wait()
        second = await at.call_out()
        assert sid(second) == "CA1"
        go.set()
        ended = await at.until(first, lambda call: not call.live)
        assert ended.provider_call_id is None and ended.end_reason is State.ERROR
        assert seen and all(seen), "what is owned is known at the moment of the look"
        assert at.now(second).live and at.engine.call("CA1") == at.now(second)


async def test_nothing_is_taken_by_its_numbers_while_a_dial_to_the_same_number_is_under_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.reconcile.PAUSES", (0.01, 0.05, 0.1))
    async with table(tmp_path) as at:
        go = asyncio.Event()
        dial = at.carrier.dial

        async def slow(order: object) -> str:
            await go.wait()
            return await dial(order)  # type: ignore[arg-type]

        async def find(lost: LostDial) -> str | None:
            return "CA1" if "CA1" not in lost.owned else None

        begun = asyncio.Event()

        async def first_find(lost: LostDial) -> str | None:
            await begun.wait()
            return await find(lost)

        finding(at, monkeypatch, first_find)
        first = await lost_call(at)
        monkeypatch.setattr(at.carrier, "dial", slow)
        dialling = asyncio.create_task(at.engine.initiate(NUMBER, "Two.", "conversation", by="cli"))
        await at.until(first, lambda call: len(at.engine.live_calls()) == 2)
        begun.set()
        ended = await at.until(first, lambda call: not call.live)
        assert ended.provider_call_id is None and ended.end_reason is State.ERROR
        assert "may be it as well" in str([event.data for event in await at.events(first)])
        go.set()
        second = at.engine.call(await dialling)
        assert second is not None and second.live and second.provider_call_id == "CA1"


async def test_our_own_id_in_a_webhook_is_believed_over_a_guess(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first was guessed to be a call of the carrier's that is, by the address that it was dialled with, the
    other's: that one gets it, and the first was never placed."""
    async with table(tmp_path) as at:
        go = asyncio.Event()

        async def find(lost: LostDial) -> str | None:
            if lost.call_id != first.call_id:
                await go.wait()
                return None
            return "CA7"

        first = await lost_call(at, "One.")
        finding(at, monkeypatch, find)
        guessed = await at.until(first, lambda call: call.provider_call_id is not None or not call.live)
        if guessed.live:
            assert guessed.guessed
        second = await lost_call(at, "Two.")
        await at.tell("answered", "CA7", call_id=second.call_id, direction="outbound", wants_document=True)
        assert at.now(second).provider_call_id == "CA7" and not at.now(second).guessed
        over = at.now(first)
        assert over.provider_call_id is None and over.end_reason is State.FAILED
        assert at.engine.call("CA7") == at.now(second)
        assert at.carrier.hung_up == [], "the call is the second one's and goes on"
        go.set()


async def test_a_call_that_was_found_is_taken_when_nothing_speaks_against_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with table(tmp_path) as at:

        async def find(lost: LostDial) -> str | None:
            return "CA9"

        finding(at, monkeypatch, find)
        first = await lost_call(at)
        found = await at.until(first, lambda call: call.provider_call_id is not None or not call.live)
        assert found.live and found.provider_call_id == "CA9" and found.guessed
