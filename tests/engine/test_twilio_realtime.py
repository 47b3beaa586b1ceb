"""Calls that a speech-to-speech model holds, against a far end that behaves like Twilio."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from engine.calls import State
from engine.config import parse_config
from tests.engine.test_realtime_calls import realtime, verbatim_requests
from tests.engine.twilio_rig import BUSY, MACHINE, SINK, Live, live
from tests.media.dtmf_ear import keys_in
from tests.speech.far.openai_realtime import FarRealtime, far_realtime


@asynccontextmanager
async def talking(state_dir: Path, model: FarRealtime, **outbound: Any) -> AsyncIterator[Live]:
    streaming = parse_config(b"", None, {}).config.streaming.model_copy(update={"enabled": False})
    changes = {"realtime": realtime(model), "streaming": streaming}
    async with live(state_dir, changes=changes, **outbound) as at:
        yield at


async def test_the_model_speaks_on_twilios_stream_and_is_confirmed_by_its_marks(tmp_path: Path) -> None:
    async with far_realtime() as model, talking(tmp_path, model) as at:
        call, far = await at.dial(SINK, "Hello there.")
        done = await at.until(call, lambda call: "heard" in call.rungs)
        assert [(line.speaker, line.text, line.cut) for line in done.transcript] == [("agent", "Hello there.", False)]
        await at.engine.speak(call.call_id, "The doctor will call back.", "cli")
        spoken_ms = sum(item.audio_ms for item in model.session.items.values() if item.role == "assistant")
        (stream,) = far.streams
        assert len(stream.audio) // 8 >= spoken_ms
        assert far.codes() == [] and model.session.errors == []


async def test_keys_arrive_as_tones_while_a_model_holds_the_call(tmp_path: Path) -> None:
    async with far_realtime() as model, talking(tmp_path, model) as at:
        call, far = await at.dial(SINK, "Hello there.")
        await at.until(call, lambda call: "heard" in call.rungs)
        heard = len(far.streams[0].audio)
        await at.engine.send_dtmf(call.call_id, "42#", "cli")
        assert keys_in(bytes(far.streams[0].audio[heard:])) == "42#"


async def test_a_caller_who_comes_back_from_a_transfer_meets_the_same_model(tmp_path: Path) -> None:
    async with far_realtime() as model, talking(tmp_path, model) as at:
        call, far = await at.dial(SINK, "Hello there.")
        await at.until(call, lambda call: "heard" in call.rungs)
        await at.engine.transfer(call.call_id, BUSY, "cli")
        await at.until(call, lambda call: any("put you through" in line.text for line in call.transcript))
        await at.engine.speak(call.call_id, "The line is busy. Can I help you?", "cli")
        assert len(far.streams) == 2 and len(model.calls) == 1
        assert "put you through" in verbatim_requests(model)[1]
        assert far.codes() == []


async def test_a_message_is_left_on_a_machine_in_our_own_voice(tmp_path: Path) -> None:
    async with far_realtime() as model, talking(tmp_path, model, answering_machine="leave_message") as at:
        call, far = await at.dial(MACHINE, "Please call us back about Tuesday.")
        ended = await at.until(call, lambda call: not call.live)
        assert ended.end_reason is State.VOICEMAIL
        left = [line for line in ended.transcript if line.speaker == "agent"][-1]
        assert (left.text, left.cut) == ("Please call us back about Tuesday.", False)
        assert len(verbatim_requests(model)) == 1  # the first line; the message is in the voice of notices
        assert far.codes() == []
