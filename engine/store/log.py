"""The event log: one writer, any number of readers, stored before anyone is told."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Concatenate, Final, ParamSpec, Self, TypeVar, TypeVarTuple, Unpack

from engine.calls import Cursor, Draft, Event
from engine.store import queries, schema, webhooks
from engine.store.codec import encode
from engine.store.errors import StoreError, from_sqlite
from engine.store.files import prepare_folder
from engine.store.retention import forget_step, recordings_of_old
from engine.store.subscription import Subscription
from engine.store.writer import Append, Job, Outcome, Writer

MAX_WAITING: Final = 50_000
"""Events that may wait for the disk before `append` refuses."""
_P = ParamSpec("_P")
_T = TypeVar("_T")
_Ts = TypeVarTuple("_Ts")


def wall_clock() -> int:
    """Epoch milliseconds."""
    return time.time_ns() // 1_000_000


class EventLog:
    """The append-only log of one engine, in `path` (SQLite, WAL). Belongs to the loop that opened it.

    `append` resolves when the events are on the disk, and subscribers hear of them first. Reading has a thread and
    a connection of its own, so neither the loop nor the writer waits for a reader.
    """

    def __init__(
        self, path: Path, writing: sqlite3.Connection, reading: sqlite3.Connection, clock: Callable[[], int]
    ):
        self.path = path
        self.generation = schema.generation(writing)
        self._last_seq = schema.last_seq(writing)
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._reading = reading
        self._reader = ThreadPoolExecutor(max_workers=1, thread_name_prefix="store-reader")
        self._subscriptions: set[Subscription] = set()
        self._waiting = 0
        self._closing = False
        self._stopped = asyncio.Event()
        self._failure: StoreError | None = None
        self._writer = Writer(path, writing, self._last_seq, _OnLoop(self._loop, self))
        self.on_committed: Callable[[Sequence[Event]], None] = lambda events: None
        """Told of stored events before anyone else, so that what is folded from them is never behind its watchers."""

    @classmethod
    async def open(cls, path: Path, clock: Callable[[], int] = wall_clock) -> Self:
        """Open or create the log. `clock` gives epoch ms, which every event is stamped with. Raises StoreError."""

        def connect() -> tuple[sqlite3.Connection, sqlite3.Connection]:
            prepare_folder(path.parent)
            writing = schema.open_writer(path)
            try:
                return writing, schema.open_reader(path)
            except BaseException:
                writing.close()
                raise

        writing, reading = await asyncio.to_thread(connect)
        return cls(path, writing, reading, clock)

    @property
    def last_seq(self) -> int:
        """The number of the newest event that subscribers were told of."""
        return self._last_seq

    @property
    def cursor(self) -> Cursor:
        """The end of the log."""
        return Cursor(self.generation, self._last_seq)

    @property
    def failure(self) -> StoreError | None:
        """Why the latest write failed; None while the log can be written."""
        return self._failure

    @property
    def waiting(self) -> int:
        """Events that wait for the disk."""
        return self._waiting

    async def append(self, drafts: Sequence[Draft]) -> Sequence[Event]:
        """Store facts, all or none; returns them as events once they are on the disk and subscribers know.

        Raises StoreError when they could not be stored: then nothing was published. When the caller is cancelled
        the facts are stored and published all the same.
        """
        self._refuse_when_closed()
        if not drafts:
            return ()
        at = self._clock()
        rows = [encode(draft, at) for draft in drafts]
        if self._waiting + len(rows) > MAX_WAITING:
            raise StoreError(
                f"The event log {self.path} can not keep up: {self._waiting} events wait for the disk.",
                "Check the disk: it is slow, stuck or very busy.",
            )
        self._waiting += len(rows)
        done: asyncio.Future[Sequence[Event]] = self._loop.create_future()
        self._writer.submit(Append(rows, done))
        return await done

    def publish_ephemeral(self, event: Event) -> None:
        """Tell subscribers of something that is not stored (`seq` is 0)."""
        if event.seq != 0:
            raise ValueError("a stored event is published by append alone")
        self._publish((event,))

    def subscribe(self, maxsize: int = 5000, after: int | None = None) -> Subscription:
        """Events from now on, or from the one after seq `after`; what was stored before is read from the store.

        At most `maxsize` stored events wait in memory for this reader; a slower one re-reads from the store.
        """
        self._refuse_when_closed()
        subscription = Subscription(self, maxsize, after)
        self._subscriptions.add(subscription)
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        """Called by a subscription that closes."""
        self._subscriptions.discard(subscription)

    async def read(self, after: int, limit: int, call_id: str | None = None) -> list[Event]:
        """At most `limit` events with a seq greater than `after`, in order.

        What the writer has stored this instant and nobody was told of yet comes with the next read.
        """
        events = await self._query(queries.read, after, limit, call_id)
        while events and events[-1].seq > self._last_seq:
            events.pop()
        return events

    async def read_last(self, last: int, call_id: str | None = None) -> list[Event]:
        """The `last` newest events, in order."""
        return await self._query(queries.read_last, last, call_id)

    async def read_without_call(self, last: int) -> list[Event]:
        """The `last` newest events that belong to no call, in order."""
        return await self._query(queries.read_without_call, last)

    async def read_turns(self, last: int) -> list[Event]:
        """The `last` newest `turn.completed` events, in order."""
        return await self._query(queries.read_turns, last)

    async def read_calls(self, call_ids: Iterable[str]) -> list[Event]:
        """All events of these calls, in order: folding them gives the call records."""
        return await self._query(queries.read_calls, list(call_ids))

    async def count_calls_since(self, at: int) -> int:
        """Calls that began at `at` (epoch ms) or later."""
        return await self._query(queries.count_calls_since, at)

    async def always_admitted(self) -> list[str]:
        """The numbers of all callers who were let in for good and not forgotten since."""
        return await self._query(queries.always_admitted)

    async def calls_with(self, number: str, last: int) -> list[str]:
        """Ids of the `last` newest calls from or to exactly this number, newest first."""
        return await self._query(queries.calls_with, number, last)

    async def recent_call_ids(self, last: int) -> list[str]:
        """The `last` calls that began last, newest first."""
        return await self._query(queries.recent_call_ids, last)

    async def search(self, query: str, last: int) -> list[str]:
        """Ids of the `last` newest calls that match `query` (see `queries.search`), newest first."""
        return await self._query(queries.search, query, last)

    async def recordings_of_old(self, before: int) -> list[str]:
        """Files of recordings whose calls `forget(before)` would delete."""
        return await self._query(recordings_of_old, before)

    async def last_webhook(self) -> int:
        """The highest number ever given to a stored webhook; 0 for none."""
        return await self._query(webhooks.last_id)

    async def find_webhooks(self, wanted: webhooks.WebhookQuery) -> list[tuple[int, str]]:
        """(id, summary) of the newest stored webhooks that match, newest first."""
        return await self._query(webhooks.find, wanted)

    async def webhook(self, id_: int) -> tuple[str, str] | None:
        """(summary, detail) of one stored webhook."""
        return await self._query(webhooks.get, id_)

    async def write(self, work: Callable[[sqlite3.Connection], int]) -> int:
        """Do `work` on the writing connection, in a transaction of its own; its result. Raises StoreError."""
        self._refuse_when_closed()
        done: asyncio.Future[int] = self._loop.create_future()
        self._writer.submit(Job(work, done))
        return await done

    async def forget(self, before: int) -> int:
        """Delete the calls whose last event is older than `before` (epoch ms), and such events of no call.

        Returns how many events went. Works in small steps between which the writer stores what comes in.
        """
        total = 0
        while True:
            deleted = await self.write(lambda connection: forget_step(connection, before))
            if deleted == 0:
                return total
            total += deleted

    async def close(self) -> None:
        """Store what waits, end all subscriptions, and let go of the files. Again is harmless."""
        if not self._closing:
            self._closing = True
            await self._loop.run_in_executor(self._reader, self._reading.close)
            self._reader.shutdown(wait=False)
            self._writer.stop()
        await self._stopped.wait()
        for subscription in list(self._subscriptions):
            subscription.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _query(
        self, ask: Callable[Concatenate[sqlite3.Connection, _P], _T], *args: _P.args, **kwargs: _P.kwargs
    ) -> _T:
        self._refuse_when_closed()

        def run() -> _T:
            try:
                return ask(self._reading, *args, **kwargs)
            except sqlite3.Error as error:
                raise from_sqlite(error, "be read", self.path) from error

        return await self._loop.run_in_executor(self._reader, run)

    def _refuse_when_closed(self) -> None:
        if self._closing:
            raise StoreError("The event log is closed: the engine is stopping.")

    def _publish(self, events: Sequence[Event]) -> None:
        for subscription in self._subscriptions:
            subscription.offer(events)

    def on_stored(self, outcome: Outcome) -> None:
        """One transaction is over: publish, then let the appenders go on."""
        self._failure = outcome.error
        self._waiting -= sum(len(append.rows) for append in outcome.appends)
        stored = [event for events in outcome.events for event in events]
        if stored:
            self._last_seq = stored[-1].seq
            self.on_committed(stored)
            self._publish(stored)
        for index, append in enumerate(outcome.appends):
            if append.done.done():  # its caller was cancelled
                continue
            if outcome.error is not None:
                append.done.set_exception(outcome.error)
            else:
                append.done.set_result(outcome.events[index])

    def on_worked(self, job: Job, result: int | StoreError) -> None:
        if job.done.done():
            return
        if isinstance(result, StoreError):
            job.done.set_exception(result)
        else:
            job.done.set_result(result)

    def on_stopped(self) -> None:
        self._stopped.set()


class _OnLoop:
    """Carries the writer's outcomes from its thread to the loop of the log."""

    def __init__(self, loop: asyncio.AbstractEventLoop, log: EventLog) -> None:
        self._loop = loop
        self._log = log

    def stored(self, outcome: Outcome) -> None:
        self._tell(self._log.on_stored, outcome)

    def worked(self, job: Job, result: int | StoreError) -> None:
        self._tell(self._log.on_worked, job, result)

    def stopped(self) -> None:
        self._tell(self._log.on_stopped)

    def _tell(self, hear: Callable[[Unpack[_Ts]], None], *args: *_Ts) -> None:
        # A loop that was closed without closing the log has nobody left who waits.
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(hear, *args)
