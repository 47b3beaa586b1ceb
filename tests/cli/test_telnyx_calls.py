"""Calls on Telnyx from the command line, with an engine of its own that may be killed: real voices, real recognition,
real keys, in both codecs."""

from __future__ import annotations

import asyncio
import socket
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml

from engine.client import SocketClient
from engine.media.g711 import alaw_to_mulaw
from engine.simulator.voices import VoiceBank
from engine.speech.local_extra import RECOGNISER_PACKAGES, VOICE_PACKAGES
from engine.speech.stt.local import LocalRecogniser
from engine.speech.wer import word_error_rate
from tests.carriers.telnyx_far import OUR_NUMBER, Settings, TelnyxFar
from tests.engine.processes import LIMIT_S, Desk
from tests.engine.test_restart import record_of, until_event
from tests.speech.helpers import recognise

SINK = "+15550100202"
ANNA = "+15550100206"
PATIENT: dict[str, Any] = {
    "number": SINK,
    "name": "Sink",
    "script": [],
    "manners": {"ring_ms": 20, "think_ms": 20, "deaf_and_mute": True},
}
TALKER: dict[str, Any] = {
    "number": ANNA,
    "name": "Anna",
    "script": ["Can you tell me what time you open on Saturday?"],
    "manners": {"ring_ms": 20, "think_ms": 300},
}
offline = pytest.mark.skipif(
    any(find_spec(name) is None for name in (*RECOGNISER_PACKAGES, *VOICE_PACKAGES)), reason="no offline speech"
)


