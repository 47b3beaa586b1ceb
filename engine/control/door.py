"""The control door: JSON-RPC and the event stream over HTTP, on a Unix socket and, where configured, on TCP."""

from __future__ import annotations

import asyncio
import errno
import re
import socket
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Final, Protocol

from aiohttp import WSCloseCode, web
from aiohttp.typedefs import Handler, Middleware
from pydantic import SecretStr

from engine import __version__
from engine.api import EngineApi, Refusal
from engine.calls import Cursor
from engine.control import rpc
from engine.control.address import DoorError, listen, socket_path
from engine.control.attach import Attachment, hello
from engine.control.feed import Feed
from engine.control.guard import Denial, Guard, is_loopback
from engine.control.methods import Dispatcher
from engine.web.ports import who_listens

MAX_ATTACHED: Final = 32
MAX_IN_FLIGHT: Final = 128
BODY_TIMEOUT_S: Final = 10.0
HEARTBEAT_S: Final = 20.0
MAX_LAST: Final = 1000
CLOSE_TIMEOUT_S: Final = 0.5
CLIENT_HEADER: Final = "X-Voicecall-Client"
"""Who asks (console, cli, agent, ...), for the record. It proves nothing."""
_CLIENT = re.compile(r"[A-Za-z0-9 ._@-]{1,40}")


class TcpSettings(Protocol):
    """`control` of the configuration."""

    @property
    def bind(self) -> str: ...

    @property
    def port(self) -> int | None: ...

    @property
    def token(self) -> SecretStr | None: ...


class Door:
    """Opens and closes with the engine, on its loop."""

    def __init__(self, api: EngineApi, state_dir: Path, tcp: TcpSettings) -> None:
        self._api = api
        self._path = socket_path(state_dir)
        self._tcp = tcp
        self._dispatcher = Dispatcher(api)
        self._attached: set[web.WebSocketResponse] = set()
        self._in_flight = 0
        self._stack = AsyncExitStack()
        self.tcp_address = ""
        """`http://host:port` while the TCP door is open."""

    @property
    def address(self) -> str:
        """The path of the Unix socket."""
        return str(self._path)

    async def open(self) -> None:
        """Start to answer. Raises DoorError (a StoreError) when a socket could not be opened, or may not."""
        guard = self._check_tcp()
        async with AsyncExitStack() as stack:
            listening = await asyncio.to_thread(listen, self._path)
            stack.callback(self._path.unlink, missing_ok=True)
            await self._serve(stack, None, listening)
            if guard is not None:
                await self._serve(stack, guard, await asyncio.to_thread(self._bind_tcp))
            # Left in the opposite order: who waits gets an answer before the sockets close.
            stack.push_async_callback(self._close_attached)
            stack.push_async_callback(self._dispatcher.close)
            self._stack = stack.pop_all()

    async def close(self) -> None:
        """Say good-bye to who is attached, stop answering, remove the socket. Again is harmless."""
        await self._stack.aclose()
        self.tcp_address = ""

    async def _serve(self, stack: AsyncExitStack, guard: Guard | None, listening: socket.socket) -> None:
        runner = web.AppRunner(
            self._application(guard),
            access_log=None,
            handler_cancellation=True,
            shutdown_timeout=CLOSE_TIMEOUT_S,
        )
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await web.SockSite(runner, listening).start()

    def _application(self, guard: Guard | None) -> web.Application:
        application = web.Application(
            middlewares=[] if guard is None else [_guarded(guard)], client_max_size=rpc.MAX_BODY_BYTES
        )
        application.router.add_get("/healthz", _healthz)
        application.router.add_post("/rpc", self._rpc)
        application.router.add_get("/attach", self._attach)
        return application

    async def _rpc(self, request: web.Request) -> web.StreamResponse:
        if self._in_flight >= MAX_IN_FLIGHT:
            busy = Refusal("at_capacity", f"{MAX_IN_FLIGHT} requests run already.", "Try again in a moment.")
            return _refuse(Denial(503, busy))
        self._in_flight += 1
        try:
            async with asyncio.timeout(BODY_TIMEOUT_S):
                body = await request.read()
            response = await rpc.answer(self._dispatcher, body, _client(request))
        except web.HTTPRequestEntityTooLarge:
            large = Refusal(
                "invalid_params", f"A request has at most {rpc.MAX_BODY_BYTES} bytes.", "Send less at once."
            )
            return _refuse(Denial(413, large))
        except TimeoutError:
            slow = Refusal("timeout", f"The request did not arrive within {BODY_TIMEOUT_S:.0f} s.")
            return _refuse(Denial(408, slow))
        finally:
            self._in_flight -= 1
        if response is None:
            return web.Response(status=204)
        return web.Response(body=response, content_type="application/json")

    async def _attach(self, request: web.Request) -> web.StreamResponse:
        try:
            cursor, last = _resume(request)
            with_events = _wants_events(request)
        except ValueError as error:
            refusal = Refusal(
                "invalid_params",
                f"Can not attach: {error}.",
                "Give ?cursor=GENERATION:SEQ or ?last=N, or ?events=none to listen only.",
            )
            return _refuse(Denial(400, refusal))
        if len(self._attached) >= MAX_ATTACHED:
            full = Refusal("at_capacity", f"{MAX_ATTACHED} clients are attached already.", "Close one of them.")
            return _refuse(Denial(503, full))
        websocket = web.WebSocketResponse(heartbeat=HEARTBEAT_S, max_msg_size=rpc.MAX_BODY_BYTES, compress=False)
        self._attached.add(websocket)
        try:
            await websocket.prepare(request)
            feed = Feed(self._api, cursor, last) if with_events else None
            greeting = hello(self._api, feed, __version__)
            abort = partial(_abort, request)
            attachment = Attachment(websocket, abort, self._api, self._dispatcher, _client(request))
            await attachment.serve(feed, greeting)
        except ConnectionError:
            pass  # the client went away while we wrote to it: nothing is lost, it resumes from its cursor
        finally:
            self._attached.discard(websocket)
        return websocket

    async def _close_attached(self) -> None:
        async with asyncio.TaskGroup() as group:
            for websocket in list(self._attached):
                group.create_task(websocket.close(code=WSCloseCode.GOING_AWAY, message=b"the engine stops"))

    def _check_tcp(self) -> Guard | None:
        if self._tcp.port is None:
            return None
        token = self._tcp.token.get_secret_value() if self._tcp.token is not None else ""
        if not token and not is_loopback(self._tcp.bind):
            raise DoorError(
                f"The control door may not listen on {self._tcp.bind} without a token.",
                "Set control.token, or control.bind to 127.0.0.1.",
            )
        return Guard(token)

    def _bind_tcp(self) -> socket.socket:
        host, port = self._tcp.bind, self._tcp.port or 0
        try:
            family, kind, protocol, _, where = socket.getaddrinfo(
                host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )[0]
            listening = socket.socket(family, kind, protocol)
        except OSError as error:
            raise DoorError(f"{host} is not an address to listen on: {error}.", "Correct control.bind.") from error
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(where)
        except OSError as error:
            listening.close()
            holder = who_listens(port) if error.errno == errno.EADDRINUSE else None
            held = f" (held by {holder})" if holder else ""
            raise DoorError(
                f"The control door could not be opened on {host}:{port}: {error.strerror or error}{held}.",
                "Choose another control.port, or stop the program that uses this one.",
            ) from error
        shown = f"[{host}]" if ":" in host else host
        self.tcp_address = f"http://{shown}:{listening.getsockname()[1]}"
        return listening


