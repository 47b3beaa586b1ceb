"""One reader of the log: it misses no stored event, and the log never waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from types import TracebackType
from typing import Final, Protocol, Self

from engine.calls import Event
from engine.store.buffer import EventBuffer

_PAGE: Final = 1000


class Source(Protocol):
    """What a subscription needs of its log."""

    @property
    def last_seq(self) -> int: ...

    async def read(self, after: int, limit: int, call_id: str | None = None) -> list[Event]: ...

    def unsubscribe(self, subscription: Subscription) -> None: ...


class Subscription:
    """An async iterator of batches: stored events in seq order, each exactly once, with ephemeral ones between.

    A reader that lets more than its bound wait has lagged (`lags` counts): what waited is dropped and read again
    from the store, without the ephemeral events. Use it as an async context, by one task.
    """

    def __init__(self, source: Source, maxsize: int, after: int | None) -> None:
        self._source = source
        self._buffer = EventBuffer(maxsize)
        self._position = source.last_seq if after is None else after
        self._behind = self._position < source.last_seq
        self._wake = asyncio.Event()
        self._closed = False
        self.lags = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Sequence[Event]:
        while not self._closed:
            if self._behind:
                if events := await self._catch_up():
                    return events
            elif events := self._buffer.take():
                self._position = max(self._position, max(event.seq for event in events))
                return events
            else:
                self._wake.clear()
                await self._wake.wait()
        raise StopAsyncIteration

    @property
    def position(self) -> int:
        """The seq of the last stored event that was handed out."""
        return self._position

    def close(self) -> None:
        """End the iteration. Again is harmless."""
        if not self._closed:
            self._closed = True
            self._source.unsubscribe(self)
        self._wake.set()

    def offer(self, events: Sequence[Event]) -> None:
        """Called by the log, in commit order, on its loop."""
        for event in events:
            if event.seq and event.seq <= self._position:
                continue
            if not self._buffer.push(event):
                self._buffer.clear()
                self._behind = True
                self.lags += 1
        self._wake.set()

    async def _catch_up(self) -> list[Event]:
        # Everything before the oldest event that waits here was committed before this read began.
        target = self._first_live()
        page = await self._source.read(self._position, _PAGE)
        if page:
            self._position = page[-1].seq
        if len(page) < _PAGE:
            self._position = max(self._position, target - 1)
        # Meanwhile the buffer may have run over again: then there is a new gap to read.
        self._buffer.drop_until(self._position)
        self._behind = self._position < self._first_live() - 1
        return page

    def _first_live(self) -> int:
        first = self._buffer.first_seq()
        return self._source.last_seq + 1 if first is None else first
