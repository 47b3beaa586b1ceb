"""Reading the stored log when no engine runs: for `status`, `tail --no-follow` and `latency`."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import Concatenate, ParamSpec, Self, TypeVar

from engine.calls import Event
from engine.store import queries, schema, webhooks
from engine.store.errors import StoreError, from_sqlite

_P = ParamSpec("_P")
_T = TypeVar("_T")


class LogReader:
    """The stored log, read only. Its methods block and answer as those of `EventLog` do."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self._connection = connection
        self.generation = self._ask(schema.generation)
        self.last_seq = self._ask(schema.last_seq)

    def read(self, after: int, limit: int, call_id: str | None = None) -> list[Event]:
        return self._ask(queries.read, after, limit, call_id)

    def read_last(self, last: int, call_id: str | None = None) -> list[Event]:
        return self._ask(queries.read_last, last, call_id)

    def read_without_call(self, last: int) -> list[Event]:
        return self._ask(queries.read_without_call, last)

    def read_around(self, since: int, until: int) -> list[Event]:
        return self._ask(queries.read_around, since, until)

    def read_turns(self, last: int) -> list[Event]:
        return self._ask(queries.read_turns, last)

    def read_calls(self, call_ids: Iterable[str]) -> list[Event]:
        return self._ask(queries.read_calls, list(call_ids))

    def recent_call_ids(self, last: int) -> list[str]:
        return self._ask(queries.recent_call_ids, last)

    def search(self, query: str, last: int) -> list[str]:
        return self._ask(queries.search, query, last)

    def find_webhooks(self, wanted: webhooks.WebhookQuery) -> list[tuple[int, str]]:
        return self._ask(webhooks.find, wanted)

    def webhook(self, id_: int) -> tuple[str, str] | None:
        return self._ask(webhooks.get, id_)

    def close(self) -> None:
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _ask(
        self, query: Callable[Concatenate[sqlite3.Connection, _P], _T], *args: _P.args, **kwargs: _P.kwargs
    ) -> _T:
        try:
            return query(self._connection, *args, **kwargs)
        except sqlite3.Error as error:
            raise from_sqlite(error, "be read", self.path) from error


def open_readonly(path: Path) -> LogReader:
    """The log at `path`, when no engine runs. Creates no file. Raises StoreError, also when there is no log."""
    if not path.exists():
        raise StoreError(
            f"There is no event log at {path}.",
            "Nothing has run with this state folder yet; start an engine with `voicecall` or `voicecall serve`.",
        )
    # A -wal file is left over after a crash and holds the newest events. Without one nobody writes: SQLite may then
    # treat the file as one that never changes, and makes no -shm file beside it.
    left_over = path.with_name(path.name + "-wal").exists()
    return LogReader(path, schema.open_reader(path, immutable=not left_over))
