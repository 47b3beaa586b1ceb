"""What a look at our own public address from outside in means: pure verdicts over what was sent, what arrived here,
and what came back.

The steps are those of a carrier's request: name, connection, TLS, webhook, media socket, one frame. The first that
fails is the cause; those after it are not tried. Each has a sentence for the operator and one that mends it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import parse_qsl

from engine.exposure.strangers import Answer, stranger

StepName = Literal["dns", "tcp", "tls", "webhook", "stream", "echo"]


@dataclass(frozen=True, slots=True)
class Step:
    """One step. `cause` is a slug that stays the same while the cause does; empty when all is well."""

    name: StepName
    ok: bool
    message: str
    fix: str = ""
    cause: str = ""
    ms: float | None = None

    def to_json(self) -> dict[str, Any]:
        ms = None if self.ms is None else round(self.ms, 1)
        return {
            "name": self.name,
            "ok": self.ok,
            "ms": ms,
            "message": self.message,
            "fix": self.fix,
            "cause": self.cause,
        }


@dataclass(frozen=True, slots=True)
class Report:
    """One look. `at` is epoch ms."""

    url: str
    at: int
    steps: Sequence[Step]

    @property
    def broken(self) -> Step | None:
        """The step that failed."""
        return next((step for step in self.steps if not step.ok), None)

    @property
    def ok(self) -> bool:
        return self.broken is None

    @property
    def cause(self) -> str:
        """What failed, as a slug: `tls/expired`; empty when nothing did."""
        broken = self.broken
        return f"{broken.name}/{broken.cause}" if broken is not None else ""

    @property
    def round_trip_ms(self) -> float | None:
        """How long a small request took: the frame's echo, else the webhook's challenge."""
        took = {step.name: step.ms for step in self.steps if step.ok}
        return took.get("echo", took.get("webhook"))

    def to_json(self) -> dict[str, Any]:
        broken, trip = self.broken, self.round_trip_ms
        return {
            "ok": self.ok,
            "url": self.url,
            "at": self.at,
            "ms": None if trip is None else round(trip, 1),
            "cause": self.cause,
            "error": broken.message if broken is not None else "",
            "fix": broken.fix if broken is not None else "",
            "steps": [step.to_json() for step in self.steps],
        }


@dataclass(frozen=True, slots=True)
class Sent:
    """What left us."""

    path: str
    query: str
    host: str = ""
    method: str = "POST"
    body: bytes = b""
    content_type: str = ""
    signature_header: str = ""
    """The header in which this carrier signs."""


@dataclass(frozen=True, slots=True)
class Arrived:
    """The same as it came in at our own port. Header names are lower case."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes = b""
    peer: str = ""


@dataclass(frozen=True, slots=True)
class Ours:
    """Where our own server listens, for the sentences."""

    port: int
    path: str
    stream_path: str

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"


# -- the webhook ------------------------------------------------------------------------------


def judge_webhook(
    sent: Sent, arrived: Arrived | None, answer: Answer | None, why: str, ours: Ours, ms: float
) -> Step:
    """The challenge on the webhook path. `answer` is None when none came; `why` says why not."""
    if arrived is None:
        message, fix, cause = stranger(answer, why, ours.origin, sent.path, len(sent.body))
        return Step("webhook", False, message, fix, cause, ms)
    damage = _damage(sent, arrived, ours.path)
    if damage is not None:
        return Step("webhook", False, *damage, ms)
    if answer is None or not answer.proved:
        return Step("webhook", False, *_lost_answer(answer, why), ms)
    told = "; ".join(("our own engine answers", *_harmless(sent, arrived)))
    return Step("webhook", True, told, ms=ms)


def _damage(sent: Sent, arrived: Arrived, path: str) -> tuple[str, str, str] | None:
    """What the way to us did to a request so that calls can not work: message, fix and slug."""
    if arrived.path != path:
        if arrived.path.rstrip("/") == path.rstrip("/"):
            fix = f"write {path} without the slash at the end, in public_url and at the carrier"
            message = f"{sent.path} arrives as {arrived.path}: a slash too many, serve.path is {path}"
            return message, fix, "trailing_slash"
        by_proxy = (
            f"{sent.path} arrives as {arrived.path}" if sent.path != arrived.path else f"it asks {arrived.path}"
        )
        message = f"wrong path: {by_proxy}, and serve.path is {path}: the carrier gets 404"
        fix = (
            f"have the proxy pass {sent.path} on as {path}, or set serve.path to {arrived.path}"
            if sent.path != arrived.path
            else f"set public_url to end in {path}, or serve.path to {arrived.path}"
        )
        return message, fix, "path"
    if arrived.method != sent.method:
        message = f"{sent.method} arrives as {arrived.method}: a redirect or a proxy on the way changes it"
        return message, "have carriers call the address that it leads to", "method"
    if (damage := _query_damage(sent.query, arrived.query)) is not None:
        return damage
    header = sent.signature_header
    if header and header.lower() not in arrived.headers:
        message = f"the header {header} does not arrive: every webhook would be refused as unsigned"
        return message, "have the proxy pass all headers on", "signature_header"
    return _body_damage(sent, arrived)


