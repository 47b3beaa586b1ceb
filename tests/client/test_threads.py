"""The console's loop and the engine's are in different threads: neither ever waits for the other's work."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any, TypeVar, cast

import pytest

from engine.client import Batch, Cursor, InProcessClient, NoEngine, Refusal
from engine.store import EventLog
from tests.control.engine_on_log import EchoEngine
from tests.control.fixtures import as_api

_T = TypeVar("_T")


class EngineThread:
    """An engine on a loop of its own in a thread of its own."""

    def __init__(self, path: Path) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever)
        self._thread.start()
        self.log = self.run(EventLog.open(path))
        self.engine = self.run(self._make())

    async def _make(self) -> EchoEngine:
        return EchoEngine(self.log)

    def run(self, work: Coroutine[Any, Any, _T]) -> _T:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(20)

    def stop(self) -> None:
        if not self.loop.is_closed():
            self.run(self.log.close())
            self.loop.call_soon_threadsafe(self.loop.stop)
            self._thread.join()
            self.loop.close()


@pytest.fixture
def thread(tmp_path: Path) -> Iterator[EngineThread]:
    thread = EngineThread(tmp_path / "calls.db")
    yield thread
    thread.stop()


@pytest.fixture
def client(thread: EngineThread) -> InProcessClient:
    return InProcessClient(as_api(thread.engine), thread.loop, "console")


def watch(client: InProcessClient, cursor: Cursor | None = None) -> aclosing[AsyncGenerator[Batch, None]]:
    return aclosing(cast(AsyncGenerator[Batch, None], client.watch(cursor)))


async def test_requests_and_events_cross_between_the_threads(thread: EngineThread, client: InProcessClient) -> None:
    async with asyncio.timeout(20), watch(client, Cursor(thread.log.generation, 0)) as batches:
        call_id = await client.call(None, "hello")
        await client.speak(call_id, "one")
        with pytest.raises(Refusal):
            await client.speak("nobody", "two")
        seqs = [event.seq for event in (await anext(batches)).events]
        while seqs[-1] < 4:
            seqs += [event.seq for event in (await anext(batches)).events]
    assert seqs == [1, 2, 3, 4]


async def test_a_console_that_stands_still_does_not_hold_up_the_engine(
    thread: EngineThread, client: InProcessClient
) -> None:
    async def work(count: int) -> float:
        longest, before = 0.0, time.monotonic()
        for _ in range(count):
            await thread.engine.record("speech.final", None, text="x")
            now = time.monotonic()
            longest, before = max(longest, now - before), now
        return longest

    async with asyncio.timeout(30), watch(client, Cursor(thread.log.generation, 0)) as batches:
        engine_side = asyncio.run_coroutine_threadsafe(work(300), thread.loop)
        longest = engine_side.result(20)  # blocks this loop, as a stalled terminal does
        seqs: list[int] = []
        async for batch in batches:
            seqs += [event.seq for event in batch.events]
            if batch.cursor.seq >= 300:
                break
    assert seqs == list(range(1, 301))
    assert longest < 2.0


async def test_an_engine_that_stops_ends_the_stream(thread: EngineThread, client: InProcessClient) -> None:
    async with asyncio.timeout(20), watch(client, Cursor(thread.log.generation, 0)) as batches:
        await client.call(None, "hello")
        await anext(batches)
        await asyncio.to_thread(thread.run, thread.log.close())
        with pytest.raises(StopAsyncIteration):
            await anext(batches)


async def test_an_engine_that_is_gone_is_no_engine(thread: EngineThread, client: InProcessClient) -> None:
    await asyncio.to_thread(thread.stop)
    with pytest.raises(NoEngine):
        await client.health()


async def test_a_request_that_the_engine_drops_is_no_engine_and_does_not_cancel_the_console(
    thread: EngineThread, client: InProcessClient
) -> None:
    call_id = await client.call(None, "hello")

    async def hold_and_drop(drop: Callable[[], object]) -> None:
        thread.engine.hold.clear()
        thread.engine.asked.clear()
        await thread.engine.asked.wait()
        drop()

    def drop_all() -> None:
        for task in asyncio.all_tasks(thread.loop):
            task.cancel()

    dropped = asyncio.run_coroutine_threadsafe(hold_and_drop(drop_all), thread.loop)
    async with asyncio.timeout(20):
        with pytest.raises(NoEngine):
            await client.continue_call(call_id, "hello?")
    await asyncio.wait([asyncio.wrap_future(dropped)])


async def test_waiting_has_a_limit(thread: EngineThread, client: InProcessClient) -> None:
    call_id = await client.call(None, "hello")
    thread.loop.call_soon_threadsafe(thread.engine.hold.clear)
    with pytest.raises(Refusal, match="longer than") as caught:
        await client._request("voicecall.continue", {"callId": call_id, "message": "?"}, timeout_s=0.05)
    assert caught.value.code == "timeout"
    thread.loop.call_soon_threadsafe(thread.engine.hold.set)
