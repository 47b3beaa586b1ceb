"""Engines that are killed, started twice, stopped, or out of disk: no call is lost, doubled or forgotten."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sqlite3
import sys
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from engine.api import Refusal
from engine.calls import Call, Draft, State, fold
from engine.client import Cursor, EngineClient, Event, SocketClient
from engine.store import DATABASE_NAME, EventLog, StoreError, open_readonly
from engine.store.writer import Job
from tests.engine.conftest import Humming, Running, Start
from tests.engine.processes import LIMIT_S, Desk, children, is_alive, make_desk
from tests.engine.simulators import Simulator

SINK = "+15550100191"
NOBODY_AT_HOME = "+15550100156"


@pytest.fixture
def desk(tmp_path: Path, simulator: Simulator) -> Desk:
    return make_desk(tmp_path, simulator, f"+1555021{os.getpid() % 10_000:04d}")


async def until_event(client: EngineClient, call_id: str, kind: str) -> Event:
    """The first event of this kind in the call, from the beginning of the log on."""
    cursor = Cursor((await client.backlog(0)).cursor.generation, 0)
    async with asyncio.timeout(LIMIT_S):
        while True:
            page = await client.events(cursor, call_id, wait_ms=10_000)
            for event in page.events:
                if event.type == kind:
                    return event
            cursor = page.cursor


async def record_of(client: EngineClient, call_id: str) -> dict[str, object]:
    record = await client.status(call_id)
    assert record is not None
    return record


async def until_true(check: Callable[[], Awaitable[bool]]) -> None:
    """For what another process does and tells nobody."""
    async with asyncio.timeout(LIMIT_S):
        while True:
            if await check():
                return
            await asyncio.sleep(0.02)


async def all_gone(pids: list[int]) -> bool:
    return not any(is_alive(pid) for pid in pids)


async def is_stopping(client: EngineClient) -> bool:
    return bool((await client.health())["engine"]["stopping"])


# -- killed -----------------------------------------------------------------------------------


async def test_a_live_call_outlives_a_killed_engine(desk: Desk) -> None:
    async with desk.serve() as killed:
        async with await SocketClient.connect(desk.state) as client:
            call_id = await client.call(SINK, "Hello there.", "conversation")
            await until_event(client, call_id, "say.heard")
            before = (await client.events(Cursor((await client.backlog(0)).cursor.generation, 0), limit=5000)).events
        helpers = children(killed.pid)
        killed.kill()
        await killed.wait()
    # Nothing that was told is missing, and nothing of the engine stays behind.
    with open_readonly(desk.state / DATABASE_NAME) as log:
        assert [event.to_json() for event in log.read(0, 5000)][: len(before)] == [e.to_json() for e in before]
    await until_true(lambda: all_gone(helpers))
    status = await desk.run("status", "--call-id", call_id)
    assert (status.code, status.json["endReason"]) == (0, None)

    async with desk.serve() as serving:
        async with await SocketClient.connect(desk.state) as client:
            await until_event(client, call_id, "stream.resumed")
            spoken = await desk.run("speak", "--call-id", call_id, "--message", "I am back.")
            assert (spoken.code, spoken.json) == (0, {"success": True}), spoken.err
            ended = await desk.run("end", "--call-id", call_id)
            assert (ended.code, ended.json) == (0, {"success": True}), ended.err
            record = await record_of(client, call_id)
            page = await client.events(Cursor((await client.backlog(0)).cursor.generation, 0), call_id, limit=5000)
        assert (record["state"], record["endReason"]) == ("hangup-bot", "hangup-bot")
        assert [line["text"] for line in record["transcript"]] == ["Hello there.", "I am back."]  # type: ignore[attr-defined]
        assert {**fold(page.events)[call_id].to_json(), "attention": []} == record
        assert [event.type for event in page.events].count("call.answered") == 1
        serving.send_signal(signal.SIGTERM)
        assert await serving.wait() == 0


async def test_what_a_crash_left_open_is_settled_with_the_carrier(
    start: Start, tmp_path: Path, simulator: Simulator
) -> None:
    """Pain F1."""
    hung_up, forgotten, never_placed, placed = (str(uuid.uuid4()) for _ in range(4))
    ids = {ref: await dial_at(simulator, ref) for ref in (hung_up, placed)}
    await simulator.ask("POST", f"/v1/calls/{ids[hung_up]}/hangup", {})
    async with await EventLog.open(tmp_path / DATABASE_NAME) as log:
        await log.append(
            [
                *dialled(hung_up, ids[hung_up]),
                *dialled(forgotten, "CAforgotten"),
                *dialled(never_placed),
                *dialled(placed),
            ]
        )
    run = await start()
    ends = {}
    for call_id in (hung_up, forgotten, never_placed):
        call = await run.until_call(call_id, lambda call: not call.live)
        ends[call_id] = call.end_reason
    reported = (await run.carrier.status(ids[hung_up])).reason
    assert ends == {hung_up: reported, forgotten: State.COMPLETED, never_placed: State.FAILED}
    call = await run.until_call(placed, lambda call: call.provider_call_id is not None)
    assert call.live and call.provider_call_id == ids[placed]
    await run.engine.end(placed)
    assert not (await run.carrier.status(ids[placed])).live


async def dial_at(simulator: Simulator, ref: str) -> str:
    """What an engine asked of the carrier before it died; nobody answers its webhooks."""
    order = {"client_ref": ref, "from": "+15550100100", "to": NOBODY_AT_HOME, "webhook_url": "http://127.0.0.1:9/x"}
    return str((await simulator.ask("POST", "/v1/calls", order))["id"])


def dialled(call_id: str, provider_call_id: str = "") -> list[Draft]:
    """The log of an engine that died after it dialled."""
    facts = {"provider": "mock", "direction": "outbound", "mode": "conversation", "to": SINK, "from": "+15550100100"}
    drafts = [Draft("call.initiated", call_id, facts), Draft("call.dialing", call_id)]
    if provider_call_id:
        drafts.append(Draft("call.accepted", call_id, {"providerCallId": provider_call_id}))
    return drafts


async def test_a_dial_with_a_lost_reply_is_found_again_and_never_repeated(start: Start, simulator: Simulator) -> None:
    run = await start()
    known = {call["id"] for call in await simulator.calls()}
    await simulator.faults(lose_dial=1)
    try:
        with pytest.raises(Refusal) as refused:
            await run.engine.initiate(SINK, "Hello.", "conversation")
    finally:
        await simulator.faults()
    assert refused.value.code == "outcome_unknown"
    (call,) = run.engine.live_calls()
    assert call.call_id in refused.value.error
    found = await run.until_call(call.call_id, lambda call: "heard" in call.rungs)
    (placed,) = [call for call in await simulator.calls() if call["id"] not in known]
    assert (placed["client_ref"], placed["id"]) == (call.call_id, found.provider_call_id)
    assert [event.type for event in await run.events(call.call_id)].count("call.dialing") == 1


async def test_a_dial_that_never_arrived_fails_and_is_not_repeated(start: Start, simulator: Simulator) -> None:
    run = await start()
    known = len(await simulator.calls())
    await simulator.faults(refuse_dial=1)
    try:
        with pytest.raises(Refusal) as refused:
            await run.engine.initiate(SINK, "Hello.", "conversation")
    finally:
        await simulator.faults()
    assert refused.value.code == "carrier_refused"
    (call,) = [call for call in await run.engine.history() if call.direction == "outbound"]
    assert call.end_reason is State.FAILED
    assert len(await simulator.calls()) == known


# -- started twice, stopped -------------------------------------------------------------------


async def test_a_second_engine_on_the_same_folder_says_who_has_it(desk: Desk) -> None:
    async with desk.serve() as first:
        second = await desk.run("serve")
        assert second.code == 1
        assert second.json["code"] == "engine_running"
        assert f"process {first.pid}" in second.json["error"]
        assert "voicecall attach" in second.json["hint"]
        health = (await desk.run("status")).json
        assert health == {"calls": []}


async def test_a_port_in_use_is_said_with_its_holder(desk: Desk) -> None:
    with socket.create_server(("127.0.0.1", desk.port)):
        refused = await desk.run("serve")
    assert refused.code == 1
    assert refused.json["code"] == "engine_failed"
    assert str(desk.port) in refused.json["error"]
    assert "serve.port" in refused.json["hint"]
    if sys.platform == "linux":
        assert f"process {os.getpid()}" in refused.json["error"]
    # It left nothing behind that would keep the next one from starting.
    assert not (desk.state / "engine.lock").exists()
    assert not (desk.state / "control.sock").exists()


@pytest.mark.parametrize("state", ["/proc/voicecall", "config.yaml"])
async def test_a_state_folder_that_can_not_be_used_is_said(desk: Desk, state: str) -> None:
    refused = await desk.run("serve", "--state-dir", str(desk.folder / state))
    assert refused.code == 1
    assert refused.json["code"] == "store_failed"
    assert "--state-dir" in refused.json["hint"]


async def test_an_engine_that_is_told_to_stop_lets_its_calls_finish_and_takes_no_new_ones(desk: Desk) -> None:
    async with desk.serve() as serving, await SocketClient.connect(desk.state) as client:
        call_id = await client.call(SINK, "Hello there.", "conversation")
        await until_event(client, call_id, "say.heard")
        serving.send_signal(signal.SIGHUP)  # A terminal that closes is none of its business.
        serving.send_signal(signal.SIGTERM)
        await until_true(lambda: is_stopping(client))
        with pytest.raises(Refusal) as refused:
            await client.call(SINK, "Hello.", "conversation")
        assert refused.value.code == "engine_stopping"
        await client.speak(call_id, "Goodbye.")
        await client.end(call_id)
        async with asyncio.timeout(LIMIT_S):
            assert await serving.wait() == 0
    assert not (desk.state / "engine.lock").exists()
    assert not (desk.state / "control.sock").exists()
    with open_readonly(desk.state / DATABASE_NAME) as log:
        events = log.read(0, 5000)
    assert events[-1].type == "engine.stopped"
    assert fold(events)[call_id].end_reason is State.HANGUP_BOT


@pytest.mark.parametrize("how", ["stopped", "killed"])
async def test_a_simulated_carrier_goes_with_an_engine_that_stops_and_outlives_one_that_dies(
    tmp_path: Path, how: str
) -> None:
    (tmp_path / "config.yaml").write_text("serve: {port: 0}\nresponse: {provider: operator}\n")
    desk = Desk(tmp_path, 0)
    async with desk.serve() as serving:
        pid = json.loads((desk.state / "simulator.json").read_text())["pid"]
        assert is_alive(pid)
        serving.terminate() if how == "stopped" else serving.kill()
        await serving.wait()
    if how == "killed":
        assert is_alive(pid)
        os.kill(pid, signal.SIGTERM)
    async with asyncio.timeout(5):
        while is_alive(pid):  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.05)


# -- out of disk ------------------------------------------------------------------------------


class Disk:
    """The room that the event log has, taken and given back."""

    def __init__(self, log: EventLog) -> None:
        self._log = log

    async def _do(self, work: Callable[[sqlite3.Connection], int]) -> None:
        done: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._log._writer.submit(Job(work, done))
        await done

    async def fill(self) -> None:
        """No further page, and no room in those that are there."""
        await self._do(lambda connection: connection.execute("PRAGMA max_page_count = 1").rowcount)
        for size in (3000, 300, 30):
            for number in range(1000):
                row = (f"{size} {number}", "x" * size)
                try:
                    await self._do(lambda c, row=row: c.execute("INSERT INTO meta VALUES (?, ?)", row).rowcount)  # type: ignore[misc]
                except StoreError:
                    break

    async def free(self) -> None:
        await self._do(lambda connection: connection.execute("PRAGMA max_page_count = 1000000").rowcount)


@pytest.fixture
async def on_full_disk(start: Start) -> AsyncIterator[tuple[Running, Disk, Call]]:
    """An engine with a live call whose disk just filled up."""
    run = await start(voice=Humming(ms_per_character=1))
    call_id = await run.engine.initiate(SINK, "Hello." * 50, "conversation")
    call = await run.until_call(call_id, lambda call: "heard" in call.rungs)
    disk = Disk(run.engine._log)
    await disk.fill()
    yield run, disk, call
    await disk.free()


async def test_nothing_is_dialled_that_can_not_be_recorded(
    on_full_disk: tuple[Running, Disk, Call], simulator: Simulator
) -> None:
    """Pain F2."""
    run, disk, call = on_full_disk
    known = len(await simulator.calls())
    with pytest.raises(Refusal) as refused:
        await run.engine.initiate(SINK, "x" * 4000, "conversation")
    assert refused.value.code == "store_failed"
    assert "disk" in refused.value.hint
    assert len(await simulator.calls()) == known
    assert [live.call_id for live in run.engine.live_calls()] == [call.call_id]
    assert run.engine.health()["store"]["ok"] is False
    assert run.engine.health()["slots"]["holders"] == [call.call_id]


async def test_a_live_call_goes_on_without_a_disk_and_its_facts_are_stored_when_there_is_room(
    on_full_disk: tuple[Running, Disk, Call],
) -> None:
    run, disk, call = on_full_disk
    with pytest.raises(Refusal):
        await run.engine.initiate(SINK, "x" * 4000, "conversation")
    line = "y" * 1500
    async with asyncio.timeout(LIMIT_S):
        await run.engine.speak(call.call_id, line)
    await disk.free()
    after = await run.until_call(call.call_id, lambda call: call.transcript[-1].text == line)
    await run.until_call(call.call_id, lambda call: not call.transcript[-1].playing)
    told = [event.type for event in await run.events(call.call_id) if event.data.get("sayId") == _say_id(after)]
    assert told == ["say.queued", "say.started", "say.heard"]
    await run.engine.initiate(SINK, "x" * 4000, "conversation")
    store = run.engine.health()["store"]
    assert (store["ok"], store["error"], store["lost"]) == (True, "", 0)


def _say_id(call: Call) -> str | None:
    return call.transcript[-1].say_id


# -- configurations that can not work ---------------------------------------------------------


async def test_a_carrier_without_its_secrets_is_refused_by_the_names_of_what_is_missing(tmp_path: Path) -> None:
    desk = Desk(tmp_path, 0)
    (tmp_path / "config.yaml").write_text("provider: twilio\nserve: {port: 0}\n")
    refused = await desk.run("serve")
    assert (refused.code, refused.json["code"]) == (2, "invalid_config")
    keys = [problem["key"] for problem in refused.json["problems"]]
    assert keys == ["twilio.account_sid", "twilio.auth_token", "from_number", "public_url"]
    *secrets, address = refused.json["problems"]
    assert all("export TWILIO_" in problem["hint"] for problem in secrets) and "public_url" in address["hint"]


async def test_an_address_that_is_not_ours_is_not_blamed_on_another_program(tmp_path: Path) -> None:
    desk = Desk(tmp_path, 0)
    (tmp_path / "config.yaml").write_text("serve: {port: 0, bind: 192.0.2.77}\n")
    refused = await desk.run("serve")
    assert refused.code == 1 and "serve.bind" in refused.json["hint"] and "held by" not in refused.json["error"]


async def test_a_file_is_no_empty_state_folder(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("")
    (tmp_path / "state").write_text("")
    for verb in ("status", "latency"):
        refused = await Desk(tmp_path, 0).run(verb)
        assert (refused.code, refused.json["code"]) == (1, "store_failed")
