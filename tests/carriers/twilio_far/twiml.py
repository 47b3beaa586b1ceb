"""Reads TwiML as Twilio does: a document in, verbs and remarks out. Pure.

Unknown verbs and attributes are remarks (12200) and are left out, as Twilio's schema warnings say. A document that
can not be used at all is `Unusable` with the error's number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final
from xml.etree import ElementTree

BODY_LIMIT: Final = 64 * 1024
_TYPES: Final = frozenset({"text/xml", "application/xml", "text/html"})


class Unusable(Exception):
    """The document ends the call."""

    def __init__(self, code: int, why: str) -> None:
        super().__init__(why)
        self.code = code


@dataclass(frozen=True)
class Say:
    text: str
    voice: str = ""
    language: str = ""


@dataclass(frozen=True)
class PlayDigits:
    digits: str


@dataclass(frozen=True)
class Pause:
    seconds: float


@dataclass(frozen=True)
class Gather:
    action: str
    partial_url: str
    speech: bool
    keys: bool
    timeout_s: float
    speech_timeout: str
    num_digits: int
    finish_on_key: str
    action_on_empty: bool
    barge_in: bool
    language: str
    prompt: tuple[Say | PlayDigits | Pause, ...]


@dataclass(frozen=True)
class Connect:
    url: str
    action: str
    parameters: Mapping[str, str]
    status_url: str


@dataclass(frozen=True)
class Redirect:
    url: str
    method: str


@dataclass(frozen=True)
class Dial:
    number: str
    caller_id: str
    timeout_s: float
    time_limit_s: float
    action: str


@dataclass(frozen=True)
class Reject:
    reason: str


@dataclass(frozen=True)
class Hangup:
    pass


Verb = Say | PlayDigits | Pause | Gather | Connect | Redirect | Dial | Reject | Hangup
_ATTRIBUTES: Final[Mapping[str, frozenset[str]]] = {
    "Response": frozenset(),
    "Say": frozenset({"voice", "language", "loop"}),
    "Play": frozenset({"digits", "loop"}),
    "Pause": frozenset({"length"}),
    "Gather": frozenset(
        {
            "input", "action", "method", "timeout", "speechTimeout", "maxSpeechTime", "profanityFilter",
            "finishOnKey",
            "numDigits", "partialResultCallback", "partialResultCallbackMethod", "language", "hints", "bargeIn",
            "actionOnEmptyResult", "dtmfDetection", "speechModel", "enhanced", "debug",
        }
    ),
    "Connect": frozenset({"action", "method"}),
    "Stream": frozenset({"url", "name", "track", "statusCallback", "statusCallbackMethod", "connectorName"}),
    "Parameter": frozenset({"name", "value"}),
    "Redirect": frozenset({"method"}),
    "Dial": frozenset(
        {
            "action", "method", "timeout", "hangupOnStar", "timeLimit", "callerId", "record", "trim",
            "answerOnBridge",
            "ringTone", "sequential", "recordingStatusCallback",
        }
    ),
    "Number": frozenset({"sendDigits", "url", "method", "statusCallback", "statusCallbackEvent", "byoc"}),
    "Reject": frozenset({"reason"}),
    "Hangup": frozenset(),
}  # fmt: skip
_PARTS: Final[Mapping[str, frozenset[str]]] = {
    "Response": frozenset({"Say", "Play", "Pause", "Gather", "Connect", "Redirect", "Dial", "Reject", "Hangup"}),
    "Gather": frozenset({"Say", "Play", "Pause"}),
    "Connect": frozenset({"Stream"}),
    "Stream": frozenset({"Parameter"}),
    "Dial": frozenset({"Number"}),
}


@dataclass
class Reading:
    """A document that was read."""

    verbs: list[Verb] = field(default_factory=list)
    remarks: list[tuple[int, str]] = field(default_factory=list)
    """Code and text of what Twilio would warn about."""


def read_reply(content_type: str, body: bytes) -> Reading:
    """The document in a webhook's reply. Raises Unusable."""
    kind = content_type.partition(";")[0].strip().lower()
    if len(body) > BODY_LIMIT:
        raise Unusable(11750, f"TwiML response body too large: {len(body)} bytes")
    if not body:
        return Reading()
    if kind not in _TYPES:
        raise Unusable(12300, f"Invalid Content-Type: {content_type[:60]!r}")
    return read_twiml(body)


