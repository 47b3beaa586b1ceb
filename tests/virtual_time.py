"""An event loop whose clock jumps to the next timer: ten minutes of pacing take a moment, and exactly ten minutes.

    @virtual_time
    async def test_something() -> None:
        await asyncio.sleep(600)

Give `asyncio.get_running_loop().time` to the code under test as its clock. For code that waits on timers only: when
nothing is scheduled and no socket or thread wakes the loop for a second of real time, the test fails instead of
hanging.
"""

from __future__ import annotations

import asyncio
import functools
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec

P = ParamSpec("P")
_REAL_PATIENCE = 1.0


class _JumpingSelector(selectors.DefaultSelector):
    """Instead of waiting for time to pass, lets it have passed."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready or timeout is not None:
            self.now += 0.0 if ready else max(0.0, timeout or 0.0)
            return ready
        ready = super().select(_REAL_PATIENCE)
        if not ready:
            raise RuntimeError("the test would wait for ever: no timer is set and nothing else happens")
        return ready


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """`time()` starts at 0 and moves only when every task waits."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now

    def spend(self, seconds: float) -> None:
        """Let time pass while a callback runs, as a busy processor would."""
        self._jumping.now += seconds


def virtual_time(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Run an async test in virtual time."""

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
            runner.run(test(*args, **kwargs))

    del run.__dict__["__wrapped__"]  # pytest-asyncio would see a coroutine function
    return run


def virtual_loop() -> VirtualTimeLoop:
    """The running loop."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)
    return loop
