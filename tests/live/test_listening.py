"""Listening in: everything in order, across streams, never at the cost of the call."""

from __future__ import annotations

import asyncio

from engine.live.listening import MAX_WAITING, Listeners
from engine.media.session import Tap
from tests.control.engine_on_log import Sound


def payloads(frames: object) -> list[bytes]:
    return [frame.payload for frame in frames]  # type: ignore[attr-defined]


async def test_both_sides_come_in_order_to_every_listener() -> None:
    sound = Sound()
    first, second = sound.listeners.add(), sound.listeners.add()
    sound.play("caller", b"1")
    sound.play("agent", b"2")
    for listener in (first, second):
        frames = await listener.read()
        assert [(frame.side, frame.payload) for frame in frames] == [("caller", b"1"), ("agent", b"2")]
        assert frames[0].at_ms <= frames[1].at_ms


async def test_a_reader_waits_for_the_next_frame() -> None:
    sound = Sound()
    listener = sound.listeners.add()
    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        reading = group.create_task(anext(listener))
        await asyncio.sleep(0)
        assert not reading.done()
        sound.play("caller", b"1")
    assert reading.result().payload == b"1"


async def test_who_is_too_slow_loses_the_oldest_and_it_is_counted() -> None:
    sound = Sound()
    listener = sound.listeners.add()
    for number in range(MAX_WAITING + 7):
        sound.play("agent", b"%d" % number)
    frames = await listener.read()
    assert payloads(frames) == [b"%d" % number for number in range(7, MAX_WAITING + 7)]
    assert listener.dropped == 7


async def test_listening_goes_on_when_the_stream_is_opened_again() -> None:
    sound, again = Sound(), Sound()
    listener = sound.listeners.add()
    sound.play("caller", b"1")
    sound.listeners.attach(again)
    sound.play("caller", b"of a stream that is gone")
    again.play("caller", b"2")
    assert payloads(await listener.read()) == [b"1", b"2"]
    assert sound.taps == []


async def test_who_listens_before_there_is_a_stream_hears_it_from_its_beginning() -> None:
    listeners = Listeners()
    listener = listeners.add()
    sound = Sound()
    listeners.attach(sound)
    sound.play("caller", b"1")
    assert payloads(await listener.read()) == [b"1"]


async def test_the_end_of_the_call_ends_listening_after_what_was_heard() -> None:
    sound = Sound()
    listener = sound.listeners.add()
    sound.play("caller", b"1")
    sound.listeners.close()
    sound.listeners.close()
    assert sound.taps == []
    assert [frame.payload async for frame in listener] == [b"1"]
    assert await listener.read() == ()
    late = sound.listeners.add()
    assert await late.read() == ()


async def test_a_waiting_reader_is_told_of_the_end() -> None:
    sound = Sound()
    listener = sound.listeners.add()
    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        reading = group.create_task(listener.read())
        await asyncio.sleep(0)
        sound.listeners.close()
    assert reading.result() == ()


async def test_one_who_stops_listening_leaves_the_others_alone() -> None:
    sound = Sound()
    first, second = sound.listeners.add(), sound.listeners.add()
    first.close()
    first.close()
    sound.play("caller", b"1")
    assert await first.read() == ()
    assert payloads(await second.read()) == [b"1"]
    taps: list[Tap] = sound.taps
    assert taps == [second.hear]
