"""The thread that writes. Everything that waits goes into one transaction: one fsync for a whole burst."""

from __future__ import annotations

import asyncio
import os
import queue
import sqlite3
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from engine.calls import Event
from engine.store.codec import Row, Unnumbered, decode
from engine.store.errors import StoreError, from_os, from_sqlite
from engine.store.schema import open_writer

MAX_GROUP: Final = 5000
"""Events in one transaction at most, so that the first in it does not wait for ever."""
_INSERT: Final = "INSERT INTO events (seq, at, call_id, type, data) VALUES (?, ?, ?, ?, ?)"


@dataclass(frozen=True, slots=True)
class Append:
    """Rows that must be stored together, and who waits for them."""

    rows: Sequence[Unnumbered]
    done: asyncio.Future[Sequence[Event]]


@dataclass(frozen=True, slots=True)
class Job:
    """Other work on the writing connection, in a transaction of its own."""

    work: Callable[[sqlite3.Connection], int]
    done: asyncio.Future[int]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one transaction: `events[i]` belong to `appends[i]`; with an `error` nothing was stored."""

    appends: Sequence[Append]
    events: Sequence[Sequence[Event]]
    error: StoreError | None = None


class Listener(Protocol):
    """Told from the writer's thread."""

    def stored(self, outcome: Outcome) -> None: ...

    def worked(self, job: Job, result: int | StoreError) -> None: ...

    def stopped(self) -> None: ...


class Writer:
    """Owns the writing connection. `submit` never blocks; the listener is told of every outcome, in order.

    After a failed transaction (a full disk, say) nothing of it remains, and the next one is tried as if nothing
    had happened: the log recovers by itself.
    """

    def __init__(self, path: Path, connection: sqlite3.Connection, last_seq: int, listener: Listener) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = connection
        self._inode = os.stat(path).st_ino
        self._last_seq = last_seq
        self._listener = listener
        self._waiting: queue.SimpleQueue[Append | Job | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="store-writer", daemon=True)
        self._thread.start()

    def submit(self, item: Append | Job) -> None:
        self._waiting.put(item)

    def stop(self) -> None:
        """Write everything that was submitted before, then end; the listener hears `stopped`."""
        self._waiting.put(None)

    def _run(self) -> None:
        try:
            while (item := self._waiting.get()) is not None:
                job = self._write_group(item) if isinstance(item, Append) else item
                if job is not None:
                    self._work(job)
        finally:
            if self._connection is not None:
                self._connection.close()
            self._listener.stopped()

    def _write_group(self, first: Append) -> Job | None:
        """Store `first` with all appends that wait; returns the job that ended the group, if one did."""
        group = [first]
        size = len(first.rows)
        job: Job | None = None
        while size < MAX_GROUP:
            try:
                item = self._waiting.get_nowait()
            except queue.Empty:
                break
            if not isinstance(item, Append):
                job = item
                if item is None:
                    self._waiting.put(None)  # nothing is submitted after the end: it comes up again after this group
                break
            group.append(item)
            size += len(item.rows)
        self._listener.stored(self._store(group))
        return job

    def _store(self, group: Sequence[Append]) -> Outcome:
        rows: list[Row] = []
        for append in group:
            for at, call_id, kind, data in append.rows:
                rows.append((self._last_seq + len(rows) + 1, at, call_id, kind, data))
        try:
            self._transaction(lambda connection: connection.executemany(_INSERT, rows).rowcount)
        except StoreError as error:
            return Outcome(group, (), error)
        self._last_seq += len(rows)
        events = iter([decode(row) for row in rows])
        return Outcome(group, [[next(events) for _ in append.rows] for append in group])

    def _work(self, job: Job) -> None:
        try:
            result: int | StoreError = self._transaction(job.work)
        except StoreError as error:
            result = error
        self._listener.worked(job, result)

    def _transaction(self, work: Callable[[sqlite3.Connection], int]) -> int:
        self._check_in_place()
        connection = self._connection = self._connection or open_writer(self._path)
        try:
            connection.execute("BEGIN IMMEDIATE")
            result = work(connection)
            connection.execute("COMMIT")
            return result
        except sqlite3.Error as error:
            self._roll_back(connection)
            raise from_sqlite(error, "be written", self._path) from error
        except Exception as error:
            # Whoever waits for this must hear of it, and the thread must live on for those who come next.
            self._roll_back(connection)
            raise StoreError(f"The event log {self._path} could not be written: {error!r}.") from error

    def _roll_back(self, connection: sqlite3.Connection) -> None:
        try:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
        except sqlite3.Error:
            # The connection is of no use any more: the next transaction opens a new one, which recovers the file.
            connection.close()
            self._connection = None

    def _check_in_place(self) -> None:
        """SQLite goes on writing to a file that was deleted; what it then calls stored is gone at the next start."""
        try:
            found = os.stat(self._path).st_ino
        except OSError as error:
            raise from_os(error, "find the event log", self._path) from error
        if found != self._inode:
            raise StoreError(
                f"The event log {self._path} was replaced while the engine runs.",
                "Put it back, or restart the engine.",
            )
