"""What the carrier says it has played, and what that leaves us to believe in between.

A mark is a name that the carrier sends back once everything before it has been played. Positions are ms on the
stream's own timeline: all audio that was ever sent on it, end to end.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(slots=True, frozen=True)
class Mark(Generic[T]):
    """A question to the carrier. `of` is the line that it belongs to, `final` says that the line ends there."""

    name: str
    of: T
    at_ms: int
    final: bool


class MarkBook(Generic[T]):
    """The marks of one stream that are not back yet."""

    def __init__(self) -> None:
        self._pending: deque[Mark[T]] = deque()
        self._asked = 0
        self._played_ms = 0
        self._played_at = float("-inf")

    def ask(self, of: T, at_ms: int, final: bool) -> str:
        """Note a mark that is about to be sent; returns its name, unique in the stream."""
        self._asked += 1
        name = str(self._asked)
        self._pending.append(Mark(name, of, at_ms, final))
        return name

    def returned(self, name: str, now: float) -> list[Mark[T]]:
        """The marks that this answer confirms, oldest first: earlier ones that got lost are implied.

        Empty for a name that is not pending: its audio was cleared, or nobody asked.
        """
        if not any(mark.name == name for mark in self._pending):
            return []
        confirmed: list[Mark[T]] = []
        while not confirmed or confirmed[-1].name != name:
            confirmed.append(self._pending.popleft())
        self._played_ms, self._played_at = confirmed[-1].at_ms, now
        return confirmed

    def played_ms(self, now: float, by_clock: float, sent_ms: int) -> int:
        """How far the carrier has played by `now`, at most.

        `by_clock` is where our own schedule believes it to be; the carrier may be behind that by the network's delay,
        never past a mark that is not back, and no further than the time since the last one allows.
        """
        since = self._played_ms + (now - self._played_at) * 1000
        limit = self._pending[0].at_ms if self._pending else sent_ms
        return max(self._played_ms, round(min(by_clock, since, limit)))

    def forget(self, of: T) -> None:
        """Nobody waits for this line's marks any more."""
        self._pending = deque(mark for mark in self._pending if mark.of is not of)

    def clear(self, sent_ms: int) -> None:
        """The carrier's buffer was emptied: marks that come back now mean nothing, and what was sent is over."""
        self._pending.clear()
        self._played_ms = sent_ms
