"""How loud a side of the call is, in dBFS: 0 is a square wave at full scale, a full sine is -3, speech around -25.

A frame only gets remembered when it passes (about 0.05 us); the arithmetic happens when somebody looks, a few times
a second. What was not looked at for longer than the memory is forgotten.
"""

from __future__ import annotations

import audioop
import math
from collections import deque
from typing import Final

FLOOR_DB: Final = -90.0
"""Digital silence, and the lowest value ever reported (one bit of 16 is -90.3)."""
_FULL_SCALE: Final = 32768.0


def level_db(mulaw: bytes) -> float:
    """The RMS level of mu-law audio in dBFS, `FLOOR_DB` for silence and for no audio at all."""
    rms = audioop.rms(audioop.ulaw2lin(mulaw, 2), 2) if mulaw else 0
    return max(FLOOR_DB, 20.0 * math.log10(rms / _FULL_SCALE)) if rms else FLOOR_DB


class LevelMeter:
    """The level since it was last read, over at most the last `frames` frames."""

    __slots__ = ("_frames", "feed")

    def __init__(self, frames: int = 12) -> None:
        self._frames: deque[bytes] = deque(maxlen=frames)
        self.feed = self._frames.append
        """Take one frame of mu-law. Bound straight to the buffer: this runs for every frame of every call."""

    def read(self) -> float:
        """The level in dBFS of what came since the last `read`; silence when nothing came."""
        audio = b"".join(self._frames)
        self._frames.clear()
        return level_db(audio)
