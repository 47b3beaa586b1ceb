"""Events that the log stores in a second, against one commit per event with plain sqlite3 on the same disk.

    python bench/store.py --appenders 1 20 200

Each appender stores one event, waits until it is on the disk, and stores the next, as webhooks do. Appenders that
wait at the same time share a commit. Both sides write the same rows with the same durability (WAL, synchronous=FULL).
"""

from __future__ import annotations

import asyncio
import sqlite3
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.common import arguments, percentile, show  # noqa: E402
from engine.calls import Draft  # noqa: E402
from engine.store import DATABASE_NAME, EventLog  # noqa: E402
from engine.store.codec import encode  # noqa: E402

DRAFT: Final = Draft("say.queued", "bench", {"sayId": "bench-1", "speaker": "agent", "text": "Which day suits you?"})


async def grouped(folder: Path, appenders: int, seconds: float) -> dict[str, float]:
    """Our log: events a second, and how long an event takes to be stored."""
    async with await EventLog.open(folder / DATABASE_NAME) as log:
        waits: list[float] = []
        began = time.perf_counter()

        async def append() -> None:
            while (start := time.perf_counter()) < began + seconds:
                await log.append((DRAFT,))
                waits.append(time.perf_counter() - start)

        async with asyncio.TaskGroup() as group:
            for _ in range(appenders):
                group.create_task(append())
        took = time.perf_counter() - began
    return {
        "perSecond": round(len(waits) / took),
        "p50Ms": round(percentile(waits, 0.5) * 1000, 2),
        "p99Ms": round(percentile(waits, 0.99) * 1000, 2),
    }


def single(path: Path, seconds: float) -> int:
    """Plain sqlite3, one commit per event: events a second."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("CREATE TABLE events (seq INTEGER PRIMARY KEY, at INT, call_id TEXT, type TEXT, data TEXT)")
    stored, began = 0, time.perf_counter()
    while time.perf_counter() < began + seconds:
        row = encode(DRAFT, time.time_ns() // 1_000_000)
        connection.execute("INSERT INTO events (at, call_id, type, data) VALUES (?, ?, ?, ?)", row)
        stored += 1
    took = time.perf_counter() - began
    connection.close()
    return round(stored / took)


def main() -> None:
    parser = arguments(__doc__ or "")
    parser.add_argument("--appenders", type=int, nargs="+", default=[1, 20, 200])
    parser.add_argument("--seconds", type=float, default=5, help="of each measurement (default 5)")
    parser.add_argument("--dir", type=Path, default=Path(), help="where to write (default: the current folder)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.dir) as name:
        folder = Path(name)
        figures: dict[str, Any] = {"plainPerSecond": single(folder / "plain.db", options.seconds)}
        lines = [f"plain sqlite3, a commit per event {figures['plainPerSecond']:8d} events/s"]
        for appenders in options.appenders:
            (folder / str(appenders)).mkdir()
            ours = asyncio.run(grouped(folder / str(appenders), appenders, options.seconds))
            figures[str(appenders)] = ours
            lines.append(
                f"event log, {appenders:3d} appenders         {ours['perSecond']:8.0f} events/s  "
                f"{ours['perSecond'] / figures['plainPerSecond']:.1f} x  "
                f"stored in p50 {ours['p50Ms']} p99 {ours['p99Ms']} ms"
            )
    show(lines, figures, options.json)


if __name__ == "__main__":
    main()
