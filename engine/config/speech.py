"""Configuration of ears, voices and brains."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import BeforeValidator, Field

from engine.config.base import HttpPath, NotNegative, Positive, Secret, Section, WebUrl

_Fraction = Annotated[float, Field(ge=0, le=1)]


class LocalStt(Section):
    """Offline recognition: nothing to set."""


class OpenAiStt(Section):
    """OpenAI realtime transcription, or a compatible server. Environment: OPENAI_API_KEY."""

    api_key: Secret | None = Field(default=None, description="API key. Environment: OPENAI_API_KEY.")
    base_url: WebUrl | None = Field(default=None, description="Another address for the API.")
    model: str = Field(default="gpt-live-transcribe", description="Transcription model.")
    language: str | None = Field(default=None, description="Language of the callers, for example en; unset: any.")
    turn_detection: Literal["none", "server_vad"] = Field(
        default="none",
        description=(
            "Who cuts the audio into pieces: none (we do, at the end of a turn) or server_vad (the service too, in "
            "pauses; not every model can)."
        ),
    )
    silence_duration_ms: Positive = Field(
        default=800, description="server_vad: silence after which the service ends a piece."
    )
    vad_threshold: _Fraction = Field(
        default=0.5, description="server_vad: voice detection threshold of the service, 0 to 1."
    )


class ElevenLabsStt(Section):
    """ElevenLabs realtime transcription. Environment: ELEVENLABS_API_KEY."""

    api_key: Secret | None = Field(default=None, description="API key. Environment: ELEVENLABS_API_KEY.")
    base_url: WebUrl | None = Field(default=None, description="Another address for the API.")
    model: str = Field(default="scribe_v2_realtime", description="Transcription model.")
    language: str | None = Field(default=None, description="Language of the callers, for example en; unset: any.")
    commit_strategy: Literal["manual", "vad"] = Field(
        default="manual",
        description=(
            "Who cuts the audio into pieces: manual (we do, as a turn ends) or vad (the service too, in pauses)."
        ),
    )
    vad_silence_threshold_secs: Annotated[float, Field(ge=0.3, le=3)] = Field(
        default=0.8, description="vad: silence in seconds after which the service ends a piece, 0.3 to 3."
    )
    vad_threshold: Annotated[float, Field(ge=0.1, le=0.9)] = Field(
        default=0.4, description="vad: voice detection threshold of the service, 0.1 to 0.9."
    )


class SttProviders(Section):
    """Settings per recogniser; only the chosen one is used."""

    local: LocalStt = Field(default_factory=LocalStt, description="Offline recognition: nothing to set.")
    openai: OpenAiStt = Field(default_factory=OpenAiStt, description="OpenAI, or a compatible server.")
    elevenlabs: ElevenLabsStt = Field(default_factory=ElevenLabsStt, description="ElevenLabs.")


STT_ALIASES: Final[Mapping[str, str]] = {"openai-realtime": "openai"}
"""Other names of recognisers: OpenClaw's earlier one."""


def _stt_alias(value: Any) -> Any:
    return STT_ALIASES.get(value, value) if isinstance(value, str) else value


SttName = Annotated[Literal["local", "openai", "elevenlabs"], BeforeValidator(_stt_alias)]


class Streaming(Section):
    """The media stream of a call, and who recognises what the caller says."""

    moved: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "stt_provider": ("provider",),
        "openai_api_key": ("providers", "openai", "api_key"),
        "stt_model": ("providers", "openai", "model"),
        "silence_duration_ms": ("providers", "openai", "silence_duration_ms"),
        "vad_threshold": ("providers", "openai", "vad_threshold"),
    }

    enabled: bool = Field(
        default=True, description="Talk over a media stream; false: the carrier's own voice and ears."
    )
    provider: SttName = Field(default="local", description="Recogniser: local (offline), openai or elevenlabs.")
    fallback: list[SttName] = Field(
        default_factory=list,
        description="Recognisers that take over, in this order, in a call whose recogniser fails for good.",
    )
    deaf_hangup: bool = Field(
        default=True,
        description="Say goodbye and hang up when no recogniser works any more and no person has the floor.",
    )
    stream_path: HttpPath = Field(default="/voice/stream", description="Path of the media WebSocket.")
    pre_start_timeout_ms: Positive = Field(
        default=5000, description="A socket without a start frame is closed after this."
    )
    max_pending_connections: Positive = Field(default=32, description="Sockets that may wait for their start frame.")
    max_pending_connections_per_ip: Positive = Field(default=4, description="The same, from one address.")
    max_connections: Positive = Field(default=128, description="Media sockets in all.")
    providers: SttProviders = Field(default_factory=SttProviders, description="Settings per recogniser.")


class LocalTts(Section):
    """Offline voice."""

    voice: Literal["anna", "ben", "clara", "david", "emma", "frank", "grace", "henry"] = Field(
        default="anna",
        description="Who speaks: anna, ben, emma, frank (American), clara, david, grace, henry (British).",
    )


class OpenAiTts(Section):
    """OpenAI speech, or a compatible server. Environment: OPENAI_API_KEY."""

    api_key: Secret | None = Field(default=None, description="API key. Environment: OPENAI_API_KEY.")
    base_url: WebUrl | None = Field(default=None, description="Another address for the API.")
    model: str = Field(
        default="gpt-realtime-2.1-mini",
        description=(
            "Speech model. One with realtime in its name reads aloud over a socket; all others, and those of most "
            "compatible servers, speak over /audio/speech. OpenAI ends tts-1 and gpt-4o-mini-tts on 2027-01-06."
        ),
    )
    voice: str = Field(default="marin", description="Voice.")
    instructions: str | None = Field(default=None, description="How to speak, in words.")


