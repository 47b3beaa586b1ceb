"""Persist, then publish, then act: in one order, once, and never without the store."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from engine.book import CallBook
from engine.calls import Call, Draft, Event
from engine.recorder import Recorder
from engine.store import EventLog, StoreError

FULL = StoreError("The disk is full.", "Free disk space.")


@dataclass
class Rig:
    """A recorder on a real log whose disk can be full."""

    log: EventLog
    book: CallBook
    recorder: Recorder
    changes: list[tuple[Call | None, Call]] = field(default_factory=list)
    full: bool = False
    commits: int = 0

    @property
    def health(self) -> StoreError | None:
        return self.recorder.error

    async def stored(self) -> list[str]:
        return [event.type for event in await self.log.read(0, 1000)]


@pytest.fixture
async def rig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Rig]:
    monkeypatch.setattr("engine.recorder.RETRY_SECONDS", 0.01)
    async with await EventLog.open(tmp_path / "calls.db") as log:
        book = CallBook()
        made: Rig
        recorder = Recorder(log, book, lambda before, after: made.changes.append((before, after)))
        made = Rig(log, book, recorder)
        append = log.append

        async def perhaps(drafts: Sequence[Draft]) -> Sequence[Event]:
            made.commits += 1
            if made.full:
                raise FULL
            return await append(drafts)

        monkeypatch.setattr(log, "append", perhaps)
        running = asyncio.create_task(recorder.run())
        async with asyncio.timeout(20):
            yield made
        running.cancel()


def begun(call_id: str = "a") -> Draft:
    return Draft("call.initiated", call_id, {"provider": "mock"})


async def test_what_is_recorded_is_on_disk_and_in_the_book_when_it_returns(rig: Rig) -> None:
    await rig.recorder.record(begun(), Draft("call.dialing", "a"))
    assert await rig.stored() == ["call.initiated", "call.dialing"]
    call = rig.book.get("a")
    assert call is not None and "dialled" in call.rungs
    assert [after.call_id for _, after in rig.changes] == ["a", "a"]


async def test_a_watcher_never_knows_more_than_the_book(rig: Rig) -> None:
    async with rig.log.subscribe() as news:
        rig.recorder.post(begun())
        (event,) = await anext(news)
        assert event.type == "call.initiated"
        assert rig.book.get("a") is not None


async def test_facts_keep_the_order_in_which_they_were_given(rig: Rig) -> None:
    async with asyncio.TaskGroup() as group:
        for number in range(50):
            fact = Draft("speech.final", "a", {"text": str(number)})
            if number % 5:
                rig.recorder.post(fact)
            else:
                group.create_task(rig.recorder.record(fact))
                await asyncio.sleep(0)
    await rig.recorder.flush()
    assert [event.data["text"] for event in await rig.log.read(0, 100)] == [str(number) for number in range(50)]


async def test_a_burst_costs_few_commits(rig: Rig) -> None:
    for _ in range(500):
        rig.recorder.post(Draft("speech.started", "a"))
    await rig.recorder.settle()
    assert rig.commits <= 2
    assert len(await rig.stored()) == 500


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize("kind", ["call.accepted", "call.ringing", "call.answered", "call.ended"])
async def test_what_a_call_has_once_is_written_once_whoever_tells_it(rig: Rig, kind: str, together: bool) -> None:
    await rig.recorder.record(begun(), begun("b"))
    fact = Draft(kind, "a", {"providerCallId": "CA1", "reason": "completed"})
    other = Draft(kind, "b", {"providerCallId": "CA2", "reason": "busy"})
    if together:
        await rig.recorder.record(fact, other, fact)
    else:
        await rig.recorder.record(fact)
        await rig.recorder.record(other, fact)
    assert (await rig.stored()).count(kind) == 2


async def test_without_a_disk_who_waits_is_refused_and_the_rest_is_kept_in_order(rig: Rig) -> None:
    rig.full = True
    rig.recorder.post(begun())
    with pytest.raises(StoreError, match="full"):
        await rig.recorder.record(Draft("call.dialing", "a"))
    assert rig.health is FULL
    assert rig.book.all() == []
    rig.recorder.post(Draft("call.ringing", "a"))
    rig.full = False
    await rig.recorder.flush()
    assert await rig.stored() == ["call.initiated", "call.ringing"]
    assert rig.recorder.lost == 0
    assert rig.health is None


async def test_nothing_to_store_does_not_count_as_a_store_that_works(rig: Rig) -> None:
    rig.full = True
    rig.recorder.post(begun())
    with pytest.raises(StoreError):
        await rig.recorder.record(Draft("call.dialing", "a"))
    rig.full = False
    await rig.recorder.settle()
    assert rig.health is None
    rig.full = True
    with pytest.raises(StoreError):
        await rig.recorder.record(Draft("call.dialing", "a"))
    await rig.recorder.settle()
    assert rig.health is FULL


async def test_what_waits_for_a_dead_store_has_a_bound_and_is_counted(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.recorder.MAX_WAITING", 5)
    rig.full = True
    for _ in range(9):
        rig.recorder.post(Draft("speech.started", "a"))
    assert rig.recorder.lost == 4
    with pytest.raises(StoreError, match="behind"):
        await rig.recorder.record(begun())
    rig.full = False
    await rig.recorder.flush()
    assert len(await rig.stored()) == 5


async def test_who_gave_up_waiting_does_not_lose_the_fact(rig: Rig) -> None:
    waiting = asyncio.create_task(rig.recorder.record(begun()))
    await asyncio.sleep(0)
    waiting.cancel()
    await rig.recorder.flush()
    assert await rig.stored() == ["call.initiated"]
    assert rig.book.get("a") is not None
