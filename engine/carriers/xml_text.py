"""Text that goes into a carrier's XML: cut into pieces that fit, and free of what no XML may hold. Pure."""

from __future__ import annotations

import re
from typing import Final

_NOT_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_SENTENCE_END: Final = re.compile(r"[.!?…。！？]['\"”’)\]]*(?=\s)")


def split_text(text: str, limit: int) -> list[str]:
    """`text` in pieces of at most `limit` characters, cut after a sentence, else after a word; nothing for blanks."""
    pieces = []
    rest = _NOT_XML.sub(" ", text).strip()
    while len(rest) > limit:
        at = _cut(rest, limit)
        pieces.append(rest[:at].rstrip())
        rest = rest[at:].lstrip()
    return [*pieces, rest] if rest else pieces


def _cut(text: str, limit: int) -> int:
    """Where the first piece ends. A sentence that leaves most of the room unused is not waited for."""
    head = text[: limit + 1]
    ends = [found.end() for found in _SENTENCE_END.finditer(head)]
    if ends and ends[-1] >= limit // 2:
        return ends[-1]
    blanks = [at for at, letter in enumerate(head) if letter.isspace()]
    return blanks[-1] if blanks else limit


def clean(text: str, what: str) -> str:
    """`text` as it is. Raises ValueError when it holds characters that no XML may hold."""
    if _NOT_XML.search(text):
        raise ValueError(f"{what} holds characters that no XML may hold")
    return text
