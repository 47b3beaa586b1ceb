"""Keeps Python's garbage collector out of the audio.

A full collection walks every object there is and holds all calls (and all threads) while it does: 60 to 80 ms in a
process with a screen. Frames are freed by reference counting and need no collector, so what is alive once the
process, or a burst of new calls, has settled is put out of its reach; the next collections only see what came since.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable
from typing import Final

LOOK_SECONDS: Final = 1.0
SETTLED_LOOKS: Final = 3
"""Looks with the same number of calls in a row until they count as settled."""
YOUNG_OBJECTS: Final = 20_000
"""New containers that may be alive before the youngest generation is looked at (Python's default is 700)."""


def settle(thorough: bool) -> None:
    """Collect what came since the last time and freeze what is left of it.

    `thorough` looks at everything again, frozen garbage too: some 50 to 100 ms, for moments without calls.
    """
    if thorough:
        gc.unfreeze()
    gc.collect()
    gc.freeze()


async def stay_calm(calls: Callable[[], int]) -> None:
    """Settle at once, and again each time that the number of `calls` has changed and then stayed; for ever."""
    gc.set_threshold(YOUNG_OBJECTS, 20, 50)
    settle(thorough=True)
    settled, before, looks = calls(), calls(), 0
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        now = calls()
        looks = looks + 1 if now == before else 0
        before = now
        if now != settled and looks >= SETTLED_LOOKS:
            settle(thorough=now == 0)
            settled = now
