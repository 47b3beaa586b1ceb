from __future__ import annotations

import asyncio
import time

from engine.simulator.ticker import TICK_S, Ticker


async def test_ticks_missed_while_the_loop_was_busy_are_made_up() -> None:
    ticker, ticks, enough = Ticker(), 0, asyncio.Event()

    def tick() -> None:
        nonlocal ticks
        ticks += 1
        if ticks == 5:
            time.sleep(0.2)  # the loop is held up
        if ticks == 30:
            enough.set()

    began = time.monotonic()
    ticker.add(tick, lambda _: None)
    async with asyncio.timeout(10):
        await enough.wait()
    took = time.monotonic() - began
    assert 29 * TICK_S < took < 30 * TICK_S + 0.15, "thirty ticks take 0.6 s, held up or not"
    assert ticker.report()["late"] >= 5
    await ticker.close()


async def test_a_line_that_fails_is_removed_and_the_others_go_on() -> None:
    ticker, failed, enough = Ticker(), list[Exception](), asyncio.Event()
    good = 0

    def break_down() -> None:
        raise RuntimeError("broken line")

    def tick() -> None:
        nonlocal good
        good += 1
        if good == 5:
            enough.set()

    ticker.add(break_down, failed.append)
    ticker.add(tick, failed.append)
    async with asyncio.timeout(10):
        await enough.wait()
    assert [str(error) for error in failed] == ["broken line"]
    await ticker.close()


async def test_the_clock_stops_with_its_last_line_and_starts_again() -> None:
    ticker, ticked = Ticker(), asyncio.Event()
    for _ in range(2):
        ticked.clear()
        ticker.add(ticked.set, lambda _: None)
        async with asyncio.timeout(10):
            await ticked.wait()
        ticker.remove(ticked.set)
        task = ticker._task
        assert task is not None
        await asyncio.wait([task], timeout=10)
        assert ticker._task is None
