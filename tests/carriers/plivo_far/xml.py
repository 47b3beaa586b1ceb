"""Reads Plivo XML as Plivo does: a reply in, elements and remarks out. Pure.

What Plivo ignores is a remark; what it can not use at all is `Unusable`. Elements and attributes are those of the
builders in plivo-python 4.63 and of Plivo's pages.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit
from xml.etree import ElementTree

BODY_LIMIT: Final = 100 * 1024
_TYPES: Final = frozenset({"text/xml", "application/xml"})
AUDIO: Final = frozenset({"audio/x-mulaw;rate=8000", "audio/x-l16;rate=8000", "audio/x-l16;rate=16000"})
_ATTRIBUTES: Final[Mapping[str, str]] = {
    "Response": "",
    "Speak": "voice language loop",
    "Play": "loop",
    "DTMF": "async",
    "Wait": "length silence minSilence beep",
    "GetInput": "action method inputType executionTimeout digitEndTimeout speechEndTimeout finishOnKey numDigits "
    "speechModel hints language interimSpeechResultsCallback interimSpeechResultsCallbackMethod log redirect "
    "profanityFilter",
    "Stream": "bidirectional audioTrack streamTimeout statusCallbackUrl statusCallbackMethod contentType "
    "keepCallAlive extraHeaders",
    "Dial": "action method timeout timeLimit callerId callerName redirect confirmSound confirmKey confirmTimeout "
    "callbackUrl callbackMethod digitsMatch digitsMatchBLeg sipHeaders dialMusic hangupOnStar",
    "Number": "sendDigits sendOnPreanswer sendDigitsMode",
    "Redirect": "method",
    "Hangup": "reason schedule",
}
_INSIDE: Final = {"GetInput": {"Speak", "Play", "Wait"}, "Dial": {"Number", "User"}}
_TWILIO: Final = frozenset({"Reject", "Gather", "Connect", "Pause"})
"""Verbs of another carrier, which break a document here."""


class Unusable(Exception):
    """The document ends the call."""


@dataclass(frozen=True)
class Element:
    name: str
    attributes: Mapping[str, str]
    text: str = ""
    inner: Sequence[Element] = ()

    def get(self, name: str, default: str = "") -> str:
        return self.attributes.get(name, default)


@dataclass
class Reading:
    elements: list[Element] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


def read_reply(content_type: str, body: bytes) -> Reading:
    """A reply as it came. Raises Unusable."""
    kind = content_type.partition(";")[0].strip().lower()
    if kind not in _TYPES:
        raise Unusable(f"Content-Type {kind or 'missing'}")
    if len(body) > BODY_LIMIT:
        raise Unusable("the document is over 100 KB")
    return read_xml(body)


def read_xml(body: bytes) -> Reading:
    """A document. Raises Unusable."""
    if not body.strip():
        raise Unusable("the answer is empty")
    try:
        root = ElementTree.fromstring(body)
    except ElementTree.ParseError as error:
        raise Unusable(f"not well-formed: {error}") from error
    if root.tag != "Response":
        raise Unusable(f"the root is {root.tag}")
    reading = Reading()
    for node in root:
        if node.tag in _TWILIO:
            raise Unusable(f"there is no {node.tag}")
        if node.tag not in _ATTRIBUTES or node.tag in ("Response", "Number"):
            reading.remarks.append(f"{node.tag} is ignored")
            continue
        reading.elements.append(_element(node, reading.remarks))
    return reading


def _element(node: ElementTree.Element, remarks: list[str]) -> Element:
    known = set(_ATTRIBUTES.get(node.tag, "").split())
    remarks += [f"{node.tag} has no attribute {name}" for name in node.attrib if name not in known]
    allowed = _INSIDE.get(node.tag, set())
    for inner in node:
        if inner.tag not in allowed:
            remarks.append(f"{inner.tag} can not be inside {node.tag}")
    inside = tuple(_element(inner, remarks) for inner in node if inner.tag in allowed)
    element = Element(node.tag, dict(node.attrib), (node.text or "").strip(), inside)
    _check(element, remarks)
    return element


def _check(element: Element, remarks: list[str]) -> None:
    """Raises Unusable for what Plivo's parser refuses."""
    for name, value in element.attributes.items():
        is_url = name.lower().endswith("url") or name in ("action", "interimSpeechResultsCallback")
        if is_url and urlsplit(value).scheme not in ("http", "https"):
            raise Unusable(f"{element.name} {name} is not absolute")
        if name.lower().endswith("method") and value not in ("GET", "POST"):
            raise Unusable(f"{element.name} {name} is {value}")
    match element.name:
        case "Speak":
            if not element.text or len(element.text) > 3000:
                raise Unusable("Speak has no text, or more than 3000 characters")
        case "Redirect":
            if urlsplit(element.text).scheme not in ("http", "https"):
                raise Unusable("Redirect is not to an absolute address")
        case "Wait":
            if not element.get("length", "1").isdecimal() or int(element.get("length", "1")) < 1:
                raise Unusable("Wait has no length")
        case "DTMF":
            if not element.text or set(element.text) - set("0123456789ABCD*#wW"):
                raise Unusable("DTMF has no keys")
        case "Hangup":
            if element.get("reason", "busy") not in ("busy", "rejected"):
                raise Unusable("Hangup has another reason than busy and rejected")
        case "Dial":
            if not element.inner:
                raise Unusable("Dial calls nobody")
        case "GetInput":
            _check_input(element, remarks)
        case "Stream":
            _check_stream(element, remarks)


def _check_input(element: Element, remarks: list[str]) -> None:
    if set(element.get("inputType").split()) - {"dtmf", "speech"} or not element.get("inputType"):
        raise Unusable("GetInput wants inputType")
    if not 5 <= int(element.get("executionTimeout", "15")) <= 60:
        remarks.append("executionTimeout is 5 to 60")
    for name in ("digitEndTimeout", "speechEndTimeout"):
        if element.get(name, "auto") != "auto" and not 2 <= int(element.get(name)) <= 10:
            remarks.append(f"{name} is auto or 2 to 10")


def _check_stream(element: Element, remarks: list[str]) -> None:
    if urlsplit(element.text).scheme not in ("ws", "wss"):
        raise Unusable("Stream leads to no WebSocket")
    if len(element.text) > 2048 or len(element.get("extraHeaders")) > 512:
        raise Unusable("Stream has too long an address or extraHeaders")
    if element.get("contentType") not in AUDIO:
        remarks.append("Stream does not say a content type that is known")
    if element.get("bidirectional") == "true" and element.get("audioTrack", "inbound") != "inbound":
        raise Unusable("a two-way stream has the inbound track only")
