"""What Plivo's failures mean: hang-up codes, REST answers and broken connections in, our words out. Pure.

Codes: Plivo's page on hang-up causes. Names of causes change, the numbers do not. REST errors are
`{"api_id": ..., "error": ...}` with an HTTP status and no number of their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import orjson

from engine.calls import State
from engine.carriers.base import CarrierError
from engine.carriers.http import Intent, Kind, Service, uncertain
from engine.carriers.plain import plain

PLIVO: Final = Service(
    "Plivo",
    "plivo",
    down="Plivo may be down: see https://status.plivo.com, and try again",
    unreached="check the network, and plivo.api_base_url; is Plivo up? https://status.plivo.com",
)
_ENDS: Final[Mapping[int, State]] = {
    1000: State.HANGUP_BOT,
    3000: State.NO_ANSWER,
    3010: State.BUSY,
    3100: State.BUSY,
    4000: State.COMPLETED,
    4010: State.COMPLETED,
    4020: State.COMPLETED,
    4030: State.COMPLETED,
    6000: State.TIMEOUT,
    6010: State.NO_ANSWER,
    9100: State.VOICEMAIL,
}
"""What is not here is a failure."""
_STATUSES: Final[Mapping[str, State]] = {
    "completed": State.COMPLETED,
    "busy": State.BUSY,
    "failed": State.FAILED,
    "timeout": State.NO_ANSWER,
    "no-answer": State.NO_ANSWER,
    "cancel": State.HANGUP_BOT,
    "canceled": State.HANGUP_BOT,
    "machine": State.VOICEMAIL,
    "hangup": State.COMPLETED,
}
_HINTS: Final[Mapping[int, str]] = {
    1010: "the account has run out of credit",
    1020: "another leg of the same dial was answered",
    2000: "the number is not valid",
    2010: "the number is out of service",
    2020: "the SIP endpoint is not registered",
    2030: "Plivo does not call this destination: allow it in the Plivo console, Voice, Geo permissions",
    2040: "the number is barred",
    2050: "the number is barred",
    2060: "the call came back to its own beginning",
    2070: "calls in India need a number of India",
    3020: "the other end rejected the call",
    3030: "from_number is not accepted as a caller id: it must be a number of this account",
    3040: "the carrier behind Plivo forbade the call",
    3050: "the number is not assigned",
    3130: "the call was taken for spam",
    3140: "the number may not be used to originate calls",
    4010: "the document came to its end: after a stream broke, or one that held nothing that lasts",
    5000: "an error of Plivo's own",
    5010: "an error of Plivo's own",
    5020: "an error of Plivo's own",
    5030: "as many calls are up as the account may have at once",
    6020: "no audio came for a minute",
    7011: "Plivo asked our answer address and got an error: is the engine running, and is public_url its address?",
    7012: "Plivo asked an action address of ours and got an error: is the tunnel up?",
    7013: "Plivo asked the address of a transfer and got an error: is the tunnel up?",
    7014: "Plivo was redirected to an address of ours and got an error: is the tunnel up?",
    8011: "the answer document could not be read as Plivo XML",
    8012: "an action's document could not be read as Plivo XML",
    8013: "a transfer's document could not be read as Plivo XML",
    8014: "a redirect's document could not be read as Plivo XML",
}


def end_of(code: str, status: str, *, answered: bool) -> State:
    """Why a call is over. A caller's time limit or the end of a document is an end like others, once it was
    answered; a status stands in for a code that is missing."""
    number = _number(code)
    if number is None:
        return _STATUSES.get(status.lower(), State.COMPLETED if answered else State.FAILED)
    end = _ENDS.get(number, State.FAILED)
    if number == 6000:
        return State.TIMEOUT if answered else State.NO_ANSWER
    return end


def is_end(status: str) -> bool:
    """Whether a CallStatus is one of a call that is over."""
    return status.lower() in _STATUSES


def explain(code: str) -> str:
    """What a hang-up code is about, where it is not an ordinary end; else nothing."""
    return _HINTS.get(_number(code) or 0, "")


def read_error(status: int, body: bytes) -> str:
    """Plivo's own words about a failed request; a proxy's HTML says nothing but its status."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        value = None
    said: Any = (value.get("error") or value.get("message")) if isinstance(value, dict) else None
    if isinstance(said, dict):
        said = said.get("error") or said.get("message")
    return plain(said) or f"HTTP {status}"


def from_status(status: int, body: bytes, what: str, intent: Intent) -> CarrierError:
    """`what`: the rest of the sentence "Plivo would not ..."."""
    did = "failed to" if status >= 500 else "would not"
    text = f"Plivo {did} {what}: {read_error(status, body)}"
    return CarrierError(text, kind=_kind(status, intent), code=str(status), hint=_advice(status))


def _kind(status: int, intent: Intent) -> Kind:
    if status in (404, 410):
        return "refused" if intent == "dial" else "gone"  # a dial's 404 is about the account, not about a call
    if status in (409, 429):
        return "retry"
    return uncertain(intent) if status == 408 or status >= 500 else "refused"


def _advice(status: int) -> str:
    if status == 401:
        return "check plivo.auth_id and plivo.auth_token"
    if status == 403:
        return "allow the country in the Plivo console: Voice, Geo permissions; a trial calls verified numbers only"
    if status == 429:
        return "too many requests at once"
    if 300 <= status < 400:
        return "something else than Plivo's API answers there: check plivo.api_base_url"
    return PLIVO.down if status >= 500 else ""


def _number(code: str) -> int | None:
    return int(code) if code.isascii() and code.isdecimal() and len(code) < 7 else None
