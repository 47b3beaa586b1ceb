"""Events for one watcher, in batches: what the console in this process and every attached one read."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

from engine.api import EngineApi
from engine.calls import Cursor, Event
from engine.store.buffer import EventBuffer

BATCH_INTERVAL_S: Final = 0.1
"""At most ten batches a second: more than a screen can show."""
MAX_WAITING: Final = 2000
"""Stored events that wait for a watcher in memory."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Events in order. `cursor` is the place to go on from after them.

    `lagged`: the watcher was too slow (or its cursor belonged to another log), so ephemeral events may be missing;
    stored ones never are. When `cursor.generation` changed, what was known before belongs to another log.
    """

    events: Sequence[Event]
    cursor: Cursor
    lagged: bool = False


class Feed:
    """An async iterator of batches for one watcher, who may be as slow as it likes. Belongs to the engine's loop.

    It ends when the engine stops. A bounded number of events waits here; beyond that the log holds them.
    """

    def __init__(self, api: EngineApi, cursor: Cursor | None, last: int = 0) -> None:
        self._api = api
        end = api.cursor()
        self._generation = end.generation
        self._lagged = cursor is not None and cursor.generation != end.generation
        if self._lagged:
            cursor = Cursor(end.generation, 0)
        elif cursor is None and last == 0:
            # Said here and not left to `watch`, which begins a little later: nothing falls between.
            cursor = end
        self._from = cursor
        self._last = last
        self._position = end.seq if cursor is None else min(cursor.seq, end.seq)
        self._buffer = EventBuffer(MAX_WAITING)
        self._next_at = 0.0
        self._news = asyncio.Event()
        self._room = asyncio.Event()
        self._pump: asyncio.Task[None] | None = None

    @property
    def cursor(self) -> Cursor:
        """The place after the last batch that was handed out."""
        return Cursor(self._generation, self._position)

    async def __aenter__(self) -> Self:
        self._pump = asyncio.create_task(self._fill())
        self._pump.add_done_callback(lambda _: self._news.set())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Stop watching. Again is harmless."""
        if self._pump is not None:
            self._pump.cancel()
            await asyncio.wait([self._pump])

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Batch:
        if self._pump is None:
            raise RuntimeError("a feed is opened with `async with`")
        loop = asyncio.get_running_loop()
        while not len(self._buffer):
            if self._pump.done():
                return self._end(self._pump)
            self._news.clear()
            await self._news.wait()
        if (pause := self._next_at - loop.time()) > 0:
            await asyncio.sleep(pause)
        self._next_at = loop.time() + BATCH_INTERVAL_S
        return self._take()

    def _take(self) -> Batch:
        events = self._buffer.take()
        self._position = max([self._position, *(event.seq for event in events)])
        self._room.set()
        lagged, self._lagged = self._lagged, False
        return Batch(events, self.cursor, lagged)

    def _end(self, pump: asyncio.Task[None]) -> Batch:
        if not pump.cancelled() and (error := pump.exception()) is not None:
            raise error
        raise StopAsyncIteration

    async def _fill(self) -> None:
        async for events in self._api.watch(self._from, self._last):
            for event in events:
                while not self._buffer.push(event):
                    # Not reading on is enough: the engine lets us fall behind, and reads it again from the store.
                    self._lagged = True
                    self._news.set()
                    self._room.clear()
                    await self._room.wait()
            self._news.set()
