"""What Twilio's webhooks say: a form in, a carrier event out. Pure. How we answer is in `twiml`.

Which of our addresses was asked says what for (`links`); the form says the rest. Names and values of the parameters:
Twilio's pages on voice webhooks, status callbacks, Gather, Dial, Stream and answering machine detection, and bodies
that users recorded. A request that asks for instructions is never `ignored`: an empty answer would end the call.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import orjson

from engine.calls import Direction, State
from engine.carriers.base import AnsweredBy, CarrierEvent, CarrierEventType, WebhookRequest
from engine.carriers.links import Flow, read_link
from engine.carriers.twilio_signature import form_pairs
from engine.carriers.twiml import render, twiml

__all__ = ["parse", "render", "twiml"]

MAX_BODY: Final = 64 * 1024
_CALL_SID: Final = re.compile(r"CA[0-9A-Za-z]{1,62}")
_KEYS: Final = re.compile(r"[0-9A-D*#]{1,64}")
_PROGRESS: Final[Mapping[str, CarrierEventType]] = {
    "queued": "initiated",
    "initiated": "initiated",
    "ringing": "ringing",
    "in-progress": "answered",
}
_ENDS: Final[Mapping[str, State]] = {
    "completed": State.COMPLETED,
    "busy": State.BUSY,
    "no-answer": State.NO_ANSWER,
    "failed": State.FAILED,
    "canceled": State.HANGUP_BOT,
}
_ANSWERED_BY: Final[Mapping[str, AnsweredBy]] = {
    "human": "human",
    "fax": "fax",
    "unknown": "unknown",
    "machine_start": "machine",
    "machine_end_beep": "machine_end",
    "machine_end_silence": "machine_end",
    "machine_end_other": "machine_end",
}
_NAMELESS: Final = frozenset({"anonymous", "restricted", "blocked", "unknown", "unavailable", "private"})
_HIDDEN: Final = frozenset({"266696687", "7378742833", "2562533", "8656696", "86282452253", "7748483"})
"""The same words on a telephone's keys, as Twilio writes a hidden number: +266696687 is ANONYMOUS."""
_STREAM_TROUBLE: Final = range(31900, 32000)


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
        return self.get("CallStatus", 32)

    def event(self, type_: CarrierEventType, raw: str, **more: Any) -> CarrierEvent:
        return replace(self.call, type=type_, raw_type=raw[:64], **more)


def parse(request: WebhookRequest, account_sid: str = "") -> CarrierEvent:
    """Read a verified webhook. Raises ValueError for what can not be one of Twilio's, or names another account than
    `account_sid`: its calls are not ours to answer."""
    if len(request.body) > MAX_BODY:
        raise ValueError(f"the body is over {MAX_BODY} bytes")
    flow, query = read_link(request.url)
    form = dict(reversed(form_pairs(request.body)))
    if "CallSid" not in form and "Payload" in form:
        return _alert(form)
    named = form.get("AccountSid", "")
    if account_sid and named and named != account_sid:
        raise ValueError(f"AccountSid {named[:40]!r} is not the account that is configured")
    asked = _Asked(form, query, _call(form, query))
    if flow == "status" or form.get("CallbackSource") == "call-progress-events":
        return _progress(asked)
    return _READERS[flow or "answer"](asked)


def _call(form: Mapping[str, str], query: Mapping[str, str]) -> CarrierEvent:
    """The call that a request is about."""
    direction = _direction(form.get("Direction", ""))
    from_number = _text(form, "From", 256)
    return CarrierEvent(
        type="ignored",
        provider_call_id=_sid(form.get("CallSid", "")),
        call_id=_text(query, "callId", 128),
        direction=direction,
        from_number="" if direction == "inbound" and _is_hidden(from_number) else from_number,
        to_number=_text(form, "To", 256),
    )


def _answer(asked: _Asked) -> CarrierEvent:
    """A call that came in, or one of ours that was answered: the address without a purpose of its own."""
    status, raw = asked.status, f"voice {asked.status}"
    if status in _ENDS:
        return _over(asked, raw)
    if status not in _PROGRESS:
        raise ValueError(f"CallStatus {status[:32]!r} is none of Twilio's")
    if asked.call.direction is None:
        raise ValueError("a request for instructions has no Direction")
    if asked.call.direction == "inbound":
        if asked.call.call_id and status != "ringing":
            return asked.event("asks", raw, wants_document=True)
        attestation = asked.get("StirVerstat", 64)
        return asked.event("incoming", raw, wants_document=True, attestation=attestation)
    return asked.event(_PROGRESS[status], raw, wants_document=True, answered_by=_answered_by(asked))


def _asks(asked: _Asked) -> CarrierEvent:
    """A redirect came due, or a stream ended. Twilio asks about calls that are over as well."""
    raw = f"{asked.query.get('flow', '')} {asked.status}".strip()
    if asked.status in _ENDS:
        return _over(asked, raw)
    return asked.event("asks", raw, wants_document=True)


def _heard(asked: _Asked) -> CarrierEvent:
    """What a Gather took in. Its keys come without the one that finished them."""
    turn = _turn(asked)
    if text := asked.get("SpeechResult", MAX_BODY):
        return asked.event("speech", "gather speech", text=text, turn=turn, wants_document=True)
    finisher = asked.get("FinishedOnKey", 8)
    if keys := asked.get("Digits", 64) + (finisher if _KEYS.fullmatch(finisher) else ""):
        if _KEYS.fullmatch(keys) is None:
            raise ValueError("Digits are not keys of a telephone")
        return asked.event("dtmf", "gather digits", digits=keys, turn=turn, wants_document=True)
    if asked.status in _ENDS:
        return _over(asked, "gather")
    return asked.event("silence", "gather silence", turn=turn, wants_document=True)


