"""OpenAI's speaking models: which way each speaks, and until when.

Announced ends: developers.openai.com/api/docs/deprecations, as of November 2026.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

ENDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "tts-1": "2027-01-06",
        "tts-1-hd": "2027-01-06",
        "gpt-4o-mini-tts": "2027-01-06",
        "gpt-4o-mini-tts-2025-12-15": "2027-01-06",
        "gpt-realtime": "2027-01-20",
        "gpt-realtime-mini": "2027-01-20",
    }
)
"""Model -> the day on which OpenAI switches it off."""


def is_realtime(model: str) -> bool:
    """Whether a model speaks over a socket and not over `/audio/speech`."""
    return "realtime" in model
