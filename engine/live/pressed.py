"""Keys that the caller presses, put together into one answer.

People press one key of a menu, or a number of many digits, and nobody says which. A pause ends it, or the hash key.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

PAUSE_SECONDS: Final = 1.5
"""Without a further key for so long they are done."""
LAST_KEY: Final = "#"
MAX_KEYS: Final = 64


class Pressed:
    """The keys of one call. `done` gets them once they are complete."""

    def __init__(self, done: Callable[[str], None]) -> None:
        self._done = done
        self._digits = ""
        self._timer: asyncio.TimerHandle | None = None

    def take(self, digits: str) -> None:
        """The caller pressed these."""
        self._digits += digits
        self._stop()
        if digits.endswith(LAST_KEY) or len(self._digits) >= MAX_KEYS:
            self._complete()
        else:
            self._timer = asyncio.get_running_loop().call_later(PAUSE_SECONDS, self._complete)

    def forget(self) -> None:
        """Nobody is interested any more."""
        self._digits = ""
        self._stop()

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _complete(self) -> None:
        digits, self._digits = self._digits, ""
        self._stop()
        self._done(digits)
