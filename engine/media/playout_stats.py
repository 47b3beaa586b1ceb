"""How punctual our side of the audio was."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from engine.media.audio import FRAME_MS

LATE_MS: Final = FRAME_MS
"""A frame counts as late when it left more than its own length after its time."""
_MAX_MS: Final = 10_000
"""Lateness beyond this is counted as this much, which bounds the histogram."""


@dataclass(slots=True)
class PlayoutStats:
    """Counts of one stream or, merged, of many. Lateness is against the absolute schedule, in whole ms."""

    sent: int = 0
    under_runs: int = 0
    """The voice fell behind: the carrier ran out of audio in the middle of a line."""
    gaps: int = 0
    """We fell behind by more than the lead: the carrier ran out although the audio was here."""
    silence_ms: int = 0
    """What under-runs and gaps took, together."""
    late_marks: int = 0
    """Marks that came back for audio that had been cleared, or that nobody asked for."""
    lateness: dict[int, int] = field(default_factory=dict)
    """ms late (rounded down) -> frames."""

    def count(self, late_ms: int) -> None:
        """One frame went out this late."""
        self.sent += 1
        late_ms = min(late_ms, _MAX_MS)
        self.lateness[late_ms] = self.lateness.get(late_ms, 0) + 1

    def add(self, other: PlayoutStats) -> None:
        """Take the counts of another stream in."""
        self.sent += other.sent
        self.under_runs += other.under_runs
        self.gaps += other.gaps
        self.silence_ms += other.silence_ms
        self.late_marks += other.late_marks
        for late_ms, frames in other.lateness.items():
            self.lateness[late_ms] = self.lateness.get(late_ms, 0) + frames

    @classmethod
    def merged(cls, parts: Iterable[PlayoutStats]) -> PlayoutStats:
        """The sum of several."""
        total = cls()
        for part in parts:
            total.add(part)
        return total

    @property
    def late(self) -> int:
        """Frames that left more than 20 ms after their time."""
        return sum(frames for late_ms, frames in self.lateness.items() if late_ms >= LATE_MS)

    def percentile(self, share: float) -> int:
        """The lateness in ms that `share` (0..1) of the frames did not exceed. 0 without frames."""
        wanted, seen = share * self.sent, 0
        for late_ms in sorted(self.lateness):
            seen += self.lateness[late_ms]
            if seen >= wanted:
                return late_ms
        return 0

    def to_json(self) -> dict[str, int]:
        """As the demo's summary and `health` show it."""
        return {
            "sent": self.sent,
            "late": self.late,
            "p50LateMs": self.percentile(0.50),
            "p99LateMs": self.percentile(0.99),
            "underRuns": self.under_runs,
            "gaps": self.gaps,
            "silenceMs": self.silence_ms,
        }
