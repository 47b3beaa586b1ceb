"""From a call's frames to what the loudspeaker plays: a jitter buffer for each side, volume, left and right. Pure.

Frames come when the network likes, the sound card takes samples when it likes. A side starts to sound when its first
frame has waited for `START_MS`, so that the next ones may be late by as much; when it runs dry it falls silent and
starts anew. The two clocks differ by some parts in a million: what has stood in the buffer for a second and is more
than it needs is left out, 20 ms at a time. Our own side is sent up to 200 ms ahead of its time, and may stand longer.
"""

from __future__ import annotations

import audioop
import threading
from collections import deque
from dataclasses import dataclass
from typing import Final, Literal

from engine.media.g711 import mulaw_to_pcm16

RATE: Final = 8000
START_MS: Final = 40
MAX_START_MS: Final = 100
GROW_MS: Final = 10
LATE_SECONDS: Final = 0.1
"""What comes so soon after a side ran dry was late, and not the beginning of something: wait longer from now on."""
STANDING_MS: Final = {"caller": 50, "agent": 320}
"""What may stand in the buffer of a side for a second before some of it is left out."""
MAX_MS: Final = 1000
"""More than this is never kept: the oldest goes."""
LOOK_MS: Final = 1000
MAX_VOLUME: Final = 200

Side = Literal["caller", "agent"]
Layout = Literal["split", "mixed", "caller", "ours"]
"""Caller left and our side right; both in both ears; one side only."""
LAYOUTS: Final[tuple[Layout, ...]] = ("split", "mixed", "caller", "ours")


def _bytes_of(ms: int) -> int:
    return RATE * 2 * ms // 1000


@dataclass(slots=True)
class Counts:
    """How a side fares."""

    frames: int = 0
    under_runs: int = 0
    trimmed_ms: int = 0
    dropped_ms: int = 0


class SideBuffer:
    """One side of a call on its way to the ear. Times are seconds of any one clock."""

    def __init__(self, side: Side) -> None:
        self._standing = STANDING_MS[side]
        self._pieces: deque[bytes] = deque()
        self._ms = 0.0
        self._first_at = 0.0
        self._dry_at = float("-inf")
        self._start_ms = START_MS
        self._sounding = False
        self._lowest_ms = float(MAX_MS)
        self._looked_ms = 0.0
        self.counts = Counts()

    @property
    def waiting_ms(self) -> float:
        """Sound that is here and was not taken yet."""
        return self._ms

    def push(self, mulaw: bytes, now: float) -> None:
        """A frame came."""
        if not self._pieces:
            self._first_at = now
            if not self._sounding and now - self._dry_at < LATE_SECONDS:
                self._start_ms = min(MAX_START_MS, self._start_ms + GROW_MS)
        pcm = mulaw_to_pcm16(mulaw)
        self._pieces.append(pcm)
        self._ms += len(pcm) * 1000 / (RATE * 2)
        self.counts.frames += 1
        while self._ms > MAX_MS:
            self.counts.dropped_ms += round(self._leave_out())

    def pull(self, samples: int, now: float) -> bytes:
        """The next samples as 16-bit PCM; silence where there is nothing to play."""
        wanted = samples * 2
        if not self._sounding and (not self._pieces or now - self._first_at < self._start_ms / 1000):
            return bytes(wanted)
        self._sounding = True
        parts: list[bytes] = []
        while wanted and self._pieces:
            piece = self._pieces.popleft()
            parts.append(piece[:wanted])
            if len(piece) > wanted:
                self._pieces.appendleft(piece[wanted:])
            wanted -= len(parts[-1])
        taken = b"".join(parts)
        self._ms = max(0.0, self._ms - len(taken) * 1000 / (RATE * 2)) if self._pieces else 0.0
        if wanted:
            self._sounding = False
            self._dry_at = now
            self.counts.under_runs += 1
        self._watch(samples)
        return taken + bytes(wanted)

    def clear(self) -> None:
        """Forget everything: another call."""
        self._pieces.clear()
        self._ms, self._sounding, self._dry_at = 0.0, False, float("-inf")
        self._lowest_ms, self._looked_ms = float(MAX_MS), 0.0

    def _watch(self, samples: int) -> None:
        self._lowest_ms = min(self._lowest_ms, self._ms)
        self._looked_ms += samples * 1000 / RATE
        if self._looked_ms < LOOK_MS:
            return
        if self._lowest_ms > self._standing:
            self.counts.trimmed_ms += round(self._leave_out())
            self._looked_ms = LOOK_MS * 0.9  # the next look is soon: there may be more
        else:
            self._looked_ms = 0.0
        self._lowest_ms = float(MAX_MS)

    def _leave_out(self) -> float:
        piece = self._pieces.popleft()
        ms = len(piece) * 1000 / (RATE * 2)
        self._ms = max(0.0, self._ms - ms)
        return ms


class Mixer:
    """Both sides of the call that is listened to. `push` and `mix` may be called from different threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sides: dict[Side, SideBuffer] = {"caller": SideBuffer("caller"), "agent": SideBuffer("agent")}
        self.layout: Layout = "split"
        self.volume = 100
        """Percent."""
        self.muted = False
        self.without_ours = False
        """The operator speaks: hearing oneself late makes one stumble."""

    def push(self, side: Side, mulaw: bytes, now: float) -> None:
        """A frame of the call came, at `now` (seconds)."""
        with self._lock:
            self._sides[side].push(mulaw, now)

    def mix(self, samples: int, now: float) -> bytes:
        """The next samples for the loudspeaker: 16-bit, left and right by turns."""
        with self._lock:
            caller = self._sides["caller"].pull(samples, now)
            ours = self._sides["agent"].pull(samples, now)
        if self.muted:
            return bytes(samples * 4)
        if self.without_ours:
            ours = bytes(samples * 2)
        left, right = self._ears(caller, ours)
        stereo = audioop.add(audioop.tostereo(left, 2, 1, 0), audioop.tostereo(right, 2, 0, 1), 2)
        return stereo if self.volume == 100 else audioop.mul(stereo, 2, self.volume / 100)

    def _ears(self, caller: bytes, ours: bytes) -> tuple[bytes, bytes]:
        match self.layout:
            case "split":
                return caller, ours
            case "mixed":
                both = audioop.add(caller, ours, 2)
                return both, both
            case "caller":
                return caller, caller
            case "ours":
                return ours, ours

    def clear(self) -> None:
        """Another call, or none: nothing of the last one is heard any more."""
        with self._lock:
            for side in self._sides.values():
                side.clear()

    def waiting_ms(self, side: Side) -> float:
        """Sound of a side that was not played yet."""
        with self._lock:
            return self._sides[side].waiting_ms

    def counts(self, side: Side) -> Counts:
        """How a side fares."""
        return self._sides[side].counts
