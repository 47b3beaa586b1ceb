"""The carrier's clock: one task, a tick every 20 ms by an absolute schedule, for all lines at once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Final

log = logging.getLogger(__name__)

TICK_S: Final = 0.02
LATE_S: Final = 0.01
CATCH_UP_LIMIT: Final = 50
"""Ticks made up at once. After a longer stop (a sleeping laptop) the schedule starts anew."""

OnTick = Callable[[], None]
OnFailure = Callable[[Exception], None]


class Ticker:
    """Calls every subscriber once per tick. A late tick is followed at once by those that were missed."""

    def __init__(self) -> None:
        self._lines: dict[OnTick, OnFailure] = {}
        self._task: asyncio.Task[None] | None = None
        self.ticks = 0
        self.late = 0
        self.worst_late_ms = 0.0
        self.skipped = 0

    def add(self, on_tick: OnTick, on_failure: OnFailure) -> None:
        """Tick for this line from now on. When `on_tick` raises it is removed and `on_failure` told."""
        self._lines[on_tick] = on_failure
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run(), name="simulator clock")

    def remove(self, on_tick: OnTick) -> None:
        self._lines.pop(on_tick, None)

    async def close(self) -> None:
        self._lines.clear()
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            self._task = None

    def report(self) -> dict[str, Any]:
        return {
            "ticks": self.ticks,
            "late": self.late,
            "worst_late_ms": round(self.worst_late_ms, 1),
            "skipped": self.skipped,
        }

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time() + TICK_S
        while self._lines:
            await asyncio.sleep(max(0.0, due - loop.time()))
            late = loop.time() - due
            if late > CATCH_UP_LIMIT * TICK_S:
                missed = int(late / TICK_S)
                self.skipped += missed
                due += missed * TICK_S
            self._count(late)
            self._tick()
            due += TICK_S
        self._task = None

    def _count(self, late: float) -> None:
        self.ticks += 1
        if late > LATE_S:
            self.late += 1
            self.worst_late_ms = max(self.worst_late_ms, late * 1000)

    def _tick(self) -> None:
        for on_tick, on_failure in list(self._lines.items()):
            try:
                on_tick()
            except Exception as error:  # one broken line must not stop the clock of the others
                log.exception("a simulated line failed")
                self._lines.pop(on_tick, None)
                on_failure(error)