def desk_at(folder: Path, far: TelnyxFar, telnyx: dict[str, Any] | None = None, **more: Any) -> Desk:
    """A configuration with an account at `far`, on a port that was free a moment ago, and `more`."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    account = {"api_key": far.settings.api_key, "connection_id": far.settings.connection_id}
    account |= {"public_key": far.public_key, "api_base_url": far.base_url, **(telnyx or {})}
    config = {
        "provider": "telnyx",
        "from_number": OUR_NUMBER,
        "telnyx": account,
        "serve": {"port": port},
        "response": {"provider": "operator"},
        **more,
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    far.app.webhook_url = f"http://127.0.0.1:{port}/voice/webhook"
    return Desk(folder, port)


@offline
@pytest.mark.parametrize("codec", ["PCMU", "PCMA"])
async def test_what_is_said_is_heard_and_what_is_answered_is_understood(tmp_path: Path, codec: str) -> None:
    settings = Settings(callers=(TALKER,), leg_codec=codec)
    async with TelnyxFar(settings, VoiceBank()) as far:
        desk = desk_at(tmp_path, far, {"stream_codec": codec})
        async with desk.serve() as engine, await SocketClient.connect(desk.state) as client:
            done = await desk.run(
                "call", "--to", ANNA, "--message", "Hello, is Tuesday fine?", "--mode", "conversation"
            )
            assert done.code == 0, done.err
            call_id = done.json["callId"]
            await until_event(client, call_id, "speech.final")
            record = await record_of(client, call_id)
            assert (await desk.run("end", "--call-id", call_id)).json == {"success": True}
            assert engine.returncode is None
        said = " ".join(line["text"] for line in record["transcript"] if line["speaker"] == "caller")  # type: ignore[attr-defined]
        assert errors(TALKER["script"][0], said) <= 0.35, said
        call = far.call()
        await call.until_over()
        (stream,) = call.streams
        assert (stream.carries, stream.takes, stream.errors) == (codec, codec, [])
        sent = alaw_to_mulaw(bytes(stream.audio)) if codec == "PCMA" else bytes(stream.audio)
        heard = await transcribed(sent)
        assert errors("Hello, is Tuesday fine?", heard) <= 0.5, heard
        assert far.complaints == []


def errors(expected: str, heard: str) -> float:
    wrong, words = word_error_rate(expected, heard)
    return wrong / words


async def transcribed(mulaw: bytes) -> str:
    """What the offline recogniser makes of audio that somebody heard."""
    recogniser = LocalRecogniser()
    await recogniser.start()
    try:
        return (await recognise(recogniser, mulaw)).text
    finally:
        await recogniser.close()


async def test_the_four_kinds_of_call(tmp_path: Path) -> None:
    """Notice, conversation, inbound allowed, inbound refused."""
    async with TelnyxFar(Settings(callers=(PATIENT,), wait_speed=10)) as far:
        desk = desk_at(
            tmp_path,
            far,
            inbound_policy="allowlist",
            allow_from=[SINK],
            outbound={"notify_hangup_delay_sec": 0},
            tts={"provider": "local"},
        )
        async with desk.serve(), await SocketClient.connect(desk.state) as client:
            notice = (await desk.run("call", "--to", SINK, "--message", "Your table is ready.")).json["callId"]
            await until_event(client, notice, "call.ended")
            assert (await record_of(client, notice))["endReason"] == "completed"
            talk = await desk.run("call", "--to", SINK, "--message", "Hello there.", "--mode", "conversation")
            await until_event(client, talk.json["callId"], "say.heard")
            assert (await desk.run("speak", "--call-id", talk.json["callId"], "--message", "Goodbye.")).code == 0
            assert (await desk.run("dtmf", "--call-id", talk.json["callId"], "--digits", "12#")).code == 0
            assert far.call().keys == "12#"
            await desk.run("end", "--call-id", talk.json["callId"])
            allowed = far.ring_in("Sink")
            await allowed.until(lambda: allowed.streams and allowed.streams[0].marks_out, LIMIT_S)
            allowed.hang_up_person()
            await allowed.until_over()
            refused = far.ring_in("Sink", from_number="+15550100299")
            await refused.until_over()
            assert (refused.hangup_cause, refused.answered_at) == ("call_rejected", None)
            calls = (await desk.run("status")).json["calls"]
            assert calls == []
        assert far.complaints == []


async def test_a_call_is_controllable_again_after_the_engine_was_killed(tmp_path: Path) -> None:
    """Losing the socket does not end the call: its stream is opened again by the engine that comes after."""
    async with TelnyxFar(Settings(callers=(PATIENT,))) as far:
        desk = desk_at(tmp_path, far)
        async with desk.serve() as killed:
            async with await SocketClient.connect(desk.state) as client:
                call_id = await client.call(SINK, "Hello there.", "conversation")
                await until_event(client, call_id, "say.heard")
            killed.kill()
            await killed.wait()
        call = far.call()
        await call.until(lambda: call.socket is None)
        assert not call.over
        async with desk.serve(), await SocketClient.connect(desk.state) as client:
            await until_event(client, call_id, "stream.resumed")
            assert (await desk.run("speak", "--call-id", call_id, "--message", "I am back.")).code == 0
            assert (await desk.run("end", "--call-id", call_id)).json == {"success": True}
            record = await record_of(client, call_id)
        assert [line["text"] for line in record["transcript"]] == ["Hello there.", "I am back."]  # type: ignore[attr-defined]
        async with asyncio.timeout(LIMIT_S):
            await call.until_over()
        assert len(far.calls) == 1 and far.complaints == []


async def test_a_call_that_was_dialled_by_an_engine_that_is_gone_gets_a_stream_at_its_answer(tmp_path: Path) -> None:
    late = {**PATIENT, "manners": {**PATIENT["manners"], "ring_ms": 12_000}}
    async with TelnyxFar(Settings(callers=(late,))) as far:
        desk = desk_at(tmp_path, far)
        async with desk.serve() as killed:
            async with await SocketClient.connect(desk.state) as client:
                call_id = await client.call(SINK, "Hello there.", "conversation")
            killed.kill()
            await killed.wait()
        async with desk.serve(), await SocketClient.connect(desk.state) as client:
            await until_event(client, call_id, "say.heard")
            await desk.run("end", "--call-id", call_id)
        assert len(far.calls) == 1


async def test_a_call_that_ended_meanwhile_is_over_after_the_restart(tmp_path: Path) -> None:
    async with TelnyxFar(Settings(callers=(PATIENT,), retries=0)) as far:
        desk = desk_at(tmp_path, far)
        async with desk.serve() as killed:
            async with await SocketClient.connect(desk.state) as client:
                call_id = await client.call(SINK, "Hello there.", "conversation")
                await until_event(client, call_id, "say.heard")
            killed.kill()
            await killed.wait()
        far.call().hang_up_person()
        await far.call().until_over()
        async with desk.serve(), await SocketClient.connect(desk.state) as client:
            await until_event(client, call_id, "call.ended")
            assert (await record_of(client, call_id))["endReason"] == "completed"
