"""Requests of carriers as they came, in a table of their own: the log holds the facts, this the bytes.

Functions on a connection. They block; never call them on a loop. `summary` and `detail` are JSON text that is opaque
here, `words` is what a search looks at.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

TABLE: Final = (
    # AUTOINCREMENT: a number is not used again after retention deleted the newest request.
    "CREATE TABLE IF NOT EXISTS webhooks (id INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, call_id TEXT,"
    " verdict TEXT NOT NULL, words TEXT NOT NULL, summary TEXT NOT NULL, detail TEXT NOT NULL)",
    "CREATE INDEX IF NOT EXISTS webhooks_by_call ON webhooks (call_id) WHERE call_id IS NOT NULL",
    "CREATE INDEX IF NOT EXISTS webhooks_by_verdict ON webhooks (verdict, id)",
)
"""It came later than the log: a program that does not know it still reads and writes the file."""
MAX_TERMS: Final = 8
PRUNED_PER_STEP: Final = 500
_REFERRED: Final = 20_000
"""Events that are looked through for numbers which were given out just before a crash."""


@dataclass(frozen=True, slots=True)
class WebhookRow:
    """One request."""

    id: int
    at: int
    """Epoch ms at which it came."""
    call_id: str | None
    verdict: str
    words: str
    """In lower case."""
    summary: str
    detail: str


@dataclass(frozen=True, slots=True)
class WebhookQuery:
    """Which requests are wanted, the newest first; unset parts do not matter."""

    last: int = 50
    call_id: str | None = None
    verdict: str | None = None
    query: str = ""
    """Words that must all be in it."""
    before: int | None = None
    """Only older ones than this id ..."""
    after: int | None = None
    """... and only newer ones than this."""


def last_id(connection: sqlite3.Connection) -> int:
    """The highest number ever given to a request; 0 for none.

    The log may name a request that was not written any more before a crash. Its number must not become another's.
    """
    row = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'webhooks'").fetchone()
    written = int(row[0]) if row else 0
    newest = "SELECT coalesce(max(seq), 0) FROM events"
    sql = (
        "SELECT max(json_extract(data, '$.record')) FROM events"
        f" WHERE seq > ({newest}) - {_REFERRED} AND type = 'webhook.received'"
    )
    named = connection.execute(sql).fetchone()[0]
    return max(written, named if isinstance(named, int) else 0)


def insert(connection: sqlite3.Connection, rows: Sequence[WebhookRow]) -> int:
    """Store requests; a number that is there already keeps what it has."""
    return connection.executemany(
        "INSERT OR IGNORE INTO webhooks (id, at, call_id, verdict, words, summary, detail)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        [(row.id, row.at, row.call_id, row.verdict, row.words, row.summary, row.detail) for row in rows],
    ).rowcount


def find(connection: sqlite3.Connection, wanted: WebhookQuery) -> list[tuple[int, str]]:
    """(id, summary) of the newest requests that match, newest first."""
    if not _is_there(connection):
        return []
    conditions, values = ["1"], list[str | int]()
    for column, value in (("call_id =", wanted.call_id), ("verdict =", wanted.verdict)):
        if value is not None:
            conditions.append(f"{column} ?")
            values.append(_plain(value))
    for column, bound in (("id <", wanted.before), ("id >", wanted.after)):
        if bound is not None:
            conditions.append(f"{column} ?")
            values.append(bound)
    for term in _plain(wanted.query).lower().split()[:MAX_TERMS]:
        conditions.append("instr(words, ?) > 0")
        values.append(term)
    sql = f"SELECT id, summary FROM webhooks WHERE {' AND '.join(conditions)} ORDER BY id DESC LIMIT ?"
    return list(connection.execute(sql, (*values, wanted.last)))


def get(connection: sqlite3.Connection, id_: int) -> tuple[str, str] | None:
    """(summary, detail) of one request."""
    if not _is_there(connection):
        return None
    row = connection.execute("SELECT summary, detail FROM webhooks WHERE id = ?", (id_,)).fetchone()
    return None if row is None else (str(row[0]), str(row[1]))


def prune(connection: sqlite3.Connection, keep: int, before: int) -> int:
    """Delete some requests that are older than `before` (epoch ms), or beyond the `keep` newest of their kind.

    Those that were refused are counted by themselves: a flood of them must not wash the genuine ones out. Returns how
    many went; call it again until that is 0.
    """
    gone = connection.execute(
        "DELETE FROM webhooks WHERE id IN (SELECT id FROM webhooks WHERE at < ? ORDER BY id LIMIT ?)",
        (before, PRUNED_PER_STEP),
    ).rowcount
    for kind in ("=", "!="):
        oldest = f"SELECT id FROM webhooks WHERE verdict {kind} 'refused' ORDER BY id DESC LIMIT -1 OFFSET ?"
        sql = f"DELETE FROM webhooks WHERE id IN (SELECT id FROM ({oldest}) LIMIT ?)"
        gone += connection.execute(sql, (keep, PRUNED_PER_STEP)).rowcount
    return gone


def forget_calls(connection: sqlite3.Connection) -> int:
    """Delete the requests of calls that the log has forgotten."""
    return connection.execute(
        "DELETE FROM webhooks WHERE id IN (SELECT id FROM webhooks w WHERE call_id IS NOT NULL"
        " AND NOT EXISTS (SELECT 1 FROM events e WHERE e.call_id = w.call_id) LIMIT ?)",
        (PRUNED_PER_STEP,),
    ).rowcount


def _is_there(connection: sqlite3.Connection) -> bool:
    """A file that an older program wrote has no such table, and one who only reads makes none."""
    return connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'webhooks'").fetchone() is not None


def _plain(text: str) -> str:
    return text.encode("utf-8", "replace").decode().replace("\0", " ")
