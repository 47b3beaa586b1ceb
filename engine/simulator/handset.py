"""A telephone that somebody real holds: the end of a simulated line whose mouth and ear are outside.

The line's own clock decides: every 20 ms one frame is taken from what came, or the line is quiet, and one is given.
"""

from __future__ import annotations

import asyncio
import base64
from collections import deque
from typing import Final, Literal

from engine.media.audio import FRAME_BYTES, SILENCE

MAX_SAID: Final = 15
"""Frames of a voice that came in a heap (300 ms); the oldest go, so that what is said is not late for good."""
START_FRAMES: Final = 2
"""Frames that wait before a voice begins: it comes over a socket, and not exactly every 20 ms."""
MAX_HEARD: Final = 250
_QUIET: Final = bytes((SILENCE,)) * FRAME_BYTES

Happening = tuple[Literal["ringing", "answered", "ended"], str]
"""What the line does, and why or for whom."""


class Handset:
    """Whoever holds it reads `heard` and `say`s."""

    def __init__(self) -> None:
        self._said: deque[bytes] = deque(maxlen=MAX_SAID)
        self._tail = b""
        self._speaking = False
        self._keys: deque[str] = deque()
        self.heard: asyncio.Queue[bytes | Happening] = asyncio.Queue(MAX_HEARD)
        """Frames at the ear, and what the line does. What is not taken in time is lost, the oldest first."""

    def say(self, payload: bytes) -> None:
        """More of a voice: mu-law of any length."""
        data = self._tail + payload
        whole = len(data) - len(data) % FRAME_BYTES
        self._said.extend(data[at : at + FRAME_BYTES] for at in range(0, whole, FRAME_BYTES))
        self._tail = data[whole:]

    def press(self, digits: str) -> None:
        """Press keys."""
        self._keys.extend(digits)

    # -- the line's side ----------------------------------------------------------------------

    def tell(self, happening: Happening) -> None:
        """The line rings, is answered, or is over."""
        self._give(happening)

    def ring_out(self, frame: bytes | None) -> None:
        """20 ms at the ear."""
        self._give(frame if frame is not None else _QUIET)

    def next_frame(self) -> tuple[bytes, str] | None:
        """20 ms from the mouth, and the same in base64; None: nothing is said."""
        if not self._speaking and len(self._said) < START_FRAMES:
            return None
        self._speaking = bool(self._said)
        if not self._said:
            return None
        frame = self._said.popleft()
        return frame, base64.b64encode(frame).decode()

    def next_keys(self) -> str:
        """Keys that were pressed since the last time."""
        keys = "".join(self._keys)
        self._keys.clear()
        return keys

    def _give(self, item: bytes | Happening) -> None:
        if self.heard.full():
            self.heard.get_nowait()
        self.heard.put_nowait(item)
