"""How late the engine's own loop is: what an audio frame would feel."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final

PERIOD: Final = 0.1
WINDOW: Final = 50
"""Samples that are looked back on: five seconds."""


class LagMeter:
    """Measures the lateness of a timer on the running loop."""

    def __init__(self) -> None:
        self._samples: deque[float] = deque(maxlen=WINDOW)

    @property
    def worst_ms(self) -> int:
        """The worst lateness of the last five seconds, in ms."""
        return round(max(self._samples, default=0.0) * 1000)

    async def run(self) -> None:
        """Measure for ever."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + PERIOD
            await asyncio.sleep(PERIOD)
            self._samples.append(max(0.0, loop.time() - due))
