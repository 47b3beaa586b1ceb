"""What the events of one call tell of whether it needs a person: a pure, bounded part of its record."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any, Final

from engine.calls.events import Event
from engine.calls.latency import is_over_budget

SLOW_TURNS: Final = 2
"""Turns over budget in a row that make the agent slow."""
REPEATED_WORDS: Final = 3
"""Fewer words may well be said twice: "yes", "hello?"."""
ALIKE: Final = 0.7
"""Share of words that two sayings have in common, from which one repeats the other."""
KEPT_SAYINGS: Final = 4

_PERSON: Final = re.compile(
    r"\b(?:(?:speak(?:ing)?|talk(?:ing)?|chat|get|connect|transfer|put)\b[^.?!]{0,30}\b(?:to|with|through|me)\b[^.?!]{0,20}"
    r"|(?:want|need|like|prefer|have|give me|is there|are you)\b[^.?!]{0,20})"
    r"\b(?:human|real person|person|somebody real|someone real|live agent|representative|operator|manager"
    r"|supervisor|receptionist|real human|machine|robot)\b"
    r"|^\W*(?:operator|representative|human|real person|agent)\W*(?:please)?\W*$",
    re.IGNORECASE,
)
_WORD: Final = re.compile(r"[^\W\d_]+|\d+")


@dataclass(frozen=True, slots=True)
class Signs:
    """What the events of one call tell beside its record. Times are epoch ms, 0 is never."""

    said: tuple[frozenset[str], ...] = ()
    """Words of the caller's last sayings."""
    repeated_at: int = 0
    person_at: int = 0
    unanswered_at: int = 0
    talking_at: int = 0
    deaf_at: int = 0
    lost_at: int = 0
    lost_why: str = ""
    failed_at: int = 0
    failed_why: str = ""
    error_at: int = 0
    back_at: int = 0
    slow: int = 0
    slow_at: int = 0
    ending_at: int = 0
    seconds_left: int = 0
    seen_at: int = 0
    """When somebody acknowledged what there was."""
    told_at: int = 0
    """When the newest of them was told: what is told again later is nothing new."""


def sign(signs: Signs, event: Event) -> Signs:
    """The signs after one more event of their call."""
    if event.at < signs.told_at:
        return signs
    told = _sign(signs, event)
    return signs if told is signs else replace(told, told_at=event.at)


def _sign(signs: Signs, event: Event) -> Signs:
    data, at = event.data, event.at
    match event.type:
        case "speech.started":
            return replace(signs, talking_at=at)
        case "speech.final":
            return _said(replace(signs, talking_at=0, deaf_at=0), event)
        case "speech.failed":
            return replace(signs, deaf_at=signs.deaf_at or at)
        case "speech.ready":
            return replace(signs, deaf_at=0)
        case "say.started":
            return replace(signs, unanswered_at=0, back_at=0)
        case "say.heard":
            return replace(signs, failed_at=0, failed_why="")
        case "say.failed" | "reply.failed":
            why = _text(data, "error") or "the reply failed"
            return replace(signs, failed_at=at, failed_why=why, unanswered_at=0)
        case "stream.lost":
            return replace(signs, lost_at=at, lost_why=_text(data, "why"))
        case "stream.started" | "stream.resumed":
            return replace(signs, lost_at=0, lost_why="")
        case "call.error":
            return replace(signs, error_at=at)
        case "call.returned":
            return replace(signs, back_at=at)
        case "call.near_limit":
            left = data.get("secondsLeft")
            return replace(signs, ending_at=at, seconds_left=left if isinstance(left, int) else 0)
        case "turn.completed":
            return _turn(signs, event)
        case "floor.changed":
            return replace(
                signs,
                unanswered_at=0,
                back_at=0,
                person_at=0 if data.get("holder") == "operator" else signs.person_at,
            )
        case "attention.acknowledged":
            return replace(signs, seen_at=at)
    return signs


def _said(signs: Signs, event: Event) -> Signs:
    text = _text(event.data, "text")
    if not text.strip() or event.data.get("backchannel"):
        return signs
    words = frozenset(_WORD.findall(text.casefold()))
    again = len(words) >= REPEATED_WORDS and any(_alike(words, before) for before in signs.said)
    return replace(
        signs,
        said=(*signs.said, words)[-KEPT_SAYINGS:],
        repeated_at=event.at if again else 0,
        person_at=event.at if _PERSON.search(text) else signs.person_at,
        unanswered_at=event.at,
    )


def _alike(one: frozenset[str], other: frozenset[str]) -> bool:
    return len(other) >= REPEATED_WORDS and len(one & other) / len(one | other) >= ALIKE


def _turn(signs: Signs, event: Event) -> Signs:
    stages = event.data.get("stages")
    total = stages.get("total") if isinstance(stages, dict) else None
    if not isinstance(total, int | float) or not is_over_budget("total", total):
        return replace(signs, slow=0, slow_at=0)
    slow = signs.slow + 1
    return replace(signs, slow=slow, slow_at=event.at if slow == SLOW_TURNS else signs.slow_at)


def _text(data: Any, key: str) -> str:
    value = data.get(key)
    return value[:500] if isinstance(value, str) else ""