def _partly_heard(asked: _Asked) -> CarrierEvent:
    parts = (asked.get("StableSpeechResult", MAX_BODY), asked.get("UnstableSpeechResult", MAX_BODY))
    return asked.event("partial", "gather partial", text=" ".join(filter(None, parts)), turn=_turn(asked))


def _transfer_over(asked: _Asked) -> CarrierEvent:
    """The other leg of a Dial is over; the caller may have gone as well."""
    outcome = asked.get("DialCallStatus", 32)
    raw = f"dial {outcome}"
    if asked.status in _ENDS:
        return _over(asked, raw, f"during a transfer ({outcome})")
    if not outcome:
        raise ValueError("the end of a Dial has no DialCallStatus")
    reached = outcome in ("completed", "answered")
    return asked.event("transfer_over", raw, detail=outcome, reached=reached, wants_document=True)


def _machine(asked: _Asked) -> CarrierEvent:
    """The verdict of answering machine detection, which runs beside the call."""
    answered_by = _answered_by(asked)
    if answered_by is None:
        raise ValueError("a verdict of machine detection has no AnsweredBy")
    return asked.event("machine", f"machine {asked.get('AnsweredBy', 32)}", answered_by=answered_by)


def _stream(asked: _Asked) -> CarrierEvent:
    """The life of a media stream as Twilio sees it; ours we know better, so only trouble counts."""
    what = asked.get("StreamEvent", 32)
    if what != "stream-error":
        return asked.event("ignored", what or "stream", detail=f"the stream's own report: {what or 'nothing'}")
    said = " ".join(filter(None, (asked.get("StreamErrorCode", 16), asked.get("StreamError", 400))))
    return asked.event("stream_failed", what, detail=said or "Twilio does not say why")


def _progress(asked: _Asked) -> CarrierEvent:
    """How far a call is. The answer to this decides nothing."""
    status, raw = asked.status, f"status {asked.status}"
    if status in _ENDS:
        return _over(asked, raw)
    type_ = _PROGRESS.get(status)
    if type_ is None:
        if not status:
            raise ValueError("a status callback has no CallStatus")
        return asked.event("ignored", raw, detail=f"a status that is not known here: {status}")
    return asked.event(type_, raw, answered_by=_answered_by(asked))


_READERS: Final[Mapping[Flow, Callable[[_Asked], CarrierEvent]]] = {
    "answer": _answer,
    "status": _progress,
    "hold": _asks,
    "connect": _asks,
    "listen": _heard,
    "partial": _partly_heard,
    "transfer": _transfer_over,
    "machine": _machine,
    "stream": _stream,
}


def _over(asked: _Asked, raw: str, detail: str = "") -> CarrierEvent:
    """A call that is over. CallDuration is in seconds; Duration would be in minutes."""
    sip, spent = asked.get("SipResponseCode", 16), asked.get("CallDuration", 16)
    # 200 says that it was answered, which the status says too.
    sip = f"SIP {sip}" if sip and sip != "200" else ""
    return asked.event(
        "ended",
        raw,
        reason=_ENDS[asked.status],
        duration_s=int(spent) if spent.isascii() and spent.isdecimal() else None,
        answered_by=_answered_by(asked),
        detail=", ".join(filter(None, (detail, sip))),
    )


def _alert(form: Mapping[str, str]) -> CarrierEvent:
    """A note of Twilio's debugger, for accounts that have it sent to us."""
    try:
        note = orjson.loads(form["Payload"])
    except orjson.JSONDecodeError:
        raise ValueError("the Payload of an alert is not JSON") from None
    if not isinstance(note, dict) or "error_code" not in note:
        raise ValueError("an alert names no error_code")
    code, sid = str(note["error_code"])[:16], str(note.get("resource_sid", ""))
    more = note.get("more_info")
    said = (
        next((str(more[key]) for key in ("Msg", "msg", "message") if key in more), "")
        if isinstance(more, dict)
        else ""
    )
    detail = f"{code} {said[:400]}".strip()
    if _CALL_SID.fullmatch(sid) is None:
        return CarrierEvent("ignored", "", detail=f"Twilio notes {detail}", raw_type="alert")
    if code.isascii() and code.isdecimal() and int(code) in _STREAM_TROUBLE:
        return CarrierEvent("stream_failed", sid, detail=detail, raw_type="alert")
    return CarrierEvent("ignored", sid, detail=f"Twilio notes {detail}", raw_type="alert")


def _answered_by(asked: _Asked) -> AnsweredBy | None:
    said = asked.get("AnsweredBy", 32)
    return _ANSWERED_BY.get(said, "unknown") if said else None


def _direction(said: str) -> Direction | None:
    match said:
        case "":
            return None
        case "inbound":
            return "inbound"
        case "outbound-api" | "outbound-dial" | "outbound":
            return "outbound"
    raise ValueError(f"unknown Direction {said[:32]!r}")


def _is_hidden(number: str) -> bool:
    """Whether a caller withholds the number: a word, or the word's digits, or a SIP address of either."""
    name = number.lower().removeprefix("sip:").partition("@")[0]
    return name in _NAMELESS or name.lstrip("+") in _HIDDEN


def _sid(text: str) -> str:
    if _CALL_SID.fullmatch(text) is None:
        raise ValueError("CallSid is missing or no call's")
    return text


def _turn(asked: _Asked) -> str:
    return _text(asked.query, "turn", 128)


def _text(values: Mapping[str, str], name: str, limit: int) -> str:
    text = values.get(name, "")
    if len(text) > limit:
        raise ValueError(f"{name} is longer than {limit} characters")
    return text
