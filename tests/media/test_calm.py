"""The garbage collector settles when calls do."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator

import pytest

from engine.media import calm
from engine.media.calm import LOOK_SECONDS, SETTLED_LOOKS, settle, stay_calm
from tests.virtual_time import virtual_time


@pytest.fixture(autouse=True)
def gc_as_before() -> Iterator[None]:
    threshold = gc.get_threshold()
    yield
    gc.set_threshold(*threshold)
    gc.unfreeze()


def test_settling_puts_what_lives_out_of_reach_and_a_thorough_one_looks_at_everything_again() -> None:
    settle(thorough=True)
    frozen = gc.get_freeze_count()
    assert frozen > 1000
    settle(thorough=True)
    assert gc.get_freeze_count() <= frozen + 100
    kept = [[] for _ in range(500)]  # type: ignore[var-annotated]
    assert _in_reach(kept) == 500
    settle(thorough=False)
    assert _in_reach(kept) == 0


def _in_reach(objects: list[list[object]]) -> int:
    """How many of them the collector would look at: frozen ones it does not list."""
    wanted = {id(each) for each in objects}
    return sum(1 for each in gc.get_objects() if id(each) in wanted)


@virtual_time
async def test_it_settles_once_for_every_burst_of_calls() -> None:
    live = 0
    settled: list[bool] = []

    def note(thorough: bool) -> None:
        settled.append(thorough)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(calm, "settle", note)
        async with asyncio.TaskGroup() as group:
            staying = group.create_task(stay_calm(lambda: live))
            await asyncio.sleep(10 * LOOK_SECONDS)
            assert settled == [True], "at the start"
            for _ in range(10):
                live += 1
                await asyncio.sleep(LOOK_SECONDS)
            assert settled == [True], "calls still come"
            await asyncio.sleep((SETTLED_LOOKS + 1) * LOOK_SECONDS)
            assert settled == [True, False], "not thorough while there are calls"
            await asyncio.sleep(60)
            live = 0
            await asyncio.sleep(60)
            staying.cancel()
    assert settled == [True, False, True]