def read_twiml(text: str | bytes) -> Reading:
    """A document. Raises Unusable."""
    try:
        root = ElementTree.fromstring(text)
    except (ElementTree.ParseError, ValueError) as error:
        raise Unusable(12100, f"Document parse failure: {error}") from error
    if root.tag != "Response":
        raise Unusable(12102, f"The root element must be Response, not {root.tag[:40]!r}")
    reading = Reading()
    _check(root, reading)
    for element in root:
        verb = _verb(element, reading)
        if verb is not None:
            reading.verbs.append(verb)
    return reading


def _check(element: ElementTree.Element, reading: Reading) -> None:
    """Twilio's schema: which attributes and parts an element may have."""
    known = _ATTRIBUTES.get(element.tag, frozenset())
    for name in element.attrib:
        if name not in known:
            reading.remarks.append((12200, f"{element.tag} has no attribute {name}"))
    for part in element:
        if part.tag not in _PARTS.get(element.tag, frozenset()):
            reading.remarks.append((12200, f"{element.tag} may not hold {part.tag}"))
        else:
            _check(part, reading)


def _verb(element: ElementTree.Element, reading: Reading) -> Verb | None:
    get = element.get
    match element.tag:
        case "Say" | "Play" | "Pause":
            return _sound(element, reading)
        case "Gather":
            inputs = get("input", "dtmf").split()
            prompt = [_sound(part, reading) for part in element if part.tag in _PARTS["Gather"]]
            return Gather(
                action=get("action", ""),
                partial_url=get("partialResultCallback", ""),
                speech="speech" in inputs,
                keys="dtmf" in inputs,
                timeout_s=float(get("timeout", "5")),
                speech_timeout=get("speechTimeout", "auto"),
                num_digits=int(get("numDigits", "0")),
                finish_on_key=get("finishOnKey", "#"),
                action_on_empty=get("actionOnEmptyResult", "false") == "true",
                barge_in=get("bargeIn", "true") == "true",
                language=get("language", "en-US"),
                prompt=tuple(part for part in prompt if part is not None),
            )
        case "Connect":
            return _connect(element, reading)
        case "Redirect":
            return Redirect((element.text or "").strip(), get("method", "POST"))
        case "Dial":
            number = element.find("Number")
            text = (number.text if number is not None else element.text) or ""
            limit = float(get("timeLimit", "14400"))
            return Dial(text.strip(), get("callerId", ""), float(get("timeout", "30")), limit, get("action", ""))
        case "Reject":
            return Reject(get("reason", "rejected"))
        case "Hangup":
            return Hangup()
    return None


def _sound(element: ElementTree.Element, reading: Reading) -> Say | PlayDigits | Pause | None:
    if element.tag == "Pause":
        return Pause(float(element.get("length", "1")))
    if element.tag == "Play":
        digits = element.get("digits", "")
        if not digits or set(digits) - set("0123456789ABCD*#wW"):
            reading.remarks.append((12200, "Play without usable digits"))
            return None
        return PlayDigits(digits)
    text = "".join(element.itertext()).strip()
    if not text:
        reading.remarks.append((13520, "Say: Invalid text"))
        return None
    return Say(text, element.get("voice", ""), element.get("language", ""))


def _connect(element: ElementTree.Element, reading: Reading) -> Connect | None:
    streams: Sequence[ElementTree.Element] = element.findall("Stream")
    if len(streams) != 1:
        reading.remarks.append((12200, "Connect wants one Stream"))
        return None
    stream = streams[0]
    if stream.get("track", "inbound_track") != "inbound_track":
        reading.remarks.append((31941, "Connect takes the inbound track only"))
        return None
    parameters = {}
    for part in stream.findall("Parameter"):
        name, value = part.get("name", ""), part.get("value", "")
        if len(name) + len(value) > 500:
            reading.remarks.append((12200, f"Parameter {name[:40]} is longer than 500 characters"))
        else:
            parameters[name] = value
    return Connect(stream.get("url", ""), element.get("action", ""), parameters, stream.get("statusCallback", ""))
