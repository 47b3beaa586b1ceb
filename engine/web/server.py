"""The public HTTP server: the webhook, the media socket, a health answer, and nothing else."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import web

from engine.config import Config
from engine.web.ports import who_listens

log = logging.getLogger(__name__)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
SHUTDOWN_SECONDS: Final = 2.0


class PortTaken(Exception):
    """The server's address can not be bound. `hint` says what to do."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


class WebServer:
    """aiohttp on `serve.bind:serve.port`. Port 0 takes a free one; `port` is the real one once it is open."""

    def __init__(self, config: Config, webhook: Handler, media: Handler) -> None:
        self._bind = config.serve.bind
        self.port = config.serve.port
        application = web.Application(client_max_size=64 * 1024)
        path, stream_path = config.serve.path, config.streaming.stream_path
        application.router.add_route("*", path, webhook)
        application.router.add_get(stream_path, media, allow_head=False)
        application.router.add_get(f"{stream_path}/{{token}}", media, allow_head=False)
        application.router.add_get("/healthz", _healthz)
        self._runner = web.AppRunner(
            application, access_log=None, handle_signals=False, shutdown_timeout=SHUTDOWN_SECONDS
        )

    async def open(self) -> None:
        """Listen. Raises PortTaken."""
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, self._bind, self.port).start()
        except OSError as error:
            await self._runner.cleanup()
            holder = who_listens(self.port) or "another program"
            raise PortTaken(
                f"can not listen on {self._bind}:{self.port}: {error.strerror or error} (held by {holder})",
                "stop it, or choose another serve.port; `voicecall attach` joins an engine that runs already",
            ) from error
        self.port = self._runner.addresses[0][1]
        log.info("listening on %s:%d", self._bind, self.port)

    async def close(self) -> None:
        """Stop listening and close what is open."""
        await self._runner.cleanup()


async def _healthz(_: web.Request) -> web.StreamResponse:
    return web.json_response({"ok": True})
