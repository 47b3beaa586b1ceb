"""Which recogniser and which voice the configuration asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.config import reveal
from engine.speech.ports import Recogniser, SpeechUnavailable, Voice

if TYPE_CHECKING:
    from engine.config import Config


def make_recogniser(config: Config) -> Recogniser:
    """The recogniser of `streaming.provider`, with those of `streaming.fallback` behind it; not started yet."""
    streaming = config.streaming
    engines = [_recogniser(name, config) for name in dict.fromkeys((streaming.provider, *streaming.fallback))]
    if len(engines) == 1 and streaming.provider == "local":
        return engines[0]
    from engine.speech.stt.chain import RecogniserChain

    return RecogniserChain(engines)


def _recogniser(name: str, config: Config) -> Recogniser:
    """One recogniser. A vendor's code is loaded only where it is used."""
    if name == "openai":
        from engine.speech.stt import openai

        own = config.streaming.providers.openai
        return openai.OpenAiRecogniser(
            openai.OpenAiSettings(
                api_key=reveal(own.api_key),
                base_url=own.base_url or openai.BASE_URL,
                model=own.model,
                language=own.language or "",
                turn_detection=own.turn_detection,
                silence_duration_ms=own.silence_duration_ms,
                vad_threshold=own.vad_threshold,
            )
        )
    if name == "elevenlabs":
        from engine.speech.stt import elevenlabs

        theirs = config.streaming.providers.elevenlabs
        return elevenlabs.ElevenLabsRecogniser(
            elevenlabs.ElevenLabsSettings(
                api_key=reveal(theirs.api_key),
                base_url=theirs.base_url or elevenlabs.BASE_URL,
                model=theirs.model,
                language=theirs.language or "",
                commit_strategy=theirs.commit_strategy,
                vad_silence_threshold_secs=theirs.vad_silence_threshold_secs,
                vad_threshold=theirs.vad_threshold,
            )
        )
    from engine.speech.stt.local import LocalRecogniser

    return LocalRecogniser()


def make_voice(config: Config) -> Voice:
    """The voices of `tts` and of `numbers`, with those that stand in for them, not started yet."""
    from engine.speech.tts.factory import make_voices

    return make_voices(config)


def _not_built(key: str, provider: str | None) -> SpeechUnavailable:
    return SpeechUnavailable(f"{key} {provider!r} is not supported by this version", f"set {key} to local")
