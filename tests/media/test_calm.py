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


def test_settling_collects_and_freezes() -> None:
    settle()
    assert gc.get_freeze_count() > 1000
    again = gc.get_freeze_count()
    settle()
    assert gc.get_freeze_count() <= again + 100, "what is frozen already was looked at again, not added"


@virtual_time
async def test_it_settles_once_for_every_burst_of_calls() -> None:
    live, settled = 0, 0

    def count() -> None:
        nonlocal settled
        settled += 1

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(calm, "settle", count)
        async with asyncio.TaskGroup() as group:
            staying = group.create_task(stay_calm(lambda: live))
            await asyncio.sleep(10 * LOOK_SECONDS)
            assert settled == 1, "at the start"
            for _ in range(10):
                live += 1
                await asyncio.sleep(LOOK_SECONDS)
            assert settled == 1, "calls still come"
            await asyncio.sleep((SETTLED_LOOKS + 1) * LOOK_SECONDS)
            assert settled == 2
            await asyncio.sleep(60)
            staying.cancel()
    assert settled == 2
