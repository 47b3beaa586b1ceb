"""Requests that were seen before.

A key is claimed when processing begins and kept only when it succeeded, so that a carrier may retry what failed.
A duplicate that arrives meanwhile waits for the first one's answer.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

KEEP_SECONDS: Final = 600.0
MAX_KEYS: Final = 10_000

Answer = TypeVar("Answer")


@dataclass(slots=True)
class _Entry(Generic[Answer]):
    since: float
    answer: asyncio.Future[Answer]


class ReplayCache(Generic[Answer]):
    """Remembers answers by replay key for ten minutes, at most 10,000 of them."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._entries: OrderedDict[str, _Entry[Answer]] = OrderedDict()

    def claim(self, key: str) -> asyncio.Future[Answer] | None:
        """None: the caller is the first and must `settle` or `release`. Otherwise the first one's answer."""
        self._forget()
        entry = self._entries.get(key)
        if entry is not None:
            return entry.answer
        self._entries[key] = _Entry(self._clock(), asyncio.get_running_loop().create_future())
        return None

    def knows(self, key: str) -> bool:
        """Whether a request with this key would be a duplicate now."""
        self._forget()
        return key in self._entries

    def settle(self, key: str, answer: Answer) -> None:
        """Processing succeeded."""
        entry = self._entries.get(key)
        if entry is not None and not entry.answer.done():
            entry.answer.set_result(answer)

    def release(self, key: str) -> None:
        """Processing failed: whoever waits gives up, and the next try is a first one again."""
        entry = self._entries.pop(key, None)
        if entry is not None:
            entry.answer.cancel()

    def _forget(self) -> None:
        horizon = self._clock() - KEEP_SECONDS
        while self._entries:
            key, entry = next(iter(self._entries.items()))
            if entry.since > horizon and len(self._entries) < MAX_KEYS:
                return
            if not entry.answer.done():
                return
            del self._entries[key]
