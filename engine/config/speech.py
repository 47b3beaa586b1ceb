"""Configuration of ears, voices and brains."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import BeforeValidator, Field

from engine.config.base import HttpPath, Positive, Secret, Section, WebUrl

_Fraction = Annotated[float, Field(ge=0, le=1)]


class LocalStt(Section):
    """Offline recognition: nothing to set."""


class OpenAiStt(Section):
    """OpenAI realtime transcription, or a compatible server. Environment: OPENAI_API_KEY."""

    api_key: Secret | None = Field(default=None, description="API key. Environment: OPENAI_API_KEY.")
    base_url: WebUrl | None = Field(default=None, description="Another address for the API.")
    model: str = Field(default="gpt-live-transcribe", description="Transcription model.")
    silence_duration_ms: Positive = Field(
        default=800, description="Silence after which the service ends an utterance."
    )
    vad_threshold: _Fraction = Field(default=0.5, description="Voice detection threshold of the service, 0 to 1.")


class ElevenLabsStt(Section):
    """ElevenLabs realtime transcription. Environment: ELEVENLABS_API_KEY."""

    api_key: Secret | None = Field(default=None, description="API key. Environment: ELEVENLABS_API_KEY.")
    base_url: WebUrl | None = Field(default=None, description="Another address for the API.")
    model: str = Field(default="scribe_v2_realtime", description="Transcription model.")


class SttProviders(Section):
    """Settings per recogniser; only the chosen one is used."""

    local: LocalStt = Field(default_factory=LocalStt, description="Offline recognition: nothing to set.")
    openai: OpenAiStt = Field(default_factory=OpenAiStt, description="OpenAI, or a compatible server.")
    elevenlabs: ElevenLabsStt = Field(default_factory=ElevenLabsStt, description="ElevenLabs.")


STT_ALIASES: Final[Mapping[str, str]] = {"openai-realtime": "openai"}
"""Other names of recognisers: OpenClaw's earlier one."""


def _stt_alias(value: Any) -> Any:
    return STT_ALIASES.get(value, value) if isinstance(value, str) else value


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
    provider: Annotated[Literal["local", "openai", "elevenlabs"], BeforeValidator(_stt_alias)] = Field(
        default="local", description="Recogniser: local (offline), openai or elevenlabs."
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
    model: str = Field(default="gpt-realtime-2.1-mini", description="Speech model.")
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


class TtsProviders(Section):
    """Settings per voice engine; only the chosen one is used."""

    local: LocalTts = Field(default_factory=LocalTts, description="Offline voice.")
    openai: OpenAiTts = Field(default_factory=OpenAiTts, description="OpenAI, or a compatible server.")
    elevenlabs: ElevenLabsTts = Field(default_factory=ElevenLabsTts, description="ElevenLabs.")


class Tts(Section):
    """Who speaks for us."""

    moved: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "openai": ("providers", "openai"),
        "elevenlabs": ("providers", "elevenlabs"),
    }

    provider: Literal["local", "openai", "elevenlabs"] = Field(
        default="local", description="Voice: local (offline), openai or elevenlabs."
    )
    providers: TtsProviders = Field(
        default_factory=TtsProviders,
        description="Settings per voice engine. `openai:` and `elevenlabs:` may also stand directly under `tts:`.",
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
    script: Path | None = Field(
        default=None, description="script: a YAML file with your own script; unset: the built-in one."
    )
