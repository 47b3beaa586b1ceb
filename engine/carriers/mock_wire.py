"""What the simulated carrier says and understands on the wire: bytes in, values out.

Wire facts are this project's own: see `engine.simulator`. Nothing of it is imported here; the two know each other
only by what goes over the wire, as with any carrier.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Mapping
from typing import Any, Final

import orjson

from engine.calls import State
from engine.carriers.base import (
    CarrierEvent,
    CarrierEventType,
    Connect,
    Document,
    Hangup,
    Keys,
    Listen,
    Pause,
    Redirect,
    Reject,
    Say,
    Transfer,
    Verb,
    Verdict,
    WebhookReply,
    WebhookRequest,
)

FRESH_S: Final = 300
"""How far a signature's time may be from ours, either way."""
_TIMESTAMP: Final = re.compile(r"[0-9]{1,12}")
_TYPES: Final[Mapping[str, CarrierEventType]] = {
    "call.incoming": "incoming",
    "call.initiated": "initiated",
    "call.ringing": "ringing",
    "call.answered": "answered",
    "call.asks": "asks",
    "call.dtmf": "dtmf",
    "call.ended": "ended",
    "stream.failed": "stream_failed",
}
_REASONS: Final[Mapping[str, State]] = {
    "hangup-person": State.HANGUP_USER,
    "hangup-api": State.HANGUP_BOT,
    "hangup-document": State.COMPLETED,
    "time-limit": State.TIMEOUT,
    "busy": State.BUSY,
    "no-answer": State.NO_ANSWER,
    "rejected": State.HANGUP_BOT,
}
_STATUSES: Final[Mapping[str, State]] = {
    "completed": State.COMPLETED,
    "busy": State.BUSY,
    "no-answer": State.NO_ANSWER,
    "failed": State.FAILED,
    "canceled": State.HANGUP_BOT,
}
LIVE: Final = frozenset({"queued", "ringing", "in-progress"})


def verify(request: WebhookRequest, secret: bytes, now_ms: int) -> Verdict:
    """HMAC-SHA256 over time, method, URL and body, at most five minutes old. The key must not be empty."""
    timestamp = request.headers.get("x-sim-timestamp", "")
    given = request.headers.get("x-sim-signature", "")
    if not timestamp or not given:
        return Verdict(False, "no signature: X-Sim-Timestamp and X-Sim-Signature are missing")
    if not secret:
        return Verdict(False, "no signing secret is configured, so nothing can be verified")
    if not _TIMESTAMP.fullmatch(timestamp):
        return Verdict(False, "X-Sim-Timestamp is not a time in seconds")
    message = f"{timestamp}\n{request.method}\n{request.url}\n".encode() + request.body
    signed, tried = message.decode("utf-8", "replace"), (request.url,)
    expected = hmac.new(secret, message, hashlib.sha256).digest()
    if not hmac.compare_digest(_from_base64(given), expected):
        why = "the signature does not match the request: another secret, URL, method or body"
        return Verdict(False, why, tried=tried, signed=signed)
    age_s = now_ms / 1000 - int(timestamp)
    if abs(age_s) > FRESH_S:
        why = f"the signature is {age_s:.0f} s old; at most {FRESH_S} s are accepted"
        return Verdict(False, why, form=request.url, tried=tried, signed=signed)
    # Over the decoded signature: base64 has several spellings of the same bytes.
    replay_key = hashlib.sha256(expected + timestamp.encode() + request.body).hexdigest()
    return Verdict(True, "ok", replay_key, request.url, tried, signed)


def parse(request: WebhookRequest) -> CarrierEvent:
    """Read a verified webhook. Raises ValueError."""
    value = _object(_loads(request.body), "the body")
    raw_type = _text(value, "type", 64)
    call = _object(value.get("call"), "call")
    direction = _text(call, "direction", 16)
    if direction not in ("inbound", "outbound"):
        raise ValueError(f"unknown direction {direction!r}")
    type_ = _TYPES.get(raw_type, "ignored")
    ended = type_ == "ended"
    wanted = value.get("document_wanted", type_ == "incoming" or (type_ == "answered" and direction == "outbound"))
    return CarrierEvent(
        type=type_,
        provider_call_id=_text(call, "id", 128),
        call_id=_text(call, "client_ref", 128, required=False),
        direction="inbound" if direction == "inbound" else "outbound",
        from_number=_text(call, "from", 32),
        to_number=_text(call, "to", 32),
        wants_document=wanted is True,
        digits=_digits(value) if type_ == "dtmf" else "",
        reason=end_reason(_text(call, "status", 32), _text(call, "reason", 64, required=False)) if ended else None,
        detail=_text(value, "detail", 500, required=False) or _text(call, "reason", 64, required=False),
        raw_type=raw_type,
    )


def render(document: Document) -> WebhookReply:
    """JSON with the verbs; nothing to say is 204."""
    if not document:
        return WebhookReply(status=204)
    body = orjson.dumps({"document": [verb_json(verb) for verb in document]})
    return WebhookReply(200, body, "application/json")


def verb_json(verb: Verb) -> dict[str, Any]:
    """One verb of a document. ValueError for what the capabilities exclude."""
    match verb:
        case Say(text):
            return {"verb": "say", "text": text}
        case Connect(url, token):
            return {"verb": "connect", "url": url, "token": token}
        case Pause(seconds):
            return {"verb": "pause", "seconds": seconds}
        case Reject(reason):
            return {"verb": "reject", "reason": reason}
        case Redirect(url):
            return {"verb": "redirect", "url": url}
        case Hangup():
            return {"verb": "hangup"}
        case Listen() | Keys() | Transfer():
            raise ValueError(f"the simulated carrier has no {type(verb).__name__}: its capabilities say so")


def _text(value: Mapping[str, Any], key: str, limit: int, required: bool = True) -> str:
    text = value.get(key, "")
    if not isinstance(text, str) or len(text) > limit or (required and not text):
        raise ValueError(f"{key} is not a text of 1 to {limit} characters")
    return text


def _digits(value: Mapping[str, Any]) -> str:
    digits = _text(value, "digits", 64)
    if re.fullmatch(r"[0-9A-D*#]+", digits) is None:
        raise ValueError("digits are not keys of a telephone")
    return digits


def end_reason(status: str, reason: str) -> State:
    """Why a call ended, by the carrier's reason or else its last status."""
    return _REASONS.get(reason) or _STATUSES.get(status, State.FAILED)


def _from_base64(text: str) -> bytes:
    try:
        return base64.b64decode(text.encode(), validate=True)
    except (binascii.Error, ValueError):
        return b""


def _loads(body: bytes) -> object:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise ValueError(f"the body is not JSON: {error}") from error


def _object(value: object, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{what} is not a JSON object")
    return value
