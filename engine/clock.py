"""Time as the engine sees it."""

from __future__ import annotations

import time


def epoch_ms() -> int:
    """Wall clock for facts that people and carriers read, in ms since 1970."""
    return time.time_ns() // 1_000_000
