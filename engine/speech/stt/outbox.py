"""Caller audio on its way to a recogniser: bounded, with the ends of utterances in their places.

When nobody takes it, the oldest audio is dropped and counted; the ends of utterances never are.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Final, Generic, TypeVar

SECONDS: Final = 10
"""How much audio may wait: what a caller says while a connection is made again, and no more, since a text that comes
later than this is of no use to anybody."""

Mark = TypeVar("Mark")


class Outbox(Generic[Mark]):
    """A queue of audio and marks. `bytes_per_second` is of the audio."""

    def __init__(self, bytes_per_second: int, seconds: float = SECONDS) -> None:
        self._bytes_per_second = bytes_per_second
        self._most = int(seconds * bytes_per_second)
        self._items: deque[bytearray | Mark] = deque()
        self._bytes = 0
        self._dropped = 0

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[bytes | Mark]:
        return (bytes(item) if isinstance(item, bytearray) else item for item in self._items)

    @property
    def queued_bytes(self) -> int:
        """Audio that waits."""
        return self._bytes

    @property
    def marked(self) -> bool:
        """An end of an utterance waits."""
        return any(not isinstance(item, bytearray) for item in self._items)

    def audio(self, data: bytes) -> None:
        """Add audio; the oldest goes when it is too much."""
        if not data:
            return
        last = self._items[-1] if self._items else None
        if isinstance(last, bytearray):
            last += data
        else:
            self._items.append(bytearray(data))
        self._bytes += len(data)
        if self._bytes > self._most:
            self._drop(self._bytes - self._most)

    def mark(self, mark: Mark) -> None:
        """Add the end of an utterance."""
        self._items.append(mark)

    def take(self) -> list[bytes | Mark]:
        """Everything that waits, and empty the queue."""
        taken = list(self)
        self.clear()
        return taken

    def take_dropped_ms(self) -> int:
        """Milliseconds of audio dropped since this was last asked."""
        dropped, self._dropped = self._dropped, 0
        return dropped * 1000 // self._bytes_per_second

    def forget_until(self, mark: Mark) -> None:
        """Drop, uncounted, everything up to a mark, which must be inside."""
        while self._items:
            item = self._items.popleft()
            if isinstance(item, bytearray):
                self._bytes -= len(item)
            elif item == mark:
                return

    def clear(self) -> None:
        """Drop everything, uncounted."""
        self._items.clear()
        self._bytes = 0

    def _drop(self, excess: int) -> None:
        self._bytes -= excess
        self._dropped += excess
        for item in self._items:
            if isinstance(item, bytearray):
                taken = min(excess, len(item))
                del item[:taken]
                excess -= taken
                if not excess:
                    return
