"""What a failed request to Twilio means: statuses, codes and broken connections in, `CarrierError` out. Pure.

Codes and texts: Twilio's error dictionary (twilio.com/docs/api/errors). An error body holds `code`, `message`,
`more_info` and `status`; newer services answer with RFC 9457's `title` and `detail`. The SDK's own exceptions are
not used: they drop the link and put colours into their text when standard error is a terminal.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import orjson

from engine.carriers.base import CarrierError
from engine.carriers.http import Intent, Kind, Service, uncertain
from engine.carriers.plain import plain

WRONG_STATE: Final = 21220
"""The call is not in a state for this: it still rings, is over already, or is changing just now."""
UNREACHABLE: Final = frozenset({*range(11200, 11300), 15003})
"""An HTTP request of Twilio's to an address of ours failed; 15003 is about a status callback."""
TWILIO: Final = Service(
    "Twilio",
    "twilio",
    down="Twilio may be down: see https://status.twilio.com, and try again",
    unreached="check the network, and twilio.api_base_url, region and edge; is Twilio up? https://status.twilio.com",
)
_KINDS: Final[Mapping[int, Kind]] = {
    10001: "refused",
    10002: "refused",
    10004: "retry",
    20003: "refused",
    20404: "gone",
    20409: "retry",
    20162: "retry",
    20410: "gone",
    20429: "retry",
    20500: "unknown",
    20503: "unknown",
}
_REFUSED: Final = (range(13000, 14000), range(20001, 20030), range(20101, 20161), range(21100, 21300))
"""Bad requests: wrong numbers, addresses, documents, credentials or rights. They stay wrong when sent again."""
_HINTS: Final[Mapping[int, str]] = {
    10001: "the account is not active: see the Twilio console",
    10002: "a trial account can not do that",
    10004: "as many calls are up as the account may have at once",
    11100: "the address is not a valid URL",
    11200: "Twilio asked our address and got an error: is the engine running, and is public_url its address?",
    11205: "Twilio could not connect to our address: is the tunnel up, and does public_url point to it?",
    11210: "the host name of public_url is not known outside",
    11215: "our address redirects too often",
    11220: "the TLS handshake with our address failed",
    11235: "the certificate of our address is for another host",
    11236: "the certificate of our address has expired",
    11237: "the certificate of our address lacks its chain",
    11750: "the document was longer than 64 kB",
    11770: "the answer was empty and chunked",
    12100: "the document is not well-formed XML",
    12200: "the document holds something that Twilio does not know",
    12300: "the answer had no Content-Type that Twilio reads (text/xml)",
    13214: "the caller id is not a number of this account",
    13223: "that is not a telephone number",
    13224: "Twilio does not call this number",
    13225: "Twilio blocks calls to this number",
    13226: "the country code is wrong",
    13227: "allow the country in the Twilio console: Voice, Settings, Geo permissions",
    13247: "the caller id is not a number of this account",
    13248: "the caller id is too long to be a number",
    13520: "there was nothing to say",
    20003: "check twilio.account_sid and twilio.auth_token; each region has tokens of its own",
    20005: "the account is not active: see the Twilio console",
    20008: "test credentials can not do that",
    20404: "Twilio does not know it, or it belongs to another account or region",
    20429: "too many requests at once",
    21203: "international calls are not enabled for this account",
    21205: "public_url must be an address that Twilio can reach",
    21210: "from_number must be a number of this account, or one verified for it",
    21211: "that is not a telephone number in E.164 form",
    21212: "from_number must be a number of this account, in E.164 form",
    21213: "from_number is missing",
    21214: "the number can not be reached",
    21215: "allow the country in the Twilio console: Voice, Settings, Geo permissions",
    21216: "Twilio blocks calls to this number",
    21217: "that is not a telephone number",
    21218: "the application does not exist",
    21219: "a trial account may only call numbers that are verified for it",
    21220: "the call is not in a state for this",
    31901: "our media socket did not answer in time",
    31902: "our media socket refused the connection",
    31903: "the connection to our media socket broke",
    31904: "our media socket can not be reached",
    31910: "TLS with our media socket failed",
    31920: "our media socket did not answer with 101: does the tunnel pass WebSockets, is the path right?",
    31921: "our side closed the media socket",
    31922: "the media socket must be a wss:// address",
    31923: "the address of the media socket is not valid",
    31924: "something on the way breaks the WebSocket protocol",
    31930: "we took the caller's audio too slowly",
    31931: "more than ten minutes of audio waited to be played",
    31941: "a two-way stream has the inbound track only",
    31950: "we sent a frame that is not text",
    31951: "we sent a frame that Twilio does not know",
}


class RestFailure(Exception):
    """Twilio answered with something else than success."""

    def __init__(self, status: int, code: int | None, message: str, link: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.link = link


def read_failure(status: int, body: bytes) -> RestFailure:
    """The failure that an answer other than 2xx describes; a proxy's HTML says nothing but its status."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        value = None
    fields: dict[str, Any] = value if isinstance(value, dict) else {}
    code = _code(fields.get("code"))
    said = ": ".join(text for name in ("message", "title", "detail") if (text := plain(fields.get(name))))
    link = plain(fields.get("more_info")) or plain(fields.get("type")) or (docs_link(code) if code else "")
    return RestFailure(status, code, said or f"HTTP {status}", link if link.startswith("https://") else "")


def classify(status: int, code: int | None, intent: Intent) -> Kind:
    """What a failed request means for whoever sent it."""
    kind = _KINDS.get(code or 0)
    if kind is None and any((code or 0) in codes for codes in _REFUSED):
        kind = "refused"
    if kind is None:
        kind = _by_status(status)
    if kind == "gone" and intent == "dial":  # what does not exist is the account or the address, not a call
        return "refused"
    return uncertain(intent) if kind == "unknown" else kind


def _by_status(status: int) -> Kind:
    if status in (404, 410):
        return "gone"
    if status in (409, 429):
        return "retry"
    return "unknown" if status == 408 or status >= 500 else "refused"


def from_failure(failure: RestFailure, what: str, intent: Intent) -> CarrierError:
    """`what`: the rest of the sentence "Twilio would not ..."."""
    kind = classify(failure.status, failure.code, intent)
    hint = explain(failure.code)
    did = "failed to" if failure.status >= 500 else "would not"
    text = f"Twilio {did} {what}: {failure.message}" + (f"; {hint}" if hint else "")
    hint = "" if failure.link else _advice(failure.status)
    return CarrierError(text, kind=kind, code=str(failure.code or failure.status), link=failure.link, hint=hint)


def _advice(status: int) -> str:
    """What to do about an answer that names no error of Twilio's."""
    if 300 <= status < 400:
        return "something else than Twilio's API answers there: check twilio.api_base_url, region and edge"
    return TWILIO.down if status >= 500 else "check twilio.api_base_url: is that Twilio's API?"


def explain(code: int | None) -> str:
    """What to do about a code, where we know it; else nothing."""
    return _HINTS.get(code or 0, "")


def docs_link(code: int) -> str:
    """The page of Twilio's error dictionary."""
    return f"https://www.twilio.com/docs/errors/{code}"


def _code(value: object) -> int | None:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    return int(value) if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) < 7 else None