class VoiceSettings(Section):
    """ElevenLabs voice settings; unset ones are the voice's own."""

    stability: _Fraction | None = Field(default=None, description="0 (lively) to 1 (steady).")
    similarity_boost: _Fraction | None = Field(default=None, description="0 to 1.")
    style: _Fraction | None = Field(default=None, description="0 to 1.")
    use_speaker_boost: bool | None = Field(default=None, description="Closer to the original speaker, slower.")
    speed: Annotated[float, Field(ge=0.7, le=1.2)] | None = Field(default=None, description="0.7 to 1.2.")


class ElevenLabsTts(Section):
    """ElevenLabs speech. Environment: ELEVENLABS_API_KEY."""

    api_key: Secret | None = Field(default=None, description="API key. Environment: ELEVENLABS_API_KEY.")
    base_url: WebUrl | None = Field(default=None, description="Another address for the API.")
    voice_id: str | None = Field(default=None, description="Id of the voice, from the voice library.")
    model_id: str = Field(default="eleven_flash_v2_5", description="Speech model.")
    voice_settings: VoiceSettings = Field(
        default_factory=VoiceSettings, description="Voice settings; unset ones are the voice's own."
    )


_NO_TELEPHONE: Final = "this voice has no telephone audio"
NO_TELEPHONE: Final = frozenset({"edge", "microsoft"})
"""Voices of OpenClaw's that can not speak on a telephone: named, they are left out with a note."""
VoiceName = Literal["local", "openai", "elevenlabs"]


class TtsProviders(Section):
    """Settings per voice engine; only those that speak or stand in are used."""

    ignored: ClassVar[Mapping[str, str]] = dict.fromkeys(NO_TELEPHONE, _NO_TELEPHONE)

    local: LocalTts = Field(default_factory=LocalTts, description="Offline voice.")
    openai: OpenAiTts = Field(default_factory=OpenAiTts, description="OpenAI, or a compatible server.")
    elevenlabs: ElevenLabsTts = Field(default_factory=ElevenLabsTts, description="ElevenLabs.")


class Tts(Section):
    """Who speaks for us."""

    moved: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "local": ("providers", "local"),
        "openai": ("providers", "openai"),
        "elevenlabs": ("providers", "elevenlabs"),
    }
    ignored: ClassVar[Mapping[str, str]] = {
        **dict.fromkeys(NO_TELEPHONE, _NO_TELEPHONE),
        **dict.fromkeys(
            ("auto", "mode", "enabled", "prefs_path", "summary_model", "model_overrides", "persona", "personas"),
            "it is about written messages; on the telephone everything is spoken",
        ),
        "max_text_length": "texts of any length are spoken sentence by sentence",
        "timeout_ms": "voices have limits of their own",
    }

    provider: VoiceName = Field(default="local", description="Voice: local (offline), openai or elevenlabs.")
    fallback: list[VoiceName] = Field(
        default_factory=list,
        description="Voices that speak instead, in this order, while the one before fails.",
        examples=[["local"]],
    )
    providers: TtsProviders = Field(
        default_factory=TtsProviders,
        description="Settings per voice engine. They may also stand directly under `tts:`.",
    )


class Messages(Section):
    """Defaults that OpenClaw shares between its parts."""

    tts: Tts = Field(default_factory=Tts, description="Shared default: `tts` is merged over it, key by key.")


class Response(Section):
    """The brain: who decides what to say."""

    provider: Literal["openai", "command", "script", "operator"] = Field(
        default="script",
        description=(
            "Brain: script (a small scripted assistant), openai (any compatible server), command (a program of "
            "yours) or operator (a person answers)."
        ),
    )
    base_url: WebUrl | None = Field(default=None, description="openai: another address for the API.")
    api_key: Secret | None = Field(default=None, description="openai: API key. Environment: OPENAI_API_KEY.")
    command: str | None = Field(
        default=None, description="command: the program; it reads the conversation as JSON and prints the reply."
    )
    command_mode: Literal["per-reply", "session"] = Field(
        default="per-reply",
        description="command: run the program for every reply, or once for all calls, with a JSON object a line.",
    )
    script: Path | None = Field(
        default=None, description="script: a YAML file with your own script; unset: the built-in one."
    )
    holding_phrases: list[str] = Field(
        default_factory=lambda: ["One moment, please.", "Thank you for waiting, I am still on it."],
        description="What callers hear while a reply takes long, in turn; empty: nothing.",
    )
    holding_after_ms: Positive = Field(
        default=1500, description="How long after the end of the caller's turn the first of them is said."
    )
    holding_repeat_ms: Positive = Field(default=8000, description="How long after one of them the next is said.")
    late_answer_ms: NotNegative = Field(
        default=30_000,
        description=(
            "How long after response_timeout_ms, and an apology, the answer may still come: then it is offered. "
            "0: not at all."
        ),
    )
    silence_prompt: str = Field(
        default="Are you still there?", description="What a caller who says nothing is asked; empty: nothing."
    )
    silence_prompt_after_ms: Positive = Field(default=15_000, description="How long they may say nothing.")
    silence_prompts: NotNegative = Field(
        default=2, description="How often they are asked before the call is ended; 0: it is never ended for that."
    )
    silence_farewell: str = Field(
        default="I can not hear you, so I will hang up now. Goodbye.", description="What they hear before that."
    )
    memory_calls: NotNegative = Field(
        default=5, le=100, description="Earlier calls of the same number that the brain is told of (session_scope)."
    )
    memory_tokens: NotNegative = Field(default=1500, description="How much of them, in tokens of a model, about.")
