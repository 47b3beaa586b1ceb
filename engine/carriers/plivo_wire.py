"""What Plivo's webhooks say: a form or a query in, a carrier event out. Pure. How we answer is in `plivo_xml`.

Which of our addresses was asked says what for (`links`); `Event` and the parameters say the rest. Names and values:
callbacks that users recorded, and Plivo's pages on calls, GetInput, Dial, audio streams and machine detection. For a
GET, Plivo puts its parameters among ours; ours are spelt so that none is also one of Plivo's.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

from engine.calls import Direction
from engine.carriers.base import CarrierEvent, CarrierEventType, Transfer, WebhookRequest
from engine.carriers.links import Flow, read_link
from engine.carriers.plain import plain
from engine.carriers.plivo_errors import end_of, explain, is_end
from engine.carriers.plivo_numbers import from_plivo
from engine.carriers.plivo_signature import form_pairs, query_pairs
from engine.carriers.plivo_xml import render

__all__ = ["ordering", "parse", "render"]

MAX_BODY: Final = 64 * 1024
_UUID: Final = re.compile(r"[0-9A-Za-z-]{8,64}")
_KEYS: Final = re.compile(r"[0-9A-D*#]{1,64}")
_PROGRESS: Final[Mapping[str, CarrierEventType]] = {"ringing": "ringing", "in-progress": "answered"}
_LOST_STREAM: Final = frozenset({"DroppedStream", "failed"})
"""Two pages of Plivo's name the events of a stream differently, and both sets have been seen."""
_REACHED: Final = frozenset({"completed", "answered"})
_UNSAID: Final = frozenset({"", "not applicable"})
_ORDER: Final = ("dial", "as", "ring")
"""The parts of a transfer that stand in the address which Plivo fetches its document from."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """One request, taken apart."""

    form: Mapping[str, str]
    query: Mapping[str, str]
    call: CarrierEvent
    """What every event of this call has in common."""

    def get(self, name: str, limit: int = 1000) -> str:
        return self.form.get(name, "").strip()[:limit]

    @property
    def status(self) -> str:
        return self.get("CallStatus", 32).lower()

    def event(self, type_: CarrierEventType, raw: str, **more: Any) -> CarrierEvent:
        return replace(self.call, type=type_, raw_type=raw[:64], **more)


def ordering(transfer: Transfer) -> str:
    """The address from which Plivo fetches the document of a transfer: all of it is in there, and Plivo signs it."""
    order = urlencode(dict(zip(_ORDER, (transfer.to_number, transfer.caller_id, transfer.ring_seconds), strict=True)))
    return f"{transfer.url}{'&' if urlsplit(transfer.url).query else '?'}{order}"


def parse(request: WebhookRequest) -> CarrierEvent:
    """Read a verified webhook. Raises ValueError for what can not be one of Plivo's."""
    if len(request.body) > MAX_BODY:
        raise ValueError(f"the body is over {MAX_BODY} bytes")
    flow, query = read_link(request.url)
    pairs = query_pairs(request.url) if request.method == "GET" else form_pairs(request)
    form = dict(reversed(pairs))
    asked = _Asked(form, query, _call(form, query))
    if flow == "stream":
        return _stream(asked)
    match asked.get("Event", 64):
        case "Hangup":
            return _over(asked, "hangup")
        case "Ring":
            return asked.event("ringing", "ring")
        case "MachineDetection":
            return _machine(asked)
    return _READERS[flow or "answer"](asked, request.url)


def _call(form: Mapping[str, str], query: Mapping[str, str]) -> CarrierEvent:
    """The call that a request is about. A dial of ours has the id of its request before the call has one."""
    uuid = _uuid(form.get("CallUUID", ""))
    dialled = form.get("RequestUUID", "") or form.get("ALegRequestUUID", "")
    if dialled:
        dialled = _uuid(dialled)
    direction = _direction(form.get("Direction", ""))
    return CarrierEvent(
        type="ignored",
        provider_call_id=uuid,
        call_id=_text(query, "callId", 128),
        dialled_as=dialled if dialled != uuid and direction != "inbound" else "",
        direction=direction,
        from_number=from_plivo(_text(form, "From", 256)),
        to_number=from_plivo(_text(form, "To", 256)),
    )


