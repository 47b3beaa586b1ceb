"""What is appended is stored, in order, before anyone is told."""

from __future__ import annotations

import asyncio
import math
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.calls import Draft, Event
from engine.store import DAY_MS, EventLog, StoreError
from engine.store.codec import MAX_DATA_BYTES, decode, encode


def said(text: str, call_id: str | None = "c1") -> Draft:
    return Draft("speech.final", call_id, {"text": text, "turn": 1})


async def test_append_numbers_and_stamps_facts_and_returns_what_a_replay_reads(log: EventLog) -> None:
    events = await log.append([said("one"), Draft("engine.started", None, {"pid": (1, 2)})])
    assert [event.seq for event in events] == [1, 2]
    assert events[0] == Event(1, 1_700_000_000_000, "c1", "speech.final", {"text": "one", "turn": 1})
    assert events[1].data == {"pid": [1, 2]}
    assert await log.read(0, 10) == list(events)
    assert log.last_seq == 2


async def test_numbers_go_on_after_a_restart_and_the_generation_stays(path: Path) -> None:
    async with await EventLog.open(path) as log:
        await log.append([said("one")])
        generation = log.generation
    async with await EventLog.open(path) as log:
        assert log.generation == generation
        assert [event.seq for event in await log.append([said("two")])] == [2]


async def test_concurrent_appends_share_transactions_and_keep_each_call_in_order(log: EventLog) -> None:
    async def talk(call_id: str) -> None:
        for number in range(20):
            await log.append([said(str(number), call_id), said(f"{number}b", call_id)])

    async with asyncio.TaskGroup() as group:
        for number in range(20):
            group.create_task(talk(f"c{number}"))
    events = await log.read(0, 10_000)
    assert [event.seq for event in events] == list(range(1, 801))
    wanted = [text for number in range(20) for text in (str(number), f"{number}b")]
    assert [event.data["text"] for event in await log.read(0, 100, "c7")] == wanted


async def test_a_cancelled_append_is_stored_all_the_same(log: EventLog) -> None:
    task = asyncio.create_task(log.append([said("going")]))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await log.append([said("after")])
    assert [event.data["text"] for event in await log.read(0, 10)] == ["going", "after"]


async def test_close_stores_what_waits(path: Path) -> None:
    log = await EventLog.open(path)
    waiting = [asyncio.create_task(log.append([said(str(number))])) for number in range(50)]
    await asyncio.sleep(0)
    await log.close()
    assert [len(await task) for task in waiting] == [1] * 50
    async with await EventLog.open(path) as log:
        assert log.last_seq == 50


async def test_a_closed_log_refuses_politely(path: Path) -> None:
    log = await EventLog.open(path)
    await log.close()
    await log.close()
    with pytest.raises(StoreError, match="closed"):
        await log.append([said("late")])
    with pytest.raises(StoreError, match="closed"):
        await log.read(0, 1)


async def test_more_than_may_wait_for_the_disk_is_refused(log: EventLog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.store.log.MAX_WAITING", 3)
    with pytest.raises(StoreError, match="can not keep up"):
        await log.append([said("x")] * 4)
    assert len(await log.append([said("x")] * 3)) == 3


@pytest.mark.parametrize(
    ("data", "stored"),
    [
        ({"text": "half \ud800 pair"}, {"text": "half ? pair"}),
        ({"n": 2**70}, {"n": str(2**70)}),
        ({"x": math.nan}, {"x": None}),
        ({"nested": [{"\udfff": ("a", 1.5)}]}, {"nested": [{"?": ["a", 1.5]}]}),
        ({"nul": "a\0b"}, {"nul": "a\0b"}),
    ],
)
async def test_text_that_json_can_not_carry_does_not_lose_the_fact(
    log: EventLog, data: dict[str, object], stored: dict[str, object]
) -> None:
    (event,) = await log.append([Draft("call.error", "c\ud800", data)])
    assert event.data == stored
    assert await log.read(0, 10) == [event]


@pytest.mark.parametrize(
    "draft",
    [
        Draft("speech.final", "c1", {"text": "x" * (MAX_DATA_BYTES + 1)}),
        Draft("speech.final", "c1", {"thing": object()}),
        Draft("audio.level", "c1", {"caller": -20}),
    ],
)
async def test_what_is_no_fact_is_refused_and_nothing_is_stored(log: EventLog, draft: Draft) -> None:
    with pytest.raises(StoreError):
        await log.append([said("fine"), draft])
    assert await log.read(0, 10) == []


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.text(), _json, max_size=5))
def test_any_json_survives_storing_and_storing_again(data: dict[str, object]) -> None:
    once = decode((1, *encode(Draft("call.error", "c", data), 5)))
    again = decode((1, *encode(Draft("call.error", "c", once.data), 5)))
    assert again == once


