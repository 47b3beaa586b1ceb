"""Configuration of calls that a speech-to-speech model holds: OpenAI Realtime on the carrier's media stream."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Final, Literal

from pydantic import Field

from engine.config.base import NotNegative, Positive, Secret, Section, WebUrl

_Fraction = Annotated[float, Field(ge=0, le=1)]
_NO_AGENT: Final = "there is no OpenClaw agent to consult: the model answers by itself, and a person can take over"
_NO_AZURE: Final = "use base_url for another server that speaks the same protocol"

DEFAULT_MODEL: Final = "gpt-realtime-2.1"
"""OpenAI's named successor of gpt-realtime and gpt-realtime-mini, which end on 20 January 2027."""


class OpenAiRealtime(Section):
    """OpenAI Realtime, or a compatible server. Environment: OPENAI_API_KEY."""

    moved: ClassVar[Mapping[str, tuple[str, ...]]] = {"speaker_voice": ("voice",)}
    ignored: ClassVar[Mapping[str, str]] = {
        "temperature": "the service took this setting out of its protocol",
        "min_barge_in_audio_end_ms": "an interruption needs sustained speech, whatever was played before",
        "azure_endpoint": _NO_AZURE,
        "azure_deployment": _NO_AZURE,
        "azure_api_version": _NO_AZURE,
    }

    api_key: Secret | None = Field(default=None, description="API key. Environment: OPENAI_API_KEY.")
    base_url: WebUrl | None = Field(default=None, description="Another address for the API.")
    model: str = Field(default=DEFAULT_MODEL, description="Speech-to-speech model; gpt-realtime-2.1-mini is cheaper.")
    voice: str = Field(default="marin", description="Voice.")
    speed: Annotated[float, Field(ge=0.25, le=1.5)] | None = Field(
        default=None, description="How fast it speaks, 0.25 to 1.5; unset: 1."
    )
    reasoning_effort: Literal["minimal", "low", "medium", "high", "xhigh"] | None = Field(
        default=None, description="How long it thinks before it speaks; unset: the model's own."
    )
    transcription_model: str = Field(
        default="gpt-transcribe", description="Model that writes down the caller's words for the transcript."
    )
    language: str | None = Field(
        default=None, description="The caller's language for the transcript, for example en; unset: found out."
    )
    noise_reduction: Literal["none", "near_field", "far_field"] = Field(
        default="near_field", description="Filter before the model hears the caller."
    )
    turn_detection: Literal["server_vad", "semantic_vad"] = Field(
        default="server_vad", description="What ends the caller's turn: silence, or silence and sense."
    )
    vad_threshold: _Fraction = Field(default=0.5, description="server_vad: voice detection threshold, 0 to 1.")
    silence_duration_ms: Positive = Field(default=500, description="server_vad: silence that ends the caller's turn.")
    prefix_padding_ms: NotNegative = Field(default=300, description="server_vad: audio kept from before the voice.")
    eagerness: Literal["low", "medium", "high", "auto"] = Field(
        default="auto", description="semantic_vad: how soon it takes a turn for over."
    )
    interrupt_response_on_input_audio: bool = Field(
        default=True, description="The caller can interrupt the model; false: it always finishes."
    )


class RealtimeProviders(Section):
    """Settings per service; only the chosen one is used."""

    openai: OpenAiRealtime = Field(
        default_factory=OpenAiRealtime, description="OpenAI Realtime, or a compatible server."
    )


class Realtime(Section):
    """A speech-to-speech model hears the caller and speaks by itself. Not together with `streaming.enabled`."""

    ignored: ClassVar[Mapping[str, str]] = {
        "stream_path": "all media sockets come in at streaming.stream_path",
        "tools": "the model is offered end_call and nothing else",
        "tool_policy": _NO_AGENT,
        "consult_policy": _NO_AGENT,
        "consult_thinking_level": _NO_AGENT,
        "consult_fast_mode": _NO_AGENT,
        "fast_context": _NO_AGENT,
        "agent_context": _NO_AGENT,
    }

    enabled: bool = Field(
        default=False, description="Conversations are held by the model; streaming.enabled is off then."
    )
    provider: Literal["openai"] = Field(default="openai", description="Service: openai.")
    instructions: str | None = Field(
        default=None,
        description="Who the model is and what it does; unset: response_system_prompt, or a general one.",
    )
    fallback: Literal["none", "streaming"] = Field(
        default="none",
        description=(
            "When the service is lost in a call and does not come back: none (say sorry and end), or streaming "
            "(go on with the recogniser, brain and voice of streaming, response and tts)."
        ),
    )
    providers: RealtimeProviders = Field(default_factory=RealtimeProviders, description="Settings per service.")
