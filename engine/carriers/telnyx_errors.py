"""What a failed request to Telnyx means: statuses, codes and broken connections in, `CarrierError` out. Pure.

Codes and texts: Telnyx's OpenAPI description and developers.telnyx.com/docs/overview/errors. An error body is
`{"errors": [{"code": "10016", "title": ..., "detail": ..., "meta": {"url": ...}}]}`; codes are strings.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from engine.carriers.base import CarrierError
from engine.carriers.plain import LIMIT, plain

Kind = Literal["refused", "gone", "retry", "unknown"]
Intent = Literal["ask", "again", "dial"]
"""ask: it only reads. again: it carries a command id, or doing it twice is doing it once. dial: it must not happen
twice, and there is no call yet that could be gone."""

INVALID_CALL: Final = "90015"
OVER: Final = "90018"
NOT_ANSWERED: Final = "90034"
TRANSCRIBING: Final = "90054"
"""A transcription runs already."""
_GONE: Final = frozenset({INVALID_CALL, OVER})
_HINTS: Final[Mapping[str, str]] = {
    "10009": "check telnyx.api_key",
    "10010": "the API key may not do that",
    "10015": "check telnyx.connection_id: it is the id of a Call Control application",
    "10016": "write numbers with + and country code",
    "10007": "Telnyx is in trouble: see https://status.telnyx.com",
    "90045": "the call has a media stream, which speaks for it",
}
_BY_STATUS: Final[Mapping[int, str]] = {
    401: "check telnyx.api_key",
    403: "the account may not do that: is it verified, has it credit, is the destination allowed?",
    404: "check telnyx.api_base_url and telnyx.connection_id",
    429: "too many requests or calls at once",
}
_DOWN: Final = "Telnyx may be down: see https://status.telnyx.com, and try again"
_UNREACHED: Final = "check the network and telnyx.api_base_url; is Telnyx up? https://status.telnyx.com"


@dataclass(frozen=True, slots=True)
class Failure:
    """An answer other than success."""

    status: int
    codes: Sequence[str] = ()
    message: str = ""
    link: str = ""


def read_failure(status: int, body: object) -> Failure:
    """The failure that an answer describes; a proxy's HTML says nothing but its status."""
    errors: Any = body.get("errors") if isinstance(body, dict) else None
    found = [error for error in errors if isinstance(error, dict)] if isinstance(errors, list) else []
    codes = [plain(str(error.get("code"))) for error in found if error.get("code") is not None]
    said = "; ".join(filter(None, (_said(error) for error in found)))
    metas = [error.get("meta") for error in found]
    links = [plain(meta.get("url")) for meta in metas if isinstance(meta, dict)]
    link = next((link for link in links if link.startswith("https://")), "")
    return Failure(status, codes, said[:LIMIT] or f"HTTP {status}", link)


def classify(failure: Failure, intent: Intent) -> Kind:
    """What a failed request means for whoever sent it."""
    if failure.status in (404, 410) or (failure.status == 422 and _GONE & set(failure.codes)):
        return "refused" if intent == "dial" else "gone"
    if failure.status in (409, 429) or NOT_ANSWERED in failure.codes:
        return "retry"
    if failure.status == 408 or failure.status >= 500:
        return "unknown" if intent == "dial" else "retry"
    return "refused"


def from_failure(failure: Failure, what: str, intent: Intent) -> CarrierError:
    """`what`: the rest of the sentence "Telnyx would not ..."."""
    hint = explain(failure)
    did = "failed to" if failure.status >= 500 else "would not"
    text = f"Telnyx {did} {what}: {failure.message}" + (f"; {hint}" if hint else "")
    code = failure.codes[0] if failure.codes else str(failure.status)
    kind = classify(failure, intent)
    return CarrierError(text, kind=kind, code=code, link=failure.link, hint=hint or _advice(failure.status))


def explain(failure: Failure) -> str:
    """What to do about it, where we know it; else nothing."""
    known = next((_HINTS[code] for code in failure.codes if code in _HINTS), "")
    return known or _BY_STATUS.get(failure.status, "")


def _advice(status: int) -> str:
    if status >= 500:
        return _DOWN
    return "check telnyx.api_base_url: is that Telnyx's API?" if 300 <= status < 400 else ""


def unreachable(what: str, why: str) -> CarrierError:
    """No connection came about: nothing was sent."""
    text = f"Telnyx can not be reached to {what}" + (f": {plain(why)}" if why else "")
    return CarrierError(text, kind="retry", code="not_reached", hint=_UNREACHED)


def timed_out(what: str, intent: Intent) -> CarrierError:
    """The request may have arrived."""
    kind: Kind = "unknown" if intent == "dial" else "retry"
    return CarrierError(f"Telnyx did not answer in time when asked to {what}", kind=kind, code="timeout", hint=_DOWN)


def broken(what: str, why: str, intent: Intent) -> CarrierError:
    """The connection broke: the request may have arrived."""
    kind: Kind = "unknown" if intent == "dial" else "retry"
    text = f"the connection to Telnyx broke when it was asked to {what}: {plain(why)}"
    return CarrierError(text, kind=kind, code="connection_lost", hint=_DOWN)


def nonsense(what: str, intent: Intent) -> CarrierError:
    """An answer that says success and can not be read."""
    kind: Kind = "unknown" if intent == "dial" else "retry"
    text = f"Telnyx's answer can not be read when asked to {what}"
    return CarrierError(text, kind=kind, code="bad_answer", hint="check telnyx.api_base_url: is that Telnyx's API?")


def _said(error: Mapping[str, Any]) -> str:
    """Title and detail, which often say the same twice, and what they are about."""
    title, detail = plain(error.get("title")), plain(error.get("detail"))
    text = title if not detail or detail == title else f"{title}: {detail}" if title else detail
    source = error.get("source")
    pointer = plain(source.get("pointer")) if isinstance(source, dict) else ""
    return f"{text} ({pointer})" if pointer and text else text
