"""How fast webhooks are answered: counted whole, and compared with the carrier's patience."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.exposure.answering import BOUNDS_MS, LATEST, Answering, percentile

times = st.lists(st.floats(0, 40_000, allow_nan=False), max_size=300)


@given(times)
def test_every_answer_is_in_one_bucket_and_the_percentiles_are_in_order(measured: list[float]) -> None:
    made = Answering("twilio")
    for ms in measured:
        made.add(ms)
    told = made.to_json()
    assert told["count"] == len(measured) == sum(count for _, count in told["buckets"])
    assert told["late"] == sum(ms >= 15_000 for ms in measured)
    below = 0
    for bound, count in told["buckets"]:
        below += count
        assert below == sum(bound is None or ms <= bound for ms in measured)
    if measured:
        assert min(measured) <= told["p50"] <= told["p95"] <= told["p99"] <= told["max"] == max(measured)


def test_nothing_measured_is_told_as_nothing() -> None:
    told = Answering("twilio").to_json()
    assert (told["count"], told["p50"], told["p99"], told["max"]) == (0, None, None, None)
    assert len(told["buckets"]) == len(BOUNDS_MS) + 1 and told["buckets"][-1][0] is None


@pytest.mark.parametrize(("share", "value"), [(0.5, 50), (0.95, 95), (0.99, 99), (1.0, 100)])
def test_a_percentile_is_one_of_the_values(share: float, value: int) -> None:
    assert percentile([float(number) for number in range(1, 101)], share) == value


def test_the_percentiles_follow_the_latest_answers_and_the_worst_stays() -> None:
    made = Answering("twilio")
    made.add(14_000)
    for _ in range(LATEST):
        made.add(3)
    told = made.to_json()
    assert (told["p99"], told["max"], told["count"]) == (3, 14_000, LATEST + 1)
