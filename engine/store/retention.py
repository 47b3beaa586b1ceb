"""Forgetting: which events are too old to keep. Runs on the writing connection, a little at a time."""

from __future__ import annotations

import sqlite3
from typing import Final

from engine.store.webhooks import forget_calls

CALLS_PER_STEP: Final = 50
LOOSE_PER_STEP: Final = 2000
DAY_MS: Final = 24 * 60 * 60 * 1000

_OLD_CALLS: Final = (
    "SELECT DISTINCT call_id FROM events begun WHERE type = 'call.initiated' AND at < :before AND NOT EXISTS"
    " (SELECT 1 FROM events e WHERE e.call_id = begun.call_id AND e.at >= :before) LIMIT :step"
)
_OLD_LOOSE: Final = (
    "SELECT seq FROM events WHERE call_id IS NULL AND at < :before AND type != 'caller.forgotten'"
    " ORDER BY seq LIMIT :step"
)
"""Not what takes an admission back: the call with the admission may be kept longer."""


_ALL_OLD: Final = _OLD_CALLS.removesuffix(" LIMIT :step")
_FILES: Final = (
    "SELECT DISTINCT json_extract(data, '$.file') FROM events WHERE type = 'recording.started'"
    f" AND call_id IN ({_ALL_OLD})"
)


def recordings_of_old(connection: sqlite3.Connection, before: int) -> list[str]:
    """Files of recordings of calls whose last event is older than `before` (epoch ms)."""
    return [file for (file,) in connection.execute(_FILES, {"before": before}) if isinstance(file, str)]


def forget_step(connection: sqlite3.Connection, before: int) -> int:
    """Delete some events of calls whose last event is older than `before` (epoch ms), and of no call.

    Returns how many were deleted: 0 when nothing is left to do. Call it again until then; between two steps the
    writer stores what has come in meanwhile. A call goes as a whole or not at all, its webhooks with it.
    """
    calls = connection.execute(
        f"DELETE FROM events WHERE call_id IN ({_OLD_CALLS})", {"before": before, "step": CALLS_PER_STEP}
    )
    loose = connection.execute(
        f"DELETE FROM events WHERE seq IN ({_OLD_LOOSE})", {"before": before, "step": LOOSE_PER_STEP}
    )
    while calls.rowcount and forget_calls(connection):
        pass
    return calls.rowcount + loose.rowcount
