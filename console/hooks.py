"""Webhooks as the desk shows them: read from what the engine answered, made safe, and looked for.

Everything in a request was written by somebody else. What is not understood is shown as nothing, and breaks nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from console.text import clean
from console.words import Look

VERDICTS: Final[Mapping[str, Look]] = {
    "ok": Look("✓", "ok", "good"),
    "refused": Look("✗", "refused", "bad"),
    "replay": Look("↻", "replay", "warn"),
}
UNKNOWN: Final = Look("?", "unknown", "warn")
WHO: Final[Mapping[str, Look]] = {
    "public": Look("●", "public", "open", said="anybody on the internet"),
    "tailnet": Look("◐", "tailnet", "warn", said="our tailnet"),
    "network": Look("◐", "network", "warn", said="who reaches this machine's address"),
    "loopback": Look("○", "loopback", "closed", said="programs of this machine"),
}


@dataclass(frozen=True, slots=True)
class Hook:
    """One kept request, in short."""

    id: int
    at: int = 0
    method: str = ""
    path: str = ""
    peer: str = ""
    type: str = ""
    verdict: str = ""
    why: str = ""
    status: int = 0
    ms: int = 0
    call_id: str = ""
    effect: str = ""
    again: str = ""
    """Which request an operator let come again, and who."""

    @property
    def look(self) -> Look:
        return VERDICTS.get(self.verdict, UNKNOWN)

    @property
    def outcome(self) -> str:
        """What came of it, or why nothing did."""
        said = self.why if self.verdict == "refused" else self.effect
        return f"{self.again}{said or 'nothing is known'}"


def read_hook(value: object) -> Hook | None:
    """A request from the engine's list; None for what is none."""
    if not isinstance(value, Mapping) or not _whole(value.get("id")):
        return None
    replayed = value.get("replayed")
    again = f"replay of {_whole(replayed.get('of'))}{_by(replayed)}: " if isinstance(replayed, Mapping) else ""
    return Hook(
        id=_whole(value["id"]),
        at=_whole(value.get("at")),
        method=_word(value, "method", 10),
        path=_word(value, "path", 300),
        peer=_word(value, "peer", 45),
        type=_word(value, "type", 40),
        verdict=_word(value, "verdict", 20),
        why=_word(value, "why", 400),
        status=_whole(value.get("status")),
        ms=_whole(value.get("ms")),
        call_id=_word(value, "callId", 60),
        effect=_word(value, "effect", 400),
        again=again,
    )


def read_hooks(values: object) -> list[Hook]:
    """All that can be read of a list."""
    found = (read_hook(value) for value in values) if isinstance(values, Sequence) else ()
    return [hook for hook in found if hook is not None]


def _by(replayed: Mapping[str, Any]) -> str:
    by = _word(replayed, "by", 20)
    return f" by {by}" if by else ""


@dataclass(frozen=True, slots=True)
class Access:
    """One of our paths, and who reaches it."""

    path: str
    what: str
    who: str
    by: str
    guard: str


def read_access(values: object) -> tuple[Access, ...]:
    """`exposure.access` of the engine's health."""
    if not isinstance(values, Sequence) or isinstance(values, str):
        return ()
    rows = (value for value in values[:12] if isinstance(value, Mapping))
    return tuple(
        Access(
            _word(row, "path", 200),
            _word(row, "what", 20),
            _word(row, "who", 20),
            _word(row, "by", 200),
            _word(row, "guard"),
        )
        for row in rows
    )


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the operator wants to see: a verdict, a call, and words that must all be there."""

    verdict: str | None = None
    call_id: str | None = None
    query: str = ""

    @property
    def text(self) -> str:
        """As it is typed."""
        call = f"call:{self.call_id}" if self.call_id else ""
        return " ".join(filter(None, (self.verdict, call, self.query)))


def parse_wanted(text: str, call_ids: Iterable[str]) -> Wanted:
    """`refused`, `ok` and `replay` are verdicts, `call:` begins the id of a call; the rest is looked for."""
    verdict: str | None = None
    call_id: str | None = None
    words: list[str] = []
    for word in text.split():
        if word.casefold() in VERDICTS:
            verdict = word.casefold()
        elif word.startswith("call:") and len(word) > 5:
            begun = word[5:]
            call_id = next((each for each in call_ids if each.startswith(begun)), begun)
        else:
            words.append(word)
    return Wanted(verdict, call_id, " ".join(words)[:500])


def _word(value: Mapping[str, Any], key: str, limit: int = 200) -> str:
    word = value.get(key)
    return clean(word, limit) if isinstance(word, str) else ""


def _whole(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else 0
