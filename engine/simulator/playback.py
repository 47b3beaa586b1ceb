"""What waits to be played to a person: our audio and the marks between it, in order. Pure.

The semantics are Twilio's: chunks of any length queue up, a mark comes back once everything before it has been
played, `clear` empties the queue and hands back all pending marks at once, and more than ten minutes are refused.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from engine.media.audio import FRAME_BYTES, PHONE, SILENCE

LIMIT_BYTES: Final = PHONE.bytes_for(600_000)
_PAD: Final = bytes([SILENCE])


class Playback:
    """One stream's playback queue, drained a frame (20 ms) at a time."""

    def __init__(self) -> None:
        self._items: deque[bytes | str] = deque()
        self._waiting = 0
        self._playing = False

    @property
    def waiting_ms(self) -> int:
        """How much audio waits."""
        return self._waiting * 1000 // PHONE.bytes_per_second

    @property
    def idle(self) -> bool:
        """Nothing waits and nothing sounds."""
        return not self._items and not self._playing

    def push(self, payload: bytes) -> bool:
        """Queue mu-law audio. False when more than ten minutes would wait: nothing is queued then."""
        if self._waiting + len(payload) > LIMIT_BYTES:
            return False
        if payload:
            self._items.append(payload)
            self._waiting += len(payload)
        return True

    def mark(self, name: str) -> bool:
        """Queue a mark. True when nothing is left to play before it: it is not queued, send it back now."""
        if self.idle:
            return True
        self._items.append(name)
        return False

    def clear(self) -> list[str]:
        """Drop everything; the marks that waited, in order. The frame that sounds is not recalled."""
        marks = [item for item in self._items if isinstance(item, str)]
        self._items.clear()
        self._waiting = 0
        return marks

    def next_frame(self) -> tuple[bytes | None, list[str]]:
        """The 20 ms that sound from now on (None: silence), and the marks whose audio has just ended."""
        marks: list[str] = []
        self._drain_marks(marks)
        frame = self._take()
        self._playing = frame is not None
        return frame, marks

    def _drain_marks(self, marks: list[str]) -> None:
        items = self._items
        while items and isinstance(items[0], str):
            marks.append(str(items.popleft()))

    def _take(self) -> bytes | None:
        items = self._items
        if not items:
            return None
        head = items[0]
        if isinstance(head, bytes) and len(head) == FRAME_BYTES:
            items.popleft()
            self._waiting -= FRAME_BYTES
            return head
        return self._gather()

    def _gather(self) -> bytes:
        """A frame out of chunks of other sizes. It ends early, padded with silence, at a mark or at the end."""
        items, parts, missing = self._items, list[bytes](), FRAME_BYTES
        while missing and items and isinstance(items[0], bytes):
            chunk = items.popleft()
            assert isinstance(chunk, bytes)
            parts.append(chunk[:missing])
            if len(chunk) > missing:
                items.appendleft(chunk[missing:])
            missing -= len(parts[-1])
        frame = b"".join(parts)
        self._waiting -= len(frame)
        return frame.ljust(FRAME_BYTES, _PAD)
