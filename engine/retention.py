"""Forgetting old calls while the engine runs: people's words and numbers are kept as long as the owner wants."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from engine.book import CallBook
from engine.store import DAY_MS, EventLog, StoreError

log = logging.getLogger(__name__)

LOOK_SECONDS: Final = 3600.0
"""A call is forgotten at most this long after its time."""


class Retention:
    """Deletes calls with all that is kept of them, `days` after the last that happened to them; 0: never."""

    def __init__(
        self,
        days: int,
        event_log: EventLog,
        book: CallBook,
        clock_ms: Callable[[], int],
        remove: Callable[[Sequence[str]], Awaitable[int]] | None = None,
    ) -> None:
        """`remove` deletes the files of recordings."""
        self._days = days
        self._log = event_log
        self._book = book
        self._clock_ms = clock_ms
        self._remove = remove

    async def run(self) -> None:
        """Look at once and then every hour, for the life of the engine."""
        while self._days:
            await self.forget()
            await asyncio.sleep(LOOK_SECONDS)

    async def forget(self) -> None:
        """Delete what is too old now. A store that can not be written is tried again at the next look."""
        before = self._clock_ms() - self._days * DAY_MS
        try:
            # The files first: once their calls are gone nobody knows of them any more.
            if self._remove is not None:
                await self._remove(await self._log.recordings_of_old(before))
            deleted = await self._log.forget(before)
        except StoreError as error:
            log.warning("old calls could not be deleted: %s", error)
            return
        self._book.forget_ended(before)
        if deleted:
            log.info("%d events of calls older than %d days were deleted", deleted, self._days)
