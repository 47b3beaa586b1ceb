"""The local voices, and text made fit for them.

SVOX pico has one speaker per language; accent, pitch and speed make people of them that can be told apart. The values
are ones that a recogniser still understands well over a telephone line: pitches outside 80 to 125 cost words.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final


@dataclass(frozen=True, slots=True)
class PicoVoice:
    """`language` is a pico language; `pitch` and `speed` are percent of its normal."""

    language: str
    pitch: int
    speed: int


VOICES: Final = MappingProxyType(
    {
        "anna": PicoVoice("en-US", 108, 100),
        "ben": PicoVoice("en-US", 80, 90),
        "clara": PicoVoice("en-GB", 100, 100),
        "david": PicoVoice("en-GB", 80, 100),
        "emma": PicoVoice("en-US", 122, 90),
        "frank": PicoVoice("en-US", 90, 105),
        "grace": PicoVoice("en-GB", 118, 90),
        "henry": PicoVoice("en-GB", 88, 85),
    }
)
DEFAULT_VOICE: Final = "anna"

PIECE_CHARS: Final = 200
"""A longer text is synthesized in pieces of about this size, so that its first words are ready early."""
_BORDERS: Final = (re.compile(r"[.!?…][\"')\]]*\s"), re.compile(r"[,;:]\s"), re.compile(r"\s"))
_MARKUP: Final = str.maketrans({"<": " ", ">": " ", "&": " and ", "\\": " "})


def speakable(text: str) -> str:
    """`text` without what pico would take for markup, or crash on (it ends the process at a NUL)."""
    cleaned = unicodedata.normalize("NFKC", text).translate(_MARKUP)
    printable = "".join(" " if unicodedata.category(char)[0] in "CZ" else char for char in cleaned)
    if not any(char.isascii() and char.isalnum() for char in printable):
        return ""  # pico makes a faint noise of scripts that it does not know
    return " ".join(printable.split())


def pieces(text: str) -> Iterator[str]:
    """Cut a speakable text at the best border near PIECE_CHARS: a sentence, else a comma, else a word."""
    while len(text) > PIECE_CHARS:
        at = _border(text)
        yield text[:at].strip()
        text = text[at:].strip()
    if text:
        yield text


def _border(text: str) -> int:
    for border in _BORDERS:
        ends = [match.end() for match in border.finditer(text, PIECE_CHARS // 4, PIECE_CHARS)]
        if ends:
            return ends[-1]
    return PIECE_CHARS
