"""The port behind which every carrier stands.

`verify`, `parse` and `render` are pure: bytes in, values out. The coroutines talk to the carrier's REST interface;
they raise `CarrierError` and nothing else, and every one of them has a limit of its own.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

from engine.calls import Direction, State
from engine.media.wire import MediaWire


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a carrier can do. The console hides what is missing."""

    streaming: bool = True
    native_speech: bool = False
    """The carrier has a voice and a recogniser of its own: `Say` and `Listen` work, and `instruct` does."""
    send_dtmf: bool = False
    """Keys can be sent by REST without losing the stream. Where not, they are tones on the stream."""
    transfer: bool = False
    machine_detection: bool = False
    """The carrier can tell an answering machine from a person."""
    only_machines: bool = False
    """Machine detection tells of machines alone: nothing of people, and nothing of the end of a greeting."""
    reopen_stream: bool = False
    """A live call survives the loss of its media socket, and the stream can be opened again."""
    inline_notify: bool = False
    """A notify message goes with the dial request, so that it is heard even when no webhook reaches us."""
    alerts: bool = False
    """The carrier notes trouble with a call of its own accord and can be asked for it."""
    answers_by_reply: bool = True
    """Documents go with the replies to webhooks. Where not, replies are mere acknowledgements, documents are carried
    out by commands (`Carrier.answer`), a stream goes with the dial, and the carrier tells when a line was `said`."""
    fetches_instructions: bool = False
    """New instructions for a live call do not go with the REST command: the carrier asks an address of ours for
    them, so `instruct` takes a lone `Redirect`."""
    keeps_our_id: bool = False
    """A call of the carrier's can be asked for by our id. Where not, a lost dial is known by its numbers alone."""
    asks_by_get: bool = False
    """Webhooks may be GET requests with everything in the query."""

    def to_json(self) -> dict[str, bool]:
        """As health shows them."""
        return {
            "streaming": self.streaming,
            "nativeSpeech": self.native_speech,
            "sendDtmf": self.send_dtmf,
            "transfer": self.transfer,
            "machineDetection": self.machine_detection,
            "reopenStream": self.reopen_stream,
            "inlineNotify": self.inline_notify,
            "alerts": self.alerts,
            "answersByReply": self.answers_by_reply,
        }


class CarrierError(Exception):
    """A carrier refused, failed or could not be reached. Keeps the carrier's own words."""

    def __init__(
        self,
        message: str,
        *,
        kind: Literal["refused", "gone", "retry", "unknown"] = "refused",
        code: str = "",
        link: str = "",
        hint: str = "",
    ) -> None:
        super().__init__(message)
        self.kind = kind
        """refused: final. gone: the call does not exist there (any more). retry: nothing happened, try again
        later. unknown: it may or may not have happened."""
        self.code = code
        self.link = link
        self.hint = hint or link
        """What to do about it, or where to read on."""


@dataclass(frozen=True, slots=True)
class WebhookRequest:
    """One HTTP request as it came in. `url` is the exact public URL that the carrier is believed to have used."""

    method: str
    url: str
    headers: Mapping[str, str]
    """Lower-case names."""
    body: bytes
    peer: str = ""
    suspects: Sequence[str] = ()
    """Other URLs under which a misconfigured carrier may have signed. They explain a refusal and never avert it."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a request is from the carrier. `why` is for the operator; `replay_key` is over authenticated bytes."""

    ok: bool
    why: str
    replay_key: str = ""
    form: str = ""
    """The URL form that verified or, for a refusal, the suspect that would have."""
    tried: Sequence[str] = ()
    """Every URL form that was tried."""
    signed: str = ""
    """What the signature is computed over, with `form` if one fits, else with the believed URL."""


CarrierEventType = Literal[
    "incoming",
    "initiated",
    "ringing",
    "answered",
    "asks",
    "partial",
    "speech",
    "silence",
    "dtmf",
    "machine",
    "fetches",
    "transfer_over",
    "ended",
    "stream_failed",
    "said",
    "cost",
    "trouble",
    "ignored",
]
"""`asks`: the carrier wants the next document of a call that goes on (a redirect came due). `partial`, `speech` and
`silence`: what a `Listen` heard. `machine`: the verdict of answering machine detection, in `answered_by`.
`fetches`: the carrier comes for a document that we ordered by REST; it is in `ordered`.
`transfer_over`: the leg that a transfer dialled is over; `detail` says how, `reached` whether anybody took it.
`said`: the carrier's own voice has come to its end. `cost`: what a call cost, often after its end. `trouble`: what
the carrier sends can not be used, and `detail` says what a person has to set right."""

AnsweredBy = Literal["human", "machine", "machine_end", "fax", "unknown"]
"""Who took a call. machine: its greeting still runs. machine_end: a message can be left now."""


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
    text: str = ""
    """What the carrier's own recogniser heard."""
    turn: str = ""
    """The token of the `Listen` that this answers, or of the document that asks."""
    answered_by: AnsweredBy | None = None
    reached: bool = False
    duration_s: int | None = None
    """How long an ended call was connected, in seconds, where the carrier says so."""
    hung_up: Literal["", "caller", "callee"] = ""
    """Which end of the line ended the call, where the carrier says so: the one that called, or that was called."""
    cost: str = ""
    """An amount and its currency, as the carrier writes them."""
    attestation: str = ""
    """What the carrier says about an inbound caller's number, in its own word (STIR/SHAKEN), if anything."""
    reason: State | None = None
    """Why the call ended."""
    detail: str = ""
    raw_type: str = ""
    dialled_as: str = ""
    """The id that `dial` gave for this call, where the carrier has another one for it by now."""
    ordered: Sequence[Verb] = ()
    """What the reply has to be, where the request's own, signed address says so."""


