"""Numbers as Plivo writes them, and as we do. Pure.

Plivo leaves out the plus of E.164 in its callbacks and takes numbers without it; both spellings are seen in its
answers. SIP addresses pass through. Source: recorded callbacks and REST answers.
"""

from __future__ import annotations

from typing import Final

_NAMELESS: Final = frozenset({"anonymous", "restricted", "blocked", "unknown", "unavailable", "private", "withheld"})
_SHORT: Final = 7
"""Fewer digits are a short code, which has no country code and gets no plus."""
_LONG: Final = 15


def to_plivo(number: str) -> str:
    """As Plivo takes it."""
    return number if number.startswith("sip:") else number.removeprefix("+")


def from_plivo(number: str) -> str:
    """As we write it; empty for a caller who withholds the number."""
    text = number.strip()
    name = text.lower().removeprefix("sip:").partition("@")[0]
    if name.lstrip("+") in _NAMELESS:
        return ""
    digits = text.removeprefix("+")
    if digits.isascii() and digits.isdecimal() and _SHORT <= len(digits) <= _LONG:
        return f"+{digits}"
    return text
