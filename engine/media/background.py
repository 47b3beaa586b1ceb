"""What else is heard on a caller's line: the talk of a room, a television, a street.

Other people hold words as the caller does, so only loudness tells them apart: the caller is near the telephone. Two
things are known of that: how loud the caller was in their own turns, and how loud the line usually is.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from engine.media.audio import FRAME_MS

FAR_DB: Final = 16.0
"""A sound this much below the caller's own voice is not theirs. The quiet ends of words are within 15 dB of its
mean."""
NOTHING_DB: Final = -90.0
_FRAMES: Final = 150
_AT_LEAST: Final = 50
_DELAY: Final = 20
_EVERY: Final = 10
_SHARE: Final = 0.6
_ABOVE_DB: Final = 8.0
"""The usual level: of the last 3 s, but the last 0.4 s, the one that 60 % do not exceed. Who interrupts is this much
louder."""


class Background:
    """The other sounds of one line. Pure."""

    def __init__(self) -> None:
        self._levels: deque[float] = deque(maxlen=_FRAMES + _DELAY)
        self._usual_db: float | None = None
        self._caller_db: float | None = None
        self._wait = 0

    @property
    def above_db(self) -> float:
        """The level from which a sound is more than background, dBFS; `NOTHING_DB` while nothing is known."""
        caller_db = self._caller_db - FAR_DB if self._caller_db is not None else NOTHING_DB
        usual_db = self._usual_db + _ABOVE_DB if self._usual_db is not None else NOTHING_DB
        return max(caller_db, usual_db)

    def hear(self, level_db: float) -> None:
        """The next 20 ms."""
        self._levels.append(level_db)
        self._wait -= 1
        if self._wait <= 0:
            self._wait = _EVERY
            known = list(self._levels)[:-_DELAY]
            if len(known) >= _AT_LEAST:
                self._usual_db = sorted(known)[int(_SHARE * len(known))]

    def was_caller(self, level_db: float, ms: int) -> None:
        """The last `ms` were a turn of the caller's, of this mean level: not what the line usually sounds like."""
        self._caller_db = level_db
        for _ in range(min(len(self._levels), ms // FRAME_MS)):
            self._levels.pop()
