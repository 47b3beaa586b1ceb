"""A client of an engine in this process, usable from any thread's loop."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Mapping
from contextlib import ExitStack, asynccontextmanager
from typing import Any, TypeVar

from engine.api import AudioFrame, EngineApi, Listening, Microphone, Refusal
from engine.calls import Cursor
from engine.control.clients.base import READ_S, EngineClient, MicrophoneLine, NoEngine, plain
from engine.control.feed import Batch, Feed

_T = TypeVar("_T")


class InProcessClient(EngineClient):
    """Submits to the engine's loop and waits on the caller's own, so neither ever waits for the other's work.

    What was begun goes on when the caller is cancelled or its loop ends.
    """

    def __init__(self, api: EngineApi, loop: asyncio.AbstractEventLoop, by: str) -> None:
        from engine.control.methods import Dispatcher  # pydantic: only those who run an engine pay for it

        self._api = api
        self._loop = loop
        self._by = by
        self._dispatcher = Dispatcher(api)
        self._closed = False

    async def _request(self, method: str, params: Mapping[str, Any], timeout_s: float = READ_S) -> Any:
        try:
            async with asyncio.timeout(timeout_s):
                return await self._on_engine(self._dispatcher.dispatch(method, plain(params), self._by))
        except TimeoutError:
            raise Refusal("timeout", f"{method} took longer than {timeout_s:.0f} s.") from None

    async def watch(self, cursor: Cursor | None = None, last: int = 0) -> AsyncIterator[Batch]:
        presence = ExitStack()
        feed = await self._on_engine(self._open(cursor, last, presence))
        try:
            while (batch := await self._on_engine(_next(feed))) is not None:
                yield batch
        finally:
            with contextlib.suppress(RuntimeError):  # the engine's loop is closed
                self._loop.call_soon_threadsafe(presence.close)
            await self._on_engine(feed.close())

    async def listen(self, call_id: str) -> AsyncGenerator[AudioFrame, None]:
        listening = await self._on_engine(self._listen(call_id))
        try:
            while frames := await self._on_engine(listening.read()):
                for frame in frames:
                    yield frame
        finally:
            with contextlib.suppress(RuntimeError):  # the engine's loop is closed
                self._loop.call_soon_threadsafe(listening.close)

    async def close(self) -> None:
        self._closed = True

    @asynccontextmanager
    async def microphone(self, call_id: str) -> AsyncIterator[MicrophoneLine]:
        line = _Line(await self._on_engine(self._api.microphone(call_id, self._by)), self._loop)
        try:
            yield line
        finally:
            line.tell(line.microphone.lose, "the console let go of it")

    async def _open(self, cursor: Cursor | None, last: int, presence: ExitStack) -> Feed:
        feed = await Feed(self._api, cursor, last).__aenter__()
        presence.enter_context(self._api.attend(self._by))
        return feed

    async def _listen(self, call_id: str) -> Listening:
        return self._api.listen(call_id)

    async def _on_engine(self, work: Coroutine[Any, Any, _T]) -> _T:
        if self._closed:
            work.close()
            raise NoEngine("This client is closed.", "")
        if asyncio.get_running_loop() is self._loop:
            return await work
        try:
            future = asyncio.run_coroutine_threadsafe(work, self._loop)
        except RuntimeError:  # the loop is closed
            work.close()
            raise NoEngine("The engine of this process has stopped.") from None
        try:
            return await asyncio.wrap_future(future)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            # Not we were cancelled, but the engine's side: its loop is going down.
            raise NoEngine("The engine of this process is stopping.") from None


class _Line:
    """The microphone of an engine in this process, from another loop."""

    def __init__(self, microphone: Microphone, loop: asyncio.AbstractEventLoop) -> None:
        self.microphone = microphone
        self._loop = loop

    def tell(self, what: Callable[..., None], *args: object) -> None:
        """Have the engine's loop do something, unless it is closed."""
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(what, *args)

    async def send(self, payload: bytes) -> None:
        self.tell(self.microphone.hear, payload)

    async def rest(self) -> None:
        self.tell(self.microphone.rest)

    async def put_away(self) -> None:
        self.tell(self.microphone.close)

    async def ended(self) -> str:
        if asyncio.get_running_loop() is self._loop:
            return await self.microphone.ended()
        try:
            return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(self.microphone.ended(), self._loop))
        except RuntimeError:
            return "the engine has stopped"


async def _next(feed: Feed) -> Batch | None:
    return await anext(feed, None)
