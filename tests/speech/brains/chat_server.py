"""A chat completions server on a real socket, whose answers the test writes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

Answer = Callable[["Exchange"], Awaitable[None]]


class Exchange:
    """One request, and the means to answer it piece by piece."""

    def __init__(self, request: web.Request, body: dict[str, Any]) -> None:
        self.request = request
        self.body = body
        self.response: web.StreamResponse | None = None
        self.dropped = asyncio.Event()
        self.headers: dict[str, str] = {}

    async def json(self, status: int, value: Any) -> None:
        """Answer with one JSON body."""
        await self._start(status, "application/json")
        await self.write(json.dumps(value).encode())

    async def plain(self, status: int, text: str) -> None:
        """Answer with plain text."""
        await self._start(status, "text/plain")
        await self.write(text.encode())

    async def write(self, data: bytes) -> None:
        """Send bytes exactly like this."""
        if self.response is None:
            await self._start(200, "text/event-stream")
        assert self.response is not None
        await self.response.write(data)

    async def say(self, *texts: str) -> None:
        """Stream content deltas."""
        for text in texts:
            await self.event({"choices": [{"index": 0, "delta": {"content": text}}]})

    async def event(self, value: Any) -> None:
        await self.write(b"data: " + json.dumps(value).encode() + b"\n\n")

    async def done(self) -> None:
        await self.write(b"data: [DONE]\n\n")

    async def hang(self) -> None:
        """Say nothing more until the client has gone."""
        try:
            await asyncio.Event().wait()
        finally:
            self.dropped.set()

    async def _start(self, status: int, content_type: str) -> None:
        self.response = web.StreamResponse(status=status, headers={"Content-Type": content_type, **self.headers})
        await self.response.prepare(self.request)


class ChatServer:
    """Keeps what it was asked; `answer` is what it does about it."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.base_url = ""
        self.exchanges: list[Exchange] = []
        self.connections: set[object] = set()
        """Peers that ever connected."""
        self.knocks = 0

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self._met(request)
        exchange = Exchange(request, await request.json())
        self.exchanges.append(exchange)
        await self.answer(exchange)
        assert exchange.response is not None
        return exchange.response

    async def knock(self, request: web.Request) -> web.StreamResponse:
        """A request that only opens a connection, refused as OpenAI refuses it."""
        self._met(request)
        self.knocks += 1
        return web.json_response({"error": {"message": "Not allowed to HEAD"}}, status=405)

    def _met(self, request: web.Request) -> None:
        assert request.transport is not None
        self.connections.add(request.transport.get_extra_info("peername"))


@asynccontextmanager
async def chat_server(answer: Answer) -> AsyncIterator[ChatServer]:
    """A running server on a free port of loopback."""
    server = ChatServer(answer)
    app = web.Application()
    app.router.add_head("/v1/chat/completions", server.knock)
    app.router.add_post("/v1/chat/completions", server.handle)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        server.base_url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
        yield server
    finally:
        await runner.cleanup()
