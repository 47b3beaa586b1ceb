"""What a realtime session keeps of the response that runs and of the lines that come of it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from engine.media.audio import PHONE


@dataclass(frozen=True, slots=True)
class Ask:
    """One response that is wanted. `instructions` are for this one only; without `tools` the model can only speak."""

    key: str
    instructions: str = ""
    tools: bool = True


@dataclass(slots=True)
class LineItem:
    """One line of the model."""

    key: str
    audio_bytes: int = 0
    text: str = ""
    over: bool = False
    dead: bool = False
    """Nobody wants more of it."""

    @property
    def ms(self) -> int:
        return self.audio_bytes * 1000 // PHONE.bytes_per_second


@dataclass(slots=True)
class Running:
    """The response that runs."""

    ask: Ask
    id: str = ""
    cancelled: bool = False
    items: list[str] = field(default_factory=list)
    calls: set[str] = field(default_factory=set)


def text_of(event: Mapping[str, Any], key: str) -> str:
    value = event.get(key)
    return value if isinstance(value, str) else ""


def map_of(event: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = event.get(key)
    return value if isinstance(value, Mapping) else {}
