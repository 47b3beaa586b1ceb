"""Which recogniser and which voice the configuration asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.speech.ports import Recogniser, SpeechUnavailable, Voice

if TYPE_CHECKING:
    from engine.config import Config


def make_recogniser(config: Config) -> Recogniser:
    """The recogniser of `streaming.provider`, not started yet. Raises SpeechUnavailable for one that is not built."""
    if config.streaming.provider == "local":
        from engine.speech.stt.local import LocalRecogniser

        return LocalRecogniser()
    raise _not_built("streaming.provider", config.streaming.provider)


def make_voice(config: Config) -> Voice:
    """The voice of `tts.provider`, not started yet. Raises SpeechUnavailable for one that is not built."""
    if config.tts.provider == "local":
        from engine.speech.tts.local import LocalVoice

        return LocalVoice()
    raise _not_built("tts.provider", config.tts.provider)


def _not_built(key: str, provider: str | None) -> SpeechUnavailable:
    return SpeechUnavailable(f"{key} {provider!r} is not supported by this version", f"set {key} to local")