def _query_damage(sent: str, arrived: str) -> tuple[str, str, str] | None:
    fix = "have the proxy pass the query on as it came (nginx: $request_uri, or no path in proxy_pass)"
    if sent == arrived:
        return None
    if not arrived:
        return (
            "the query does not arrive: what follows ? is dropped, and signatures are over it",
            fix,
            "query_dropped",
        )
    if parse_qsl(arrived) == parse_qsl(sent):
        return (
            "the query arrives written differently, and signatures are over its exact bytes",
            fix,
            "query_rewritten",
        )
    lost = [name for name, _ in parse_qsl(sent)[1:] if name not in dict(parse_qsl(arrived))]  # the first is our own
    what = f"lacks {', '.join(lost)}" if lost else "is another one"
    return f"the query that arrives {what}, and signatures are over it", fix, "query_changed"


def _body_damage(sent: Sent, arrived: Arrived) -> tuple[str, str, str] | None:
    fix = "have the proxy pass the body on as it came"
    kind = arrived.headers.get("content-type", "")
    if kind.partition(";")[0].strip() != sent.content_type.partition(";")[0].strip():
        return f"the body arrives as {kind[:60] or 'no known type'}, not as {sent.content_type}", fix, "content_type"
    if arrived.body == sent.body:
        return None
    if not arrived.body:
        return "the body does not arrive: the webhook comes empty", fix, "body_dropped"
    if len(arrived.body) < len(sent.body) and sent.body.startswith(arrived.body):
        return f"only {len(arrived.body)} of {len(sent.body)} bytes of the body arrive", fix, "body_cut"
    return "the body arrives encoded differently: the signature is over what it says", fix, "body_changed"


def _lost_answer(answer: Answer | None, why: str) -> tuple[str, str, str]:
    if answer is None:
        message = f"the request reached the engine, but its answer did not come back ({why})"
        return message, "does the proxy hold answers back, or cut them off?", "answer_lost"
    if answer.status != 200:
        message = f"the request reached the engine, but the proxy answers {answer.status} instead of it"
        return message, "see the proxy's log: it does not pass our answers on", "answer_replaced"
    return "the engine's answer comes back changed", "have the proxy leave answers alone", "answer_changed"


def _harmless(sent: Sent, arrived: Arrived) -> list[str]:
    """What was changed on the way, and does no harm where the public address is known."""
    notes: list[str] = []
    if sent.path != arrived.path:
        notes.append(f"{sent.path} arrives as {arrived.path}, as it should")
    host = arrived.headers.get("host", "")
    if sent.host and host.lower() != sent.host.lower():
        notes.append(f"Host arrives as {host[:80] or 'nothing'}, which does no harm")
    return notes


# -- the media socket -------------------------------------------------------------------------


def judge_upgrade(
    sent: Sent, arrived: Arrived | None, answer: Answer | None, why: str, ours: Ours, ms: float
) -> Step:
    """The upgrade on the stream path. `answer` is the handshake's, None when none came; 101 is what should come."""
    if arrived is None:
        message, fix, cause = stranger(answer, why, ours.origin, sent.path, 0)
        return Step("stream", False, f"the stream path does not reach us: {message}", fix, f"not_here_{cause}", ms)
    if arrived.path != ours.stream_path:
        message = (
            f"wrong path: {sent.path} arrives as {arrived.path}, and streaming.stream_path is {ours.stream_path}"
        )
        fix = f"have the proxy pass {sent.path} on unchanged, or set streaming.stream_path to {arrived.path}"
        return Step("stream", False, message, fix, "path", ms)
    if "websocket" not in arrived.headers.get("upgrade", "").lower():
        message = "the proxy does not forward WebSocket upgrades: the request arrives without its Upgrade header"
        fix = (
            "nginx: proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; "
            'proxy_set_header Connection "upgrade"'
        )
        return Step("stream", False, message, fix, "no_upgrade", ms)
    if sent.signature_header and sent.signature_header.lower() not in arrived.headers:
        message = f"the header {sent.signature_header} of the media socket does not arrive"
        return Step("stream", False, message, "have the proxy pass all headers on", "signature_header", ms)
    if answer is None or answer.status != 101:
        came = f"{answer.status}" if answer is not None else f"nothing ({why})"
        message = f"the upgrade reached the engine, but {came} came back instead of 101"
        return Step("stream", False, message, "let the proxy pass 101 Switching Protocols on", "answer_lost", ms)
    return Step("stream", True, "101 on the stream path", ms=ms)


def judge_echo(came: str | None, sent: str, why: str, ms: float) -> Step:
    """One frame there and back; None: nothing came."""
    if came == sent:
        return Step("echo", True, "a frame came back", ms=ms)
    if came is None:
        message = f"the media socket opens, but no frame comes back ({why})"
        fix = "does the proxy buffer, or close sockets at once?"
        return Step("echo", False, message, fix, "no_frame", ms)
    return Step("echo", False, "the frame came back changed", "have the proxy leave frames alone", "changed", ms)
