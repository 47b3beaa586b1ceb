"""Counts, extremes and percentiles of turns."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.calls import percentile, summarise
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
