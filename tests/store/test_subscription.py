"""Readers miss no stored event, and a slow one costs nobody anything."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from engine.calls import Draft, Event
from engine.store import EventLog, Subscription
from engine.store.writer import Outcome


def said(number: int) -> Draft:
    return Draft("speech.final", "c1", {"text": str(number)})


def level(call_id: str, value: int) -> Event:
    return Event(0, 1, call_id, "audio.level", {"caller": value})


async def collect(subscription: Subscription, until: int) -> list[Event]:
    """All events up to and including the one with seq `until`."""
    events: list[Event] = []
    async with asyncio.timeout(10):
        async for batch in subscription:
            events += batch
            if any(event.seq >= until for event in batch):
                break
    return events


async def test_a_subscriber_hears_of_what_was_stored_before_the_appender_goes_on(log: EventLog) -> None:
    async with log.subscribe() as subscription:
        events = await log.append([said(1), said(2)])
        assert await anext(subscription) == list(events)


async def test_a_subscriber_resumes_from_the_store_and_goes_over_to_live_without_a_gap(log: EventLog) -> None:
    await log.append([said(number) for number in range(2500)])
    async with log.subscribe(maxsize=100, after=10) as subscription, asyncio.TaskGroup() as group:

        async def more() -> None:
            for number in range(300):
                await log.append([said(number)])

        group.create_task(more())
        events = await collect(subscription, 2800)
    assert [event.seq for event in events if event.seq] == list(range(11, 2801))


async def test_a_reader_is_never_ahead_of_what_was_told(log: EventLog, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the commit in the writer's thread and the loop hearing of it, nobody sees the event."""
    told, known = log.on_stored, asyncio.Event()
    held: list[Outcome] = []

    def hold(outcome: Outcome) -> None:
        held.append(outcome)
        known.set()

    monkeypatch.setattr(log, "on_stored", hold)
    async with asyncio.timeout(10), log.subscribe(after=0) as subscription:
        appending = asyncio.create_task(log.append([said(1)]))
        await known.wait()
        assert await log.read(0, 10) == []
        folded: list[Event] = []
        log.on_committed = folded.extend
        told(held.pop())
        assert list(await anext(subscription)) == await appending == folded
        assert await log.read(0, 10) == folded


async def test_a_slow_subscriber_lags_and_reads_again_from_the_store(log: EventLog) -> None:
    async with log.subscribe(maxsize=10) as slow, log.subscribe() as quick:
        for start in range(0, 1000, 50):
            await log.append([said(start + number) for number in range(50)])
        assert [event.seq for event in await collect(slow, 1000)] == list(range(1, 1001))
        assert [event.seq for event in await collect(quick, 1000)] == list(range(1, 1001))
        assert slow.lags > 0
        assert quick.lags == 0
        log.publish_ephemeral(level("c1", -20))
        assert [event.type for event in await anext(slow)] == ["audio.level"]


async def test_running_over_while_catching_up_loses_nothing(log: EventLog) -> None:
    await log.append([said(number) for number in range(50)])
    async with log.subscribe(maxsize=3, after=0) as subscription:
        seen: list[int] = []
        async with asyncio.timeout(10):
            while not seen or seen[-1] < 550:
                batch, _ = await asyncio.gather(anext(subscription), flood(log, 100 if len(seen) < 500 else 0))
                seen += [event.seq for event in batch]
                if log.last_seq >= 550 and seen[-1] >= log.last_seq:
                    break
    assert seen == list(range(1, seen[-1] + 1))


async def flood(log: EventLog, count: int) -> Sequence[Event]:
    return await log.append([said(number) for number in range(count)])


async def test_of_levels_only_the_newest_per_call_waits_and_order_is_kept(log: EventLog) -> None:
    async with log.subscribe() as subscription:
        log.publish_ephemeral(level("c1", -50))
        log.publish_ephemeral(level("c2", -40))
        await log.append([said(1)])
        log.publish_ephemeral(level("c1", -30))
        events = await anext(subscription)
    assert [(event.call_id, event.data.get("caller")) for event in events] == [("c2", -40), ("c1", None), ("c1", -30)]


async def test_levels_alone_never_make_a_reader_lag(log: EventLog) -> None:
    async with log.subscribe(maxsize=5) as subscription:
        for number in range(100):
            log.publish_ephemeral(level(f"c{number}", -30))
        await log.append([said(1)])
        events = await anext(subscription)
    assert len(events) == 6
    assert events[-1].seq == 1
    assert subscription.lags == 0


async def test_a_stored_event_can_not_be_published_past_the_store(log: EventLog) -> None:
    with pytest.raises(ValueError, match="append"):
        log.publish_ephemeral(Event(7, 1, "c1", "call.ended", {}))


async def test_closing_ends_the_iteration(log: EventLog) -> None:
    subscription = log.subscribe()

    async def drain() -> list[Sequence[Event]]:
        return [batch async for batch in subscription]

    reader = asyncio.create_task(drain())
    await log.append([said(1)])
    await log.close()
    async with asyncio.timeout(5):
        assert [len(batch) for batch in await reader] in ([1], [])
