from __future__ import annotations

import pytest

from engine.web.budget import Budget
from engine.web.limits import InFlight, TooMany
from engine.web.replay import MAX_KEYS, ReplayCache


def test_one_peer_can_not_take_more_than_its_places() -> None:
    places = InFlight(per_key=2, total=10)
    with places.one("a"), places.one("a"):
        with pytest.raises(TooMany), places.one("a"):
            pass
        with places.one("b"):
            assert places.total == 3
    assert places.total == 0


def test_all_peers_together_can_not_take_more_than_the_total() -> None:
    places = InFlight(per_key=5, total=2)
    with places.one("a"), places.one("b"), pytest.raises(TooMany), places.one("c"):
        pass


def test_a_place_is_given_back_when_the_work_fails() -> None:
    places = InFlight(per_key=1, total=1)
    with pytest.raises(RuntimeError), places.one("a"):
        raise RuntimeError
    with places.one("a"):
        pass


def test_a_budget_allows_a_burst_and_then_a_rate() -> None:
    now = 0.0
    budget = Budget(per_second=2, burst=3, clock=lambda: now)
    assert [budget.take() for _ in range(4)] == [True, True, True, False]
    now = 0.5
    assert [budget.take() for _ in range(2)] == [True, False]
    now = 100.0
    assert [budget.take() for _ in range(4)] == [True, True, True, False]


async def test_a_duplicate_waits_for_the_first_answer() -> None:
    cache: ReplayCache[str] = ReplayCache(lambda: 0.0)
    assert cache.claim("key") is None
    waiting = cache.claim("key")
    assert waiting is not None and not waiting.done()
    cache.settle("key", "answer")
    assert await waiting == "answer"


async def test_a_failed_first_try_may_be_tried_again() -> None:
    cache: ReplayCache[str] = ReplayCache(lambda: 0.0)
    cache.claim("key")
    waiting = cache.claim("key")
    cache.release("key")
    assert waiting is not None and waiting.cancelled()
    assert cache.claim("key") is None


async def test_answers_are_forgotten_after_ten_minutes_and_beyond_the_bound() -> None:
    """Pain F12."""
    now = 0.0
    cache: ReplayCache[int] = ReplayCache(lambda: now)
    cache.claim("old")
    cache.settle("old", 1)
    now = 601.0
    assert cache.claim("old") is None
    cache.settle("old", 2)
    for number in range(MAX_KEYS):
        cache.claim(f"key {number}")
        cache.settle(f"key {number}", number)
    assert cache.claim("old") is None
