"""Both clients do the same: every test runs in the engine's process and over both kinds of socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import cast

import pytest

from engine.client import Batch, Cursor, EngineClient, Event, InProcessClient, Refusal, SocketClient, fold
from engine.control.door import Door
from tests.control.engine_on_log import EchoEngine
from tests.control.fixtures import TOKEN, as_api


@pytest.fixture(params=["in process", "unix socket", "tcp"])
async def client(request: pytest.FixtureRequest, engine: EchoEngine, door: Door) -> AsyncIterator[EngineClient]:
    made: EngineClient
    if request.param == "in process":
        made = InProcessClient(as_api(engine), asyncio.get_running_loop(), "test")
    elif request.param == "tcp":
        made = await SocketClient.connect(door.tcp_address, TOKEN, by="test")
    else:
        made = await SocketClient.connect(door.address, by="test")
    async with made:
        yield made


async def read_until(client: EngineClient, seq: int, cursor: Cursor | None = None, last: int = 0) -> list[Event]:
    """Events that a watcher gets, up to and including the one with this seq."""
    events: list[Event] = []
    async with asyncio.timeout(20), aclosing_watch(client, cursor, last) as batches:
        async for batch in batches:
            events += batch.events
            if batch.cursor.seq >= seq:
                return events
    raise AssertionError("the stream ended")


def aclosing_watch(
    client: EngineClient, cursor: Cursor | None = None, last: int = 0
) -> aclosing[AsyncGenerator[Batch, None]]:
    return aclosing(cast(AsyncGenerator[Batch, None], client.watch(cursor, last)))


async def test_the_checks_and_a_look_from_outside(client: EngineClient) -> None:
    for online, id_ in ((False, "static"), (True, "online")):
        assert [check["id"] for check in (await client.checks(online=online))["checks"]] == [id_]
    assert await client.probe() == {"ok": True, "cause": "", "steps": []}


async def test_a_call_from_dial_to_end(client: EngineClient, engine: EchoEngine) -> None:
    call_id = await client.call("+15550123", "Hello", "conversation", "1w2")
    assert engine.acts == [("initiate", "test")]
    await client.speak(call_id, "One moment")
    assert await client.continue_call(call_id, "How are you?") == "How are you?"
    await client.dtmf(call_id, "12#")
    await client.floor(call_id, "operator")
    record = await client.status(call_id)
    assert record is not None
    assert (record["callId"], record["to"], record["floor"]) == (call_id, "+15550123", "operator")
    assert [line["text"] for line in record["transcript"]] == ["One moment", "How are you?", "How are you?"]
    assert await client.live() == [record]
    await client.end(call_id)
    await client.end(call_id)
    assert await client.live() == []
    (ended,) = await client.history(10, "how are")
    assert ended["endReason"] == "hangup-bot"
    assert await client.history(10, "nobody said this") == []


async def test_a_refusal_keeps_its_code_and_hint(client: EngineClient) -> None:
    with pytest.raises(Refusal) as caught:
        await client.speak("nobody", "hello")
    assert caught.value.code == "call_not_found"
    assert caught.value.hint == "See `voicecall status`."
    with pytest.raises(Refusal) as caught:
        await client.call("12", "hello")
    assert caught.value.code == "invalid_number"


async def test_wrong_parameters_are_named(client: EngineClient) -> None:
    with pytest.raises(Refusal, match="waitMs") as caught:
        await client.events(wait_ms=45_001)
    assert caught.value.code == "invalid_params"


async def test_a_broken_paste_is_said_and_not_refused(client: EngineClient) -> None:
    call_id = await client.call(None, "half \ud800 pair")
    record = await client.status(call_id)
    assert record is not None


async def test_what_is_unknown_is_none(client: EngineClient) -> None:
    assert await client.status("nobody") is None


async def test_a_call_that_the_engine_no_longer_holds_is_read_from_the_log(
    client: EngineClient, engine: EchoEngine
) -> None:
    call_id = await client.call(None, "hello")
    engine.calls.clear()
    record = await client.status(call_id)
    assert record is not None
    assert record["callId"] == call_id


async def test_health_and_latency(client: EngineClient, engine: EchoEngine) -> None:
    await engine.record("turn.completed", "c1", stages={"stt": 90})
    assert await client.health() == {"engine": {"version": "test"}, "slots": {"live": 0}}
    assert await client.latency(5) == {"stt": {"count": 1}}


async def test_events_are_read_page_by_page_from_a_cursor(client: EngineClient, engine: EchoEngine) -> None:
    for number in range(5):
        await engine.record("speech.final", "c1", text=str(number))
    start = Cursor(engine.log.generation, 0)
    first = await client.events(start, limit=3)
    second = await client.events(first.cursor, "c1")
    assert [event.seq for event in (*first.events, *second.events)] == [1, 2, 3, 4, 5]
    assert (await client.events(second.cursor)).events == []


async def test_events_wait_for_news(client: EngineClient, engine: EchoEngine) -> None:
    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        waiting = group.create_task(client.events(engine.cursor(), wait_ms=9_000))
        await engine.record("speech.final", "c1", text="news")
        page = await waiting
    assert [event.data["text"] for event in page.events] == ["news"]
    assert (await client.events(page.cursor, wait_ms=10)).events == []


async def test_a_console_that_joins_folds_the_backlog_and_watches_on(
    client: EngineClient, engine: EchoEngine
) -> None:
    call_id = await client.call(None, "hello")
    await client.speak(call_id, "one")
    page = await client.backlog()
    await client.speak(call_id, "two")
    events = [*page.events, *await read_until(client, engine.log.last_seq, page.cursor)]
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert fold(events) == engine.calls


async def test_watching_starts_now_or_from_the_last_few(client: EngineClient, engine: EchoEngine) -> None:
    for number in range(10):
        await engine.record("speech.final", "c1", text=str(number))
    assert [event.seq for event in await read_until(client, 10, last=3)] == [8, 9, 10]
    engine.watched.clear()
    async with asyncio.timeout(10), aclosing_watch(client) as batches:
        first = asyncio.ensure_future(anext(batches))
        await engine.watched.wait()
        await engine.record("speech.final", "c1", text="new")
        assert [event.seq for event in (await first).events] == [11]


async def test_a_burst_comes_whole_in_few_batches(client: EngineClient, engine: EchoEngine) -> None:
    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        reader = group.create_task(count_batches(client, Cursor(engine.log.generation, 0), 3000))
        for _ in range(300):
            await asyncio.gather(*(engine.record("speech.final", None, text="x") for _ in range(10)))
    seqs, batches, seconds = reader.result()
    assert seqs == list(range(1, 3001))
    assert batches <= seconds * 10 + 2


async def count_batches(client: EngineClient, cursor: Cursor, until: int) -> tuple[list[int], int, float]:
    began = asyncio.get_running_loop().time()
    seqs: list[int] = []
    count = 0
    async with aclosing_watch(client, cursor) as batches:
        async for batch in batches:
            count += 1
            seqs += [event.seq for event in batch.events]
            if batch.cursor.seq >= until:
                break
    return seqs, count, asyncio.get_running_loop().time() - began


async def test_of_levels_only_the_newest_per_call_comes_over(client: EngineClient, engine: EchoEngine) -> None:
    await engine.record("engine.started")
    async with asyncio.timeout(10), aclosing_watch(client, Cursor(engine.log.generation, 0)) as batches:
        await anext(batches)
        for number in range(50):
            engine.level("c1", -number)
            engine.level("c2", -number)
        batch = await anext(batches)
        assert [(event.call_id, event.data["caller"]) for event in batch.events] == [("c1", -49), ("c2", -49)]


async def test_a_slow_watcher_misses_nothing_and_is_told_that_it_lagged(
    client: EngineClient, engine: EchoEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.control.feed.MAX_WAITING", 20)
    await engine.record("engine.started")
    seqs: list[int] = []
    lagged = False
    async with asyncio.timeout(30), aclosing_watch(client, Cursor(engine.log.generation, 0)) as batches:
        await anext(batches)
        text = "x" * 50_000  # more than the sockets' buffers hold
        for _ in range(20):
            await asyncio.gather(*(engine.record("speech.final", None, text=text) for _ in range(20)))
        async for batch in batches:
            seqs += [event.seq for event in batch.events]
            lagged = lagged or batch.lagged
            if batch.cursor.seq >= 401:
                break
    assert seqs == list(range(2, 402))
    assert lagged


async def test_a_cursor_of_another_log_begins_at_the_beginning_and_says_so(
    client: EngineClient, engine: EchoEngine
) -> None:
    await engine.record("engine.started")
    async with asyncio.timeout(10), aclosing_watch(client, Cursor("another", 77)) as batches:
        batch = await anext(batches)
    assert [event.seq for event in batch.events] == [1]
    assert batch.lagged
    assert batch.cursor.generation == engine.log.generation


async def test_an_act_is_carried_through_when_its_asker_is_gone(client: EngineClient, engine: EchoEngine) -> None:
    call_id = await client.call(None, "hello")
    engine.hold.clear()
    asking = asyncio.ensure_future(client.continue_call(call_id, "still there?"))
    async with asyncio.timeout(10):
        await engine.asked.wait()
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await client.health()
        engine.hold.set()
        heard = await read_until(client, engine.log.last_seq + 4, Cursor(engine.log.generation, 0))
    assert heard[-1].data["text"] == "still there?"


async def test_a_question_with_a_later_answer(client: EngineClient, engine: EchoEngine) -> None:
    call_id = await client.call(None, "hello")
    engine.hold.clear()
    params = {"callId": call_id, "message": "and?"}
    operation = {"operationId": (await client._request("voicecall.continue.start", params))["operationId"]}
    assert (await client._request("voicecall.continue.result", operation))["status"] == "pending"
    engine.hold.set()
    async with asyncio.timeout(10):
        await read_until(client, engine.log.last_seq + 4, Cursor(engine.log.generation, 0))
        result = await client._request("voicecall.continue.result", operation)
    assert result == {**operation, "status": "done", "success": True, "transcript": "and?"}
    with pytest.raises(Refusal, match="no such operation"):
        await client._request("voicecall.continue.result", {"operationId": "none"})


async def test_a_live_call_is_heard_from_both_sides_until_it_ends(client: EngineClient, engine: EchoEngine) -> None:
    call_id = await client.call(None, "hello")
    heard: list[tuple[str, bytes]] = []
    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        listening = group.create_task(collect_sound(client, call_id, heard))
        await until_tapped(engine, call_id)
        for number in range(20):
            engine.sound[call_id].play("agent" if number % 2 else "caller", bytes([number]) * 160)
            await asyncio.sleep(0)
        await client.end(call_id)
        await listening
    assert heard == [("agent" if number % 2 else "caller", bytes([number]) * 160) for number in range(20)]


async def test_two_calls_are_heard_at_once_and_one_may_be_left(client: EngineClient, engine: EchoEngine) -> None:
    calls = [await client.call(None, "hello"), await client.call(None, "hello")]
    heard: list[list[tuple[str, bytes]]] = [[], []]
    async with asyncio.timeout(10):
        tasks = [asyncio.create_task(collect_sound(client, calls[n], heard[n])) for n in range(2)]
        for call_id in calls:
            await until_tapped(engine, call_id)
        tasks[0].cancel()
        await asyncio.wait([tasks[0]])
        await until_tapped(engine, calls[0], taps=0)
        engine.sound[calls[0]].play("caller", b"0")
        engine.sound[calls[1]].play("caller", b"1")
        await client.end(calls[1])
        await tasks[1]
    assert heard == [[], [("caller", b"1")]]


async def test_what_can_not_be_heard_is_refused_with_its_code(client: EngineClient) -> None:
    call_id = await client.call(None, "hello")
    await client.end(call_id)
    for unheard, code in ((call_id, "call_ended"), ("nobody", "call_not_found")):
        with pytest.raises(Refusal) as caught:
            await anext(client.listen(unheard))
        assert caught.value.code == code


async def collect_sound(client: EngineClient, call_id: str, heard: list[tuple[str, bytes]]) -> None:
    async with aclosing(client.listen(call_id)) as frames:
        async for frame in frames:
            heard.append((frame.side, frame.payload))


async def until_tapped(engine: EchoEngine, call_id: str, taps: int = 1) -> None:
    """Return once so many listen to the call: over a socket that takes a moment."""
    while True:
        if call_id in engine.sound and len(engine.sound[call_id].taps) == taps:
            return
        await asyncio.sleep(0.005)
