"""Persist, then publish, then act.

Every fact of the engine passes here, in one order. What is posted while an fsync is under way goes out with the
next one, so a burst costs one commit.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final, Protocol

from engine.book import CallBook
from engine.calls import Call, Draft, Event, State
from engine.clock import epoch_ms
from engine.owning import NAMING, carrier_id
from engine.store import StoreError

log = logging.getLogger(__name__)

MAX_WAITING: Final = 20_000
"""Facts that may wait for the store; beyond it facts that nobody waits for are refused and counted."""
RETRY_SECONDS: Final = 1.0


_ONCE: Final[dict[str, Callable[[Call], bool]]] = {
    "call.accepted": lambda call: call.provider_call_id is not None,
    "call.ringing": lambda call: "ringing" in call.rungs or call.state is not State.INITIATED,
    "call.answered": lambda call: call.answered_at is not None,
    "call.ended": lambda call: not call.live,
}
"""Facts that a call has once -> whether it has it already."""


class Log(Protocol):
    """Where facts go: the event log, as far as its writer needs it."""

    on_committed: Callable[[Sequence[Event]], None]

    async def append(self, drafts: Sequence[Draft]) -> Sequence[Event]:
        """Store facts, all or none. Raises StoreError."""

    def publish_ephemeral(self, event: Event) -> None:
        """Tell watchers of something that is not stored."""


@dataclass(slots=True)
class _Batch:
    drafts: Sequence[Draft]
    done: asyncio.Future[None] | None


class Recorder:
    """The only writer of the log, and the owner of the book that is folded from it."""

    def __init__(self, event_log: Log, book: CallBook, on_change: Callable[[Call | None, Call], None]) -> None:
        self._log = event_log
        self._book = book
        self._on_change = on_change
        event_log.on_committed = self._take
        self._waiting: list[_Batch] = []
        self._size = 0
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self.lost = 0
        """Facts that could not be stored because the store failed for too long."""
        self.error: StoreError | None = None
        """Why the store refuses to store, while it does."""

    def post(self, *drafts: Draft) -> None:
        """Record facts that nobody waits for. Kept and retried while the store fails, up to a bound."""
        if self._size + len(drafts) > MAX_WAITING:
            self.lost += len(drafts)
            return
        self._put(_Batch([_dated(draft) for draft in drafts], None))

    async def record(self, *drafts: Draft) -> None:
        """Record facts and return once they are on disk. Raises StoreError; then none of them is stored."""
        if self._size + len(drafts) > MAX_WAITING:
            raise StoreError("the event log is far behind", "check the disk that holds the state folder")
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._put(_Batch([_dated(draft) for draft in drafts], done))
        await done

    async def settle(self) -> None:
        """Return once everything that was posted before is in the book; at once while the store fails.

        What was posted is kept then and stored later, so there is nothing that the caller could do about it.
        """
        try:
            await self.record()
        except StoreError as error:
            log.warning("going on although the store fails: %s", error)

    def ephemeral(self, call_id: str, type_: str, data: dict[str, object]) -> None:
        """Tell watchers something that is not worth storing."""
        self._log.publish_ephemeral(Event(0, epoch_ms(), call_id, type_, data))

    async def flush(self) -> None:
        """Wait until everything that was posted so far is stored."""
        await self._idle.wait()

    async def run(self) -> None:
        """Store what is posted, for ever. Cancel it after `flush`."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting:
                batches, self._waiting = self._waiting, []
                self._size = 0
                await self._store(batches)
            self._idle.set()

    def _put(self, batch: _Batch) -> None:
        self._waiting.append(batch)
        self._size += len(batch.drafts)
        self._idle.clear()
        self._wake.set()

    async def _store(self, batches: Sequence[_Batch]) -> None:
        if drafts := self._news(batches):
            try:
                await self._log.append(drafts)
            except StoreError as error:
                await self._failed(batches, error)
                return
            if self.error is not None:
                log.warning("the store works again")
                self.error = None
        for batch in batches:
            if batch.done is not None and not batch.done.done():
                batch.done.set_result(None)

    def _take(self, events: Sequence[Event]) -> None:
        """Stored events: the book knows them before any watcher does, who may ask for the call at once."""
        for before, after in self._book.take(events):
            self._on_change(before, after)

    def _news(self, batches: Sequence[_Batch]) -> list[Draft]:
        """What is not in the log already. Several reporters may tell the same fact of a call: the carrier by
        webhook, its REST reply, our own hang-up. It is written down once.
        """
        news: list[Draft] = []
        seen: set[tuple[str, str | None]] = set()
        owners: dict[str, str | None] = {}
        for draft in (draft for batch in batches for draft in batch.drafts):
            if draft.type in _ONCE:
                key = (draft.type, draft.call_id)
                call = self._book.get(draft.call_id or "")
                if key in seen or (call is not None and _ONCE[draft.type](call)):
                    continue
                seen.add(key)
            if not self._may_own(draft, owners):
                log.warning("call %s: the carrier's call %s is another's", draft.call_id, carrier_id(draft))
                continue
            news.append(draft)
        return news

    def _may_own(self, draft: Draft, owners: dict[str, str | None]) -> bool:
        """Whether a fact takes no id of another call. `owners`: what the facts before it change."""
        named = carrier_id(draft)
        if draft.type == "call.disowned":
            owners[named] = None
        elif draft.type in NAMING and named:
            holder = self._book.by_carrier(named)
            owner = owners.get(named, holder.call_id if holder is not None else None)
            if owner not in (None, draft.call_id):
                return False
            owners[named] = draft.call_id
        return True

    async def _failed(self, batches: Sequence[_Batch], error: StoreError) -> None:
        """Those who wait are refused; what nobody waits for stays in front of the queue and is tried again."""
        if self.error is None:
            log.error("the store failed: %s", error)
        self.error = error
        kept: list[_Batch] = []
        for batch in batches:
            if batch.done is None:
                kept.append(batch)
            elif not batch.done.done():
                batch.done.set_exception(error)
        self._waiting[:0] = kept
        self._size += sum(len(batch.drafts) for batch in kept)
        await asyncio.sleep(RETRY_SECONDS)


def _dated(draft: Draft) -> Draft:
    """A fact keeps the time at which it was told, however long the disk takes."""
    return draft if draft.at is not None else replace(draft, at=epoch_ms())
