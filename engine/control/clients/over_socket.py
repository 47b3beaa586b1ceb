"""A client of an engine behind its control door: a Unix socket, or TCP with a token."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, Self, get_args

import orjson

from engine.api import AudioFrame, Refusal, Slug
from engine.calls import Cursor, Event
from engine.clock import epoch_ms
from engine.control.audio import decode_audio, encode_voice
from engine.control.clients.base import READ_S, EngineClient, MicrophoneLine, NoEngine, plain
from engine.control.feed import Batch

if TYPE_CHECKING:
    import aiohttp

_HEARTBEAT_S: Final = 20.0
_HELLO_S: Final = 10.0
_BACKOFF_FIRST_S: Final = 0.1
_BACKOFF_LAST_S: Final = 5.0
_SLUGS: Final[frozenset[str]] = frozenset(get_args(Slug))
_READS: Final = frozenset(
    f"voicecall.{name}"
    for name in (
        "status",
        "events",
        "history",
        "health",
        "latency",
        "backlog",
        "admitted",
        "continue.result",
        "webhooks",
        "webhook",
    )
)


@dataclass(frozen=True, slots=True)
class Connection:
    """How the event stream stands. `why` says what happened when it is not up."""

    state: Literal["connecting", "up", "lost", "closed"] = "connecting"
    why: str = ""


class SocketClient(EngineClient):
    """Belongs to the loop it was connected on.

    `watch` survives a lost connection and an engine that restarts: it comes back with a growing pause and goes on
    from its cursor. `connection` says how it stands, and `on_connection` is called with each change.
    """

    def __init__(self, session: aiohttp.ClientSession, base_url: str, where: str) -> None:
        self._session = session
        self._base_url = base_url
        self._where = where
        self._connection = Connection()
        self.on_connection: Callable[[Connection], None] | None = None

    @classmethod
    async def connect(cls, target: str | Path, token: str | None = None, by: str = "console") -> Self:
        """Reach the engine at `target`: a state folder, a socket path or an http(s) URL.

        Raises NoEngine when nobody answers there, Refusal (`unauthorized`) when the token is not accepted.
        """
        import aiohttp  # 250 ms, for those who talk to an engine only

        text = str(target)
        connector: aiohttp.BaseConnector
        if text.startswith(("http://", "https://")):
            connector, base_url, where = aiohttp.TCPConnector(), text.rstrip("/"), text
        else:
            path = await asyncio.to_thread(_socket_of, Path(target))
            # The host is for the Host header alone.
            connector, base_url, where = aiohttp.UnixConnector(str(path)), "http://localhost", str(path)
        headers = {"X-Voicecall-Client": by, "Content-Type": "application/json"}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        session = aiohttp.ClientSession(
            connector=connector, headers=headers, timeout=aiohttp.ClientTimeout(total=None)
        )
        client = cls(session, base_url, where)
        try:
            await client.health()
        except BaseException:
            await session.close()
            raise
        return client

    @property
    def connection(self) -> Connection:
        """How the event stream stands."""
        return self._connection

    async def close(self) -> None:
        self._set(Connection("closed"))
        await self._session.close()

    async def _request(self, method: str, params: Mapping[str, Any], timeout_s: float = READ_S) -> Any:
        import aiohttp

        if self._session.closed:
            raise NoEngine("This client is closed.", "")
        body = orjson.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": plain(params)})
        try:
            async with asyncio.timeout(timeout_s), self._session.post(f"{self._base_url}/rpc", data=body) as response:
                text = await response.read()
        except TimeoutError:
            raise Refusal("timeout", f"{method} took longer than {timeout_s:.0f} s.") from None
        except aiohttp.ClientConnectorError as error:
            raise NoEngine(f"No engine answers at {self._where}: {error.os_error.strerror or error}.") from error
        except aiohttp.ClientError as error:
            raise self._broken(method, error) from error
        return self._result(text)

    def _broken(self, method: str, error: Exception) -> Exception:
        if method in _READS:
            return NoEngine(f"The engine at {self._where} went away: {str(error) or type(error).__name__}.")
        return Refusal(
            "outcome_unknown",
            f"The engine at {self._where} went away before it answered {method}.",
            "It may have been done: look at `voicecall status` before you ask again.",
        )

    def _result(self, text: bytes) -> Any:
        try:
            answer = orjson.loads(text)
            if "error" not in answer:
                return answer["result"]
            error = answer["error"]
            data = error.get("data") or {}
            code, hint = data.get("code"), str(data.get("hint", ""))
            message, call_id = str(error["message"]), str(data.get("callId", ""))
        except (ValueError, KeyError, TypeError, AttributeError):
            raise NoEngine(f"What answers at {self._where} is not an engine.", "Check the address.") from None
        raise Refusal(code if code in _SLUGS else "internal_error", message, hint, call_id=call_id)

    async def watch(self, cursor: Cursor | None = None, last: int = 0) -> AsyncIterator[Batch]:
        import aiohttp

        pauses = _pauses()
        missed = False
        while not self._session.closed:
            try:
                query = {"last": str(last)} if cursor is None else {"cursor": str(cursor)}
                async with await self._attach(query) as socket:
                    hello = await self._hello(socket)
                    self._set(Connection("up"))
                    if cursor is None and last == 0:
                        cursor = hello
                    async for message in socket:
                        batch = _batch(message.data) if message.type is aiohttp.WSMsgType.TEXT else None
                        if batch is None:
                            continue
                        pauses = _pauses()
                        cursor = batch.cursor
                        yield Batch(batch.events, batch.cursor, batch.lagged or missed)
                        missed = False
                    why = "the engine closed the connection"
            except (aiohttp.ClientError, OSError, TimeoutError, _NotOurs) as error:
                why = str(error) or type(error).__name__
            missed = True
            if not self._session.closed:
                self._set(Connection("lost", why))
                await asyncio.sleep(next(pauses))

    async def listen(self, call_id: str) -> AsyncGenerator[AudioFrame, None]:
        import aiohttp

        request = {"jsonrpc": "2.0", "id": 1, "method": "voicecall.listen", "params": plain({"callId": call_id})}
        try:
            async with await self._attach({"events": "none"}) as socket:
                await self._hello(socket)
                await socket.send_str(orjson.dumps(request).decode())
                async for message in socket:
                    if message.type is aiohttp.WSMsgType.BINARY:
                        yield _audio(message.data)
                    elif message.type is aiohttp.WSMsgType.TEXT and self._ends_listening(message.data):
                        return
        except (aiohttp.ClientError, OSError, _NotOurs) as error:
            raise NoEngine(f"The engine at {self._where} went away: {str(error) or type(error).__name__}.") from error
        raise NoEngine(f"The engine at {self._where} closed the connection.")

    @asynccontextmanager
    async def microphone(self, call_id: str) -> AsyncIterator[MicrophoneLine]:
        import aiohttp

        try:
            async with await self._attach({"events": "none"}) as socket:
                await self._hello(socket)
                yield await self._open_line(socket, call_id)
        except (aiohttp.ClientError, OSError, _NotOurs) as error:
            raise NoEngine(f"The engine at {self._where} went away: {str(error) or type(error).__name__}.") from error

    async def _open_line(self, socket: aiohttp.ClientWebSocketResponse, call_id: str) -> _Line:
        line = _Line(socket, call_id)
        await line.request("voicecall.microphone")
        async with asyncio.timeout(_HELLO_S):
            while True:
                text = await socket.receive_str()
                if "id" in _object(text):
                    line.microphone_id = int(self._result(text.encode())["microphoneId"])
                    return line

    def _ends_listening(self, text: str) -> bool:
        """Whether there is no more to hear. Raises the Refusal that the message tells."""
        try:
            message = orjson.loads(text)
        except ValueError as error:
            raise _NotOurs(f"unreadable message: {error!r}") from error
        if isinstance(message, dict) and "id" in message:
            self._result(text.encode())
        return isinstance(message, dict) and message.get("type") == "listening.ended"

    async def _attach(self, query: Mapping[str, str]) -> aiohttp.ClientWebSocketResponse:
        """A new WebSocket. Raises Refusal where trying again is of no use."""
        import aiohttp

        try:
            async with asyncio.timeout(_HELLO_S):
                # Batches may be large, and they come from our own engine: their size has no limit here.
                return await self._session.ws_connect(
                    f"{self._base_url}/attach", params=query, heartbeat=_HEARTBEAT_S, max_msg_size=0
                )
        except aiohttp.WSServerHandshakeError as error:
            if error.status in (401, 403):
                raise Refusal(
                    "unauthorized", f"The engine at {self._where} does not accept the token.", "Use --token-file."
                ) from error
            raise

    async def _hello(self, socket: aiohttp.ClientWebSocketResponse) -> Cursor:
        async with asyncio.timeout(_HELLO_S):
            try:
                value = orjson.loads(await socket.receive_str())
                return Cursor.parse(value["cursor"])
            except (ValueError, KeyError, TypeError) as error:
                raise _NotOurs("what answers is not an engine") from error

    def _set(self, connection: Connection) -> None:
        if connection != self._connection:
            self._connection = connection
            if self.on_connection is not None:
                self.on_connection(connection)


class _Line:
    """A microphone of an engine at the other end of a socket."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse, call_id: str) -> None:
        self._socket = socket
        self._call_id = call_id
        self.microphone_id = 0

    async def request(self, method: str) -> None:
        """Ask for something about our call."""
        request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": plain({"callId": self._call_id})}
        await self._socket.send_str(orjson.dumps(request).decode())

    async def send(self, payload: bytes) -> None:
        await self._socket.send_bytes(encode_voice(self.microphone_id, payload, epoch_ms()))

    async def rest(self) -> None:
        await self.send(b"")

    async def put_away(self) -> None:
        await self.request("voicecall.microphone.close")

    async def ended(self) -> str:
        async for message in self._socket:
            if not isinstance(message.data, str):
                continue
            value = _object(message.data)
            if value.get("type") == "microphone.ended" and value.get("microphoneId") == self.microphone_id:
                return str(value.get("why", ""))
        return "the connection to the engine was lost"