async def test_calls_are_found_newest_first_by_words_and_numbers(log: EventLog) -> None:
    for number, (peer, text) in enumerate(
        [
            ("+15550100142", "I need a Thursday appointment"),
            ("+15550100177", "Grüße aus KÖLN, 100% sure"),
            ("+4930", ""),
        ]
    ):
        call_id = f"c{number}"
        await log.append(
            [Draft("call.initiated", call_id, {"from": peer, "to": "+15550199999"}), said(text, call_id)]
        )
    assert await log.recent_call_ids(2) == ["c2", "c1"]
    assert await log.search("", 10) == ["c2", "c1", "c0"]
    assert await log.search("thursday NEED", 10) == ["c0"]
    assert await log.search("555 010-0142", 10) == ["c0"]
    assert await log.search("köln", 10) == ["c1"]
    assert await log.search("100%", 10) == ["c1"]
    assert await log.search("1%0", 10) == []
    assert await log.search("text", 10) == []
    assert await log.search("\ud800' OR \0 1=1 --", 10) == []
    assert [event.call_id for event in await log.read_calls(["c2", "c0", "none"])] == ["c0", "c0", "c2", "c2"]


@given(query=st.text(max_size=300))
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_no_query_breaks_the_search(tmp_path: Path, query: str) -> None:
    async with await EventLog.open(tmp_path / "calls.db") as log:
        await log.append([Draft("call.initiated", "c", {"from": "+1555"})])
        assert await log.search(query, 5) in ([], ["c"])


async def test_the_newest_events_are_read_in_order(log: EventLog) -> None:
    await log.append([said("a"), Draft("engine.started"), said("b"), Draft("turn.completed", "c1", {"stages": {}})])
    assert [event.seq for event in await log.read_last(2)] == [3, 4]
    assert [event.seq for event in await log.read_last(2, "c1")] == [3, 4]
    assert [event.seq for event in await log.read_without_call(9)] == [2]
    assert [event.seq for event in await log.read_turns(9)] == [4]


async def test_forgetting_takes_whole_old_calls_and_never_reuses_a_number(path: Path) -> None:
    now = 0
    async with await EventLog.open(path, clock=lambda: now) as log:
        for number in range(120):
            await log.append([Draft("call.initiated", f"old{number}"), said("bye", f"old{number}")])
        await log.append([Draft("call.initiated", "long"), Draft("webhook.received")])
        now = 30 * DAY_MS
        await log.append([said("still talking", "long")])
        assert await log.forget(29 * DAY_MS) == 241
        assert [event.seq for event in await log.read(0, 10)] == [241, 243]
        now = 90 * DAY_MS
        assert await log.forget(now) == 2
    async with await EventLog.open(path) as log:
        assert log.last_seq == 243
        assert [event.seq for event in await log.append([said("new")])] == [244]


async def test_calls_since_a_time_are_counted_from_the_newest_on(tmp_path: Path) -> None:
    async with await EventLog.open(tmp_path / "calls.db") as log:
        drafts = [Draft("call.initiated", str(number), {}, at=1000 * number) for number in range(10)]
        await log.append(drafts)
        assert [await log.count_calls_since(at) for at in (0, 7000, 9001)] == [10, 3, 0]
