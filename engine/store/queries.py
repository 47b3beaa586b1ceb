"""What can be asked of the log: functions from a connection to events. They block; never call them on a loop."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable
from typing import Final

import orjson

from engine.calls import Event
from engine.calls.policy import digits_of
from engine.store.codec import decode

_COLUMNS: Final = "seq, at, call_id, type, data"
_NUMBER: Final = re.compile(r"[+\d\s()./-]*\d[+\d\s()./-]*")
MAX_TERMS: Final = 8
"""Words of a query that are looked for; the rest is ignored."""


def read(connection: sqlite3.Connection, after: int, limit: int, call_id: str | None = None) -> list[Event]:
    """At most `limit` events with a seq greater than `after`, in order."""
    if call_id is None:
        sql = f"SELECT {_COLUMNS} FROM events WHERE seq > ? ORDER BY seq LIMIT ?"
        return _events(connection.execute(sql, (after, limit)))
    sql = f"SELECT {_COLUMNS} FROM events WHERE call_id = ? AND seq > ? ORDER BY seq LIMIT ?"
    return _events(connection.execute(sql, (call_id, after, limit)))


def read_last(connection: sqlite3.Connection, last: int, call_id: str | None = None) -> list[Event]:
    """The `last` newest events, in order."""
    if call_id is None:
        sql = f"SELECT {_COLUMNS} FROM events ORDER BY seq DESC LIMIT ?"
        return _events(connection.execute(sql, (last,)))[::-1]
    sql = f"SELECT {_COLUMNS} FROM events WHERE call_id = ? ORDER BY seq DESC LIMIT ?"
    return _events(connection.execute(sql, (call_id, last)))[::-1]


def read_without_call(connection: sqlite3.Connection, last: int) -> list[Event]:
    """The `last` newest events that belong to no call, in order."""
    sql = f"SELECT {_COLUMNS} FROM events WHERE call_id IS NULL ORDER BY seq DESC LIMIT ?"
    return _events(connection.execute(sql, (last,)))[::-1]


def read_around(connection: sqlite3.Connection, since: int, until: int, limit: int = 2000) -> list[Event]:
    """What belongs to no call and happened between two times (epoch ms), and the last word on the address before."""
    told = "AND type IN ('exposure.changed', 'exposure.probed')"
    earlier = f"SELECT {_COLUMNS} FROM events WHERE call_id IS NULL AND at < ? {told} ORDER BY seq DESC LIMIT 1"
    between = f"SELECT {_COLUMNS} FROM events WHERE call_id IS NULL AND at >= ? AND at <= ? ORDER BY seq LIMIT ?"
    before = _events(connection.execute(earlier, (since,)))
    return before + _events(connection.execute(between, (since, until, limit)))


def read_turns(connection: sqlite3.Connection, last: int) -> list[Event]:
    """The `last` newest `turn.completed` events, in order."""
    sql = f"SELECT {_COLUMNS} FROM events WHERE type = 'turn.completed' ORDER BY seq DESC LIMIT ?"
    return _events(connection.execute(sql, (last,)))[::-1]


def read_calls(connection: sqlite3.Connection, call_ids: Iterable[str]) -> list[Event]:
    """All events of these calls, in order."""
    wanted = orjson.dumps(list(call_ids)).decode()
    sql = f"SELECT {_COLUMNS} FROM events WHERE call_id IN (SELECT value FROM json_each(?)) ORDER BY seq"
    return _events(connection.execute(sql, (wanted,)))


def count_calls_since(connection: sqlite3.Connection, at: int) -> int:
    """Calls that began at `at` (epoch ms) or later. Read from the newest on, as far as they go back."""
    sql = "SELECT at FROM events WHERE type = 'call.initiated' ORDER BY seq DESC"
    count = 0
    for (began,) in connection.execute(sql):
        if began < at:
            break
        count += 1
    return count


def always_admitted(connection: sqlite3.Connection) -> list[str]:
    """The numbers of all callers who were let in for good and not forgotten since, in the order of that decision."""
    sql = (
        "SELECT admitted.seq, 1, json_extract(begun.data, '$.from') FROM events admitted"
        " JOIN events begun ON begun.call_id = admitted.call_id AND begun.type = 'call.initiated'"
        " WHERE admitted.type = 'call.admitted' AND json_extract(admitted.data, '$.verdict') = 'always'"
        " UNION ALL SELECT seq, 0, json_extract(data, '$.number') FROM events WHERE type = 'caller.forgotten'"
        " ORDER BY 1"
    )
    known: dict[str, str] = {}
    for _, admitted, number in connection.execute(sql):
        if not isinstance(number, str):
            continue
        if admitted:
            known.setdefault(digits_of(number), number)
        else:
            known.pop(digits_of(number), None)
    return list(known.values())


def calls_with(connection: sqlite3.Connection, number: str, last: int) -> list[str]:
    """The `last` newest calls from or to exactly this number, newest first."""
    found = (
        "SELECT seq, call_id FROM events WHERE type = 'call.initiated' AND call_id IS NOT NULL"
        " AND json_extract(data, '$.{key}') = ?1 ORDER BY seq DESC LIMIT ?2"
    )
    sql = " UNION ".join(f"SELECT * FROM ({found.format(key=key)})" for key in ("from", "to"))
    rows = connection.execute(f"{sql} ORDER BY seq DESC LIMIT ?2", (number, last))
    return [call_id for _, call_id in rows]


def recent_call_ids(connection: sqlite3.Connection, last: int) -> list[str]:
    """The `last` calls that began last, newest first."""
    return search(connection, "", last)


def search(connection: sqlite3.Connection, query: str, last: int) -> list[str]:
    """The `last` newest calls in which every word of `query` was said, or is part of a number; newest first.

    A query that looks like a telephone number is compared digit by digit, however it is written. Upper and lower
    case are the same; SQLite itself knows that for ASCII only, so other scripts are tried in the usual spellings.
    """
    conditions: list[str] = []
    values: list[str | int] = []
    for term in _terms(query):
        spellings = sorted({term, term.lower(), term.upper(), term.title()})
        # The trimmed fields only: a query for "text" must not find the key of that name.
        places = " OR ".join(
            f"json_extract(e.data, '$.{key}') LIKE ? ESCAPE '\\'" for _ in spellings for key in ("text", "from", "to")
        )
        conditions.append(
            "AND EXISTS (SELECT 1 FROM events e WHERE e.call_id = begun.call_id"
            f" AND e.type IN ('call.initiated', 'speech.final', 'say.queued', 'say.worded') AND ({places}))"
        )
        values += [_pattern(spelling) for spelling in spellings for _ in range(3)]
    sql = (
        "SELECT call_id FROM events begun WHERE type = 'call.initiated' AND call_id IS NOT NULL"
        f" {' '.join(conditions)} ORDER BY seq DESC"
    )
    found: dict[str, None] = {}
    for (call_id,) in connection.execute(sql, values):
        if len(found) >= last:
            break
        found[call_id] = None
    return list(found)


def _terms(query: str) -> list[str]:
    query = query.encode("utf-8", "replace").decode().replace("\0", " ").strip()[:200]
    if _NUMBER.fullmatch(query):
        return [re.sub(r"\D", "", query)]
    return query.split()[:MAX_TERMS]


def _pattern(term: str) -> str:
    escaped = term.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"%{escaped}%"


def _events(rows: Iterable[tuple[int, int, str | None, str, str]]) -> list[Event]:
    return [decode(row) for row in rows]