def _guarded(guard: Guard) -> Middleware:
    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path != "/healthz" and (denial := guard.deny(request.headers)) is not None:
            return _refuse(denial)
        if request.method == "POST" and request.content_type != "application/json":
            # A form that a web page sends across sites can not have this type.
            wrong = Refusal("invalid_params", "Send `Content-Type: application/json`.")
            return _refuse(Denial(415, wrong))
        return await handler(request)

    return check


def _refuse(denial: Denial) -> web.Response:
    code = rpc.INVALID_REQUEST if denial.status < 500 else rpc.REFUSED
    headers = {"WWW-Authenticate": "Bearer"} if denial.status == 401 else {}
    body = rpc.encode(rpc.failure(None, code, denial.refusal))
    return web.Response(status=denial.status, body=body, content_type="application/json", headers=headers)


def _client(request: web.Request) -> str:
    given = request.headers.get(CLIENT_HEADER, "")
    return given if _CLIENT.fullmatch(given) else "rpc"


def _resume(request: web.Request) -> tuple[Cursor | None, int]:
    text, last = request.query.get("cursor"), request.query.get("last", "0")
    if not last.isascii() or not last.isdecimal() or len(last) > 6 or int(last) > MAX_LAST:
        raise ValueError(f"last must be a number from 0 to {MAX_LAST}")
    return (Cursor.parse(text) if text else None), int(last)


def _wants_events(request: web.Request) -> bool:
    wanted = request.query.get("events", "all")
    if wanted not in ("all", "none"):
        raise ValueError("events is all or none")
    return wanted == "all"


def _abort(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()


async def _healthz(request: web.Request) -> web.Response:
    return web.json_response({"ok": True})
