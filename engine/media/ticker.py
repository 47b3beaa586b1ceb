"""One pulse for the playout of all calls, on an absolute clock.

Tick n is due at start + n x step, whatever happened before: a tick that came late does not move the next one, so
lost time is won back. Members are spread over four phases of 5 ms, so that neither the processor nor the network
gets all calls in one burst. Nobody playing means no ticks at all.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final, Protocol

from engine.media.audio import FRAME_MS

PERIOD: Final = FRAME_MS / 1000
"""Seconds between two ticks of one member."""
PHASES: Final = 4
_STEP: Final = PERIOD / PHASES
_EARLY: Final = 0.001
"""Timers of event loops are good to a millisecond; a tick may come that much early rather than wait once more."""
_MAX_BEHIND: Final = 1.0
"""Seconds of missed ticks that are made up for. After more (a suspended machine) the rest is left out."""


class Ticking(Protocol):
    """Something that wants a tick every 20 ms."""

    def tick(self, now: float, due: float) -> None:
        """Work at `now` for the tick that was `due` (both by the ticker's clock, in seconds).

        A tick that is a period or more late stands for those that were due since, too.
        """

    def tick_failed(self, error: Exception) -> None:
        """`tick` raised; there will be no more ticks."""


class Ticker:
    """Drives its members while `run` runs. One event loop only."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self._phases: list[dict[Ticking, None]] = [{} for _ in range(PHASES)]
        self._where: dict[Ticking, int] = {}
        self._wanted = asyncio.Event()

    def add(self, member: Ticking) -> None:
        """Tick `member` from now on. Adding it again changes nothing."""
        if member in self._where:
            return
        phase = min(range(PHASES), key=lambda index: len(self._phases[index]))
        self._where[member] = phase
        self._phases[phase][member] = None
        self._wanted.set()

    def remove(self, member: Ticking) -> None:
        """Leave `member` alone. Removing it again changes nothing."""
        phase = self._where.pop(member, None)
        if phase is not None:
            del self._phases[phase][member]

    async def run(self) -> None:
        """Tick for ever; ends by cancellation."""
        while True:
            self._wanted.clear()
            if not self._where:
                await self._wanted.wait()
            await self._run_while_wanted()

    async def _run_while_wanted(self) -> None:
        origin, slots = self.clock(), list(range(PHASES))
        while self._where:
            slots = [self._caught_up(origin, slot) for slot in slots]
            pause = origin + min(slots) * _STEP - self.clock()
            # At least one round of the loop for everything else, however late we are.
            await asyncio.sleep(pause if pause > _EARLY else 0)

    def _caught_up(self, origin: float, slot: int) -> int:
        """Serve the phase whose turn is `slot` if it is due; the slot of its next turn.

        A tick that comes late does the work of those that were missed meanwhile: they are not served one by one, each
        a round of the loop later, because a busy machine would then never catch up.
        """
        now = self.clock()
        behind = now - (origin + slot * _STEP)
        if behind < -_EARLY:
            return slot
        if behind > _MAX_BEHIND:
            slot += PHASES * int((behind - _MAX_BEHIND) / PERIOD)
        due = origin + slot * _STEP
        self._serve(slot % PHASES, now, due)
        return slot + PHASES * (1 + max(0, int((now - due) / PERIOD)))

    def _serve(self, phase: int, now: float, due: float) -> None:
        for member in tuple(self._phases[phase]):
            try:
                member.tick(now, due)
            except Exception as error:
                self.remove(member)
                member.tick_failed(error)
