"""Why a call is over is told by whoever ended it, whichever message is here first."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from engine.calls import State
from tests.engine.fake_carrier import sid, table


@pytest.mark.parametrize("told", ["completed", "hangup-bot"])
async def test_an_end_of_ours_is_ours_although_the_carrier_tells_it_first(tmp_path: Path, told: str) -> None:
    async with table(tmp_path) as at:
        at.carrier.during_hang_up = asyncio.Event()
        call, _ = await at.ring_in()
        ending = asyncio.create_task(at.engine.end(call.call_id, "console"))
        await at.carrier.until(at.carrier.hung_up)
        await at.tell("ended", sid(call), reason=told)
        assert (at.now(call).end_reason, at.now(call).ended_by) == (State.HANGUP_BOT, "console")
        at.carrier.during_hang_up.set()
        await ending
        assert (await at.types(call)).count("call.ended") == 1


async def test_another_end_that_comes_before_ours_counts(tmp_path: Path) -> None:
    async with table(tmp_path) as at:
        at.carrier.during_hang_up = asyncio.Event()
        call = await at.call_out()
        ending = asyncio.create_task(at.engine.end(call.call_id, "console"))
        await at.carrier.until(at.carrier.hung_up)
        await at.tell("ended", sid(call), reason="busy")
        at.carrier.during_hang_up.set()
        await ending
        assert (at.now(call).end_reason, at.now(call).ended_by) == (State.BUSY, "carrier")
