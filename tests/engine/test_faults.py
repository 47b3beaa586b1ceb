"""A carrier that lies, loses and repeats: calls still end once, move forward only, and nothing of ours fails."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator

import pytest

from engine.calls import Event, State, apply, fold
from tests.engine.conftest import Running, Start
from tests.engine.simulators import Simulator

DANIEL = "+15550100151"
SINK = "+15550100191"
BUSY = "+15550100155"
RANK = {state: 9 if state.terminal else rank for rank, state in enumerate(State)}
RANK[State.LISTENING] = RANK[State.SPEAKING]
WEBHOOKS = {"duplicate": 0.6, "reorder": 0.5, "delay": 0.5, "delay_ms": 150, "forge": 0.6}
FAULTS = {
    "webhooks doubled, late, out of order and forged": WEBHOOKS,
    "half of the statuses lost": {"drop": 0.5},
    "all statuses lost": {"drop": 1},
    "garbage among the frames": {"malformed": 0.3},
    "everything at once": {**WEBHOOKS, "drop": 0.3, "malformed": 0.2},
}


@pytest.fixture
async def run(start: Start, simulator: Simulator) -> AsyncIterator[Running]:
    run = await start()
    yield run
    await simulator.faults()


@pytest.mark.parametrize("faults", FAULTS.values(), ids=FAULTS)
async def test_calls_end_once_and_move_forward_only(
    run: Running, simulator: Simulator, caplog: pytest.LogCaptureFixture, faults: dict[str, float]
) -> None:
    caplog.set_level(logging.ERROR)
    await simulator.faults(**faults)
    outbound = [await run.engine.initiate(to, "Hello there.", "conversation") for to in (DANIEL, SINK, BUSY)]
    inbound = await run.ring_in("Grace Young")
    heard = [*outbound[:2], inbound.call_id]
    for call_id in heard:
        await run.until_call(call_id, lambda call: "heard" in call.rungs)
    for call_id in (*outbound, inbound.call_id):
        await run.engine.end(call_id, "test")
    await settled(simulator, run)
    events = await run.events()
    check_laws(events)
    kept = {call_id: run.engine.call(call_id) for call_id in (*outbound, inbound.call_id)}
    assert {call_id: call.to_json() for call_id, call in fold(events).items()} == {
        call_id: call.to_json() for call_id, call in kept.items() if call is not None
    }
    assert all(call.end_reason is State.HANGUP_BOT for id_, call in kept.items() if call and id_ in heard)
    assert [record.getMessage() for record in caplog.records] == []


async def settled(simulator: Simulator, run: Running) -> None:
    """Wait until no webhook of our calls is on its way any more."""
    ids = {call.provider_call_id for call in await run.engine.history()}
    async with asyncio.timeout(10):
        while True:
            ours = [call for call in await simulator.calls() if call["id"] in ids]
            sent = [hook for call in ours for hook in call["webhooks"]]
            if all(hook["attempts"] or "drop" in hook["faults"] for hook in sent):
                return
            await asyncio.sleep(0.05)


def check_laws(events: list[Event]) -> None:
    """Each call ends once, and its state never goes back."""
    for call_id in {event.call_id for event in events if event.call_id}:
        mine = [event for event in events if event.call_id == call_id]
        types = [event.type for event in mine]
        assert types.count("call.ended") == 1, types
        assert types.count("call.answered") <= 1
        call, rank = None, -1
        for event in mine:
            call = apply(call, event)
            assert call is not None
            assert RANK[call.state] >= rank
            rank = RANK[call.state]


async def test_a_forged_end_does_not_end_a_call(run: Running, simulator: Simulator) -> None:
    await simulator.faults(forge=1)
    call_id = await run.engine.initiate(SINK, "Hello there.", "conversation")
    call = await run.until_call(call_id, lambda call: "heard" in call.rungs)
    report = await run.until_carrier(call_id, lambda report: len(report["forged"]) >= 2)
    assert {hook["status"] for hook in report["forged"]} == {401}
    assert call.live
    refused = [event.data for event in await run.events() if event.type == "webhook.received"]
    assert "refused" in {data["verdict"] for data in refused}


async def test_a_stream_that_breaks_comes_back_and_the_call_goes_on(run: Running, simulator: Simulator) -> None:
    await simulator.faults(lose_stream=1)
    call_id = await run.engine.initiate(SINK, "Hello there.", "conversation")
    await run.until_call(call_id, lambda call: "start" in call.rungs)
    await simulator.faults()
    await run.until_event(lambda event: event.type == "stream.resumed" and event.call_id == call_id)
    await run.engine.speak(call_id, "Are you still there?", "test")
    types = [event.type for event in await run.events(call_id)]
    order = ["stream.started", "stream.lost", "stream.started", "stream.resumed"]
    assert [type_ for type_ in types if type_ in order] == order
    call = run.engine.call(call_id)
    assert call is not None and call.live
    assert run.engine.health()["exposure"]["streams"] == 1


async def test_a_call_whose_end_is_never_told_is_ended_by_us(run: Running, simulator: Simulator) -> None:
    """The carrier lost the call and its webhook: the stream that does not come back says so."""
    await simulator.faults(drop=1)
    call_id = await run.engine.initiate(SINK, "Hello there.", "conversation")
    call = await run.until_call(call_id, lambda call: "heard" in call.rungs)
    await simulator.ask("POST", f"/v1/calls/{call.provider_call_id}/hangup", {})
    call = await run.until_call(call_id, lambda call: not call.live)
    assert call.ended_by == "carrier"
