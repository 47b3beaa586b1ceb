"""A caller whom nobody knows waits, unanswered, until somebody decides: over the simulated carrier's real HTTP."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from engine import admission
from engine.api import Refusal
from engine.calls import Call, Event, State
from engine.calls.policy import Decision
from engine.client import SocketClient
from engine.config.schema import NumberRoute
from engine.simulator.cast import CAST
from tests.engine.conftest import Running, Start, running, settings
from tests.engine.processes import LIMIT_S, Desk, make_desk
from tests.engine.simulators import QUICK, Simulator, simulator_process

GRACE, GRACE_NUMBER = "Grace Young", "+15550100103"
LEAVES = "Somebody who gives up"
NO_STREAM = {"stream.opened", "stream.started", "call.answered", "say.queued"}


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    """One with somebody who does not let it ring for long, and with the patience that a restart needs."""
    callers: list[dict[str, Any]] = [
        {"number": person.number, "manners": {**asdict(person.manners), **QUICK}} for person in CAST
    ]
    callers.append({"number": "+15550100231", "name": LEAVES, "manners": {"rings_for_ms": 1500}, "script": ["Hm."]})
    with simulator_process(callers=callers, retry_s=[0.2] * 100) as simulator:
        yield simulator


@pytest.fixture(autouse=True)
def _asked_every_second(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "ASK_SECONDS", 1)


def sim_call(calls: list[dict[str, Any]], call: Call) -> dict[str, Any]:
    return next(each for each in calls if each["id"] == call.provider_call_id)


async def types(run: Running, call: Call) -> list[str]:
    return [event.type for event in await run.events(call.call_id)]


async def data_of(run: Running, call: Call, type_: str) -> dict[str, Any]:
    return dict(next(event.data for event in await run.events(call.call_id) if event.type == type_))


async def until_asked(run: Running, call: Call, times: int = 1) -> None:
    """Return when the carrier has asked again so many times."""

    def asked(event: Event) -> bool:
        nonlocal times
        times -= event.call_id == call.call_id and event.data.get("type") == "call.asks"
        return times <= 0

    await run.until_event(asked)


async def until_ended(run: Running, call: Call) -> dict[str, Any]:
    """What the simulator knows about a call that is over there too."""

    async def ended() -> dict[str, Any]:
        while True:
            found = sim_call(await run.simulator.calls(), call)
            if found.get("ended_at"):
                return found
            await asyncio.sleep(0.05)  # the simulator tells nobody by itself

    async with asyncio.timeout(LIMIT_S):
        return await ended()


async def waiting(run: Running, person: str = GRACE) -> Call:
    """`person` calls, and waits."""
    call = await run.ring_in(person)
    return await run.until_call(call.call_id, lambda call: call.waiting)


async def test_a_stranger_hears_ringing_and_nothing_is_answered_or_prepared(start: Start) -> None:
    run = await start(inbound_policy="pairing")
    call = await waiting(run)
    assert (call.live, call.state, call.to_json()["waiting"]) == (True, State.RINGING, True)
    await until_asked(run, call, 2)
    assert sim_call(await run.simulator.calls(), call)["status"] == "ringing"
    assert not NO_STREAM & set(await types(run, call))
    assert await data_of(run, call, "call.waiting") == {"seconds": 30, "earlier": 0}
    assert run.engine.health()["exposure"]["streams"] == 0
    effects = {e.data["effect"] for e in await run.events(call.call_id) if e.type == "webhook.received"}
    assert effects == {"hold: the caller waits"}


async def test_one_who_is_let_in_once_is_greeted_as_anybody_and_waits_again_the_next_time(start: Start) -> None:
    route = NumberRoute(inbound_greeting="Welcome to the second line.")
    run = await start(inbound_policy="pairing", from_number="+15550299001", numbers={"+15550299001": route})
    call = await waiting(run)
    await run.engine.admit(call.call_id, "once", "console")
    talked = await run.until_call(call.call_id, lambda call: len(call.turns) >= 1)
    assert talked.transcript[0].text == "Welcome to the second line."
    assert {"waiting", "admitted", "document", "answered", "start", "heard"} <= set(talked.rungs)
    assert await data_of(run, call, "call.admitted") == {"verdict": "once", "by": "console"}
    order = ["call.initiated", "call.accepted", "call.ringing", "call.waiting", "call.admitted", "stream.started"]
    assert [each for each in await types(run, call) if each in order] == order
    await run.engine.end(call.call_id)
    again = await waiting(run)
    assert (await data_of(run, again, "call.waiting"))["earlier"] == 1


async def test_one_who_is_let_in_always_never_waits_again_also_after_a_restart(
    tmp_path: Path, simulator: Simulator
) -> None:
    config = settings(simulator, inbound_policy="pairing")
    async with running(tmp_path, config, simulator) as run:
        call = await waiting(run)
        await run.engine.admit(call.call_id, "always", "console")
        await run.until_call(call.call_id, lambda call: call.answered_at is not None)
        await run.engine.end(call.call_id)
        second = await run.ring_in(GRACE)
        await run.until_call(second.call_id, lambda call: call.answered_at is not None)
        assert "call.waiting" not in await types(run, second)
    async with running(tmp_path, config, simulator) as run:
        third = await run.ring_in(GRACE)
        await run.until_call(third.call_id, lambda call: call.answered_at is not None)
        assert "call.waiting" not in await types(run, third)
        other = await waiting(run, "Tom Baker")
        assert other.from_number != third.from_number


async def test_one_who_was_let_in_always_waits_again_when_that_was_taken_back_also_after_a_restart(
    tmp_path: Path, simulator: Simulator
) -> None:
    config = settings(simulator, inbound_policy="pairing")
    async with running(tmp_path, config, simulator) as run:
        call = await waiting(run)
        await run.engine.admit(call.call_id, "always", "console")
        assert run.engine.always_admitted() == [call.from_number]
        await run.engine.end(call.call_id)
        await run.engine.forget_caller(call.from_number, "cli")
        assert run.engine.always_admitted() == []
        with pytest.raises(Refusal) as refused:
            await run.engine.forget_caller(call.from_number, "cli")
        assert refused.value.code == "invalid_number"
        again = await waiting(run)
        await run.engine.admit(again.call_id, "no", "console")
        facts = [event.data for event in await run.events() if event.type == "caller.forgotten"]
        assert facts == [{"number": call.from_number, "by": "cli"}]
    async with running(tmp_path, config, simulator) as run:
        assert run.engine.always_admitted() == []
        await waiting(run)


async def test_numbers_that_were_paired_mean_nothing_to_another_policy(tmp_path: Path, simulator: Simulator) -> None:
    config = settings(simulator, inbound_policy="pairing")
    async with running(tmp_path, config, simulator) as run:
        call = await waiting(run)
        await run.engine.admit(call.call_id, "always", "console")
    async with running(tmp_path, config.model_copy(update={"inbound_policy": "allowlist"}), simulator) as run:
        call = await run.ring_in(GRACE)
        assert (await run.until_call(call.call_id, lambda call: not call.live)).end_reason is State.HANGUP_BOT


async def test_one_who_is_refused_is_rejected_before_any_answer(start: Start) -> None:
    run = await start(inbound_policy="pairing")
    call = await waiting(run)
    await run.engine.admit(call.call_id, "no", "console")
    refused = run.engine.call(call.call_id)
    assert refused is not None
    assert (refused.end_reason, refused.ended_by, refused.waiting) == (State.HANGUP_BOT, "console", False)
    assert (await data_of(run, call, "call.ended"))["detail"] == admission.REFUSED
    assert "admitted" not in refused.rungs
    there = await until_ended(run, call)
    assert (there["reason"], there["answered_at"]) == ("rejected", None)
    assert (await types(run, call)).count("call.ended") == 1
    assert (await waiting(run)).call_id != call.call_id, "a no is for this call alone"


async def test_one_about_whom_nobody_decides_is_turned_away_by_the_engine(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admission, "WAIT_SECONDS", 2)
    run = await start(inbound_policy="pairing")
    call = await waiting(run)
    ended = await run.until_call(call.call_id, lambda call: not call.live)
    assert (ended.end_reason, ended.ended_by) == (State.HANGUP_BOT, "engine")
    verdict = await data_of(run, call, "call.admitted")
    assert (verdict["verdict"], verdict["by"], verdict["why"]) == ("no", "engine", admission.UNDECIDED)
    assert ended.error == {"code": "inbound_refused", "message": admission.UNDECIDED}
    assert (await until_ended(run, call))["reason"] == "rejected"
    with pytest.raises(Refusal) as refused:
        await run.engine.admit(call.call_id, "once", "console")
    assert refused.value.code == "call_ended" and "engine decided: no" in refused.value.error


async def test_one_who_hangs_up_first_ends_the_call_and_frees_the_place(start: Start) -> None:
    run = await start(inbound_policy="pairing")
    call = await waiting(run, LEAVES)
    ended = await run.until_call(call.call_id, lambda call: not call.live)
    assert (ended.end_reason, ended.ended_by, ended.waiting) == (State.HANGUP_USER, "caller", False)
    assert "call.admitted" not in await types(run, call)
    with pytest.raises(Refusal) as refused:
        await run.engine.admit(call.call_id, "once", "console")
    assert refused.value.code == "call_ended"


async def test_of_two_consoles_the_first_decides_and_the_second_is_told(start: Start, tmp_path: Path) -> None:
    run = await start(inbound_policy="pairing")
    call = await waiting(run)
    verdicts: tuple[Decision, ...] = ("once", "no", "always", "once")

    async def ask(client: SocketClient, verdict: Decision) -> str:
        try:
            await client.admit(call.call_id, verdict)
        except Refusal as refusal:
            return refusal.code + " " + refusal.error
        return "done " + verdict

    async with await SocketClient.connect(tmp_path) as one, await SocketClient.connect(tmp_path) as other:
        clients = (one, other, one, other)
        told = await asyncio.gather(*(ask(client, each) for client, each in zip(clients, verdicts, strict=True)))
    (won,) = [each.removeprefix("done ") for each in told if each.startswith("done ")]
    code = "call_ended" if won == "no" else "not_waiting"
    assert all(each.startswith(code) and f"decided: {won}" in each for each in told if not each.startswith("done "))
    assert (await types(run, call)).count("call.admitted") == 1
    assert (await data_of(run, call, "call.admitted"))["verdict"] == won


async def test_a_caller_without_a_number_can_be_let_in_once_and_never_for_good(start: Start) -> None:
    run = await start(inbound_policy="pairing")
    provider_call_id = await run.carrier.ring_in(run.number, GRACE, "anonymous")
    call: Call = await run.until(lambda: run.engine.call(provider_call_id))
    with pytest.raises(Refusal) as refused:
        await run.engine.admit(call.call_id, "always", "console")
    assert refused.value.code == "not_supported" and "once" in refused.value.hint
    await run.engine.admit(call.call_id, "once", "console")
    await run.until_call(call.call_id, lambda call: call.answered_at is not None)


async def test_no_more_callers_wait_than_there_is_room_for(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "MAX_WAITING", 2)
    run = await start(inbound_policy="pairing")
    first, second = await waiting(run), await waiting(run, "Tom Baker")
    turned = await run.ring_in("Lucy Green")
    turned = await run.until_call(turned.call_id, lambda call: not call.live)
    assert (turned.end_reason, turned.ended_by) == (State.BUSY, "engine")
    assert turned.error == {"code": "inbound_refused", "message": admission.FULL}
    assert (await until_ended(run, turned))["reason"] == "busy"
    await run.engine.admit(first.call_id, "no", "console")
    third = await waiting(run, "Lucy Green")
    assert {call.call_id for call in run.engine.live_calls() if call.waiting} == {second.call_id, third.call_id}


async def test_known_callers_come_in_at_once(start: Start) -> None:
    run = await start(inbound_policy="pairing", allow_from=[GRACE_NUMBER])
    call = await run.ring_in(GRACE)
    await run.until_call(call.call_id, lambda call: call.answered_at is not None)
    assert "call.waiting" not in await types(run, call)


async def test_hanging_up_on_one_who_waits_ends_it_at_the_carrier_too(start: Start) -> None:
    run = await start(inbound_policy="pairing")
    call = await waiting(run)
    await run.engine.end(call.call_id, "console")
    ended = run.engine.call(call.call_id)
    assert ended is not None and ended.end_reason is State.HANGUP_BOT
    assert (await until_ended(run, call))["answered_at"] is None


async def test_decisions_about_calls_that_do_not_wait_are_refused_with_the_reason(start: Start) -> None:
    run = await start(inbound_policy="open")
    call = await run.ring_in(GRACE)
    codes = []
    for call_id in (call.call_id, "nobody"):
        with pytest.raises(Refusal) as refused:
            await run.engine.admit(call_id, "once", "console")
        codes.append(refused.value.code)
    assert codes == ["not_waiting", "call_not_found"]


# -- an engine that goes away while somebody waits --------------------------------------------


@pytest.fixture
def desk(tmp_path: Path, simulator: Simulator) -> Desk:
    number = f"+1555022{os.getpid() % 10_000:04d}"
    return make_desk(tmp_path, simulator, number, inbound_policy="pairing")


@asynccontextmanager
async def serving(desk: Desk) -> AsyncIterator[tuple[asyncio.subprocess.Process, SocketClient]]:
    async with desk.serve() as process, await SocketClient.connect(desk.state) as client:
        yield process, client


async def ring_in(simulator: Simulator, desk: Desk) -> str:
    """Grace calls the engine of `desk`; returns the carrier's call id."""
    number = f"+1555022{os.getpid() % 10_000:04d}"
    return str((await simulator.ask("POST", "/sim/inbound", {"to": number, "person": GRACE}))["id"])


