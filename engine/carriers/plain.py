"""Text that a carrier or a stranger wrote, for people to read. Pure."""

from __future__ import annotations

from typing import Final

LIMIT: Final = 400


def plain(value: object, limit: int = LIMIT) -> str:
    """One line of printable text out of a field, at most `limit` characters; empty for what is no text."""
    if not isinstance(value, str):
        return ""
    words = "".join(letter if letter.isprintable() else " " for letter in value[: 2 * limit])
    return " ".join(words.split())[:limit]
