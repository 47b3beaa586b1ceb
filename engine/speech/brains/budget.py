"""The time that a model server may take for one reply."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Final, TypeVar

import aiohttp

from engine.speech.ports import SpeechUnavailable

_T = TypeVar("_T")

STALL_SECONDS: Final = 8.0
"""A model that has begun to answer and then sends nothing for so long is given up."""


class Budget:
    """The time that the server may still take. Waiting for the listener does not count."""

    def __init__(self, seconds: float, stall_s: float) -> None:
        self._total = seconds
        self._left = seconds
        self._stall_s = stall_s
        self._stall_left: float | None = None
        """How long the server may go on sending nothing of use; None before its first words."""

    def alive(self, *, words: bool) -> None:
        """Something came that shows that the model works."""
        if words or self._stall_left is not None:
            self._stall_left = self._stall_s

    async def spend(self, work: Awaitable[_T]) -> _T:
        """Await `work` within what is left. Raises SpeechUnavailable when that is used up."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        limit = self._left if self._stall_left is None else min(self._left, self._stall_left)
        try:
            async with asyncio.timeout(limit):
                return await work
        except aiohttp.ClientError:
            raise  # some of them are TimeoutErrors too
        except TimeoutError:
            raise SpeechUnavailable(self._over(), "raise `response_timeout_ms` or choose a faster model") from None
        finally:
            spent = loop.time() - began
            self._left = max(0.0, self._left - spent)
            if self._stall_left is not None:
                self._stall_left = max(0.0, self._stall_left - spent)

    def _over(self) -> str:
        if self._stall_left is None:
            return f"the model did not say a word within {self._total:g} s"
        if self._stall_left < self._left:
            return f"the model stopped in the middle of its reply for {self._stall_s:g} s"
        return f"the model did not finish its reply within {self._total:g} s"
