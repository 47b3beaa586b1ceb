"""One clock per turn: from the caller's last voiced sample to the moment our answer is heard.

Times are monotonic milliseconds. The stages add up to `total`, so a waterfall of them has no gaps:

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


@dataclass(slots=True)
class TurnClock:
    """The clock of one turn."""

    turn: int
    points: dict[Point, float] = field(default_factory=dict)
    reported: bool = False

    def reach(self, point: Point, at_ms: float) -> None:
        """Note a point; only the first time counts."""
        self.points.setdefault(point, at_ms)

    def stages(self) -> dict[str, int] | None:
        """Stage -> whole ms with `total`, once every point is known; None before."""
        if len(self.points) < len(_POINTS):
            return None
        times = [self.points[point] for point in _POINTS]
        lengths = [max(0.0, later - earlier) for earlier, later in pairwise(times)]
        stages = {name: round(length) for name, length in zip(STAGES, lengths, strict=True)}
        stages["total"] = sum(stages.values())
        return stages