def _answer(asked: _Asked, url: str) -> CarrierEvent:
    """A call that came in, or one of ours that was answered: the address without a purpose of its own."""
    status, raw = asked.status, f"answer {asked.status}"
    if is_end(status):
        return _over(asked, raw)
    if status not in _PROGRESS:
        raise ValueError(f"CallStatus {status[:32]!r} is none of Plivo's")
    if asked.call.direction is None:
        raise ValueError("a request for instructions has no Direction")
    answered_by = "machine" if asked.get("Machine", 8).lower() == "true" else None
    if asked.call.direction == "inbound":
        if asked.call.call_id and status != "ringing":
            return asked.event("asks", raw, wants_document=True)
        return asked.event("incoming", raw, wants_document=True, attestation=_attestation(asked))
    return asked.event("answered", raw, wants_document=True, answered_by=answered_by)


def _asks(asked: _Asked, url: str) -> CarrierEvent:
    """A document came to its end and goes on here, or we ordered the call to come here."""
    raw = f"{asked.query.get('flow', '')} {asked.status}".strip()
    if is_end(asked.status):
        return _over(asked, raw)
    return asked.event("asks", raw, turn=_text(asked.query, "n", 128), wants_document=True)


def _heard(asked: _Asked, url: str) -> CarrierEvent:
    """What a GetInput took in."""
    turn = _turn(asked)
    if text := asked.get("Speech", MAX_BODY):
        return asked.event("speech", "input speech", text=text, turn=turn, wants_document=True)
    if keys := asked.get("Digits", 64).upper():
        if _KEYS.fullmatch(keys) is None:
            raise ValueError("Digits are not keys of a telephone")
        return asked.event("dtmf", "input digits", digits=keys, turn=turn, wants_document=True)
    if is_end(asked.status):
        return _over(asked, "input")
    return asked.event("silence", "input silence", turn=turn, wants_document=True)


def _partly_heard(asked: _Asked, url: str) -> CarrierEvent:
    parts = (asked.get("StableSpeech", MAX_BODY), asked.get("UnstableSpeech", MAX_BODY))
    return asked.event("partial", "input partial", text=" ".join(filter(None, parts)), turn=_turn(asked))


def _transfer(asked: _Asked, url: str) -> CarrierEvent:
    """Plivo comes for the document of a transfer that we ordered, or tells how its other leg ended."""
    outcome = asked.get("DialStatus", 32).lower()
    if not outcome and "dial" in asked.query and not is_end(asked.status):
        order = _ordered(asked, url)
        return asked.event("fetches", "fetches the transfer", ordered=(order,), wants_document=True)
    raw = f"dial {outcome}"
    if is_end(asked.status):
        return _over(asked, raw, f"during a transfer ({outcome})" if outcome else "")
    if not outcome:
        raise ValueError("the end of a Dial has no DialStatus")
    return asked.event("transfer_over", raw, detail=outcome, reached=outcome in _REACHED, wants_document=True)


def _ordered(asked: _Asked, url: str) -> Transfer:
    """The transfer that an address of ours stands for."""
    ring = _text(asked.query, "ring", 8)
    if not (ring.isascii() and ring.isdecimal()):
        raise ValueError("an ordered transfer has no time to ring")
    where = urlsplit(url)
    kept = {name: value for name, value in asked.query.items() if name in ("callId", "flow", "n")}
    back = where._replace(query=urlencode(kept), fragment="").geturl()
    return Transfer(_text(asked.query, "dial", 64), _text(asked.query, "as", 64), back, int(ring))


