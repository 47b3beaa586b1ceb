"""Spellings of keys: snake_case is ours, camelCase is OpenClaw's, and the nearest known key helps the rest."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable


def resolve(key: str, known: Iterable[str]) -> str | None:
    """The known snake_case name that `key` spells, itself or in camelCase; None when there is none."""
    names = set(known)
    if key in names:
        return key
    if not re.fullmatch(r"[a-z][a-z0-9]*(?:[A-Z][A-Za-z0-9]*)+", key):
        return None
    # Compared without borders, so that both trustedProxyIPs and trustedProxyIps are found.
    return next((name for name in names if name.replace("_", "") == key.lower()), None)


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known name that looks most like `word`, when one does."""
    plain = re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", word).replace("-", "_").lower()
    close = difflib.get_close_matches(plain, list(known), n=1, cutoff=0.6)
    return close[0] if close else None
