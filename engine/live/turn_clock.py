"""One clock per turn: from the caller's last voiced sample to the moment our answer is heard.

Times are monotonic milliseconds. The stages add up to `total`, so a waterfall of them has no gaps. What people take
is no stage: while the caller speaks again, or still hears an earlier line of ours, the clock stands still.

| stage | from | to |
|---|---|---|
| end | caller's last voiced sample | end of turn decided |
| text | end of turn decided | final text |
| agent | final text | first words of the reply |
| sentence | first words | first whole sentence |
| voice | first sentence | first audio of it |
| send | first audio | first frame on the wire |
| heard | first frame | first mark back from the carrier |
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final, Literal

Point = Literal["voiced", "ended", "text", "words", "sentence", "audio", "frame", "mark"]

_POINTS: Final[tuple[Point, ...]] = (
    "voiced",
    "ended",
    "text",
    "words",
    "sentence",
    "audio",
    "frame",
    "mark",
)
STAGES: Final = ("end", "text", "agent", "sentence", "voice", "send", "heard")
_STAGE_TO: Final = dict(zip(_POINTS[1:], STAGES, strict=True))
"""Point -> the stage that it ends."""
NATIVE_POINTS: Final[tuple[Point, ...]] = ("text", "words", "sentence", "frame")
"""What is known of a turn that the carrier heard and answers in its own voice; `frame` is when it took the answer."""


REALTIME_POINTS: Final[tuple[Point, ...]] = ("voiced", "ended", "words", "audio", "frame", "mark")
"""What is known of a turn that a speech-to-speech model hears and answers: it needs no text for either."""


@dataclass(slots=True)
class TurnClock:
    """The clock of one turn."""

    turn: int
    points: dict[Point, float] = field(default_factory=dict)
    reported: bool = False
    needed: tuple[Point, ...] = _POINTS
    """The points that this turn will have, in their order."""
    began_ms: float | None = None
    """When the caller began to speak, where that is known; no stage begins there."""
    engines: dict[str, str] = field(default_factory=dict)
    """Who did it: stt, brain, tts -> the engine's name."""
    _excluded: list[tuple[float, float]] = field(default_factory=list)
    _blocked_at: float | None = None

    def reach(self, point: Point, at_ms: float) -> None:
        """Note a point; only the first time counts."""
        self.points.setdefault(point, at_ms)

    def exclude(self, from_ms: float, until_ms: float) -> None:
        """People took this time, not we."""
        if until_ms > from_ms:
            self._excluded.append((from_ms, until_ms))

    def blocked(self, at_ms: float) -> None:
        """The answer is ready, and an earlier line of ours still plays."""
        self._blocked_at = at_ms

    def unblocked(self, at_ms: float) -> None:
        """It does no longer."""
        if self._blocked_at is not None:
            self.exclude(self._blocked_at, at_ms)
            self._blocked_at = None

    @property
    def waited_ms(self) -> int:
        """What people took between the caller's last sound and our answer."""
        first, last = self.points.get(self.needed[0]), self.points.get(self.needed[-1])
        return 0 if first is None or last is None else round(self._waited(first, last))

    def _waited(self, from_ms: float, until_ms: float) -> float:
        return sum(max(0.0, min(until_ms, end) - max(from_ms, start)) for start, end in self._excluded)

    def stages(self) -> dict[str, int] | None:
        """Stage -> whole ms with `total`, once every point that it needs is known; None before."""
        if any(point not in self.points for point in self.needed):
            return None
        stages = {
            _STAGE_TO[later]: round(max(0.0, self._took(self.points[earlier], self.points[later])))
            for earlier, later in pairwise(self.needed)
        }
        stages["total"] = sum(stages.values())
        return stages

    def _took(self, from_ms: float, until_ms: float) -> float:
        return until_ms - from_ms - self._waited(from_ms, until_ms)
