"""The voices that a configuration asks for: on all numbers, on single ones, and those that stand in for them.

A vendor's code, and the HTTP client with it, is loaded only where it speaks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from engine.config.base import reveal
from engine.speech.ports import Voice
from engine.speech.tts.cache import AudioCache
from engine.speech.tts.chain import Speaker, Voices
from engine.speech.tts.local import LocalVoice
from engine.speech.tts.models import is_realtime

if TYPE_CHECKING:
    from engine.config import Config
    from engine.config.speech import Tts, VoiceName


def make_voices(config: Config) -> Voices:
    """All voices of `tts` and of the numbers that have their own, none of them started."""
    studio = _Studio()
    routes = {number: studio.chain(route.tts) for number, route in config.numbers.items() if route.tts is not None}
    return Voices({"": studio.chain(config.tts), **routes}, AudioCache())


class _Studio:
    """Makes each voice once, however many numbers speak with it."""

    def __init__(self) -> None:
        self._voices: dict[tuple[str, ...], Voice] = {}

    def chain(self, tts: Tts) -> list[Speaker]:
        """Who speaks, and who instead, each once."""
        return [self._speaker(tts, name) for name in dict.fromkeys((tts.provider, *tts.fallback))]

    def _speaker(self, tts: Tts, name: VoiceName) -> Speaker:
        match name:
            case "local":
                return self._local(tts)
            case "openai":
                return self._openai(tts)
            case "elevenlabs":
                return self._elevenlabs(tts)
            case _:
                assert_never(name)

    def _local(self, tts: Tts) -> Speaker:
        # What it says is kept with the lines of the others; it needs no room of its own.
        voice = self._voices.setdefault(("local",), LocalVoice(cache_bytes=0))
        who = tts.providers.local.voice
        return Speaker(voice, f"local {who}", ("local", who), who)

    def _openai(self, tts: Tts) -> Speaker:
        from engine.speech.tts.openai import OpenAiSettings, OpenAiVoice
        from engine.speech.tts.openai_realtime import OpenAiRealtimeVoice

        given = tts.providers.openai
        settings = OpenAiSettings(
            reveal(given.api_key), given.base_url or "", given.model, given.voice, given.instructions or ""
        )
        key = (*settings.key, settings.api_key)
        if key not in self._voices:
            make = OpenAiRealtimeVoice if is_realtime(given.model) else OpenAiVoice
            self._voices[key] = make(settings)
        return Speaker(self._voices[key], settings.label, settings.key)

    def _elevenlabs(self, tts: Tts) -> Speaker:
        from engine.speech.tts.elevenlabs import ElevenLabsSettings, ElevenLabsVoice

        given = tts.providers.elevenlabs
        settings = ElevenLabsSettings(
            reveal(given.api_key),
            given.base_url or "",
            given.voice_id or "",
            given.model_id,
            given.voice_settings.model_dump(exclude_none=True),
        )
        key = (*settings.key, settings.api_key)
        if key not in self._voices:
            self._voices[key] = ElevenLabsVoice(settings)
        return Speaker(self._voices[key], settings.label, settings.key)
