"""Where a text may be cut for a voice: after a sentence, else after a comma, else between two words."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from engine.media.ledger import heard_text

PIECE_CHARS: Final = 200
"""A longer text is synthesized in pieces of about this size, so that its first words are ready early."""
_SENTENCE: Final = re.compile(r"[.!?\u2026][\"')\]]*\s|[\u3002\uff01\uff1f]")
_COMMA: Final = re.compile(r"[,;:]\s|[\u3001\uff0c]")
_BORDERS: Final = (_SENTENCE, _COMMA, re.compile(r"\s"))
_SLOWEST_MS: Final = 90
"""Nobody takes longer than this for a character: a text of n characters that played for m ms is spoken up to the
character m / 90 at least."""


def pieces(text: str, first: int = PIECE_CHARS, others: int = 0) -> Iterator[str]:
    """Cut a text at the best border near `first` characters, and then near `others`."""
    limit = first
    while len(text) > limit:
        at = _border(text, limit)
        if piece := text[:at].strip():
            yield piece
        text = text[at:].strip()
        limit = others or first
    if text.strip():
        yield text.strip()


def rest_after(text: str, spoken_ms: int) -> str:
    """What is to be said again when a voice broke off after `spoken_ms`: from the last sentence or comma on that was
    certainly reached. Words are said twice rather than left out; who listens knows that from people."""
    reached = len(heard_text(text, spoken_ms, max(1, len(text) * _SLOWEST_MS)))
    ends = [match.end() for border in (_SENTENCE, _COMMA) for match in border.finditer(text, 0, reached + 1)]
    return text[max((end for end in ends if end <= reached + 1), default=0) :].lstrip() or text


def _border(text: str, limit: int) -> int:
    for border in _BORDERS:
        ends = [match.end() for match in border.finditer(text, limit // 4, limit)]
        if ends:
            return ends[-1]
    return limit
