"""Documents as TwiML, built with Twilio's own builders. Pure.

What Twilio refuses is refused here, where the reason can still be told: an empty Say (13520), a stream address with a
query (31923), a document over 64 kB (11750), characters that no XML may hold (12100). Sources: Twilio's pages on
TwiML for voice, and its error dictionary.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

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
from engine.carriers.urls import take_apart
from engine.carriers.xml_text import clean, split_text

if TYPE_CHECKING:
    from twilio.twiml.voice_response import VoiceResponse

MAX_DOCUMENT: Final = 64_000
"""Bytes of a document that Twilio fetches."""
SAY_LIMIT: Final = 4000
"""Characters of one Say; Twilio takes 4,096."""
LISTEN_SECONDS: Final = 10
"""Silence after which Twilio reports what it heard. It waits as long after the last key, so 120 s, which would do for
speech alone, would keep every key to itself for two minutes."""
HELD_SECONDS: Final = 30
"""How long a call stays open after its stream is gone, before Twilio asks what to do now."""
MAX_PARAMETER: Final = 500
"""Characters of a stream parameter's name and value together."""
MAX_RING_SECONDS: Final = 600
DEFAULT_VOICE: Final = "Polly.Joanna"
_VOICES: Final = {
    "alloy": "Polly.Joanna",
    "echo": "Polly.Matthew",
    "fable": "Polly.Amy",
    "onyx": "Polly.Brian",
    "nova": "Polly.Salli",
    "shimmer": "Polly.Kimberly",
}
_OWN_VOICES: Final = re.compile(r"polly\..+|google\..+|man|woman|alice", re.IGNORECASE)
_KEYS: Final = re.compile(r"[0-9A-D*#wW]+")
_PAUSES: Final = str.maketrans({"p": "w", "P": "W", ",": "W"})
_NUMBER: Final = re.compile(r"\+?[0-9]{1,15}")


def render(document: Document, *, voice: str, language: str) -> WebhookReply:
    """The reply that carries `document`. An empty one is a Response without verbs: Twilio does not take nothing.

    Raises ValueError for what Twilio would not take.
    """
    body = twiml(document, voice=voice, language=language).encode()
    if len(body) > MAX_DOCUMENT:
        raise ValueError(f"a document of {len(body)} bytes; Twilio takes {MAX_DOCUMENT}")
    return WebhookReply(200, body, "text/xml")


def twiml(document: Document, *, voice: str, language: str) -> str:
    """`document` as XML. `voice` may be a name that other vendors use. Raises ValueError."""
    from twilio.twiml.voice_response import VoiceResponse

    response = VoiceResponse()
    speaking = {"voice": carrier_voice(voice), "language": language or None}
    for verb in document:
        _add(response, verb, speaking)
    return str(response.to_xml())


def carrier_voice(name: str) -> str:
    """A voice that Twilio has: its own by name, a stand-in for those of OpenAI, else the default."""
    if _OWN_VOICES.fullmatch(name):
        return name
    return _VOICES.get(name.lower(), DEFAULT_VOICE)


def _add(response: VoiceResponse, verb: Verb, speaking: dict[str, Any]) -> None:
    match verb:
        case Say(text):
            _say(response, text, speaking)
        case Listen():
            _listen(response, verb, speaking)
        case Keys(digits):
            response.play(digits=_keys(digits))
        case Connect():
            _connect(response, verb)
        case Transfer():
            _dial(response, verb)
        case Pause(seconds):
            response.pause(length=max(1, seconds))
        case Redirect(url):
            response.redirect(_address(url), method="POST")
        case Reject(reason):
            response.reject(reason=reason)
        case Hangup():
            response.hangup()


def _say(parent: Any, text: str, speaking: dict[str, Any]) -> None:
    """`parent`: a Response or a Gather."""
    for piece in split_text(text, SAY_LIMIT):
        parent.say(piece, **speaking)


def _listen(response: VoiceResponse, listen: Listen, speaking: dict[str, Any]) -> None:
    """A Gather reports silence too; the Redirect is for the case that it does not."""
    url = _address(listen.url)
    gather = response.gather(
        input="speech dtmf",
        action=url,
        method="POST",
        timeout=LISTEN_SECONDS,
        speech_timeout="auto",
        action_on_empty_result=True,
        barge_in=True,
        partial_result_callback=_address(listen.partial_url) if listen.partial_url else None,
        partial_result_callback_method="POST" if listen.partial_url else None,
        language=speaking["language"],
    )
    _say(gather, listen.prompt, speaking)
    response.redirect(url, method="POST")


def _connect(response: VoiceResponse, connect: Connect) -> None:
    """A two-way stream. Twilio drops the query of its address, so the token is a parameter."""
    parts = take_apart(connect.url)
    if parts is None or parts.scheme not in ("ws", "wss") or parts.query:
        raise ValueError("the address of a media socket is not ws:// or wss://, or it has a query")
    if len("token") + len(connect.token) >= MAX_PARAMETER:
        raise ValueError(f"a stream token of {len(connect.token)} characters is too long for Twilio")
    stream = response.connect().stream(
        url=_address(connect.url),
        status_callback=_address(connect.status_url) if connect.status_url else None,
        status_callback_method="POST" if connect.status_url else None,
    )
    if connect.token:
        stream.parameter(name="token", value=clean(connect.token, "a stream token"))
    if connect.again_url:
        response.pause(length=HELD_SECONDS)
        response.redirect(_address(connect.again_url), method="POST")


def _dial(response: VoiceResponse, transfer: Transfer) -> None:
    if _NUMBER.fullmatch(transfer.to_number) is None:
        raise ValueError(f"{transfer.to_number[:40]!r} is not a number that can be dialled")
    dial = response.dial(
        caller_id=clean(transfer.caller_id, "a caller id") or None,
        timeout=min(max(1, transfer.ring_seconds), MAX_RING_SECONDS),
        action=_address(transfer.url),
        method="POST",
    )
    dial.number(transfer.to_number)


def _keys(digits: str) -> str:
    """Keys and pauses as Twilio writes them: w is half a second, W a second. p and the comma are its longer ones."""
    keys = digits.translate(_PAUSES)
    if _KEYS.fullmatch(keys) is None:
        raise ValueError(f"{digits[:40]!r} are not keys of a telephone")
    return keys


def _address(url: str) -> str:
    if take_apart(url) is None or re.search(r"\s", url):
        raise ValueError("a document holds an address that is none")
    return clean(url, "an address")