@dataclass(frozen=True, slots=True)
class Say:
    """Speak with the carrier's own voice."""

    text: str
    once: str = field(default="", compare=False)
    """Tells it from another saying of the same text, which a carrier may take for the same."""


@dataclass(frozen=True, slots=True)
class Listen:
    """Say `prompt`, if any, and hear the caller with the carrier's own recogniser.

    What was heard goes to `url`, with what is growing to `partial_url`; silence goes to `url` as well. The caller may
    interrupt the prompt.
    """

    url: str
    partial_url: str
    prompt: str = ""


@dataclass(frozen=True, slots=True)
class Keys:
    """Play telephone keys: 0-9 A-D * #, w for half a second, W for a second."""

    digits: str


@dataclass(frozen=True, slots=True)
class Connect:
    """Hand the call's audio to our media socket, both ways.

    When the socket goes away the carrier keeps the call for a while and then asks `again_url`, where there is one.
    """

    url: str
    token: str
    status_url: str = ""
    """Where the carrier reports trouble with the stream."""
    again_url: str = ""


@dataclass(frozen=True, slots=True)
class Redirect:
    """Ask `url` for the next document."""

    url: str


@dataclass(frozen=True, slots=True)
class Transfer:
    """Connect the caller with another number; `url` learns how that ended and says what comes then."""

    to_number: str
    caller_id: str
    url: str
    ring_seconds: int = 30


@dataclass(frozen=True, slots=True)
class Pause:
    """Keep the call open in silence. As the first verb of an inbound call: let it ring on."""

    seconds: int


@dataclass(frozen=True, slots=True)
class Reject:
    """Refuse an inbound call before it is answered."""

    reason: Literal["busy", "rejected"] = "rejected"


@dataclass(frozen=True, slots=True)
class Hangup:
    """End the call."""


Verb = Say | Listen | Keys | Connect | Redirect | Transfer | Pause | Reject | Hangup
Document = Sequence[Verb]


@dataclass(frozen=True, slots=True)
class Streamless:
    """A live call without a media stream: the only kind that may be given new instructions.

    A new document would cut a stream off. Only `engine.live` makes this value, and only while no stream is up.
    """

    provider_call_id: str


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
    """Instructions for the moment of answer, where the carrier takes them in the dial request; what does not fit
    there is asked for by webhook."""
    dtmf_sequence: str = ""
    """Keys to press at the answer, on carriers that take them in the dial request."""
    detect_machine: Literal["no", "answer", "message_end"] = "no"
    """Find out who answers: at once, or for a machine when a message can be left."""


@dataclass(frozen=True, slots=True)
class LostDial:
    """A dial with an uncertain outcome, as our log has it. Not every carrier keeps our id with a call."""

    call_id: str
    from_number: str
    to_number: str
    dialled_at: int
    """Epoch ms at which the dial was written down, just before the carrier was asked."""
    owned: Collection[str] = ()
    """Carrier ids of our other calls, as they are whenever it is looked at."""


@dataclass(frozen=True, slots=True)
class Alert:
    """Trouble with a call that a carrier noted: a document, an address or a stream of ours."""

    id: str
    code: str
    message: str
    link: str
    error: bool
    """An error; else a warning."""
    at: int | None = None
    """Epoch ms."""
    url: str = ""
    """The address that it is about."""
    unreachable: bool = False
    """The carrier got nothing usable from an address of ours, or could not connect to it."""


@dataclass(frozen=True, slots=True)
class CarrierStatus:
    """What the carrier says about a call now."""

    live: bool
    reason: State | None = None
    raw: str = ""
    answered: bool = False
    """Somebody is, or was, on the line."""
    duration_s: int | None = None
    """How long an ended call was connected, in seconds."""
    facts: Mapping[str, Any] = field(default_factory=dict)


@runtime_checkable
class ShowsTransfers(Protocol):
    """A carrier that can be asked whether a caller was put through."""

    async def transferred(self, provider_call_id: str, transfer: Transfer, asked_at: int) -> str:
        """How the leg of a transfer that was asked for at `asked_at` (epoch ms) stands; "" where there is none."""


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
        """Have calls to our number reported to `webhook_url`. Only called where the configuration allows it."""

    async def dial(self, order: DialOrder) -> str:
        """Place a call; returns the carrier's id. Never sent twice: kind `unknown` means ask `find`."""

    async def find(self, lost: LostDial) -> str | None:
        """The carrier's id of a dial with an uncertain outcome; None when the carrier has no such call."""

    async def status(self, provider_call_id: str) -> CarrierStatus:
        """Ask about a call. One that the carrier does not know is not live."""

    async def alerts(self, provider_call_id: str) -> Sequence[Alert]:
        """What the carrier noted about a call, where it has `alerts`. It may take seconds to appear."""

    async def hang_up(self, provider_call_id: str) -> None:
        """End a call. One that is already over is a success."""

    async def answer(self, provider_call_id: str, document: Document, *, pick_up: bool = True) -> None:
        """Carry out a document by commands, on carriers that do not take it in a reply. Again: nothing more happens.

        `pick_up`: the call comes in and is not answered yet, so that is done first, unless it is rejected. Where the
        call ends after a `Say`, whoever learns that it was `said` hangs up.
        """

    async def send_dtmf(self, provider_call_id: str, digits: str) -> None:
        """Play keys into the call without losing its stream."""

    async def instruct(self, call: Streamless, document: Document) -> None:
        """Replace what a live call does now, on carriers with `native_speech`."""

    async def transfer(self, provider_call_id: str, transfer: Transfer) -> None:
        """Hand the call to another number. This is the one command that may end a connected stream."""

    async def reopen_stream(self, call: Streamless, connect: Connect) -> None:
        """Open the media stream of a live call again."""
