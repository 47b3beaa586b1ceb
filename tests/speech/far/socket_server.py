"""A WebSocket server on this machine that can misbehave on the wire, for the far ends of recognition."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import WSCloseCode, web

Transcribe = Callable[[bytes], Awaitable[str]]


class Wire:
    """One socket of a client. `tear`: each message in frames, and each frame in small pieces with pauses between."""

    def __init__(self, socket: web.WebSocketResponse, request: web.Request, tear: bool) -> None:
        self._socket = socket
        self._request = request
        self._tear = tear
        self._sending = asyncio.Lock()

    async def send(self, message: Mapping[str, Any]) -> None:
        """Send one message."""
        async with self._sending:
            if not self._tear:
                await self._socket.send_str(json.dumps(message))
                return
            await self._send_torn(json.dumps(message).encode())

    async def send_raw(self, text: str) -> None:
        """Send a text as it is."""
        async with self._sending:
            await self._socket.send_str(text)

    async def _send_torn(self, data: bytes) -> None:
        """RFC 6455 5.4: one message as three frames, and each frame byte by byte where it hurts, in its header."""
        transport = self._request.transport
        assert transport is not None
        third = max(1, len(data) // 3)
        pieces = [data[:third], data[third : 2 * third], data[2 * third :]]
        for index, piece in enumerate(pieces):
            first = (0x80 if index == 2 else 0) | (1 if index == 0 else 0)
            size = bytes((len(piece),)) if len(piece) < 126 else b"\x7e" + len(piece).to_bytes(2, "big")
            frame = bytes((first,)) + size + piece
            for start, end in ((0, 1), (1, 2), (2, 7), (7, len(frame))):
                if frame[start:end]:
                    transport.write(frame[start:end])
                    await asyncio.sleep(0.001)

    async def close(self, code: int = WSCloseCode.OK, reason: str = "") -> None:
        """Close properly."""
        await self._socket.close(code=code, message=reason.encode())

    def drop(self) -> None:
        """The connection is gone, without a word."""
        if self._request.transport is not None:
            self._request.transport.abort()


@asynccontextmanager
async def serving(path: str, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> AsyncIterator[str]:
    """Serve one GET path on a free port; yields the http address of the server."""
    app = web.Application()
    app.router.add_get(path, handler)
    runner = web.AppRunner(app, shutdown_timeout=0.2)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
