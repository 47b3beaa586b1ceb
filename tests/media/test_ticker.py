"""The shared pulse."""

from __future__ import annotations

import asyncio

import pytest

from engine.media.ticker import PERIOD, PHASES, Ticker
from tests.virtual_time import virtual_loop, virtual_time


class Member:
    def __init__(self, ticker: Ticker) -> None:
        self.ticker = ticker
        self.ticks: list[tuple[float, float]] = []
        self.error: Exception | None = None
        self.breaks = False

    def tick(self, now: float, due: float) -> None:
        if self.breaks:
            raise RuntimeError("broken")
        self.ticks.append((now, due))

    def tick_failed(self, error: Exception) -> None:
        self.error = error


@virtual_time
async def test_ticks_come_every_twenty_ms_and_members_are_spread() -> None:
    ticker = Ticker(virtual_loop().time)
    members = [Member(ticker) for _ in range(2 * PHASES)]
    for member in members:
        ticker.add(member)
        ticker.add(member)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(ticker.run())
        await asyncio.sleep(1.0)
        running.cancel()
    assert {len(member.ticks) for member in members} <= {50, 51}
    starts = sorted(round(member.ticks[0][1] * 1000) for member in members)
    assert starts == [0, 0, 5, 5, 10, 10, 15, 15]
    for member in members:
        dues = [due for _, due in member.ticks]
        assert [b - a for a, b in zip(dues, dues[1:], strict=False)] == pytest.approx([0.02] * (len(dues) - 1))


def periods(ticks: list[tuple[float, float]]) -> int:
    """How many periods of 20 ms the ticks stand for."""
    return sum(1 + max(0, int((now - due) / PERIOD + 1e-9)) for now, due in ticks)


@virtual_time
async def test_one_late_tick_stands_for_all_that_were_missed_but_not_for_a_night_of_them() -> None:
    ticker = Ticker(virtual_loop().time)
    member = Member(ticker)
    ticker.add(member)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(ticker.run())
        await asyncio.sleep(0.101)
        virtual_loop().spend(0.2)
        await asyncio.sleep(0.099)
        assert len(member.ticks) in (11, 12)
        assert periods(member.ticks) in (20, 21)
        virtual_loop().spend(8 * 3600)
        await asyncio.sleep(0.1)
        assert periods(member.ticks) < 21 + 60
        running.cancel()


@virtual_time
async def test_a_loop_whose_every_round_is_slow_does_not_make_ticks_later_and_later() -> None:
    ticker = Ticker(virtual_loop().time)
    members = [Member(ticker) for _ in range(PHASES)]
    for member in members:
        ticker.add(member)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(ticker.run())
        for _ in range(100):
            await asyncio.sleep(0)
            virtual_loop().spend(0.012)
        running.cancel()
    for member in members:
        assert max(now - due for now, due in member.ticks) < 2 * PERIOD


@virtual_time
async def test_a_member_that_fails_is_told_and_the_others_go_on() -> None:
    ticker = Ticker(virtual_loop().time)
    good, bad = Member(ticker), Member(ticker)
    bad.breaks = True
    ticker.add(bad)
    ticker.add(good)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(ticker.run())
        await asyncio.sleep(0.2)
        running.cancel()
    assert isinstance(bad.error, RuntimeError)
    assert len(good.ticks) >= 9


@virtual_time
async def test_nobody_playing_means_no_ticks_and_a_new_member_wakes_the_clock() -> None:
    ticker = Ticker(virtual_loop().time)
    member = Member(ticker)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(ticker.run())
        await asyncio.sleep(100)
        ticker.add(member)
        await asyncio.sleep(0.05)
        ticker.remove(member)
        ticker.remove(member)
        count = len(member.ticks)
        await asyncio.sleep(100)
        running.cancel()
    assert count == len(member.ticks) == 3
    assert member.ticks[0][1] == pytest.approx(100.0)