def _object(text: str) -> dict[str, Any]:
    """A message as a JSON object. Raises _NotOurs."""
    try:
        value = orjson.loads(text)
    except ValueError as error:
        raise _NotOurs(f"unreadable message: {error!r}") from error
    if not isinstance(value, dict):
        raise _NotOurs("a message that is no object")
    return value


class _NotOurs(Exception):
    """What came over the socket is not what an engine sends."""


def _batch(text: str) -> Batch | None:
    """The batch in a message; None when it is something else, which a later engine may send."""
    try:
        value = orjson.loads(text)
        if value.get("type") != "events":
            return None
        events = [Event.from_json(event) for event in value["events"]]
        return Batch(events, Cursor.parse(value["cursor"]), bool(value["lagged"]))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _NotOurs(f"unreadable message: {error!r}") from error


def _audio(message: bytes) -> AudioFrame:
    try:
        return decode_audio(message)[1]
    except ValueError as error:
        raise _NotOurs(f"unreadable audio: {error}") from error


def _socket_of(path: Path) -> Path:
    """The control socket that `path` names: a state folder, or the socket itself."""
    from engine.control.address import socket_path
    from engine.store import LOCK_NAME, StoreError, read_holder

    if not path.is_dir():
        return path
    try:
        holder = read_holder(path / LOCK_NAME)
    except StoreError as error:
        raise NoEngine(error.error, error.hint) from error
    if holder is None:
        raise NoEngine(f"No engine runs on the state folder {path}.")
    return Path(holder.control) if holder.control else socket_path(path)


def _pauses() -> Iterator[float]:
    """Seconds before each new try: doubling, with some chance in it so that many clients do not come as one."""
    pause = _BACKOFF_FIRST_S
    while True:
        yield pause * random.uniform(0.7, 1.0)
        pause = min(pause * 2, _BACKOFF_LAST_S)
