"""Untrusted text made safe for a terminal line, and the arithmetic of terminal cells.

Everything that a caller, a carrier or a model wrote passes through `clean` before it is drawn. Nothing here knows
markup, and nothing that is drawn is ever parsed as markup: `[@click=...]` stays the nine characters that it is.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import Final

from rich.cells import cell_len, get_character_cell_size, set_cell_size

MAX_CHARS: Final = 4000
"""Characters of one text that are drawn; the log keeps the whole."""
MAX_MARKS: Final = 3
"""Combining marks on one character; more is a pile that leaks into other rows."""

_SEQUENCES: Final = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"  # CSI
    r"|(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c]{0,4096}(?:\x07|\x1b\\|\x9c)"  # OSC, DCS, SOS, PM, APC
    r"|\x1b[ -/]*[0-~]?"  # what is left of any other escape
)
_SPACE: Final = re.compile(r"\s+")
_DROPPED: Final = frozenset({"Cc", "Cf", "Cs", "Cn", "Co"})
"""Controls, format characters (bidirectional overrides, joiners, tags), surrogates, unassigned, private use."""


@lru_cache(maxsize=4096)
def clean(text: str, limit: int = MAX_CHARS) -> str:
    """One line of printable text: no control, escape, bidirectional or invisible characters, spaces collapsed."""
    text = text[: limit * 2]
    if not (text.isascii() and text.isprintable()):
        text = "".join(_printable(_SEQUENCES.sub("", text)))
    text = _SPACE.sub(" ", text).strip()
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _printable(text: str) -> list[str]:
    kept: list[str] = []
    marks = 0
    for char in text:
        category = unicodedata.category(char)
        if char.isspace():
            kept.append(" ")
        elif category in ("Mn", "Me"):
            marks += 1
            if marks <= MAX_MARKS and not _is_selector(char):
                kept.append(char)
            continue
        elif category not in _DROPPED:
            kept.append(char)
        marks = 0
    return kept


def _is_selector(char: str) -> bool:
    """Variation selectors change a width that terminals do not agree on."""
    return "\ufe00" <= char <= "\ufe0f" or "\U000e0100" <= char <= "\U000e01ef"


def fit(text: str, width: int) -> str:
    """`text` in exactly `width` cells: cut with an ellipsis, or padded."""
    if width <= 0:
        return ""
    if cell_len(text) > width:
        text = set_cell_size(text, width - 1).rstrip() + "…"
    return set_cell_size(text, width)


def wrap(text: str, width: int) -> list[tuple[int, int]]:
    """Where the lines of `text` begin and end when it is wrapped at words to `width` cells.

    A word longer than a line is broken. Always returns at least one line; the space at a break belongs to no line.
    """
    width = max(2, width)
    lines: list[tuple[int, int]] = []
    start = at = 0
    cells = 0
    last_space = -1
    for at, char in enumerate(text):
        size = get_character_cell_size(char)
        if cells + size > width:
            if char == " ":
                lines.append((start, at))
                start, cells, last_space = at + 1, 0, -1
                continue
            if last_space > start:
                lines.append((start, last_space))
                start = last_space + 1
                cells = cell_len(text[start:at])
            else:
                lines.append((start, at))
                start, cells = at, 0
            last_space = -1
        if char == " ":
            last_space = at
        cells += size
    lines.append((start, len(text)))
    return lines


def mask(number: str) -> str:
    """A telephone number that can be shown to the room: country and last two digits."""
    digits = number.strip()
    if len(digits) < 7:
        return "•" * len(digits)
    return f"{digits[:3]}{'•' * (len(digits) - 5)}{digits[-2:]}"


def clock_text(seconds: float) -> str:
    """A duration as an operator reads it: `01:07`, above an hour `1h02`."""
    whole = max(0, int(seconds))
    if whole >= 3600:
        return f"{whole // 3600}h{whole % 3600 // 60:02d}"
    return f"{whole // 60:02d}:{whole % 60:02d}"


def count_text(count: int, singular: str, plural: str = "") -> str:
    """`1 call`, `3 calls`."""
    return f"{count} {singular if count == 1 else plural or singular + 's'}"
