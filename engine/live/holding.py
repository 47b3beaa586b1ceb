"""A holding phrase while a reply is being made: the caller hears that they were heard.

One at a time, never over anything else, and cut at once when the answer is there.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from typing import Final

from engine.live.lines import Speaking, Utterance
from engine.live.manners import Manners

AGAIN_SECONDS: Final = 0.25
"""When a phrase would disturb, it is tried again after this."""


class Holding:
    """The holding phrases of one reply. `quiet`: the caller does not speak."""

    def __init__(self, mouth: Speaking, manners: Manners, quiet: Callable[[], bool]) -> None:
        self._mouth = mouth
        self._manners = manners
        self._quiet = quiet
        self._phrases = itertools.cycle(manners.holding)
        self._line: Utterance | None = None
        self._task: asyncio.Task[None] | None = None

    def begin(self, waited_s: float) -> None:
        """The caller's turn ended `waited_s` ago."""
        self._wait(max(0.0, self._manners.holding_after_s - waited_s))

    def again(self) -> None:
        """Something was said, and there is more to come: the next phrase is for when that takes long."""
        self._wait(self._manners.holding_repeat_s)

    def _wait(self, pause: float) -> None:
        if self._manners.holding and self._task is None:
            self._task = asyncio.create_task(self._run(pause))

    def end(self) -> None:
        """The answer is ready, or not wanted any more."""
        if self._task is not None:
            self._task.cancel()
            self._task = None
        line, self._line = self._line, None
        if line is not None:
            self._mouth.take_back(line, "the answer is ready")

    async def _run(self, pause: float) -> None:
        disturbed = False
        while True:
            await asyncio.sleep(pause)
            if self._mouth.busy or not self._quiet():
                disturbed, pause = True, AGAIN_SECONDS
                continue
            if disturbed:  # the silence that a phrase is for begins now
                disturbed, pause = False, self._manners.holding_after_s
                continue
            self._line = self._mouth.say(next(self._phrases), kind="hold")
            await asyncio.shield(self._line.done)
            self._line = None
            pause = self._manners.holding_repeat_s
