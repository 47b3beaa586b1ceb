"""Documents as Plivo XML. Pure.

Built here and not with Plivo's builders: those can not be imported without the whole SDK (110 to 170 ms, 35 MB), and
know speechEndTimeout as a number only. The tests hold what comes out against theirs.

What Plivo refuses or ignores is refused here, where the reason can still be told: Twilio's verbs do not exist, an
empty Response hangs up, addresses must be absolute. Sources: Plivo's pages on its XML, and reports of live calls.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import quote
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from engine.carriers.base import (
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
    WebhookReply,
)
from engine.carriers.plivo_numbers import to_plivo
from engine.carriers.urls import take_apart
from engine.carriers.xml_text import clean, split_text

MAX_DOCUMENT: Final = 100_000
"""Bytes of a document that Plivo fetches."""
SAY_LIMIT: Final = 3000
"""Characters of one Speak."""
LISTEN_SECONDS: Final = 15
"""Silence after which a GetInput is over."""
END_SECONDS: Final = 2
"""Silence after which keys, or words, are complete; the least that Plivo takes."""
HELD_SECONDS: Final = 30
"""How long a call stays open after its stream is gone, before Plivo asks what to do now."""
MAX_SOCKET_URL: Final = 2048
MAX_RING_SECONDS: Final = 600
AUDIO: Final = "audio/x-mulaw;rate=8000"
"""Always said: Plivo's pages do not agree on what it is otherwise."""
DEFAULT_VOICE: Final = "Polly.Joanna"
_VOICES: Final = {
    "alloy": "Polly.Joanna",
    "echo": "Polly.Matthew",
    "fable": "Polly.Amy",
    "onyx": "Polly.Brian",
    "nova": "Polly.Salli",
    "shimmer": "Polly.Kimberly",
}
_OWN_VOICES: Final = re.compile(r"polly\..+|man|woman", re.IGNORECASE)
_KEYS: Final = re.compile(r"[0-9A-D*#wW]+")
_PAUSES: Final = str.maketrans({"p": "w", "P": "W", ",": "W"})
_NUMBER: Final = re.compile(r"\+?[0-9]{1,15}")


def render(document: Document, *, voice: str, language: str) -> WebhookReply:
    """The reply that carries `document`. Raises ValueError for what Plivo would not take."""
    body = xml(document, voice=voice, language=language).encode()
    if len(body) > MAX_DOCUMENT:
        raise ValueError(f"a document of {len(body)} bytes; Plivo takes {MAX_DOCUMENT}")
    return WebhookReply(200, body, "text/xml")


def xml(document: Document, *, voice: str, language: str) -> str:
    """`document` as XML. `voice` may be a name that other vendors use. Raises ValueError."""
    response = Element("Response")
    speaking = {"voice": carrier_voice(voice), "language": language}
    for verb in document:
        _add(response, verb, speaking)
    return ElementTree.tostring(response, encoding="unicode")


def carrier_voice(name: str) -> str:
    """A voice that Plivo has: its own by name, a stand-in for those of OpenAI, else the default."""
    upper = name.upper()
    if upper in ("MAN", "WOMAN"):
        return upper
    return name if _OWN_VOICES.fullmatch(name) else _VOICES.get(name.lower(), DEFAULT_VOICE)


def keys(digits: str) -> str:
    """Keys and pauses as Plivo writes them: w is half a second, W a second. p and the comma are their like."""
    plivo = digits.translate(_PAUSES)
    if _KEYS.fullmatch(plivo) is None:
        raise ValueError(f"{digits[:40]!r} are not keys of a telephone")
    return plivo


def socket_url(connect: Connect) -> str:
    """Where the media socket is opened. The token is the end of the path: that is signed with the address, and of
    extraHeaders it is not certain in which form they come back."""
    parts = take_apart(connect.url)
    if parts is None or parts.scheme not in ("ws", "wss") or parts.query:
        raise ValueError("the address of a media socket is not ws:// or wss://, or it has a query")
    url = _address(f"{connect.url.rstrip('/')}/{quote(connect.token, safe='')}" if connect.token else connect.url)
    if len(url) > MAX_SOCKET_URL:
        raise ValueError(f"the address of a media socket has {len(url)} characters; Plivo takes {MAX_SOCKET_URL}")
    return url


def _add(response: Element, verb: Verb, speaking: Mapping[str, str]) -> None:
    match verb:
        case Say(text):
            _say(response, text, speaking)
        case Listen():
            _listen(response, verb, speaking)
        case Keys(digits):
            _put(response, "DTMF", keys(digits))
        case Connect():
            _connect(response, verb)
        case Transfer():
            _dial(response, verb)
        case Pause(seconds):
            _put(response, "Wait", length=str(max(1, seconds)))
        case Redirect(url):
            _put(response, "Redirect", _address(url), method="POST")
        case Reject(reason):
            _put(response, "Hangup", reason=reason)
        case Hangup():
            _put(response, "Hangup")


def _say(parent: Element, text: str, speaking: Mapping[str, str]) -> None:
    """`parent`: a Response or a GetInput."""
    for piece in split_text(text, SAY_LIMIT):
        _put(parent, "Speak", piece, **speaking)


def _listen(response: Element, listen: Listen, speaking: Mapping[str, str]) -> None:
    """A GetInput that hears nothing is passed over: the Redirect tells us that."""
    url = _address(listen.url)
    partial = {}
    if listen.partial_url:
        partial = {
            "interimSpeechResultsCallback": _address(listen.partial_url),
            "interimSpeechResultsCallbackMethod": "POST",
        }
    heard = _put(
        response,
        "GetInput",
        action=url,
        method="POST",
        inputType="dtmf speech",
        executionTimeout=str(LISTEN_SECONDS),
        digitEndTimeout=str(END_SECONDS),
        speechEndTimeout=str(END_SECONDS),
        finishOnKey="none",
        language=speaking["language"],
        redirect="true",
        **partial,
    )
    _say(heard, listen.prompt, speaking)
    _put(response, "Redirect", url, method="POST")


def _connect(response: Element, connect: Connect) -> None:
    """A two-way stream that holds the document up for as long as it lasts."""
    status = {}
    if connect.status_url:
        status = {"statusCallbackUrl": _address(connect.status_url), "statusCallbackMethod": "POST"}
    _put(
        response,
        "Stream",
        socket_url(connect),
        bidirectional="true",
        keepCallAlive="true",
        contentType=AUDIO,
        **status,
    )
    if connect.again_url:
        _put(response, "Wait", length=str(HELD_SECONDS))
        _put(response, "Redirect", _address(connect.again_url), method="POST")


def _dial(response: Element, transfer: Transfer) -> None:
    if _NUMBER.fullmatch(transfer.to_number) is None:
        raise ValueError(f"{transfer.to_number[:40]!r} is not a number that can be dialled")
    caller_id = {"callerId": to_plivo(clean(transfer.caller_id, "a caller id"))} if transfer.caller_id else {}
    dial = _put(
        response,
        "Dial",
        timeout=str(min(max(1, transfer.ring_seconds), MAX_RING_SECONDS)),
        action=_address(transfer.url),
        method="POST",
        redirect="true",
        **caller_id,
    )
    _put(dial, "Number", to_plivo(transfer.to_number))


def _put(parent: Element, name: str, text: str = "", /, **attributes: str) -> Element:
    made = SubElement(parent, name, {key: value for key, value in attributes.items() if value})
    made.text = text or None
    return made


def _address(url: str) -> str:
    parts = take_apart(url)
    if parts is None or not parts.host or re.search(r"\s", url):
        raise ValueError("a document holds an address that is none")
    return clean(url, "an address")
