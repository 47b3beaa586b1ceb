"""One realtime session on its socket: the thin shell around `core`."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Iterable
from typing import Any, Final
from urllib.parse import quote

import aiohttp
from aiohttp import WSMsgType

from engine.speech.realtime.core import RealtimeCore
from engine.speech.realtime.notices import Action, Notice, Ready, Send, Trouble
from engine.speech.realtime.problems import Problem, from_close, from_status, unreachable
from engine.speech.realtime.setup import SessionSettings

log = logging.getLogger(__name__)

CONNECT_SECONDS: Final = 10.0
"""From nothing to a session that is as it was asked to be."""
HEARTBEAT_SECONDS: Final = 6.0
"""A service that answers no ping for half of this is gone, whatever the network says."""
MAX_MESSAGE: Final = 16 * 1024 * 1024
MAX_UNSENT: Final = 1500
"""Events that may wait for a service that does not read: half a minute of audio."""
CLOSE_SECONDS: Final = 1.0


class SessionFailed(Exception):
    """A session did not come about, or is over."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


class RealtimeSession:
    """Made by `RealtimeService.session`; `open` it, then `run` it. `on_notice` is called in the loop, in order."""

    def __init__(
        self,
        http: aiohttp.ClientSession,
        base_url: str,
        settings: SessionSettings,
        on_notice: Callable[[Notice], None],
    ) -> None:
        self._http = http
        self._url = f"{_websocket(base_url)}/realtime?model={quote(settings.model, safe='')}"
        self._on_notice = on_notice
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._unsent: asyncio.Queue[str] = asyncio.Queue(MAX_UNSENT)
        self._lost: Problem | None = None
        self._dropping: asyncio.Task[bool] | None = None
        self.core = RealtimeCore(settings)
        self.expires_at: float | None = None
        """Epoch seconds, where the service says."""

    @property
    def ready(self) -> bool:
        """It can be talked to."""
        return self.core.ready and self._lost is None

    async def open(self) -> None:
        """Connect, and return once the service confirms the session. Raises SessionFailed."""
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await self._connect()
                self.do(self.core.open())
                while not self.core.ready:
                    await self._flush()
                    await self._read_one()
        except TimeoutError:
            await self.close()
            raise SessionFailed(
                Problem("timeout", f"the service confirmed no session within {CONNECT_SECONDS:.0f} s")
            ) from None
        except BaseException:  # the call may be over before the session stands
            await self.close()
            raise

    async def run(self) -> Problem:
        """Carry the session to its end; returns why it ended. Closing it is one of the ways."""
        writing = asyncio.create_task(self._write())
        try:
            while True:
                await self._read_one()
        except SessionFailed as error:
            return error.problem
        finally:
            writing.cancel()
            await self.close()

    def do(self, actions: Iterable[Action]) -> None:
        """Send what is to be sent, and tell what is to be told, in this order."""
        for action in actions:
            if isinstance(action, Send):
                self._put(action.event)
            else:
                self._note(action)

    def fail(self, problem: Problem) -> None:
        """It is up and of no use: `run` ends with this."""
        self._lost = self._lost or problem
        if self._socket is not None and self._dropping is None:
            self._dropping = asyncio.create_task(self._socket.close())

    async def close(self) -> None:
        """Let go of the socket, without waiting for long."""
        socket, self._socket = self._socket, None
        self._lost = self._lost or Problem("closed", "closed by us")
        if socket is None:
            return
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await socket.close()
        except TimeoutError:
            log.info("the realtime service did not answer the end of its session")

    def _put(self, event: dict[str, Any]) -> None:
        try:
            self._unsent.put_nowait(json.dumps(event, separators=(",", ":")))
        except asyncio.QueueFull:
            self._lost = self._lost or Problem(
                "too_slow", f"the service does not read: {MAX_UNSENT} events wait for it"
            )

    def _note(self, notice: Notice) -> None:
        if isinstance(notice, Ready):
            self.expires_at = notice.expires_at
        elif isinstance(notice, Trouble) and notice.problem.lost:
            self._lost = self._lost or notice.problem
        self._on_notice(notice)

    async def _connect(self) -> None:
        try:
            self._socket = await self._http.ws_connect(
                self._url, heartbeat=HEARTBEAT_SECONDS, max_msg_size=MAX_MESSAGE, compress=0
            )
        except aiohttp.WSServerHandshakeError as error:
            raise SessionFailed(from_status(error.status)) from error
        except (aiohttp.ClientError, OSError) as error:
            raise SessionFailed(unreachable(error)) from error

    async def _flush(self) -> None:
        while self._socket is not None and not self._unsent.empty():
            await self._transmit(self._unsent.get_nowait())

    async def _write(self) -> None:
        """Everything that is to be sent, for the life of the session. What fails shows where it is read."""
        while self._socket is not None:
            try:
                await self._transmit(await self._unsent.get())
            except SessionFailed:
                return

    async def _transmit(self, text: str) -> None:
        if self._socket is None:
            return
        try:
            await self._socket.send_str(text)
        except (aiohttp.ClientError, ConnectionError) as error:
            raise SessionFailed(from_close(None, str(error))) from error

    async def _read_one(self) -> None:
        """Take one message. Raises SessionFailed at the end."""
        if self._lost is not None or self._socket is None:
            raise SessionFailed(self._lost or Problem("closed", "closed by us"))
        message = await self._socket.receive()
        if message.type is WSMsgType.TEXT:
            self.do(self.core.receive(_parse(message.data)))
        elif message.type is not WSMsgType.BINARY:
            raise SessionFailed(self._ending(message))
        if self._lost is not None:
            raise SessionFailed(self._lost)

    def _ending(self, message: aiohttp.WSMessage) -> Problem:
        if self._lost is not None:
            return self._lost
        if message.type is WSMsgType.CLOSE:
            return from_close(message.data, str(message.extra or ""))
        code = self._socket.close_code if self._socket is not None else None
        return from_close(code, str(message.data) if message.type is WSMsgType.ERROR else "")


def _parse(text: str) -> dict[str, Any]:
    """One event; what is no JSON object is an event without a type."""
    try:
        value = json.loads(text)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _websocket(base_url: str) -> str:
    scheme, _, rest = base_url.rstrip("/").partition("://")
    return f"{'ws' if scheme in ('http', 'ws') else 'wss'}://{rest}"
