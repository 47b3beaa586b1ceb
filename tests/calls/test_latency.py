"""Counts, extremes and percentiles of turns."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.calls import is_over_budget, percentile, report, summarise
from engine.calls.latency import BUDGETS_MS
from tests.calls.stories import json_values


def test_each_stage_is_summed_up_for_itself() -> None:
    assert summarise([{"stt": 90, "brain": 200.6}, {"stt": 110}]) == {
        "turns": 2,
        "stages": {
            "stt": {"count": 2, "minMs": 90, "maxMs": 110, "avgMs": 100, "p50Ms": 90, "p95Ms": 110},
            "brain": {"count": 1, "minMs": 201, "maxMs": 201, "avgMs": 201, "p50Ms": 201, "p95Ms": 201},
        },
    }


def test_no_turns_are_no_stages() -> None:
    assert summarise([]) == {"turns": 0, "stages": {}}


@given(st.lists(json_values))
def test_what_is_no_measurement_is_left_out(turns: list[object]) -> None:
    summarise([*turns, {"stt": math.nan, "tts": math.inf, "ok": True}])


@pytest.mark.parametrize(("percent", "value"), [(0, 1), (1, 1), (50, 50), (95, 95), (99.5, 100), (100, 100)])
def test_percentiles_are_by_nearest_rank(percent: float, value: int) -> None:
    assert percentile(range(1, 101), percent) == value


def turn(engine: str, **stages: int) -> dict[str, object]:
    return {"stages": stages, "engines": {"stt": "local", "brain": engine, "tts": "local"}}


def test_the_stage_over_its_budget_is_named_with_its_engine() -> None:
    turns = [
        turn("openai", agent=3000, text=100),
        turn("script", agent=5, text=100),
        turn("script", agent=4, text=90),
    ]
    found = report(turns)
    agent = found["stages"]["agent"]
    assert (agent["count"], agent["budgetMs"], agent["overBudget"]) == (3, BUDGETS_MS["agent"], 1)
    assert agent["engines"]["openai"]["p95Ms"] == 3000 and agent["engines"]["script"]["count"] == 2
    assert found["stages"]["text"]["overBudget"] == 0
    assert found["over"] == [
        {"stage": "agent", "p95Ms": 3000, "budgetMs": BUDGETS_MS["agent"], "engine": "openai"},
    ]


def test_the_worst_stage_comes_first_and_none_is_named_within_its_budget() -> None:
    assert [over["stage"] for over in report([turn("a", text=400, voice=3500, send=1)])["over"]] == ["voice", "text"]
    assert report([turn("a", text=300, voice=350)])["over"] == []
    assert report([])["over"] == [] and report([{}, {"stages": 5, "engines": "x"}])["turns"] == 1


def test_a_stage_that_nobody_set_a_budget_for_is_only_counted() -> None:
    stage = report([turn("a", own=5000)])["stages"]["own"]
    assert "budgetMs" not in stage and not is_over_budget("own", 5000)
    assert is_over_budget("text", 301) and not is_over_budget("text", 300)
