"""The whole configuration: names, defaults and the sentence that explains each key, in one place.

The JSON Schema, `config.example.yaml`, `config show` and validation are all made from these models.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from engine.config.base import NotNegative, PhoneNumber, Positive, Section, WebUrl
from engine.config.carriers import Mock, Outbound, Plivo, Telnyx, Twilio
from engine.config.floor import FloorSettings
from engine.config.network import Control, Probe, Serve, Tailscale, Tunnel, Webhooks, WebhookSecurity
from engine.config.realtime import Realtime
from engine.config.recording import Recording
from engine.config.speech import Messages, Response, Streaming, Tts
from engine.config.turn_taking import TurnTaking

Provider = Literal["mock", "twilio", "telnyx", "plivo"]

_NO_AGENTS = "voicecall has one brain per engine, chosen by response.provider"


class NumberRoute(Section):
    """What differs for calls to one of our numbers. Unset keys are as everywhere."""

    ignored: ClassVar[Mapping[str, str]] = {"agent_id": _NO_AGENTS}

    inbound_greeting: str | None = Field(default=None, description="Greeting for callers of this number.")
    tts: Tts | None = Field(default=None, description="Voice; merged over the general `tts`, key by key.")
    response_model: str | None = Field(default=None, description="Model of the brain.")
    response_system_prompt: str | None = Field(default=None, description="Instructions of the brain.")
    response_timeout_ms: Positive | None = Field(default=None, description="How long a reply may take.")


class ConsoleSettings(Section):
    """The screen."""

    theme: str | None = Field(default=None, description="Theme by name; unset: the built-in one.")
    mask_numbers: bool = Field(default=False, description="Hide the middle digits of phone numbers.")
    loudspeaker: str = Field(default="", description="Where calls are listened to, by a part of the device's name.")
    microphone: str = Field(default="", description="The operator's microphone, by a part of the device's name.")
    alerts: Literal["off", "bell", "desktop"] = Field(
        default="bell", description="A call that needs a person: off, bell, or desktop (the bell and a notification)."
    )
    keys: dict[str, str] = Field(
        default_factory=dict, description="Other keys: command -> key.", examples=[{"call.dial": "ctrl+n"}]
    )


class Config(Section):
    """Configuration of voicecall."""

    ignored: ClassVar[Mapping[str, str]] = {
        "enabled": "voicecall is on when it runs",
        "agent_id": _NO_AGENTS,
    }

    provider: Provider = Field(default="mock", description="Carrier: mock (simulated), twilio, telnyx or plivo.")
    from_number: PhoneNumber | None = Field(
        default=None, description="Our number, E.164: the caller id of outbound calls."
    )
    to_number: PhoneNumber | None = Field(default=None, description="Number that `call` dials when it is given none.")
    twilio: Twilio = Field(
        default_factory=Twilio,
        description="Twilio account. Environment: TWILIO_ACCOUNT_SID, TWILIO_AUTH_TOKEN, TWILIO_FROM_NUMBER.",
    )
    telnyx: Telnyx = Field(
        default_factory=Telnyx,
        description="Telnyx. Environment: TELNYX_API_KEY, TELNYX_CONNECTION_ID, TELNYX_PUBLIC_KEY.",
    )
    plivo: Plivo = Field(
        default_factory=Plivo, description="Plivo account. Environment: PLIVO_AUTH_ID, PLIVO_AUTH_TOKEN."
    )
    mock: Mock = Field(default_factory=Mock, description="The simulated carrier and its people.")
    inbound_policy: Literal["disabled", "allowlist", "pairing", "open"] = Field(
        default="disabled",
        description=(
            "Who may call in: disabled (nobody), allowlist (allow_from), pairing (others hold while a console is "
            "asked; 30 s without an answer is no) or open."
        ),
    )
    allow_from: list[PhoneNumber] = Field(default_factory=list, description="Numbers that may call in, exactly.")
    inbound_greeting: str | None = Field(
        default=None, description="What callers hear first; unset: a general greeting."
    )
    numbers: dict[PhoneNumber, NumberRoute] = Field(
        default_factory=dict,
        description="Differences per number of ours that is called.",
        examples=[
            {
                "+15550100100": {
                    "inbound_greeting": "Riverside Dental, good morning.",
                    "tts": {"provider": "local"},
                    "response_model": "gpt-6-luna",
                    "response_system_prompt": "You answer for a dental practice.",
                    "response_timeout_ms": 20000,
                }
            }
        ],
    )
    outbound: Outbound = Field(default_factory=Outbound, description="Calls that we place.")
    max_duration_seconds: Positive = Field(
        default=300, le=86_400, description="A call ends this long after it was answered; at most a day."
    )
    stale_call_reaper_seconds: NotNegative = Field(
        default=120, description="A call that never got anywhere is ended after this; 0: never."
    )
    silence_timeout_ms: Positive = Field(default=800, description="Silence that ends the caller's turn.")
    turn_taking: TurnTaking = Field(
        default_factory=TurnTaking, description="When the caller has begun, interrupts, and has finished."
    )
    floor: FloorSettings = Field(
        default_factory=FloorSettings, description="Who speaks for us when it is not the agent."
    )
    transcript_timeout_ms: Positive = Field(default=180_000, description="How long `continue` waits for the answer.")
    ring_timeout_ms: Positive = Field(
        default=30_000, le=600_000, description="How long an outbound call may ring; at most ten minutes."
    )
    max_concurrent_calls: Positive = Field(
        default=1, description="Outbound calls at the same time; `demo` raises it."
    )
    serve: Serve = Field(default_factory=Serve, description="The HTTP server that the carrier talks to.")
    public_url: WebUrl | None = Field(
        default=None,
        description=(
            "The exact address that the carrier calls, path included, when it is not a tunnel's. A local address is "
            "for a carrier's stand-in on this machine only, whose api_base_url is local too."
        ),
    )
    tunnel: Tunnel = Field(default_factory=Tunnel, description="Ways to be reached from the internet.")
    tailscale: Tailscale = Field(default_factory=Tailscale, description="Tailscale in OpenClaw's older spelling.")
    webhook_security: WebhookSecurity = Field(
        default_factory=WebhookSecurity, description="Which address a webhook may claim to have been sent to."
    )
    probe: Probe = Field(default_factory=Probe, description="How the public address is looked at from outside.")
    webhooks: Webhooks = Field(default_factory=Webhooks, description="How long requests of the carrier are kept.")
    skip_signature_verification: bool = Field(
        default=False, description="Development only: works on loopback with nothing public, and shows a red banner."
    )
    streaming: Streaming = Field(
        default_factory=Streaming, description="The media stream, and who recognises what the caller says."
    )
    realtime: Realtime = Field(
        default_factory=Realtime, description="A speech-to-speech model that hears and speaks by itself."
    )
    tts: Tts = Field(default_factory=Tts, description="Who speaks for us.")
    messages: Messages = Field(
        default_factory=Messages, description="OpenClaw's shared defaults: `tts` is merged over `messages.tts`."
    )
    response: Response = Field(default_factory=Response, description="The brain: who decides what to say.")
    response_model: str | None = Field(
        default=None, description="Model of the openai brain; unset: a built-in choice."
    )
    response_system_prompt: str | None = Field(
        default=None, description="Instructions of the brain; unset: a general one."
    )
    response_timeout_ms: Positive = Field(default=30_000, description="How long a reply may take.")
    session_scope: Literal["per-phone", "per-call"] = Field(
        default="per-phone",
        description="What the brain remembers: earlier calls of the same number, or this call only.",
    )
    retention_days: NotNegative = Field(
        default=90,
        le=36_500,
        description="Calls are deleted this many days after the last that happened to them; 0: never.",
    )
    recording: Recording = Field(
        default_factory=Recording, description="Calls as two-channel WAV files, deleted with their calls. Off."
    )
    store: Path | None = Field(
        default=None, description="State folder; unset: the user's state folder. --state-dir comes first."
    )
    control: Control = Field(default_factory=Control, description="The control door over TCP.")
    console: ConsoleSettings = Field(default_factory=ConsoleSettings, description="The screen.")

    @property
    def media_streams(self) -> bool:
        """Conversations run over a media stream, whoever hears and speaks on it."""
        return self.streaming.enabled or self.realtime.enabled

    @property
    def in_steps(self) -> bool:
        """A recogniser, a brain and a voice are needed: for every conversation, or when the model is lost."""
        return not self.realtime.enabled or self.realtime.fallback == "streaming"
