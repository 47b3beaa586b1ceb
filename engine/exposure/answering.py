"""How fast we answer webhooks, against the time that the carrier gives us. Pure."""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Mapping
from typing import Any, Final

LIMITS_MS: Final[Mapping[str, int]] = {"twilio": 15_000, "plivo": 15_000}
"""How long carriers wait for an answer. Twilio: the total time-out of its webhooks (docs, connection overrides).
Plivo: XML documents within 15 s (docs). Telnyx leaves it to the application (webhook_timeout_secs, at most 30)."""
DEFAULT_LIMIT_MS: Final = 15_000
BOUNDS_MS: Final = (5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 15_000)
"""Upper ends of the histogram's buckets; one more is for what took longer."""
LATEST: Final = 1000
"""Answers of which the percentiles are."""


class Answering:
    """A histogram since the start, and percentiles of the latest answers."""

    def __init__(self, carrier: str) -> None:
        self.limit_ms = LIMITS_MS.get(carrier, DEFAULT_LIMIT_MS)
        self._buckets = [0] * (len(BOUNDS_MS) + 1)
        self._latest: deque[float] = deque(maxlen=LATEST)
        self._count = 0
        self._worst = 0.0
        self._late = 0

    def add(self, ms: float) -> None:
        """One answer to a webhook of the carrier's."""
        self._count += 1
        self._buckets[bisect_left(BOUNDS_MS, ms)] += 1
        self._latest.append(ms)
        self._worst = max(self._worst, ms)
        self._late += ms >= self.limit_ms

    def to_json(self) -> dict[str, Any]:
        """Times in ms. `buckets`: upper end (null for the last one) and count. `late`: the carrier had given up."""
        ordered = sorted(self._latest)
        shares = {"p50": 0.50, "p95": 0.95, "p99": 0.99}
        return {
            "count": self._count,
            **{name: percentile(ordered, share) for name, share in shares.items()},
            "max": self._worst if self._count else None,
            "limitMs": self.limit_ms,
            "late": self._late,
            "buckets": [[bound, count] for bound, count in zip((*BOUNDS_MS, None), self._buckets, strict=True)],
        }


def percentile(ordered: list[float], share: float) -> float | None:
    """The smallest value that at least `share` of all are not above (nearest rank); None of nothing."""
    if not ordered:
        return None
    rank = -(-len(ordered) * share // 1)
    return ordered[max(0, int(rank) - 1)]
