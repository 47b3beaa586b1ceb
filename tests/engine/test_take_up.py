"""After a restart the carrier may ask about a call while we ask the carrier about it: one of them takes it up."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from engine.calls import Call, Draft, State
from engine.clock import epoch_ms
from tests.engine.fake_carrier import OURS, Table, table

ENDS = {"say.heard", "say.cut", "say.skipped", "say.failed"}


async def forgotten(at: Table, media: str) -> Call:
    """A call that the log leaves in the middle of a line, with another one waiting, and nobody has taken up."""
    who = {"direction": "inbound", "mode": "conversation", "from": "+15550100103", "to": OURS}
    line: dict[str, object] = {
        "sayId": "s1",
        "speaker": "agent",
        "kind": "speak",
        "text": "We are open from nine to five. " * 3,
    }
    facts: list[tuple[str, dict[str, object]]] = [
        ("call.initiated", {"provider": "fake", "media": media, **who}),
        ("call.accepted", {"providerCallId": "CAin"}),
        ("call.answered", {}),
        ("say.queued", line),
        ("say.started", {"sayId": "s1", "synthMs": 0}),
        ("say.queued", {**line, "sayId": "s2"}),
    ]
    at_ms = epoch_ms() - 1000
    await at.engine._recorder.record(*(Draft(type_, "c1", data, at_ms) for type_, data in facts))
    call = at.engine.call("c1")
    assert call is not None
    return call


async def ends(at: Table, call: Call) -> dict[str, list[str]]:
    told: dict[str, list[str]] = {}
    for event in await at.events(call):
        if event.type in ENDS and event.data["sayId"] in ("s1", "s2"):
            told.setdefault(str(event.data["sayId"]), []).append(event.type)
    return told


@pytest.mark.parametrize("media", ["native", "stream"])
@pytest.mark.parametrize("first", ["webhook", "reconciler"])
async def test_a_line_that_was_on_its_way_ends_once_whoever_comes_first(
    tmp_path: Path, media: str, first: str
) -> None:
    async with table(tmp_path) as at:
        call = await forgotten(at, media)
        asks = at.tell("asks", "CAin", direction="inbound", wants_document=True)
        settles = at.engine._reconciler.settle(call.call_id)
        tasks = [asyncio.ensure_future(work) for work in ((asks, settles) if first == "webhook" else (settles, asks))]
        document = next(told for told in await asyncio.gather(*tasks) if told is not None)
        assert [verb["verb"] for verb in document] == ["Listen" if media == "native" else "Connect"]
        assert await ends(at, call) == {"s1": ["say.cut"], "s2": ["say.skipped"]}
        assert at.now(call).live


async def test_two_who_take_a_call_up_at_once_get_the_same_one(tmp_path: Path) -> None:
    async with table(tmp_path) as at:
        call = await forgotten(at, "native")
        take_up, parts = at.engine._calls.take_up, at.engine._parts
        one, other = await asyncio.gather(take_up(call, parts), take_up(call, parts))
        assert one is other
        assert await ends(at, call) == {"s1": ["say.cut"], "s2": ["say.skipped"]}


async def test_a_call_that_ended_while_it_was_taken_up_does_not_stay(tmp_path: Path) -> None:
    async with table(tmp_path) as at:
        call = await forgotten(at, "native")
        taking = asyncio.create_task(at.engine._calls.take_up(call, at.engine._parts))
        await asyncio.sleep(0)
        at.engine._recorder.post(Draft("call.ended", "c1", {"reason": "completed"}))
        await taking
        async with asyncio.timeout(5):
            await at.engine._calls.wait_idle()
        assert at.now(call).end_reason is State.COMPLETED
