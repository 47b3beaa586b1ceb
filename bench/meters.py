"""What live level meters cost the screen: processor time of a console on a terminal (120x40), with and without.

    python bench/meters.py --calls 20

The same console with the same live calls runs twice: once nobody tells it levels, once ten times a second all of
them, each time different ones, as from calls in which everybody talks. The difference is what meters cost.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.common import arguments, cpu_seconds, show  # noqa: E402
from bench.terminal import Terminal  # noqa: E402
from engine.api import Page  # noqa: E402
from engine.calls import Cursor, Event  # noqa: E402
from engine.client import Batch, EngineClient  # noqa: E402
from engine.clock import epoch_ms  # noqa: E402

SETTLE_SECONDS: Final = 3.0
TELL_SECONDS: Final = 0.1


class Talkers(EngineClient):
    """An engine with `calls` live calls, which tells nothing but their levels."""

    def __init__(self, calls: int, levels: bool) -> None:
        self._ids = [f"call-{index}" for index in range(calls)]
        self._levels = levels
        self._random = random.Random(1)

    async def _request(self, method: str, params: Mapping[str, Any], timeout_s: float = 30.0) -> Any:
        if method == "voicecall.backlog":
            page = Page(self._backlog(), Cursor("g", 10_000))
            return {"events": [event.to_json() for event in page.events], "cursor": str(page.cursor)}
        return {"engine": {"provider": "mock", "lagMs": 0}, "exposure": {}, "speech": {}, "store": {"ok": True}}

    def _backlog(self) -> list[Event]:
        now, events = epoch_ms(), list[Event]()
        for index, call_id in enumerate(self._ids):
            ends = {"from": f"+1555010{index:04d}", "to": "+15550000000", "direction": "inbound", "provider": "mock"}
            steps = ("call.answered", "stream.opened", "stream.started", "stream.first_frame", "speech.ready")
            events.append(Event(len(events) + 1, now, call_id, "call.initiated", ends))
            events += [Event(len(events) + step + 1, now, call_id, type_, {}) for step, type_ in enumerate(steps)]
        return events

    async def watch(self, cursor: Cursor | None = None, last: int = 0) -> AsyncIterator[Batch]:
        while True:
            await asyncio.sleep(TELL_SECONDS)
            if self._levels:
                yield Batch([self._level(call_id) for call_id in self._ids], Cursor("g", 10_000), False)

    def _level(self, call_id: str) -> Event:
        levels = {"caller": self._random.randint(-70, -10), "agent": self._random.randint(-70, -10)}
        return Event(0, epoch_ms(), call_id, "audio.level", {**levels, "floor": -60, "threshold": -45})

    async def close(self) -> None:
        """Nothing to let go of."""


def share(calls: int, seconds: float, *, levels: bool) -> float:
    """Percent of a core that such a console takes."""
    command = [sys.executable, __file__, "--screen", "on" if levels else "off", "--calls", str(calls)]
    with Terminal(command, os.environ) as terminal:
        terminal.wait_for(lambda text: "ladder" in text, 20)
        _drain(terminal, SETTLE_SECONDS)
        before, began = cpu_seconds(terminal.pid), time.monotonic()
        _drain(terminal, seconds)
        return (cpu_seconds(terminal.pid) - before) / (time.monotonic() - began) * 100


def _drain(terminal: Terminal, seconds: float) -> None:
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        terminal.read(left)


def main() -> None:
    parser = arguments(__doc__ or "")
    parser.add_argument("--calls", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--screen", choices=("on", "off"), help="internal: be the console")
    options = parser.parse_args()
    if options.screen:
        from console.app import run_app

        run_app(Talkers(options.calls, options.screen == "on"))
        return
    still = share(options.calls, options.seconds, levels=False)
    moving = share(options.calls, options.seconds, levels=True)
    figures = {"calls": options.calls, "stillPercent": round(still, 2), "movingPercent": round(moving, 2)}
    figures["metersPercent"] = round(moving - still, 2)
    lines = [
        f"{options.calls} live calls: {still:.1f} % of a core without levels, {moving:.1f} % with;"
        f" the meters cost {moving - still:.1f} %"
    ]
    show(lines, figures, options.json)


if __name__ == "__main__":
    main()
