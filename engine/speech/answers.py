"""What services answer when they refuse, made fit to read. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

_LOOKED_AT: Final = 2000
"""Characters of an answer that are looked at."""
_SHOWN: Final = 400
"""Characters of it that are told."""


def short(text: str) -> str:
    """One printable line of it."""
    return " ".join("".join(c if c.isprintable() else " " for c in text[:_LOOKED_AT]).split())[:_SHOWN]


def json_object(text: str) -> Mapping[str, Any]:
    """The JSON object that a text is; empty when it is none."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
