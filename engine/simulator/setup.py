"""What the simulator is told: its start-up settings and the bodies of its REST requests, as pydantic models."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

Number = Annotated[str, StringConstraints(pattern=r"^\+[1-9]\d{6,14}$")]
HttpUrl = Annotated[str, StringConstraints(pattern=r"^https?://[^\s]+$", max_length=2000)]
SocketUrl = Annotated[str, StringConstraints(pattern=r"^wss?://[^\s]+$", max_length=2000)]
Digits = Annotated[str, StringConstraints(pattern=r"^[0-9A-D#*wW]{1,32}$")]
Probability = Annotated[float, Field(ge=0, le=1)]


class Body(BaseModel):
    """Unknown keys are refused: a typing error must not pass silently."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class ConnectVerb(Body):
    verb: Literal["connect"]
    url: SocketUrl
    token: Annotated[str, Field(max_length=500)] = ""


class SayVerb(Body):
    verb: Literal["say"]
    text: Annotated[str, Field(min_length=1, max_length=4000)]


class PauseVerb(Body):
    verb: Literal["pause"]
    seconds: Annotated[float, Field(ge=0, le=600)] = 1


class RejectVerb(Body):
    verb: Literal["reject"]
    reason: Literal["busy", "rejected"] = "rejected"


class RedirectVerb(Body):
    """Ask `url` for the next document."""

    verb: Literal["redirect"]
    url: HttpUrl


class HangupVerb(Body):
    verb: Literal["hangup"]


Verb = Annotated[
    ConnectVerb | SayVerb | PauseVerb | RejectVerb | RedirectVerb | HangupVerb, Field(discriminator="verb")
]


class Document(Body):
    """What shall happen to a call, in order."""

    document: Annotated[list[Verb], Field(max_length=50)]


class DialBody(Body):
    client_ref: Annotated[str, Field(min_length=1, max_length=128)]
    from_: Number = Field(alias="from")
    to: Number
    webhook_url: HttpUrl
    ring_timeout_ms: Annotated[int, Field(ge=1000, le=600_000)] = 30_000
    time_limit_s: Annotated[int, Field(ge=1, le=86_400)] = 14_400
    dtmf_sequence: Digits | None = None
    document: Annotated[list[Verb], Field(max_length=50)] | None = None


class DtmfBody(Body):
    digits: Digits


class StreamBody(Body):
    url: SocketUrl
    token: Annotated[str, Field(max_length=500)] = ""


class NumberBody(Body):
    webhook_url: HttpUrl


class InboundBody(Body):
    """Somebody calls. `anonymous`: the caller hides the number."""

    from_: Number | Literal["anonymous"] | None = Field(default=None, alias="from")
    to: Number
    person: str | None = None


class PaceBody(Body):
    """Somebody calls in every so many seconds (0: nobody), as long as fewer than `max_live` inbound calls are up."""

    every_seconds: Annotated[float, Field(ge=0, le=86_400)] = 0
    max_live: Annotated[int, Field(ge=1, le=10_000)] = 8


class CastBody(Body):
    callers: list[dict[str, Any]]


class Faults(Body):
    """What goes wrong on purpose. Plain names are probabilities (0..1)."""

    duplicate: Probability = 0
    """A webhook is delivered twice, byte for byte."""
    reorder: Probability = 0
    """A status is held back until the call's next webhook is through."""
    drop: Probability = 0
    """A status never arrives."""
    delay: Probability = 0
    """A webhook is late by up to `delay_ms`."""
    delay_ms: Annotated[int, Field(ge=0, le=60_000)] = 1000
    forge: Probability = 0
    """Somebody who does not know the key sends a webhook that says the call is over."""
    malformed: Probability = 0
    """Per media frame: garbage is sent along."""
    stall: Probability = 0
    """Per stream: after some seconds nothing is sent or read for `stall_ms`."""
    stall_ms: Annotated[int, Field(ge=0, le=60_000)] = 3000
    lose_stream: Probability = 0
    """Per stream: the socket breaks after some seconds, without `stop`."""
    refuse_dial: Probability = 0
    """A dial is refused with 503 and nothing happens."""
    lose_dial: Probability = 0
    """A dial takes effect, but its reply is lost: the connection just closes."""


class Setup(Body):
    """A simulator's start-up settings."""

    api_key: Annotated[str, Field(min_length=8)]
    signing_secret: Annotated[str, Field(min_length=8)]
    port: Annotated[int, Field(ge=0, le=65_535)] = 0
    seed: int = 1
    callers: list[dict[str, Any]] = []
    pace: PaceBody = PaceBody()
    faults: Faults = Faults()
    linger_s: Annotated[float, Field(gt=0)] = 60
    """The process ends when for so long nobody asked anything and no media socket was open."""
    stream_grace_s: Annotated[float, Field(ge=0)] = 20
    """How long a call whose stream was lost waits for a new one."""
    webhook_timeout_s: Annotated[float, Field(gt=0)] = 10
    retry_s: list[Annotated[float, Field(ge=0)]] = [1, 2, 4, 8]
    """Pauses before a webhook that met a time-out, a lost connection or a 5xx is sent again."""
    record_dir: str | None = None
    max_calls: Annotated[int, Field(ge=1)] = 2000
    """Live calls above this are refused with 429."""
