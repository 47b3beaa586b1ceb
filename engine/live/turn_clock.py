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

    def reach(self, point: Point, at_ms: float) -> None:
        """Note a point; only the first time counts."""
        self.points.setdefault(point, at_ms)

    def stages(self) -> dict[str, int] | None:
        """Stage -> whole ms with `total`, once every point that it needs is known; None before."""
        if any(point not in self.points for point in self.needed):
            return None
        stages = {
            _STAGE_TO[later]: round(max(0.0, self.points[later] - self.points[earlier]))
            for earlier, later in pairwise(self.needed)
        }
        stages["total"] = sum(stages.values())
        return stages
