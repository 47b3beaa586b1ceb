"""Listening in on a real call: both sides, across a re-opened stream, to its end, without a trace in the call."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from engine.api import AudioFrame, Refusal
from engine.media.levels import level_db
from tests.engine.conftest import Running, Start
from tests.engine.simulators import Simulator

DANIEL = "+15550100151"
SINK = "+15550100191"
LOUD_DB = -40.0


async def hear(run: Running, call_id: str) -> list[AudioFrame]:
    """Everything from now to the end of the call."""
    return [frame async for frame in run.engine.listen(call_id)]


def loud(frames: list[AudioFrame]) -> Counter[str]:
    return Counter(frame.side for frame in frames if level_db(frame.payload) > LOUD_DB)


async def test_both_sides_are_heard_until_the_call_ends(start: Start) -> None:
    run = await start()
    call_id = await run.engine.initiate(DANIEL, "Hello there, how are you?", "conversation")
    listening = asyncio.create_task(hear(run, call_id))  # It rings: there is nothing to hear yet.
    await run.until_call(call_id, lambda call: any(line.speaker == "caller" for line in call.transcript))
    await run.engine.end(call_id)
    async with asyncio.timeout(10):
        frames = await listening
    assert loud(frames)["caller"] > 10 and loud(frames)["agent"] > 10
    assert [frame.at_ms for frame in frames] == sorted(frame.at_ms for frame in frames)
    with pytest.raises(Refusal) as refused:
        run.engine.listen(call_id)
    assert refused.value.code == "call_ended"


async def test_listening_survives_a_stream_that_is_opened_again(start: Start, simulator: Simulator) -> None:
    run = await start()
    await simulator.faults(lose_stream=1)
    call_id = await run.engine.initiate(SINK, "Hello there.", "conversation")
    await run.until_call(call_id, lambda call: "start" in call.rungs)
    await simulator.faults()
    listening = asyncio.create_task(hear(run, call_id))
    await run.until_event(lambda event: event.type == "stream.lost" and event.call_id == call_id)
    lost = await run.until_event(lambda event: event.type == "stream.resumed" and event.call_id == call_id)
    await run.engine.speak(call_id, "Are you still there?", "test")
    await run.engine.end(call_id)
    async with asyncio.timeout(10):
        frames = await listening
    assert any(frame.at_ms < lost.at for frame in frames)
    assert loud([frame for frame in frames if frame.at_ms > lost.at])["agent"] > 5


async def test_a_call_that_is_listened_to_is_like_any_other(start: Start, simulator: Simulator) -> None:
    """Slow listeners change nothing: neither what the other phone gets, nor the log."""
    run = await start()
    calls = [await run.engine.initiate(SINK, "Hello there.", "conversation") for _ in range(2)]
    slow = [run.engine.listen(calls[0]) for _ in range(20)]
    for call_id in calls:
        await run.until_call(call_id, lambda call: "heard" in call.rungs)
        await run.engine.speak(call_id, "One more line for you.", "test")
        await run.engine.end(call_id)
    listened, plain = [(await simulator.call_of(call_id))["heard"]["loud_ms"] for call_id in calls]
    assert abs(listened - plain) <= 60
    types = [[event.type for event in await run.events(call_id)] for call_id in calls]
    assert Counter(types[0])["say.heard"] == Counter(types[1])["say.heard"] == 2
    for listening in slow:
        frames = await listening.read()
        assert len(frames) + listening.dropped > 20
        assert await listening.read() == ()
