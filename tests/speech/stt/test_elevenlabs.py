"""ElevenLabs recognition against a server that speaks the real protocol, and breaks."""

from __future__ import annotations

import asyncio
import base64
import importlib
import json
from pathlib import Path
from typing import Any

import pytest

from engine.speech.ports import Final, Lost, Partial, SpeechUnavailable
from engine.speech.stt import vendor
from engine.speech.stt.elevenlabs import ElevenLabsRecogniser, ElevenLabsSession, ElevenLabsSettings
from tests.speech.far.elevenlabs_transcription import KEY, FarElevenLabs, Manners, far_elevenlabs
from tests.speech.stt.collect import listening, say, silence, tone

FRAMES = Path(__file__).parents[4] / "shared/vectors/elevenlabs/stt_realtime_frames.json"
VAD = {"commit_strategy": "vad", "vad_silence_threshold_secs": 0.3}


def recogniser(far: FarElevenLabs, **changes: Any) -> ElevenLabsRecogniser:
    return ElevenLabsRecogniser(ElevenLabsSettings(**{"api_key": KEY, "base_url": far.url, **changes}))


async def test_each_utterance_gets_its_text_and_the_audio_arrives_as_it_was() -> None:
    async with far_elevenlabs() as far, listening(recogniser(far, language="en")) as (listener, heard):
        line = tone(400) + silence(200)
        await say(listener, line)
        first = listener.finish()
        await say(listener, line)
        second = listener.finish()
        assert await heard.until_finals(2) == [Final("one", first), Final("two", second)]
        assert far.sessions[0].audio == line * 2
        assert far.sessions[0].query == {
            "model_id": "scribe_v2_realtime",
            "audio_format": "ulaw_8000",
            "commit_strategy": "manual",
            "language_code": "en",
        }
        assert far.problems == []


async def test_words_come_while_they_are_spoken() -> None:
    session = ElevenLabsSession(ElevenLabsSettings(KEY))
    for text in ("good", "good morning"):
        list(session.hear({"message_type": "partial_transcript", "text": text}, 0.0))
    assert session.commits.partial() == "good morning"
    list(session.hear({"message_type": "committed_transcript", "text": "Good morning."}, 0.0))
    assert session.commits.partial() == "Good morning."  # nobody has asked for it yet


async def test_an_utterance_too_short_for_the_server_is_an_empty_text_and_no_hang() -> None:
    async with far_elevenlabs() as far, listening(recogniser(far)) as (listener, heard):
        await say(listener, tone(60))
        listener.finish()
        listener.finish()
        await say(listener, tone(400))
        listener.finish()
        assert await heard.until_finals(3) == [Final("", 1), Final("", 2), Final("one", 3)]


async def test_with_the_servers_detector_an_utterance_is_all_its_pieces() -> None:
    async with far_elevenlabs() as far, listening(recogniser(far, **VAD)) as (listener, heard):
        await say(listener, tone(300), silence(400), tone(300), silence(400))
        await heard.until(lambda hearing: hearing == Partial("one two"))
        listener.finish()
        await say(listener, tone(400))
        listener.finish()
        finals = await heard.until_finals(2)
    assert [final.text for final in finals] == ["one two", "three"]
    assert far.problems == [] and far.commits == 1


async def test_torn_frames_and_fragmented_messages_are_read() -> None:
    async with far_elevenlabs(Manners(tear=True)) as far, listening(recogniser(far)) as (listener, heard):
        await say(listener, tone(400))
        listener.finish()
        assert (await heard.until_finals(1))[0].text == "one"


async def test_a_connection_that_breaks_is_a_loss_with_a_reason() -> None:
    async with far_elevenlabs(Manners(drop_after_bytes=800)) as far, listening(recogniser(far)) as (listener, heard):
        await say(listener, tone(400))
        lost = await heard.until_lost()
        assert "elevenlabs" in lost.why and not lost.hopeless


async def test_a_server_that_stops_transcribing_is_a_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vendor, "STALL_SECONDS", 0.3)
    async with far_elevenlabs(Manners(stall=True)) as far, listening(recogniser(far)) as (listener, heard):
        await say(listener, tone(400))
        listener.finish()
        assert "sent no text" in (await heard.until_lost()).why


