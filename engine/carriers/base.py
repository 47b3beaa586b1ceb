"""The port behind which every carrier stands.

`verify`, `parse` and `render` are pure: bytes in, values out. The coroutines talk to the carrier's REST interface;
they raise `CarrierError` and nothing else, and every one of them has a limit of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from engine.calls import Direction, State
from engine.media.wire import MediaWire


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a carrier can do. The console hides what is missing."""

    streaming: bool = True
    native_speech: bool = False
    send_dtmf: bool = False
    transfer: bool = False
    reopen_stream: bool = False
    """A live call survives the loss of its media socket, and the stream can be opened again."""
    inline_notify: bool = False
    """A notify message goes with the dial request, so that it is heard even when no webhook reaches us."""
    answers_by_reply: bool = True
    """An inbound call is answered by the document in the webhook's reply, not by a REST command."""


class CarrierError(Exception):
    """A carrier refused, failed or could not be reached. Keeps the carrier's own words."""

    def __init__(
        self,
        message: str,
        *,
        kind: Literal["refused", "gone", "retry", "unknown"] = "refused",
        code: str = "",
        link: str = "",
    ) -> None:
        super().__init__(message)
        self.kind = kind
        """refused: final. gone: the call does not exist there (any more). retry: nothing happened, try again
        later. unknown: it may or may not have happened."""
        self.code = code
        self.link = link


@dataclass(frozen=True, slots=True)
class WebhookRequest:
    """One HTTP request as it came in. `url` is the exact public URL that the carrier is believed to have used."""

    method: str
    url: str
    headers: Mapping[str, str]
    """Lower-case names."""
    body: bytes
    peer: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a request is from the carrier. `why` is for the operator; `replay_key` is over authenticated bytes."""

    ok: bool
    why: str
    replay_key: str = ""


CarrierEventType = Literal[
    "incoming", "initiated", "ringing", "answered", "dtmf", "ended", "stream_failed", "ignored"
]


@dataclass(frozen=True, slots=True)
class CarrierEvent:
    """What a carrier's webhook says, in our words."""

    type: CarrierEventType
    provider_call_id: str
    call_id: str = ""
    """Our own id where the carrier hands it back."""
    direction: Direction | None = None
    from_number: str = ""
    to_number: str = ""
    wants_document: bool = False
    """The reply decides what happens to the call: it must be a usable document."""
    digits: str = ""
    reason: State | None = None
    """Why the call ended."""
    detail: str = ""
    raw_type: str = ""


@dataclass(frozen=True, slots=True)
class Say:
    """Speak with the carrier's own voice."""

    text: str


@dataclass(frozen=True, slots=True)
class Connect:
    """Hand the call's audio to our media socket, both ways."""

    url: str
    token: str


@dataclass(frozen=True, slots=True)
class Pause:
    """Keep the call open in silence."""

    seconds: int


@dataclass(frozen=True, slots=True)
class Reject:
    """Refuse an inbound call before it is answered."""

    reason: Literal["busy", "rejected"] = "rejected"


@dataclass(frozen=True, slots=True)
class Hangup:
    """End the call."""


Verb = Say | Connect | Pause | Reject | Hangup
Document = Sequence[Verb]


@dataclass(frozen=True, slots=True)
class WebhookReply:
    """What the HTTP server answers."""

    status: int = 200
    body: bytes = b""
    content_type: str = "text/plain"


@dataclass(frozen=True, slots=True)
class DialOrder:
    """A call to place."""

    call_id: str
    from_number: str
    to_number: str
    webhook_url: str
    """Where the carrier asks for instructions and reports progress."""
    ring_timeout_ms: int
    max_duration_seconds: int
    inline: Document = ()
    """Instructions for the moment of answer, where the carrier takes them in the dial request."""
    dtmf_sequence: str = ""


@dataclass(frozen=True, slots=True)
class CarrierStatus:
    """What the carrier says about a call now."""

    live: bool
    reason: State | None = None
    raw: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)


class Carrier(Protocol):
    """One carrier."""

    name: str
    capabilities: Capabilities
    signature_headers: tuple[str, ...]
    """Header names without one of which a request can not be from this carrier."""

    def verify(self, request: WebhookRequest, now_ms: int) -> Verdict:
        """Check a webhook's signature. Fails closed."""

    def verify_upgrade(self, request: WebhookRequest, now_ms: int) -> Verdict:
        """Check the signature of a media socket's upgrade request."""

    def parse(self, request: WebhookRequest) -> CarrierEvent:
        """Read a verified webhook. Unknown events come back as `ignored`. Raises ValueError on nonsense."""

    def render(self, document: Document) -> WebhookReply:
        """The reply that carries `document`; an empty document renders as the carrier's bare acknowledgement."""

    def wire(self) -> MediaWire:
        """A codec for one media stream."""

    async def open(self) -> None:
        """Connect whatever REST calls need."""

    async def close(self) -> None:
        """Let go of it."""

    async def register_number(self, number: str, webhook_url: str) -> None:
        """Have calls to our number reported to `webhook_url`; nothing on carriers where a person sets that."""

    async def dial(self, order: DialOrder) -> str:
        """Place a call; returns the carrier's id. Never sent twice: kind `unknown` means ask `find`."""

    async def find(self, call_id: str) -> str | None:
        """The carrier's id of a dial with an uncertain outcome; None when the carrier has no such call."""

    async def status(self, provider_call_id: str) -> CarrierStatus:
        """Ask about a call. One that the carrier does not know is not live."""

    async def hang_up(self, provider_call_id: str) -> None:
        """End a call. One that is already over is a success."""

    async def answer(self, provider_call_id: str, document: Document) -> None:
        """Answer an inbound call, on carriers that need a command for it."""

    async def send_dtmf(self, provider_call_id: str, digits: str) -> None:
        """Play keys into the call without losing its stream."""

    async def transfer(self, provider_call_id: str, to_number: str) -> None:
        """Hand the call to another number."""

    async def reopen_stream(self, provider_call_id: str, connect: Connect) -> None:
        """Open the media stream of a live call again."""
