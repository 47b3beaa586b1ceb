"""The client of a console whose engine is another process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from typing import Any

from engine.client import AudioFrame, Batch, Connection, Cursor, EngineClient, MicrophoneLine, NoEngine, SocketClient


class AttachingClient(EngineClient):
    """Connects when it is first asked, on the loop that asks: a socket belongs to one loop, the screen's.

    A connection that is lost ends `watch` with NoEngine, so that the screen says so; watching again heals it.
    """

    def __init__(self, target: str, token: str | None, by: str = "console") -> None:
        self._target = target
        self._token = token
        self._by = by
        self._client: SocketClient | None = None
        self._connecting = asyncio.Lock()

    async def _request(self, method: str, params: Mapping[str, Any], timeout_s: float = 30.0) -> Any:
        return await (await self._connected())._request(method, params, timeout_s)

    async def watch(self, cursor: Cursor | None = None, last: int = 0) -> AsyncIterator[Batch]:
        client = await self._connected()
        lost = asyncio.Event()
        why = ""

        def on_connection(connection: Connection) -> None:
            nonlocal why
            if connection.state == "lost":
                why = connection.why
                lost.set()

        client.on_connection = on_connection
        batches = client.watch(cursor, last)
        ending = asyncio.create_task(lost.wait())
        try:
            while (batch := await _next(batches, ending)) is not None:
                yield batch
        finally:
            ending.cancel()
            client.on_connection = None
        if lost.is_set():
            await self.close()
            raise NoEngine(f"The connection to the engine was lost: {why}.")

    async def listen(self, call_id: str) -> AsyncGenerator[AudioFrame, None]:
        async with aclosing((await self._connected()).listen(call_id)) as frames:
            async for frame in frames:
                yield frame

    @asynccontextmanager
    async def microphone(self, call_id: str) -> AsyncIterator[MicrophoneLine]:
        async with (await self._connected()).microphone(call_id) as line:
            yield line

    def for_sound(self) -> EngineClient:
        """The same engine for another thread: a connection of its own."""
        return AttachingClient(self._target, self._token, self._by)

    async def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    async def _connected(self) -> SocketClient:
        async with self._connecting:
            if self._client is None:
                self._client = await SocketClient.connect(self._target, self._token, by=self._by)
            return self._client


async def _next(batches: AsyncIterator[Batch], ending: asyncio.Task[bool]) -> Batch | None:
    """The next batch; None when there is none, or `ending` came first."""

    async def one() -> Batch | None:
        return await anext(batches, None)

    reading = asyncio.create_task(one())
    try:
        await asyncio.wait([reading, ending], return_when=asyncio.FIRST_COMPLETED)
        return reading.result() if reading.done() else None
    finally:
        reading.cancel()
