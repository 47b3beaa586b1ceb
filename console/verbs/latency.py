"""latency: how long the stages of a turn took."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from console.text import clean
from console.verbs.door import running_engine
from console.verbs.runner import DONE, Session
from engine.client import NoEngine
from engine.history import open_history


def run(session: Session) -> int:
    state_dir = session.state_dir(session.load())
    last: int = session.args.last
    try:
        found = asyncio.run(_ask_engine(state_dir, last))
    except NoEngine:
        with open_history(state_dir) as history:
            found = history.latency(last)
        session.out.note("no engine runs on this state folder: this is the stored log")
    session.out.result(found, latency_lines(found))
    return DONE


async def _ask_engine(state_dir: Path, last: int) -> Mapping[str, Any]:
    async with running_engine(state_dir) as client:
        return await client.latency(last)


def latency_lines(found: Mapping[str, Any]) -> Iterator[str]:
    """The table for people, in ms, and which stage is over its budget through whom."""
    if not found["stages"]:
        yield "no turn has been measured yet"
        return
    yield f"{'STAGE, ms':<20} {'COUNT':>6} {'MIN':>7} {'AVG':>7} {'P50':>7} {'P95':>7} {'MAX':>7} {'BUDGET':>7}  OVER"
    for name, stage in found["stages"].items():
        over = stage.get("overBudget", 0)
        yield f"{_figures(name, stage)} {stage.get('budgetMs', ''):>7}  {f'{over} !' if over else ''}".rstrip()
        engines = stage.get("engines") or {}
        if len(engines) > 1:
            yield from (_figures(f"  {engine}", figures) for engine, figures in engines.items())
    for over in found.get("over", ()):
        engine = f" ({clean(over['engine'])})" if over.get("engine") else ""
        yield f"over its budget: {clean(over['stage'])}{engine}, p95 {over['p95Ms']} ms of {over['budgetMs']}"


def _figures(name: str, stage: Mapping[str, Any]) -> str:
    figures = " ".join(f"{stage[key]:>7}" for key in ("minMs", "avgMs", "p50Ms", "p95Ms", "maxMs"))
    return f"{clean(name, 20):<20} {stage['count']:>6} {figures}"
