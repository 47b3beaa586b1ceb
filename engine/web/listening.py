"""The listening socket of the public server, with the bounds that aiohttp does not have.

aiohttp waits for ever for the first request of a connection. A stranger who sends nothing, or half a request line,
would hold a connection for as long as he likes, and as many of them as the system lets him. And what is not HTTP at
all would write a traceback into the log each time.
"""

from __future__ import annotations

import asyncio
import logging
import resource
from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.web_protocol import RequestHandler

from engine.web.budget import Budget

HEADER_SECONDS: Final = 10.0
"""How long a connection may take for its first request line and headers."""
MAX_CONNECTIONS: Final = 1024
"""Open connections; media sockets have their own, lower bound. One more is closed at once."""
SHARE_OF_FILES: Final = 0.5
"""How many of the process's file descriptors strangers may take: the control door and the store need some."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Listening:
    """Listens for an application runner, and closes connections that do not get to the point."""

    def __init__(self, runner: web.AppRunner) -> None:
        self._runner = runner
        self._silent: dict[RequestHandler, asyncio.TimerHandle] = {}
        self._server: asyncio.Server | None = None
        self._files = int(resource.getrlimit(resource.RLIMIT_NOFILE)[0] * SHARE_OF_FILES)

    def began(self, request: web.Request) -> None:
        """A whole request head has come over this connection."""
        if (limit := self._silent.pop(request.protocol, None)) is not None:
            limit.cancel()

    async def open(self, host: str, port: int) -> int:
        """Listen; returns the port. Raises OSError."""
        self._server = await asyncio.get_running_loop().create_server(self._accept, host, port, backlog=128)
        return int(self._server.sockets[0].getsockname()[1])

    async def close(self) -> None:
        """Take no more connections. Those that are open are the runner's to close."""
        if self._server is not None:
            self._server.close()
        for limit in self._silent.values():
            limit.cancel()
        self._silent.clear()

    def _accept(self) -> asyncio.Protocol:
        server = self._runner.server
        assert server is not None, "the runner is set up before it listens"
        if len(server.connections) >= min(MAX_CONNECTIONS, self._files):
            return _NoRoom()
        connection = server()
        loop = asyncio.get_running_loop()
        self._silent[connection] = loop.call_later(HEADER_SECONDS, self._give_up, connection)
        return connection

    def _give_up(self, connection: RequestHandler) -> None:
        del self._silent[connection]
        if connection.transport is not None:
            connection.transport.abort()


class _NoRoom(asyncio.Protocol):
    """A connection too many."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.close()


def server_log() -> logging.Logger:
    """Where aiohttp reports about requests: what strangers do wrong is one line, no traceback, and not often."""
    log = logging.Logger("engine.web.http")
    log.parent = logging.getLogger("engine.web")
    log.addFilter(_Strangers())
    return log


class _Strangers(logging.Filter):
    def __init__(self) -> None:
        super().__init__()
        self._lines = Budget(per_second=1, burst=50)

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        if not isinstance(error, HttpProcessingError):
            return True
        record.levelno, record.levelname = logging.INFO, "INFO"
        record.msg, record.args = "not understood as HTTP: %s", (type(error).__name__,)
        record.exc_info = record.exc_text = None
        return self._lines.take()
