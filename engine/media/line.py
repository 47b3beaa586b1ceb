"""One line of ours while it is played: frames that wait to be sent, and how far it has come."""

from __future__ import annotations

from collections import deque
from typing import Final

from engine.media.audio import FRAME_BYTES, SILENCE
from engine.media.ledger import LineLedger

_PAD: Final = bytes((SILENCE,)) * FRAME_BYTES


class Line:
    """One line between `begin` and the return of its last mark."""

    __slots__ = ("deadline", "fed_at", "finished", "frames", "ledger", "say_id", "start_ms", "started", "tail")

    def __init__(self, say_id: str, now: float) -> None:
        self.say_id = say_id
        self.fed_at = now
        """When it got audio last."""
        self.frames: deque[bytes] = deque()
        self.tail = b""
        self.ledger = LineLedger()
        self.finished = False
        self.started = False
        self.start_ms = 0
        """Where on the stream's timeline (`Playout`) its first frame lies."""
        self.deadline = 0.0
        """When its last mark has to be back."""

    def push(self, payload: bytes) -> None:
        """More audio; what does not fill a frame waits for the rest."""
        data = self.tail + payload if self.tail else payload
        whole = len(data) - len(data) % FRAME_BYTES
        self.frames.extend([data[at : at + FRAME_BYTES] for at in range(0, whole, FRAME_BYTES)])
        self.tail = data[whole:]
        self.ledger.synthesized_bytes += len(payload)

    def finish(self) -> None:
        """There is no more audio; the last frame is filled up with silence."""
        self.finished = True
        if self.tail:
            self.frames.append(self.tail + _PAD[len(self.tail) :])
            self.tail = b""

    def is_over(self, played_ms: int) -> bool:
        """The stream was played past its end, by what is known of it."""
        return self.finished and not self.frames and played_ms - self.start_ms >= self.ledger.synthesized_ms
