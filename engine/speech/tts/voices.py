"""The local voices, and text made fit for them.

SVOX pico has one speaker per language; accent, pitch and speed make people of them that can be told apart. The values
are ones that a recogniser still understands well over a telephone line: pitches outside 80 to 125 cost words.
"""

from __future__ import annotations

import unicodedata
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

_MARKUP: Final = str.maketrans({"<": " ", ">": " ", "&": " and ", "\\": " "})


def speakable(text: str) -> str:
    """`text` without what pico would take for markup, or crash on (it ends the process at a NUL)."""
    cleaned = unicodedata.normalize("NFKC", text).translate(_MARKUP)
    printable = "".join(" " if unicodedata.category(char)[0] in "CZ" else char for char in cleaned)
    if not any(char.isascii() and char.isalnum() for char in printable):
        return ""  # pico makes a faint noise of scripts that it does not know
    return " ".join(printable.split())
