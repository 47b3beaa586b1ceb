"""The tables of the event log, and how connections to them are opened and checked."""

from __future__ import annotations

import sqlite3
import uuid
from pathlib import Path
from typing import Final

from engine.store.errors import StoreError, from_sqlite
from engine.store.files import prepare_file
from engine.store.webhooks import TABLE as WEBHOOKS

APPLICATION_ID: Final = 0x76634C67
"""`PRAGMA application_id` of our files ("vcLg"), so that a foreign database is recognised and left alone."""
SCHEMA_VERSION: Final = 1
"""`PRAGMA user_version`: raised with every change of the tables."""
BUSY_TIMEOUT_S: Final = 5.0

_CREATE: Final = (
    "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    # AUTOINCREMENT: a number is not used again after retention deleted the newest event.
    "CREATE TABLE events (seq INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, call_id TEXT,"
    " type TEXT NOT NULL, data TEXT NOT NULL)",
    "CREATE INDEX events_by_call ON events (call_id)",
    "CREATE INDEX calls_begun ON events (seq, call_id) WHERE type = 'call.initiated'",
    "CREATE INDEX turns_done ON events (seq) WHERE type = 'turn.completed'",
)
_ADDED: Final = (
    "CREATE INDEX IF NOT EXISTS callers_admitted ON events (call_id) WHERE type = 'call.admitted'",
    "CREATE INDEX IF NOT EXISTS callers_forgotten ON events (seq) WHERE type = 'caller.forgotten'",
    *(
        f"CREATE INDEX IF NOT EXISTS calls_{key} ON events (json_extract(data, '$.{key}'), seq)"
        " WHERE type = 'call.initiated'"
        for key in ("from", "to")
    ),
    *WEBHOOKS,
)
"""Indexes and a table that came later. They change no older table, so an older program still reads and writes it."""


def open_writer(path: Path) -> sqlite3.Connection:
    """The one connection that writes; creates the file and its tables. Raises StoreError."""
    prepare_file(path)
    try:
        connection = _connect(path, "rwc")
        try:
            _check(connection, path, may_be_empty=True)
            if connection.execute("PRAGMA journal_mode = WAL").fetchone()[0] != "wal":
                raise StoreError(
                    f"The event log {path} can not be kept in write-ahead mode.",
                    "Its file system does not support that (network drives often don't): use --state-dir.",
                )
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA journal_size_limit = 67108864")
            connection.execute("PRAGMA secure_delete = ON")
            _create(connection)
        except BaseException:
            connection.close()
            raise
    except sqlite3.Error as error:
        raise from_sqlite(error, "be opened", path) from error
    return connection


def open_reader(path: Path, *, immutable: bool = False) -> sqlite3.Connection:
    """A connection that only reads. Creates nothing but SQLite's own -shm file beside a left-over -wal.

    `immutable` is for a log that nobody writes and that has no -wal file: then nothing at all is created.
    """
    try:
        connection = _connect(path, "ro", immutable=immutable)
        try:
            _check(connection, path, may_be_empty=False)
        except BaseException:
            connection.close()
            raise
    except sqlite3.Error as error:
        raise from_sqlite(error, "be read", path) from error
    return connection


def generation(connection: sqlite3.Connection) -> str:
    """The name of this log. A log that replaces another has another one, so old cursors are noticed."""
    return str(connection.execute("SELECT value FROM meta WHERE key = 'generation'").fetchone()[0])


def last_seq(connection: sqlite3.Connection) -> int:
    """The highest number ever given to an event, deleted ones included; 0 in a new log."""
    row = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'events'").fetchone()
    return int(row[0]) if row else 0


def _connect(path: Path, mode: str, *, immutable: bool = False) -> sqlite3.Connection:
    address = f"{path.absolute().as_uri()}?mode={mode}{'&immutable=1' if immutable else ''}"
    # Opened in one thread and then used in one other: hence check_same_thread. Autocommit: we say BEGIN ourselves.
    return sqlite3.connect(address, uri=True, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)


def _check(connection: sqlite3.Connection, path: Path, *, may_be_empty: bool) -> None:
    tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if tables == 0 and may_be_empty:
        return
    owner = connection.execute("PRAGMA application_id").fetchone()[0]
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if owner != APPLICATION_ID:
        raise StoreError(
            f"{path} is not an event log of voicecall.",
            "Move the file away, or choose another folder with --state-dir.",
        )
    if version > SCHEMA_VERSION:
        raise StoreError(
            f"The event log {path} was written by a newer voicecall (its format is {version},"
            f" this program knows {SCHEMA_VERSION}).",
            "Update voicecall, or choose another folder with --state-dir.",
        )


def _create(connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        if connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0:
            for statement in _CREATE:
                connection.execute(statement)
            connection.execute("INSERT INTO meta VALUES ('generation', ?)", (uuid.uuid4().hex,))
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        for statement in _ADDED:
            connection.execute(statement)
        connection.execute("COMMIT")
    except sqlite3.Error:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
