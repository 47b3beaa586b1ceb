"""How many calls there were since midnight."""

from __future__ import annotations

from engine.today import Today, midnight

NOON = 1_795_608_000_000
DAY = 24 * 3600 * 1000


def test_calls_are_counted_and_a_new_day_begins_at_nothing() -> None:
    now = [NOON]
    today = Today(lambda: now[0])
    assert today.since == midnight(NOON) <= NOON
    today.add(300)
    today.add()
    assert today.count == 301
    now[0] += DAY
    assert today.count == 0 and today.since == midnight(NOON + DAY)
