"""The public HTTP server: the webhook, the media socket, a health answer, and nothing else."""

from __future__ import annotations

import errno
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import web

from engine.config import Config
from engine.web.listening import Handler, Listening, server_log
from engine.web.ports import who_listens

log = logging.getLogger(__name__)

SHUTDOWN_SECONDS: Final = 2.0
LINGER_SECONDS: Final = 1.0
"""How long the rest of a refused body is taken and thrown away, so that its sender sees the refusal."""


Own = Callable[[web.Request], Awaitable[web.StreamResponse | None]]
"""Answers requests that we made ourselves, to see whether our public address works; None for anybody else's."""
Missed = Callable[[web.Request], None]


async def _nobody(_: web.Request) -> web.StreamResponse | None:
    return None


def _unseen(_: web.Request) -> None:
    """Nobody wants to know."""


class PortTaken(Exception):
    """The server's address can not be bound. `hint` says what to do."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


class WebServer:
    """aiohttp on `serve.bind:serve.port`. Port 0 takes a free one; `port` is the real one once it is open."""

    def __init__(
        self, config: Config, webhook: Handler, media: Handler, own: Own = _nobody, missed: Missed = _unseen
    ) -> None:
        """`missed` is told of requests to a path where nothing is served."""
        self._own = own
        self._missed = missed
        self._bind = config.serve.bind
        self.port = config.serve.port
        application = web.Application(client_max_size=64 * 1024, middlewares=[self._watch])
        path, stream_path = config.serve.path, config.streaming.stream_path
        application.router.add_route("*", path, _exactly(path, webhook))
        application.router.add_get(stream_path, media, allow_head=False)
        application.router.add_get(f"{stream_path}/{{token}}", media, allow_head=False)
        application.router.add_get("/healthz", _healthz)
        self._runner = web.AppRunner(
            application,
            access_log=None,
            handle_signals=False,
            shutdown_timeout=SHUTDOWN_SECONDS,
            logger=server_log(),
            lingering_time=LINGER_SECONDS,
            auto_decompress=False,  # Signatures are over the bytes that came; and a small body stays small.
        )
        self._listening = Listening(self._runner)

    async def open(self) -> None:
        """Listen. Raises PortTaken."""
        await self._runner.setup()
        try:
            self.port = await self._listening.open(self._bind, self.port)
        except OSError as error:
            await self._runner.cleanup()
            if error.errno != errno.EADDRINUSE:
                raise PortTaken(
                    f"can not listen on {self._bind}:{self.port}: {error.strerror or error}",
                    "set serve.bind to an address of this machine, for example 127.0.0.1",
                ) from error
            holder = who_listens(self.port) or "another program"
            raise PortTaken(
                f"can not listen on {self._bind}:{self.port}: {error.strerror or error} (held by {holder})",
                "stop it, or choose another serve.port; `voicecall attach` joins an engine that runs already",
            ) from error
        log.info("listening on %s:%d", self._bind, self.port)

    async def close(self) -> None:
        """Stop listening and close what is open."""
        await self._listening.close()
        await self._runner.cleanup()

    @web.middleware
    async def _watch(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        self._listening.began(request)
        if (own := await self._own(request)) is not None:
            return own
        try:
            return await handler(request)
        except (web.HTTPNotFound, web.HTTPMethodNotAllowed):
            self._missed(request)
            raise web.HTTPNotFound from None  # What is not offered is not there.


def _exactly(path: str, handler: Handler) -> Handler:
    """aiohttp's router also takes other spellings (%6b for k) of a path; a carrier uses the one that it was given."""

    async def check(request: web.Request) -> web.StreamResponse:
        if request.path_qs.partition("?")[0] != path:
            raise web.HTTPNotFound
        return await handler(request)

    return check


async def _healthz(_: web.Request) -> web.StreamResponse:
    return web.json_response({"ok": True})