async def until_record(client: SocketClient, call_id: str, **wanted: Any) -> dict[str, Any]:
    """The record of a call, once it says what is wanted."""
    async with asyncio.timeout(LIMIT_S):
        while True:
            record = await client.status(call_id)
            if record is not None and all(record[key] == value for key, value in wanted.items()):
                return record
            await asyncio.sleep(0.05)  # another process's record


async def test_one_who_waits_through_a_restart_is_asked_about_again(desk: Desk, simulator: Simulator) -> None:
    async with serving(desk) as (killed, client):
        provider_call_id = await ring_in(simulator, desk)
        record = await until_record(client, provider_call_id, waiting=True)
        killed.kill()
        await killed.wait()
    async with serving(desk) as (_, client):
        await until_record(client, provider_call_id, waiting=True, endedAt=None)
        admitted = await desk.run("admit", "--call-id", record["callId"], "--once")
        assert (admitted.code, admitted.json) == (0, {"success": True}), admitted.err
        talking = await until_record(client, provider_call_id, state="listening")
        assert talking["answeredAt"] and talking["callId"] == record["callId"]
        await client.end(record["callId"])


async def test_one_who_waits_while_the_engine_stops_is_hung_up(desk: Desk, simulator: Simulator) -> None:
    async with serving(desk) as (process, client):
        provider_call_id = await ring_in(simulator, desk)
        await until_record(client, provider_call_id, waiting=True)
        process.terminate()
        async with asyncio.timeout(LIMIT_S):
            assert await process.wait() == 0
    calls = await simulator.calls()
    there = next(each for each in calls if each["id"] == provider_call_id)
    assert (there["reason"], there["answered_at"]) == ("hangup-api", None)
    status = await desk.run("status", "--call-id", provider_call_id)
    assert (status.json["endReason"], status.json["waiting"]) == ("hangup-bot", False)
