"""What the turns of a log say about speed: per stage count, extremes, average and percentiles, and who is too slow.

A caller waits from their last sound to the first of ours, which is `total`. People leave 0.2 s between each other,
begin to wonder after 1 s and ask "are you there?" after 2 or 3 s. So a whole turn may take 2.5 s here, and each stage
its share of that: what good services take in their slow cases, and no more.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, TypeGuard

BUDGETS_MS: Final[Mapping[str, int]] = {
    "end": 900,
    "text": 300,
    "agent": 1000,
    "sentence": 400,
    "voice": 350,
    "send": 40,
    "heard": 350,
    "total": 2500,
}
"""Stage -> ms. `end` is the silence that ends a turn (0.8 s) and a frame; a recogniser that streams has the text soon
after; `agent` is a model's first word and `sentence` the rest of its first sentence; `voice` is a synthesizer's first
audio; sending takes a tick of 20 ms; `heard` is the carrier's buffer and the way there and back."""
ENGINE_OF: Final[Mapping[str, str]] = {"text": "stt", "agent": "brain", "sentence": "brain", "voice": "tts"}
"""Stage -> the part of a turn's `engines` that it depends on."""


def is_over_budget(stage: str, ms: float) -> bool:
    """Did this stage of a turn take more than it may?"""
    budget = BUDGETS_MS.get(stage)
    return budget is not None and ms > budget


def report(turns: Iterable[Mapping[str, object]]) -> dict[str, Any]:
    """`turn.completed` facts as `summarise` does it, and per stage its budget, how many turns were over it, and the
    same figures per engine. `over` names the stages whose p95 is over their budget, the worst first."""
    facts = list(turns)
    found = summarise(turn.get("stages", {}) for turn in facts)
    over = []
    for name, stage in found["stages"].items():
        if engines := _by_engine(name, facts):
            stage["engines"] = engines
        if name in BUDGETS_MS:
            stage["budgetMs"] = BUDGETS_MS[name]
            values = (turn.get("stages") for turn in facts)
            taken = [value.get(name) for value in values if isinstance(value, Mapping)]
            stage["overBudget"] = len([ms for ms in taken if _is_ms(ms) and is_over_budget(name, ms)])
            if stage["p95Ms"] > BUDGETS_MS[name]:
                slowest = max(engines, key=lambda each: engines[each]["p95Ms"], default="")
                over.append({"stage": name, "p95Ms": stage["p95Ms"], "budgetMs": BUDGETS_MS[name], "engine": slowest})
    found["over"] = sorted(over, key=lambda each: each["budgetMs"] / each["p95Ms"])
    return found


def _by_engine(stage: str, facts: Sequence[Mapping[str, object]]) -> dict[str, dict[str, int]]:
    """The figures of one stage for each engine that had a hand in it."""
    samples: dict[str, list[int]] = defaultdict(list)
    for turn in facts:
        engines, stages = turn.get("engines"), turn.get("stages")
        if isinstance(engines, Mapping) and isinstance(stages, Mapping) and _is_ms(stages.get(stage)):
            name = engines.get(ENGINE_OF.get(stage, ""))
            if isinstance(name, str) and name:
                samples[name].append(round(stages[stage]))
    return {name: _stage(values) for name, values in samples.items()}


def _is_ms(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def summarise(turns: Iterable[object]) -> dict[str, Any]:
    """Fold the `stages` of turns (name -> ms) into `{"turns": n, "stages": {name: {...}}}`, leaving the rest out."""
    samples: dict[str, list[int]] = defaultdict(list)
    count = 0
    for stages in turns:
        if not isinstance(stages, Mapping):
            continue
        count += 1
        for name, ms in stages.items():
            if _is_ms(ms):
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
