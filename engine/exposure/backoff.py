"""When a tunnel that failed is tried again. Pure: seconds of a steady clock in, seconds to wait out."""

from __future__ import annotations

from collections import deque
from typing import Final

PAUSES: Final = (1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
"""Seconds before each further attempt in a row."""
STEADY_SECONDS: Final = 60.0
"""A tunnel that was up for so long starts over with the short pauses."""
BUDGET: Final = 20
"""Attempts within `BUDGET_SECONDS`. A vendor that sees more may lock the account."""
BUDGET_SECONDS: Final = 3600.0


class Backoff:
    """The pauses of one tunnel."""

    def __init__(self) -> None:
        self._failures = 0
        self._attempts: deque[float] = deque(maxlen=BUDGET)

    def attempt(self, now: float) -> None:
        """The tunnel is being opened."""
        self._attempts.append(now)

    def worked(self, up_seconds: float) -> None:
        """It was up for so long before it was lost."""
        if up_seconds >= STEADY_SECONDS:
            self._failures = 0

    def failed(self, now: float) -> float:
        """It could not be opened, or was lost: how long to wait before the next attempt."""
        pause = PAUSES[min(self._failures, len(PAUSES) - 1)]
        self._failures += 1
        if len(self._attempts) == BUDGET:
            # The oldest of the last twenty has to be an hour ago.
            pause = max(pause, self._attempts[0] + BUDGET_SECONDS - now)
        return pause
