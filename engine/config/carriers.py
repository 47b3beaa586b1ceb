"""Configuration of the carriers. A `...base_url` of None is the vendor's own address."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from engine.config.base import NotNegative, PhoneNumber, Secret, Section, WebUrl


class Twilio(Section):
    """Twilio account. Environment: TWILIO_ACCOUNT_SID, TWILIO_AUTH_TOKEN, TWILIO_FROM_NUMBER."""

    retired: ClassVar[Mapping[str, str]] = {"from": "write it as from_number at the top level"}

    account_sid: str | None = Field(default=None, description="Account SID, AC and 32 hex digits.")
    auth_token: Secret | None = Field(default=None, description="Auth token; it also signs Twilio's webhooks.")
    region: Literal["us1", "ie1", "au1"] | None = Field(
        default=None, description="Processing region. Set it together with `edge`, or neither."
    )
    edge: str | None = Field(default=None, description="Edge location, for example dublin.")
    api_base_url: WebUrl | None = Field(default=None, description="Another address for Twilio's REST interface.")
    secondary_auth_token: Secret | None = Field(
        default=None, description="A second auth token whose signatures are accepted, while tokens are rotated."
    )
    webhook_signing_keys: dict[str, Secret] = Field(
        default_factory=dict,
        description="Shared keys of webhooks signed with HMAC-SHA256: key id -> secret.",
        examples=[{"KS00000000000000000000000000000000": "${TWILIO_SIGNING_SECRET}"}],
    )
    voice: str = Field(default="Polly.Joanna", description="Twilio's own voice, for notices and without streaming.")
    language: str = Field(default="en-US", description="Language of Twilio's own voice and recognition.")


class Telnyx(Section):
    """Telnyx Call Control. Environment: TELNYX_API_KEY, TELNYX_CONNECTION_ID, TELNYX_PUBLIC_KEY."""

    api_key: Secret | None = Field(default=None, description="API key, KEY...")
    connection_id: str | None = Field(default=None, description="Id of the Call Control application (connection).")
    public_key: str | None = Field(
        default=None, description="The account's public key: webhooks are verified with it, PEM or base64."
    )
    api_base_url: WebUrl | None = Field(default=None, description="Another address for Telnyx's REST interface.")
    stream_target_legs: Literal["self", "opposite", "both"] = Field(
        default="self", description="Which leg hears what we send into the media stream: self, opposite or both."
    )
    stream_codec: Literal["PCMU", "PCMA"] = Field(
        default="PCMU", description="What the media stream carries: PCMU, or PCMA where telephone lines are A-law."
    )
    machine_detection: Literal["standard", "premium"] = Field(
        default="standard", description="Which of Telnyx's detections finds out who answers: standard or premium."
    )
    voice: str = Field(default="AWS.Polly.Joanna", description="Telnyx's own voice, for calls without streaming.")
    language: str = Field(default="en-US", description="Language of Telnyx's own recognition.")


class Plivo(Section):
    """Plivo account. Environment: PLIVO_AUTH_ID, PLIVO_AUTH_TOKEN."""

    auth_id: str | None = Field(default=None, description="Auth ID.")
    auth_token: Secret | None = Field(default=None, description="Auth token; it also signs Plivo's webhooks.")
    api_base_url: WebUrl | None = Field(default=None, description="Another address for Plivo's REST interface.")
    main_auth_token: Secret | None = Field(
        default=None, description="The main account's auth token, where auth_id is a subaccount's: it signs as well."
    )
    allow_signature_v2: bool = Field(
        default=False,
        description="Take webhooks that are signed by V2 only. That is weak: it does not cover what they say.",
    )
    voice: str = Field(default="Polly.Joanna", description="Plivo's own voice, for calls without streaming.")
    language: str = Field(default="en-US", description="Language of Plivo's own voice and recognition.")


Manner = Literal[
    "polite",
    "hesitates",
    "interrupts",
    "silent",
    "goes-silent",
    "hangs-up-mid-word",
    "voicemail",
    "busy",
    "never-answers",
    "impatient",
    "patient",
    "talker",
    "sink",
]


class MockCaller(Section):
    """One simulated person. A number of a built-in person changes that one; unset keys stay as they are."""

    number: PhoneNumber = Field(description="The number they call from, or are called at.")
    name: str | None = Field(default=None, description="What they are called in reports.")
    voice: str | None = Field(default=None, description="Which offline voice they speak with.")
    script: list[str] | None = Field(
        default=None, description='What they say, line by line; also "keys: 12#" in quotes, and beep.'
    )
    manners: list[Manner] | None = Field(default=None, description="Habits, for example hesitates or interrupts.")
    opening: str | None = Field(default=None, description="What they say when they pick up.")
    goodbye: str | None = Field(default=None, description="What they say at the end of their script.")
    calls_us: bool | None = Field(default=None, description="Whether they call in by themselves.")


class Mock(Section):
    """The simulated carrier and its people."""

    seed: int = Field(default=1, description="The same seed gives the same people, saying the same things.")
    callers: list[MockCaller] = Field(
        default_factory=list,
        description="Changes to the simulated people, and more of them.",
        examples=[
            [
                {
                    "number": "+15550100142",
                    "name": "Ada",
                    "voice": "anna",
                    "script": ["Hi, I need to move my appointment.", "Thursday, please."],
                    "manners": ["hesitates"],
                    "opening": "Hello?",
                    "goodbye": "Thank you, goodbye.",
                    "calls_us": True,
                }
            ]
        ],
    )
    inbound_every_seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)] = Field(
        default=0, description="Somebody calls in this often; 0: nobody calls by themselves."
    )
    api_base_url: WebUrl | None = Field(
        default=None, description="Address of a simulator that runs elsewhere; unset: the engine starts its own."
    )
    api_key: Secret | None = Field(default=None, description="API key of that simulator.")
    signing_secret: Secret | None = Field(default=None, description="What that simulator signs its webhooks with.")


class Outbound(Section):
    """Calls that we place."""

    default_mode: Literal["notify", "conversation"] = Field(
        default="notify",
        description="Mode of a call that names none: notify (say the message, hang up) or conversation.",
    )
    notify_hangup_delay_sec: NotNegative = Field(
        default=3, description="Seconds between the end of a notify message and the hang-up."
    )
    answering_machine: Literal["off", "hang_up", "leave_message", "continue"] = Field(
        default="off",
        description=(
            "What to do when a machine answers: off (do not find out), hang_up, leave_message (after the beep) or "
            "continue."
        ),
    )
