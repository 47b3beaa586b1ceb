"""An engine that starts behind the screen: the screen paints first, then the engine's modules are loaded."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.client import AudioFrame, Batch, Cursor, EngineClient, InProcessClient, MicrophoneLine
from engine.config import Config

if TYPE_CHECKING:
    from engine.engine import Engine
    from engine.host import EngineThread


class EngineStarter:
    """Starts one engine in a thread of its own, once, from whatever thread asks first."""

    def __init__(self, config: Config, state_dir: Path, on_ready: Callable[[Engine], None] | None = None) -> None:
        self._config = config
        self._state_dir = state_dir
        self._on_ready = on_ready
        self._lock = threading.Lock()
        self.thread: EngineThread | None = None
        self.error: BaseException | None = None

    def start(self) -> EngineThread:
        """The engine, started now when it is not up. Raises EngineFailed and StoreError, each time again."""
        with self._lock:
            if self.error is not None:
                raise self.error
            if self.thread is None:
                try:
                    self.thread = self._begin()
                except BaseException as error:
                    self.error = error
                    raise
            return self.thread

    def _begin(self) -> EngineThread:
        from engine.host import EngineThread  # half a second of imports, of which the first paint pays nothing

        thread = EngineThread(self._config, self._state_dir, on_ready=self._on_ready)
        thread.start()
        return thread

    def stop(self, *, now: bool = False) -> None:
        """Stop the engine if it was started."""
        with self._lock:
            if self.thread is not None:
                self.thread.stop(now=now)


class StartingClient(EngineClient):
    """A client of an engine that is started by its first request, which the screen sends once it is painted.

    An engine that can not start ends the screen with SIGTERM; whoever runs the screen then reads `starter.error`.
    """

    def __init__(self, starter: EngineStarter, by: str = "console") -> None:
        self._starter = starter
        self._by = by
        self._client: InProcessClient | None = None

    async def _request(self, method: str, params: Mapping[str, Any], timeout_s: float = 30.0) -> Any:
        return await (await self._connected())._request(method, params, timeout_s)

    async def watch(self, cursor: Cursor | None = None, last: int = 0) -> AsyncIterator[Batch]:
        async for batch in (await self._connected()).watch(cursor, last):
            yield batch

    async def listen(self, call_id: str) -> AsyncGenerator[AudioFrame, None]:
        async with aclosing((await self._connected()).listen(call_id)) as frames:
            async for frame in frames:
                yield frame

    @asynccontextmanager
    async def microphone(self, call_id: str) -> AsyncIterator[MicrophoneLine]:
        async with (await self._connected()).microphone(call_id) as line:
            yield line

    def for_sound(self) -> EngineClient:
        """The same engine for another thread."""
        return self

    async def close(self) -> None:
        if self._client is not None:
            await self._client.close()

    async def _connected(self) -> InProcessClient:
        if self._client is None:
            try:
                thread = await asyncio.to_thread(self._starter.start)
            except BaseException:
                os.kill(os.getpid(), signal.SIGTERM)
                raise
            self._client = InProcessClient(thread.engine, thread.loop, self._by)
        return self._client
