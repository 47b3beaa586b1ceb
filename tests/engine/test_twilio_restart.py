"""An engine that is killed in the middle of a Twilio call, and started again while Twilio still holds it."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from typing import Any

import yaml

from engine.client import SocketClient
from tests.carriers.twilio_far import OUR_NUMBER, Settings, TwilioFar
from tests.engine.processes import LIMIT_S, Desk
from tests.engine.test_restart import record_of, until_event

SINK = "+15550100202"
PATIENT: dict[str, Any] = {
    "number": SINK,
    "name": "Sink",
    "script": [],
    "manners": {"ring_ms": 20, "think_ms": 20, "deaf_and_mute": True},
}


def desk_at(folder: Path, far: TwilioFar, **more: Any) -> Desk:
    """A configuration with an account at `far`, on a port that was free a moment ago, and `more`."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    config = {
        "provider": "twilio",
        "from_number": OUR_NUMBER,
        "twilio": {
            "account_sid": far.settings.account_sid,
            "auth_token": far.settings.auth_token,
            "api_base_url": far.base_url,
        },
        "serve": {"port": port},
        "response": {"provider": "operator"},
        **more,
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    return Desk(folder, port)


async def test_a_call_is_controllable_again_after_the_engine_was_killed(tmp_path: Path) -> None:
    """Pain F3; trap 1.5/no-reconnect."""
    async with TwilioFar(Settings(callers=(PATIENT,), plain_ws=True)) as far:
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
        assert record["endReason"] == "hangup-bot"
        async with asyncio.timeout(LIMIT_S):
            await far.call().until_over()
        assert len(far.calls) == 1, "nobody was called twice"
        assert far.complaints == []


async def test_a_call_in_twilios_own_voice_is_controllable_again_after_the_engine_was_killed(tmp_path: Path) -> None:
    async with TwilioFar(Settings(callers=(PATIENT,), plain_ws=True)) as far:
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
            record = await record_of(client, call_id)
        spoken = [line["text"] for line in record["transcript"]]  # type: ignore[attr-defined]
        assert len(spoken) == 4 and "And you?".startswith(spoken.pop(2)), "an answer may come before its end"
        assert spoken == ["Hello there.", "I am back.", "So am I."]
        async with asyncio.timeout(LIMIT_S):
            await far.call().until_over()
        assert far.call().codes() == [] and far.call().streams == []
        assert far.complaints == []