def _machine(asked: _Asked, url: str = "") -> CarrierEvent:
    """The verdict of machine detection, which runs beside the call. Plivo tells of machines, and nothing of when
    their greeting is over."""
    found = asked.get("Machine", 8).lower()
    if found not in ("true", "false"):
        raise ValueError("a verdict of machine detection does not say whether it was one")
    return asked.event("machine", f"machine {found}", answered_by="machine" if found == "true" else "human")


def _stream(asked: _Asked) -> CarrierEvent:
    """The life of a media stream as Plivo sees it; ours we know better, so only trouble counts."""
    what = asked.get("Event", 32)
    said = asked.get("Error", 400) or asked.get("StatusReason", 64)
    if what in _LOST_STREAM:
        return asked.event("stream_failed", what, detail=said or "Plivo does not say why")
    detail = f"the stream's own report: {what or 'nothing'}{f', {said}' if said else ''}"
    return asked.event("ignored", what or "stream", detail=detail)


def _progress(asked: _Asked, url: str) -> CarrierEvent:
    """How far a call is. The answer to this decides nothing."""
    status, raw = asked.status, f"status {asked.status}"
    if is_end(status):
        return _over(asked, raw)
    if status in _PROGRESS:
        return asked.event(_PROGRESS[status], raw)
    if not status:
        raise ValueError("a callback about a call has no CallStatus")
    return asked.event("ignored", raw, detail=f"a status that is not known here: {status}")


_READERS: Final[Mapping[Flow, Callable[[_Asked, str], CarrierEvent]]] = {
    "answer": _answer,
    "status": _progress,
    "hold": _asks,
    "connect": _asks,
    "listen": _heard,
    "partial": _partly_heard,
    "transfer": _transfer,
    "machine": _machine,
    "stream": lambda asked, _: _stream(asked),
}


def _over(asked: _Asked, raw: str, detail: str = "") -> CarrierEvent:
    """A call that is over. `Duration` is in seconds; `BillDuration` is rounded up to what is paid for."""
    code, spent = asked.get("HangupCauseCode", 16), asked.get("Duration", 16)
    name = asked.get("HangupCauseName", 64) or asked.get("HangupCause", 64)
    answered = bool(asked.get("AnswerTime", 64)) or asked.status == "completed"
    cause = " ".join(filter(None, (code, plain(name)))) if code not in ("", "4000") else ""
    source, cost = plain(asked.get("HangupSource", 64)), asked.get("TotalCost", 32)
    parts = (detail, cause, explain(code), f"ended by {source.lower()}" if source else "")
    return asked.event(
        "ended",
        raw,
        reason=end_of(code, asked.status, answered=answered),
        duration_s=int(spent) if spent.isascii() and spent.isdecimal() else None,
        hung_up=source.lower() if source in ("Caller", "Callee") else "",
        cost=f"{plain(cost)} USD" if cost else "",
        detail=", ".join(filter(None, parts)),
    )


def _attestation(asked: _Asked) -> str:
    """`Verified A`, `Not Verified`, or nothing where Plivo does not say."""
    said = (asked.get("STIRVerification", 64), asked.get("STIRAttestation", 64))
    return " ".join(word for word in said if word.lower() not in _UNSAID)


def _direction(said: str) -> Direction | None:
    match said.lower():
        case "":
            return None
        case "inbound":
            return "inbound"
        case "outbound":
            return "outbound"
    raise ValueError(f"unknown Direction {said[:32]!r}")


def _uuid(text: str) -> str:
    if _UUID.fullmatch(text) is None:
        raise ValueError("CallUUID is missing or no call's")
    return text


def _turn(asked: _Asked) -> str:
    return _text(asked.query, "turn", 128)


def _text(values: Mapping[str, str], name: str, limit: int) -> str:
    text = values.get(name, "")
    if len(text) > limit:
        raise ValueError(f"{name} is longer than {limit} characters")
    return text
