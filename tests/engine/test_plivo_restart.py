"""`voicecall` as processes on a Plivo account: every verb, and an engine that is killed in the middle of a call."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from typing import Any

import yaml

from engine.client import SocketClient
from tests.carriers.plivo_far import OUR_NUMBER, PlivoFar, Settings
from tests.engine.carrier_rig import BUSY, COLLEAGUE, SINK, person
from tests.engine.processes import LIMIT_S, Desk
from tests.engine.test_restart import record_of, until_event

CALLERS: list[dict[str, Any]] = [
    person(SINK, "Sink", deaf_and_mute=True),
    person(BUSY, "Busy", answers="busy"),
    person(COLLEAGUE, "Colleague", ["This is the other desk."], machine=True, hangs_up_at=0),
]


def desk_at(folder: Path, far: PlivoFar, **more: Any) -> Desk:
    """A configuration with an account at `far`, on a port that was free a moment ago, and `more`."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    account = {"auth_id": far.settings.auth_id, "auth_token": far.settings.auth_token}
    config = {
        "provider": "plivo",
        "from_number": OUR_NUMBER,
        "plivo": {**account, "api_base_url": far.base_url},
        "serve": {"port": port},
        "response": {"provider": "operator"},
        **more,
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    return Desk(folder, port)


async def test_a_call_is_placed_spoken_in_put_through_and_told_of_from_the_command_line(tmp_path: Path) -> None:
    async with PlivoFar(Settings(callers=CALLERS, wait_speed=20)) as far:
        desk = desk_at(tmp_path, far)
        async with desk.serve(), await SocketClient.connect(desk.state) as client:
            made = await desk.run("call", "--to", SINK, "--message", "Hello there.", "--mode", "conversation")
            assert made.code == 0, made.err
            call_id = made.json["callId"]
            await until_event(client, call_id, "say.heard")
            assert (await desk.run("speak", "--call-id", call_id, "--message", "Still here?")).code == 0
            assert (await desk.run("dtmf", "--call-id", call_id, "--digits", "12#")).code == 0
            assert far.call().streams[0].keys == "12#"
            assert (await desk.run("transfer", "--call-id", call_id, "--to", COLLEAGUE)).code == 0
            await until_event(client, call_id, "call.ended")
            record = await record_of(client, call_id)
        assert record["endReason"] == "completed" and far.call().transfers[0].status == "completed"
        log = desk.state / "voicecall.log"
        written = log.read_text() if log.exists() else ""
        assert far.settings.auth_token not in written + made.out + made.err
        assert far.settings.auth_token.encode() not in b"".join(
            path.read_bytes() for path in desk.state.iterdir() if path.is_file() and "db" in path.name
        )
        assert far.complaints == []


async def test_a_dial_that_plivo_refuses_is_told_in_its_words(tmp_path: Path) -> None:
    async with PlivoFar(Settings(callers=CALLERS)) as far:
        desk = desk_at(tmp_path, far)
        async with desk.serve():
            far.fail("dial", "403")
            done = await desk.run("call", "--to", SINK, "--message", "Hello there.", "--mode", "conversation")
            assert done.code == 1 and done.json["code"] == "carrier_refused"
            assert "permission" in done.json["error"] and "Geo permissions" in done.json["hint"]
        assert far.calls == {}


async def test_a_call_is_controllable_again_after_the_engine_was_killed(tmp_path: Path) -> None:
    async with PlivoFar(Settings(callers=CALLERS, own_names=True)) as far:
        desk = desk_at(tmp_path, far)
        async with desk.serve() as killed:
            async with await SocketClient.connect(desk.state) as client:
                call_id = await client.call(SINK, "Hello there.", "conversation")
                await until_event(client, call_id, "say.heard")
            killed.kill()
            await killed.wait()
        async with desk.serve(), await SocketClient.connect(desk.state) as client:
            await until_event(client, call_id, "stream.resumed")
            assert (await desk.run("speak", "--call-id", call_id, "--message", "I am back.")).code == 0
            assert (await desk.run("end", "--call-id", call_id)).json == {"success": True}
            record = await record_of(client, call_id)
        assert [line["text"] for line in record["transcript"]] == ["Hello there.", "I am back."]  # type: ignore[attr-defined]
        assert record["endReason"] == "hangup-bot" and record["providerCallId"] == far.call().state.uuid
        async with asyncio.timeout(LIMIT_S):
            await far.call().until_over()
        assert len(far.calls) == 1, "nobody was called twice"
        assert far.complaints == []


async def test_a_call_in_plivos_own_voice_is_controllable_again_after_the_engine_was_killed(tmp_path: Path) -> None:
    async with PlivoFar(Settings(callers=CALLERS)) as far:
        desk = desk_at(tmp_path, far, streaming={"enabled": False})
        async with desk.serve() as killed:
            async with await SocketClient.connect(desk.state) as client:
                call_id = await client.call(SINK, "Hello there.", "conversation")
                await until_event(client, call_id, "say.heard")
            told = len(far.call().documents)
            killed.kill()
            await killed.wait()
        async with desk.serve(), await SocketClient.connect(desk.state) as client:
            await far.call().until(lambda: len(far.call().documents) > told)  # it is told to listen to the new engine
            assert (await desk.run("speak", "--call-id", call_id, "--message", "I am back.")).code == 0
            asking = asyncio.create_task(desk.run("continue", "--call-id", call_id, "--message", "And you?"))
            await far.call().until(lambda: far.call().spoken[-1].text == "And you?" and far.call().spoken[-1].whole)
            await far.call().hear("So am I.")
            assert (await asking).json["transcript"] == "So am I."
            assert (await desk.run("end", "--call-id", call_id)).json == {"success": True}
        async with asyncio.timeout(LIMIT_S):
            await far.call().until_over()
        assert far.call().streams == [] and far.complaints == []


async def test_a_dial_whose_answer_was_lost_with_the_engine_is_found_and_not_made_again(tmp_path: Path) -> None:
    async with PlivoFar(Settings(callers=CALLERS)) as far:
        desk = desk_at(tmp_path, far)
        far.fail("dial", "timeout-after")
        far.webhook_faults.drop |= {"ring", "answer"}
        far.webhook_faults.delay_s["answer"] = 60.0  # nothing is told: only Plivo's lists know of the call
        async with desk.serve() as killed, await SocketClient.connect(desk.state) as client:
            dialling = asyncio.create_task(client.call(SINK, "Hello there.", "conversation"))
            await far.until_calls(1)
            killed.kill()
            await killed.wait()
            await asyncio.wait([dialling])
            dialling.exception()
        async with desk.serve(), await SocketClient.connect(desk.state) as client:
            (call,) = (await desk.run("status")).json["calls"]
            await until_event(client, call["callId"], "call.accepted")
            record = await record_of(client, call["callId"])
            assert record["providerCallId"] == far.call().state.uuid
            assert (await desk.run("end", "--call-id", call["callId"])).json == {"success": True}
        assert len(far.asked("dial")) == 1 and len(far.calls) == 1
