"""What the turns of a log say about speed: per stage count, extremes, average and percentiles."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any


def summarise(turns: Iterable[object]) -> dict[str, Any]:
    """Fold the `stages` of turns (name -> ms) into `{"turns": n, "stages": {name: {...}}}`, leaving the rest out."""
    samples: dict[str, list[int]] = defaultdict(list)
    count = 0
    for stages in turns:
        if not isinstance(stages, Mapping):
            continue
        count += 1
        for name, ms in stages.items():
            if isinstance(ms, int | float) and not isinstance(ms, bool) and math.isfinite(ms):
                samples[name].append(round(ms))
    return {"turns": count, "stages": {name: _stage(values) for name, values in samples.items()}}


def percentile(ordered: Sequence[int], percent: float) -> int:
    """Nearest rank in an ascending, non-empty sequence."""
    rank = -(-len(ordered) * percent // 100)
    return ordered[max(0, int(rank) - 1)]


def _stage(values: list[int]) -> dict[str, int]:
    ordered = sorted(values)
    return {
        "count": len(ordered),
        "minMs": ordered[0],
        "maxMs": ordered[-1],
        "avgMs": round(sum(ordered) / len(ordered)),
        "p50Ms": percentile(ordered, 50),
        "p95Ms": percentile(ordered, 95),
    }
