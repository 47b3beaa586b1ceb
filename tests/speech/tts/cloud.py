"""What the tests of cloud voices share."""

from __future__ import annotations

from contextlib import aclosing

from engine.media.audio import Audio
from engine.speech.ports import Voice
from engine.speech.tts.elevenlabs import ElevenLabsSettings, ElevenLabsVoice
from engine.speech.tts.http import Limits
from engine.speech.tts.openai import OpenAiSettings, OpenAiVoice
from engine.speech.tts.openai_realtime import OpenAiRealtimeVoice
from tests.speech.far import elevenlabs_speech, openai_speech

LINE = "Your appointment is on Thursday at ten in the morning."
QUICK = Limits(connect=1.0, first_byte=0.4, stall=0.3)
"""Limits that a test need not wait for."""


def openai_settings(far: openai_speech.OpenAiFarEnd, **changes: str) -> OpenAiSettings:
    given = {"api_key": openai_speech.KEY, "base_url": far.url, "model": "gpt-4o-mini-tts", "voice": "coral"}
    return OpenAiSettings(**(given | changes))


def openai_voice(
    far: openai_speech.OpenAiFarEnd, limits: Limits | None = None, **changes: str
) -> OpenAiVoice | OpenAiRealtimeVoice:
    settings = openai_settings(far, **changes)
    kind = OpenAiRealtimeVoice if "realtime" in settings.model else OpenAiVoice
    return kind(settings, limits)


def elevenlabs_voice(
    far: elevenlabs_speech.ElevenLabsFarEnd, limits: Limits | None = None, **changes: str
) -> ElevenLabsVoice:
    given = {
        "api_key": elevenlabs_speech.KEY,
        "base_url": far.url,
        "voice_id": elevenlabs_speech.VOICE,
        "model_id": "eleven_flash_v2_5",
    }
    return ElevenLabsVoice(
        ElevenLabsSettings(**(given | changes), voice_settings={"stability": 0.4, "use_speaker_boost": True}), limits
    )


async def spoken(voice: Voice, text: str = LINE, name: str = "") -> list[Audio]:
    """All audio of a line."""
    async with aclosing(voice.speak(text, name)) as pieces:
        return [piece async for piece in pieces]


def joined(audio: list[Audio]) -> bytes:
    return b"".join(piece.data for piece in audio)
