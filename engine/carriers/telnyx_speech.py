"""What Telnyx's own voice takes: a text in parts that each fit into one `speak` command. Pure."""

from __future__ import annotations

from math import ceil
from typing import Final

SPEAK_LIMIT: Final = 3000
"""Characters of one `speak` command."""


def say_in_parts(text: str) -> list[str]:
    """`text` in parts of about the same length, broken at a sentence or at least at a word where there is one."""
    words = " ".join(text.split())
    count = ceil(len(words) / SPEAK_LIMIT)
    parts: list[str] = []
    while words:
        left = max(1, count - len(parts))
        size = min(SPEAK_LIMIT, ceil(len(words) / left) + 100)
        if len(words) <= min(size, SPEAK_LIMIT):
            parts.append(words)
            break
        at = max(words.rfind(mark, size // 2, size) for mark in (". ", "? ", "! "))
        at = at + 1 if at > 0 else words.rfind(" ", size // 2, size)
        at = at if at > 0 else size
        parts.append(words[:at].strip())
        words = words[at:].strip()
    return parts
