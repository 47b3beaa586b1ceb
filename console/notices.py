"""Notices: what came of an act, a refusal, a mistake. They stand in the two bottom lines, over nothing that lives.

The log (`L`) keeps what is longer than that, and what has gone.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from console.paint import Row, crop_row
from console.text import clean, wrap

Severity = Literal["information", "warning", "error"]
MAX_NOTICES: Final = 20
MARKS: Final[dict[Severity, tuple[str, str]]] = {
    "information": ("·", "good"),
    "warning": ("!", "warn"),
    "error": ("✗", "bad"),
}


@dataclass(frozen=True, slots=True)
class Notice:
    """One notice. `until` is monotonic seconds."""

    text: str
    severity: Severity
    until: float


class Notices:
    """Those that are up."""

    def __init__(self) -> None:
        self._up: deque[Notice] = deque(maxlen=MAX_NOTICES)

    def add(self, notice: Notice) -> None:
        """Put one up. The same text is there only once, and of what went well only the latest."""
        passing = notice.severity == "information"
        for each in tuple(self._up):
            if each.text == notice.text or (passing and each.severity == "information"):
                self._up.remove(each)
        self._up.append(notice)

    def dismiss(self) -> None:
        """The operator has read the one that is shown."""
        if self._up:
            self._up.pop()

    def up(self, now: float) -> tuple[Notice, ...]:
        """Those whose time is not over at `now` (monotonic seconds), the newest last."""
        for over in [each for each in self._up if each.until <= now]:
            self._up.remove(over)
        return tuple(self._up)


def notice_rows(notices: Sequence[Notice], width: int, height: int) -> list[Row]:
    """The newest notice in at most `height` rows of `width` cells, and how many more there are."""
    if not notices:
        return []
    notice = notices[-1]
    mark, ink = MARKS[notice.severity]
    more = f" (and {len(notices) - 1} more)" if len(notices) > 1 else ""
    text = clean(notice.text) + more
    lines = wrap(text, max(2, width - 4))
    rows: list[Row] = []
    for index, (start, end) in enumerate(lines[:height]):
        last = index == height - 1
        said = text[start:] if last else text[start:end]
        head = (f" {mark} ", ink) if index == 0 else ("   ", "text")
        rows.append(crop_row((head, (said, "text" if notice.severity == "information" else ink)), width - 1))
    return rows
