"""What holds for every vendor: nothing that it sends breaks us, nothing secret gets out, calls do not mix."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.speech.ports import Lost, Partial, SpeechEnded, SpeechUnavailable, VoiceConfirmed
from engine.speech.stt import vendor
from engine.speech.stt.commits import TooManyItems
from engine.speech.stt.elevenlabs import ElevenLabsSession, ElevenLabsSettings
from engine.speech.stt.openai import OpenAiRecogniser, OpenAiSession, OpenAiSettings
from engine.speech.stt.session import MAX_TOLD, Answer, Ready, Session
from tests.speech.far.openai_transcription import KEY, Manners, far_openai
from tests.speech.stt.collect import listening, say, tone

OPENAI = (
    "session.created",
    "session.updated",
    "error",
    "input_audio_buffer.speech_started",
    "input_audio_buffer.speech_stopped",
    "input_audio_buffer.committed",
    "input_audio_buffer.cleared",
    "conversation.item.input_audio_transcription.delta",
    "conversation.item.input_audio_transcription.completed",
    "conversation.item.input_audio_transcription.failed",
    "conversation.item.input_audio_transcription.segment",
    "rate_limits.updated",
)
ELEVENLABS = (
    "session_started",
    "partial_transcript",
    "committed_transcript",
    "committed_transcript_with_timestamps",
    "commit_throttled",
    "insufficient_audio_activity",
    "error",
    "warning",
)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.sampled_from(["a", "b", "utterance-1"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
FIELDS = [
    "item_id",
    "previous_item_id",
    "delta",
    "transcript",
    "text",
    "error",
    "session",
    "config",
    "content_index",
    "warning",
    "audio_format",
]


def messages(key: str, kinds: tuple[str, ...]) -> st.SearchStrategy[list[dict[str, Any]]]:
    message = st.builds(
        lambda kind, fields: {**fields, key: kind},
        st.sampled_from(kinds) | ANYTHING,
        st.dictionaries(st.sampled_from(FIELDS), ANYTHING, max_size=4),
    )
    return st.lists(message, max_size=12)


def hear_all(session: Session, sent: list[dict[str, Any]]) -> None:
    """Whatever comes: known things out, and never more finals than were asked for."""
    told = 0
    for number, message in enumerate(sent, 1):
        session.commits.asked(number, 0, float(number))
        try:
            for hearing in session.hear(message, float(number)):
                assert isinstance(hearing, Ready | Answer | Lost | Partial | SpeechEnded | VoiceConfirmed)
        except TooManyItems:
            return
        session.commits.tick(float(number))
        session.commits.partial()
        for final in session.commits.released():
            told += 1
            assert final.utterance == told <= number


@given(messages("type", OPENAI), st.sampled_from(["none", "server_vad"]))
def test_nothing_that_openai_may_send_breaks_us(sent: list[dict[str, Any]], detection: Any) -> None:
    hear_all(OpenAiSession(OpenAiSettings("k", turn_detection=detection)), sent)


@given(messages("message_type", ELEVENLABS), st.sampled_from(["manual", "vad"]))
def test_nothing_that_elevenlabs_may_send_breaks_us(sent: list[dict[str, Any]], strategy: Any) -> None:
    hear_all(ElevenLabsSession(ElevenLabsSettings("k", commit_strategy=strategy)), sent)


async def test_a_vendors_words_are_told_without_the_key_and_not_at_any_length() -> None:
    async with far_openai(Manners(refuse=("odd", f"You sent {KEY} and that is wrong. " * 60))) as far:
        recogniser = OpenAiRecogniser(OpenAiSettings(KEY, base_url=far.url))
        with pytest.raises(SpeechUnavailable) as refusal:
            await recogniser.start()
        await recogniser.close()
    told = str(refusal.value)
    assert KEY not in told and "You sent *** and" in told and len(told) <= MAX_TOLD + 3


async def test_twenty_calls_at_once_each_get_their_own_words() -> None:
    async def first_byte(audio: bytes) -> str:
        assert len(set(audio)) == 1, "the audio of two calls was mixed"
        return f"caller {audio[0]}"

    async with far_openai(Manners(transcribe=first_byte, deltas=False)) as far, AsyncExitStack() as stack:
        recogniser = OpenAiRecogniser(OpenAiSettings(KEY, base_url=far.url))
        calls = [await stack.enter_async_context(listening(recogniser)) for _ in range(20)]

        async def talk(index: int) -> list[str]:
            listener, heard = calls[index]
            for _ in range(3):
                await say(listener, bytes((index,)) * 1600)
                listener.finish()
            return [final.text for final in await heard.until_finals(3)]

        said = await asyncio.gather(*map(talk, range(20)))
        assert said == [[f"caller {index}"] * 3 for index in range(20)]
        assert far.problems == []


async def test_audio_that_a_slow_socket_does_not_take_is_dropped_oldest_first_and_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gate = asyncio.Event()
    send = vendor.VendorListener._send

    async def held(self: vendor.VendorListener, message: str) -> None:
        await gate.wait()
        await send(self, message)

    async with (
        far_openai() as far,
        listening(OpenAiRecogniser(OpenAiSettings(KEY, base_url=far.url))) as (
            listener,
            heard,
        ),
    ):
        monkeypatch.setattr(vendor.VendorListener, "_send", held)
        await say(listener, b"\x01" * 160)
        await asyncio.sleep(0.2)  # the writer holds these, and waits
        await say(listener, b"\x02" * 8000 * 4, b"\x03" * 8000 * 8)
        listener.finish()
        gate.set()
        (final,) = await heard.until_finals(1)
        assert final.dropped_ms == 2000
        audio = far.sessions[0].audio
        assert audio == b"\x01" * 160 + b"\x02" * 8000 * 2 + b"\x03" * 8000 * 8


async def test_the_end_of_an_utterance_does_not_wait_for_more_audio(monkeypatch: pytest.MonkeyPatch) -> None:
    """Audio is gathered for a moment before it is sent; what ends an utterance is not."""
    monkeypatch.setattr(vendor, "GATHER_SECONDS", 5.0)
    async with (
        far_openai() as far,
        listening(OpenAiRecogniser(OpenAiSettings(KEY, base_url=far.url))) as (
            listener,
            heard,
        ),
    ):
        await say(listener, tone(400))
        listener.finish()
        assert (await heard.until_finals(1, seconds=3))[0].text == "one"


@pytest.mark.parametrize("text", ["{", "[1]", '"x"', "null"])
async def test_something_that_is_no_json_object_is_a_loss(text: str) -> None:
    async with far_openai() as far, listening(OpenAiRecogniser(OpenAiSettings(KEY, base_url=far.url))) as (_, heard):
        await far.sessions[0].say_raw(text)
        assert "no JSON object" in (await heard.until_lost()).why
