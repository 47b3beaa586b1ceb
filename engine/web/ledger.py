"""Keeps the requests of carriers, off the way of their answers: what comes is numbered, waits in a bounded queue, and
is written a little later, many at a time.

A stranger can neither fill the disk nor wash out what matters: refused requests have a budget, and are counted by
themselves. What has no room in the queue is not kept, and that is told.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any, Final

from engine.api import Refusal
from engine.clock import epoch_ms
from engine.config import Config
from engine.store import DAY_MS, EventLog, StoreError, WebhookQuery, WebhookRow
from engine.store.webhooks import insert, prune
from engine.web.budget import Budget
from engine.web.masking import Masker, secrets_of
from engine.web.record import Seen, Stored, shown_summary, shown_whole, to_row

log = logging.getLogger(__name__)

MAX_WAITING: Final = 256
"""Requests that may wait to be written: 16 MB at the very most."""
GATHER_SECONDS: Final = 0.2
"""How long the first of a burst waits for the others, so that they cost one commit."""
RETRY_SECONDS: Final = 1.0
PRUNE_SECONDS: Final = 60.0


class Ledger:
    """The desk's requests. Belongs to the engine's loop."""

    def __init__(self, config: Config, log_: EventLog, origin: Callable[[], str]) -> None:
        """`origin`: http://host:port at which this machine reaches our own server."""
        self._log = log_
        self._origin = origin
        self._settings = config.webhooks
        self._masker = Masker(secrets_of(config))
        self._waiting: list[tuple[int, Seen]] = []
        self._wake = asyncio.Event()
        self._last = 0
        self._refusals = Budget(per_second=5, burst=50)
        self.lost = 0
        """Requests that were not kept: the queue was full."""

    async def open(self) -> None:
        """Learn which numbers are given out already. Raises StoreError."""
        self._last = await self._log.last_webhook()

    def position(self) -> int:
        """Where the log is now."""
        return self._log.last_seq

    def keep(self, seen: Seen) -> int | None:
        """Keep a request; its number, or None when it is not kept. Never waits and never raises."""
        if self._settings.keep == 0 or (seen.verdict == "refused" and not self._refusals.take()):
            return None
        if len(self._waiting) >= MAX_WAITING:
            self.lost += 1
            return None
        self._last += 1
        self._waiting.append((self._last, seen))
        self._wake.set()
        return self._last

    async def run(self) -> None:
        """Write what comes and forget what is old, for ever."""
        clock = asyncio.get_running_loop().time
        due = clock()
        while True:
            try:
                async with asyncio.timeout(max(0.0, due - clock())):
                    await self._wake.wait()
            except TimeoutError:
                due = clock() + PRUNE_SECONDS
                await self._prune()
                continue
            await asyncio.sleep(GATHER_SECONDS)
            await self._write()

    async def flush(self) -> None:
        """Return once everything that was kept so far is on the disk, or the store has failed."""
        await self._write()

    async def _write(self) -> None:
        self._wake.clear()
        waiting = tuple(self._waiting)
        if not waiting:
            return
        rows = await asyncio.to_thread(_rows, waiting, self._masker)
        try:
            await self._log.write(lambda connection: insert(connection, rows))
        except StoreError as error:
            log.warning("webhooks are not kept for now: %s", error)
            self._wake.set()
            await asyncio.sleep(RETRY_SECONDS)
            return
        written = {id_ for id_, _ in waiting}
        self._waiting = [each for each in self._waiting if each[0] not in written]

    async def _prune(self) -> None:
        keep, before = self._settings.keep, epoch_ms() - self._settings.keep_days * DAY_MS
        try:
            while await self._log.write(lambda connection: prune(connection, keep, before)):
                pass
        except StoreError as error:
            log.warning("old webhooks are not forgotten for now: %s", error)

    async def find(self, wanted: WebhookQuery) -> Sequence[dict[str, Any]]:
        """Requests that match, newest first. Raises StoreError."""
        await self._write()
        found = await self._log.find_webhooks(wanted)
        return [shown_summary(summary, self._masker) for _, summary in found]

    async def stored(self, id_: int) -> Stored:
        """One request. Raises Refusal and StoreError."""
        await self._write()
        found = await self._log.webhook(id_)
        if found is None:
            raise not_found(id_)
        return Stored.read(*found)

    async def show(self, id_: int, *, secrets: bool) -> dict[str, Any]:
        """All that is known of one request. Raises Refusal and StoreError."""
        stored = await self.stored(id_)
        return await asyncio.to_thread(shown_whole, stored, self._masker, self._origin(), secrets=secrets)

    @property
    def masker(self) -> Masker:
        """What hides this engine's secrets."""
        return self._masker


def _rows(waiting: Sequence[tuple[int, Seen]], masker: Masker) -> list[WebhookRow]:
    """Requests as rows; in a thread of its own, because looking for secrets takes milliseconds."""
    rows: list[WebhookRow] = []
    for id_, seen in waiting:
        try:
            rows.append(to_row(id_, seen, masker))
        except (ValueError, TypeError):
            log.exception("the webhook %d can not be kept", id_)
    return rows


def not_found(id_: int) -> Refusal:
    """There is no such request."""
    return Refusal("webhook_not_found", f"no webhook {id_} is kept", "`voicecall webhooks` lists those that are")
