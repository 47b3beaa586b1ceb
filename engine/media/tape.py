"""Where each piece of a call's sound belongs on one clock, and the bounded queue in which it waits for the disk.

The caller's frames carry the carrier's own time, so a network that stalls and then brings seconds at once does not
shift them. Ours are placed where they are heard: the playout knows when the carrier plays what it was sent, and what
a `clear` takes away is taken off the tape as well. Nothing here touches a file; a frame costs an append.
"""

from __future__ import annotations

from typing import Final

from engine.media.wav import MAX_SAMPLES, RATE, Piece

LEFT: Final = 0
RIGHT: Final = 1
MAX_WAITING: Final = 1500
"""Pieces that wait for the disk: about 15 s of both sides. After that pieces are dropped, and counted."""
SNAP: Final = RATE // 100
"""Samples (10 ms) by which a piece may miss the end of the one before and still follows it: clocks are not exact."""
EARLY_S: Final = 0.03
"""A frame that comes earlier than its time says proves that the first one was late."""
LATE_S: Final = 30.0
"""A frame that late tells the time of another clock."""
DRIFT_S: Final = 0.04
DRIFT_FRAMES: Final = 500
"""Frames that all come at least `DRIFT_S` late: the carrier's clock is slower than ours."""


class Tape:
    """The sound of one recording on its way. Times are seconds of the playout's clock, `started` is sample 0."""

    def __init__(self, started: float) -> None:
        self.started = started
        self._waiting: list[Piece] = []
        self._next = [-MAX_SAMPLES, -MAX_SAMPLES]
        self._base: float | None = None
        self._count = 0
        self._least_late = LATE_S
        self.lost = 0
        """Samples that were dropped because the disk is too slow."""

    def new_stream(self) -> None:
        """The caller's frames count from another start."""
        self._base = None

    def caller(self, payload: bytes, at_ms: int, now: float) -> None:
        """A frame of the caller that came `now`; `at_ms` is the carrier's own time of it."""
        said = now - len(payload) / RATE
        if self._base is None:
            self._anchor(said - at_ms / 1000)
        assert self._base is not None
        late = said - (self._base + at_ms / 1000)
        if late < -EARLY_S or late > LATE_S:
            self._anchor(said - at_ms / 1000)
            late = 0.0
        self._watch_drift(late)
        self._place(LEFT, self._base + at_ms / 1000, payload)

    def agent(self, payload: bytes, when: float) -> None:
        """A frame of ours that is heard from `when` on, unless `silenced` comes before."""
        self._place(RIGHT, when, payload)

    def silenced(self, now: float) -> None:
        """What was to be heard after `now` is not."""
        at = max(0, round((now - self.started) * RATE))
        self._next[RIGHT] = min(self._next[RIGHT], at)
        self._waiting.append((at, RIGHT, None))  # never dropped: it is rare, and without it the tape would lie

    def take(self) -> list[Piece]:
        """What waits, for the disk."""
        waiting, self._waiting = self._waiting, []
        return waiting

    @property
    def waits(self) -> bool:
        return bool(self._waiting)

    def _anchor(self, base: float) -> None:
        self._base, self._count, self._least_late = base, 0, LATE_S

    def _watch_drift(self, late: float) -> None:
        self._count += 1
        self._least_late = min(self._least_late, late)
        if self._count >= DRIFT_FRAMES:
            shift = self._least_late if self._least_late > DRIFT_S else 0.0
            self._anchor((self._base or 0.0) + shift)

    def _place(self, channel: int, when: float, payload: bytes) -> None:
        at = round((when - self.started) * RATE)
        if abs(at - self._next[channel]) <= SNAP:
            at = self._next[channel]
        if at < 0:
            payload, at = payload[-at:], 0
        if not payload or at + len(payload) > MAX_SAMPLES:
            return
        self._next[channel] = at + len(payload)
        if len(self._waiting) >= MAX_WAITING:
            self.lost += len(payload)
        else:
            self._waiting.append((at, channel, payload))