@pytest.mark.parametrize(
    ("kind", "says", "hopeless"),
    [
        ("auth_error", "API key", True),
        ("quota_exceeded", "no credit left", True),
        ("unaccepted_terms", "terms", True),
        ("invalid_request", "did not accept", True),
        ("rate_limited", "too many requests", False),
        ("resource_exhausted", "no capacity", False),
        ("session_time_limit_exceeded", "ended the session", False),
    ],
)
async def test_a_session_that_is_refused_says_why(kind: str, says: str, hopeless: bool) -> None:
    async with far_elevenlabs(Manners(at_start=kind)) as far:
        with pytest.raises(SpeechUnavailable, match=says) as refusal:
            await recogniser(far).start()
    assert refusal.value.hopeless is hopeless and kind in str(refusal.value) + kind * (says == "ended the session")


@pytest.mark.parametrize("status", [401, 402, 403, 404, 429, 503])
async def test_an_upgrade_that_is_refused_says_why(status: int) -> None:
    async with far_elevenlabs(Manners(http_status=status)) as far:
        with pytest.raises(SpeechUnavailable, match=str(status)) as refusal:
            await recogniser(far).start()
    assert refusal.value.hopeless is (status < 429)


async def test_a_session_that_was_as_long_as_it_may_be_is_renewed() -> None:
    manners = Manners(at_commit={1: "session_time_limit_exceeded"})
    async with far_elevenlabs(manners) as far, listening(recogniser(far)) as (listener, heard):
        await say(listener, tone(400))
        listener.finish()
        assert (await heard.until_lost()).planned


async def test_a_silent_session_shows_that_it_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ElevenLabsSession, "breath_seconds", 0.05)
    async with far_elevenlabs() as far, listening(recogniser(far)) as (listener, heard):
        await asyncio.sleep(0.4)
        assert set(far.sessions[0].audio) == {0xFF}
        await say(listener, tone(400))
        listener.finish()
        assert (await heard.until_finals(1))[0].text == "one"


async def test_a_server_that_expects_other_audio_is_not_fed() -> None:
    async with far_elevenlabs(Manners(audio_format="pcm_16000")) as far:
        with pytest.raises(SpeechUnavailable, match="pcm_16000"):
            await recogniser(far).start()


async def test_a_wrong_key_and_a_missing_one_are_known_at_the_start() -> None:
    async with far_elevenlabs() as far:
        with pytest.raises(SpeechUnavailable, match="auth_error") as refusal:
            await recogniser(far, api_key="xi-wrong").start()
    assert "xi-wrong" not in str(refusal.value)
    with pytest.raises(SpeechUnavailable, match="no API key"):
        await ElevenLabsRecogniser(ElevenLabsSettings("")).start()


@pytest.mark.skipif(not FRAMES.is_file(), reason="the vendor's frames are not on this machine")
def test_every_error_that_the_vendor_has_means_something() -> None:
    for kind in json.loads(FRAMES.read_text())["error_message_types"]:
        session = ElevenLabsSession(ElevenLabsSettings(KEY))
        session.commits.asked(1, 0, 0.0)
        heard = list(session.hear({"message_type": kind, "error": "why"}, 0.0))
        finals = list(session.commits.released())
        assert kind == "warning" or finals or [type(hearing) for hearing in heard] == [Lost], kind


def test_our_messages_are_as_the_official_sdk_types_them() -> None:
    types = pytest.importorskip("elevenlabs.types.input_audio_chunk_payload")
    session = ElevenLabsSession(ElevenLabsSettings(KEY))
    for message in (session.audio(b"\xff" * 160), session.commit(1)):
        assert message is not None
        typed = types.InputAudioChunkPayload.model_validate_json(message, strict=True)
        assert typed.model_dump(exclude_unset=True) == json.loads(message)
        assert not typed.model_extra


async def test_the_official_client_and_the_far_end_understand_each_other() -> None:
    """The oracle for the far end: what passes here is the protocol, not our idea of it."""
    scribe = pytest.importorskip("elevenlabs.realtime.scribe")
    events = importlib.import_module("elevenlabs.realtime.connection").RealtimeEvents
    async with far_elevenlabs(Manners(texts=["good morning"])) as far:
        client = scribe.ScribeRealtime(KEY, far.url.replace("http", "ws"))
        options = {
            "model_id": "scribe_v2_realtime",
            "audio_format": scribe.AudioFormat.ULAW_8000,
            "sample_rate": 8000,
        }
        connection = await client.connect(options)
        committed: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        connection.on(events.COMMITTED_TRANSCRIPT, committed.put_nowait)
        await connection.send({"audio_base_64": base64.b64encode(tone(400)).decode()})
        await connection.commit()
        async with asyncio.timeout(10):
            assert (await committed.get())["text"] == "good morning"
        await connection.close()
        assert far.problems == []
