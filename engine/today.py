"""How many calls there were since midnight, by the machine's own clock and time zone."""

from __future__ import annotations

import time
from collections.abc import Callable


def midnight(now: int) -> int:
    """The last midnight before `now`; both epoch ms."""
    day = time.localtime(now / 1000)
    return int(time.mktime((day.tm_year, day.tm_mon, day.tm_mday, 0, 0, 0, 0, 0, -1)) * 1000)


class Today:
    """Counts on from what the log knew."""

    def __init__(self, clock: Callable[[], int]) -> None:
        self._clock = clock
        self._since = midnight(clock())
        self._count = 0

    @property
    def since(self) -> int:
        """Where today began, epoch ms."""
        self._turn()
        return self._since

    @property
    def count(self) -> int:
        """Calls that began today."""
        self._turn()
        return self._count

    def add(self, calls: int = 1) -> None:
        """So many more."""
        self._turn()
        self._count += calls

    def _turn(self) -> None:
        since = midnight(self._clock())
        if since != self._since:
            self._since, self._count = since, 0
