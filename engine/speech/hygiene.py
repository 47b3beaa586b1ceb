"""What may be said aloud: text as written by a model or a program, made fit for a voice.

Models write for screens. A voice that reads asterisks, links, code or its own reasoning to a caller is a fault of
ours, so all of it is removed here, whatever brain the text came from.
"""

from __future__ import annotations

import json
import re
import unicodedata
from typing import Final
from urllib.parse import urlsplit

REASONING_TAGS: Final = ("think", "thinking", "thought", "reasoning", "scratchpad")
"""Elements in which models put what is not meant for the listener."""
WRAPPER_KEYS: Final = ("spoken", "say", "speech", "response", "reply", "text", "message", "content")
"""Where the words are when a model answers with a JSON object, in order of preference."""

_TAGS: Final = "|".join(REASONING_TAGS)
_REASONING: Final = re.compile(rf"<({_TAGS})\b[^>]{{0,80}}>.*?(?:</\1\s*>|\Z)", re.IGNORECASE | re.DOTALL)
_FENCE: Final = re.compile(r"(```|~~~).*?(?:\1|\Z)", re.DOTALL)
_WHOLE_FENCE: Final = re.compile(r"\s*```(?:json)?\s*(\{.*\})\s*```\s*\Z", re.DOTALL | re.IGNORECASE)
_IMAGE_OR_LINK: Final = re.compile(r"!?\[([^\[\]\n]{0,300})\]\([^()\s]{0,2000}(?:\s+\"[^\"\n]{0,200}\")?\)")
_URL: Final = re.compile(r"<?\b(?:https?://|www\.)[^\s<>\"']+>?", re.IGNORECASE)
_ELEMENT: Final = re.compile(r"</?[a-zA-Z][a-zA-Z0-9-]{0,20}(?:\s[^<>\n]{0,200})?/?>")
_TABLE_RULE: Final = re.compile(r"^[ \t]*\|?(?:[ \t]*:?-{2,}:?[ \t]*\|?)+[ \t]*$", re.MULTILINE)
_RULE: Final = re.compile(r"^[ \t]*(?:[-*_][ \t]*){3,}$", re.MULTILINE)
_LINE_MARKER: Final = re.compile(
    r"^[ \t]*(?:>[ \t]*)*(?:#{1,6}[ \t]+|[-*+\u2022][ \t]+|\d{1,3}[.)][ \t]+(?=\S))?", re.M
)
_EMPHASIS: Final = re.compile(r"\*+(?=\S)|(?<=\S)\*+|~~|`+|(?<!\w)_+(?=\w)|(?<=[\w.,!?])_+(?!\w)")
_SPACE_BEFORE: Final = re.compile(r"\s+([.,;:!?])(?!\d)")
_KEPT: Final = frozenset("\u00b0\u200c")
"""The degree sign, which is a symbol like the emojis, and the non-joiner, which some scripts spell with."""
_UNSPEAKABLE: Final = frozenset({"So", "Sk", "Cc", "Cf", "Cs", "Co", "Cn"})


def unwrap(text: str) -> str | None:
    """The words inside `{"spoken": "..."}` (also in a fenced block); None when `text` is no such object."""
    fenced = _WHOLE_FENCE.match(text)
    try:
        value = json.loads(fenced.group(1) if fenced else text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict):
        return None
    return next((value[key] for key in WRAPPER_KEYS if isinstance(value.get(key), str)), None)


def spoken(text: str) -> str:
    """`text` as one line that a voice can read; empty when nothing of it can be said."""
    if text.lstrip()[:1] in ("{", "`"):
        inner = unwrap(text)
        text = text if inner is None else inner
    text = _REASONING.sub(" ", text)
    text = _FENCE.sub(" ", text)
    text = _IMAGE_OR_LINK.sub(r"\1", text)
    text = _URL.sub(_shortened, text)
    text = _ELEMENT.sub(" ", text)
    text = _RULE.sub("", _TABLE_RULE.sub("", text))
    text = _LINE_MARKER.sub("", text)
    text = _EMPHASIS.sub("", text).replace("|", " ")
    text = " ".join(_speakable(text).split())
    text = _SPACE_BEFORE.sub(r"\1", text)
    return text if any(character.isalnum() for character in text) else ""


def _shortened(match: re.Match[str]) -> str:
    """A link as one would say it: the host, without scheme, www and path."""
    found = match.group().strip("<>")
    url = found.rstrip(".,;:!?)")
    try:
        host = urlsplit(url if "://" in url else f"//{url}").hostname or ""
    except ValueError:
        host = ""
    return host.removeprefix("www.") + found[len(url) :].rstrip(")")


def _speakable(text: str) -> str:
    """Without emojis, control and invisible characters (a tab or a line break becomes a space)."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        character
        if character in _KEPT or unicodedata.category(character) not in _UNSPEAKABLE
        else (" " if character.isspace() else "")
        for character in text
        if not "\ufe00" <= character <= "\ufe0f"
    )
