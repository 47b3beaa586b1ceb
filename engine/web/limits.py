"""Bounds of the public server: what strangers may cost before they have proved who they are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

MAX_BODY: Final = 64 * 1024
"""Bytes of a webhook body."""
BODY_SECONDS: Final = 5.0
"""How long a body may take to arrive."""
MAX_IN_FLIGHT: Final = 8
"""Webhooks of one peer that are worked on at the same time."""


class TooMany(Exception):
    """A bound is reached; try again later."""


class InFlight:
    """Counts what is under way per key, up to a limit per key and one over all."""

    def __init__(self, per_key: int, total: int) -> None:
        self._per_key = per_key
        self._total = total
        self._counts: Counter[str] = Counter()

    @property
    def total(self) -> int:
        return self._counts.total()

    @contextmanager
    def one(self, key: str) -> Iterator[None]:
        """Hold a place for `key`. Raises TooMany when there is none."""
        if self._counts[key] >= self._per_key or self._counts.total() >= self._total:
            raise TooMany
        self._counts[key] += 1
        try:
            yield
        finally:
            self._counts[key] -= 1
            if self._counts[key] <= 0:
                del self._counts[key]
