"""The media socket of one `<Connect><Stream>`, from Twilio's side."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import deque
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp
from yarl import URL

from engine.media.audio import FRAME_MS
from engine.simulator.frames import BadFrame, ClearAudio, FrameWriter, PlayAudio, PlayMark, read_frame
from engine.simulator.leg import Leg
from tests.carriers.far.address import real_address
from tests.carriers.twilio_far.settings import Settings
from tests.carriers.twilio_far.webhooks import signature_headers

CONNECT_S: Final = 5.0
_QUEUE_FRAMES: Final = 500
_MAX_FRAME: Final = 1 << 20
Job = Coroutine[Any, Any, object]
_BROKEN: Final = "Connection Broken Pipe: lost on purpose"
_LOCAL: Final = frozenset({"127.0.0.1", "localhost", "::1"})


class StreamTrouble(Exception):
    """The stream did not come about, or broke; with Twilio's number."""

    def __init__(self, code: int, why: str) -> None:
        super().__init__(why)
        self.code = code


@dataclass
class StreamRecord:
    """One stream for tests and the report."""

    sid: str
    url: str
    parameters: Mapping[str, str]
    started: bool = False
    frames_in: int = 0
    frames_out: int = 0
    media_in: int = 0
    audio: bytearray = field(default_factory=bytearray)
    """All that we sent to be played, heard or not."""
    marks_in: list[str] = field(default_factory=list)
    marks_out: list[str] = field(default_factory=list)
    clears: int = 0
    close_code: int | None = None
    end: str = ""
    errors: list[tuple[int, str]] = field(default_factory=list)
    """The first of each number."""


class _Writer(FrameWriter):
    """Frames whose `start` carries the document's parameters."""

    def start_with(self, call_sid: str, account_sid: str, sid: str, parameters: Mapping[str, str]) -> str:
        frame = json.loads(self.start(""))
        frame["start"] |= {"accountSid": account_sid, "callSid": call_sid, "streamSid": sid}
        frame["start"]["customParameters"] = dict(parameters)
        return json.dumps(frame)


class MediaSocket:
    """Opens the socket and carries the call. `run` returns when the other side closed it, or raises StreamTrouble."""

    def __init__(
        self, record: StreamRecord, call_sid: str, leg: Leg, settings: Settings, spawn: Callable[[Job], object]
    ) -> None:
        self.record = record
        self.flowing = asyncio.Event()
        """Cleared by a test: nothing is read any more, as on a congested line."""
        self.flowing.set()
        self.started = asyncio.Event()
        self._call_sid = call_sid
        self._leg = leg
        self._settings = settings
        self._spawn = spawn
        self._lost = asyncio.Event()
        self._writer = _Writer(record.sid, call_sid, settings.account_sid)
        self._queue: deque[str] = deque()
        self._queued = asyncio.Event()
        self._at_ms = 0

    async def run(self, http: aiohttp.ClientSession) -> None:
        socket = await self._dial(http)
        saying_stop = False
        try:
            await socket.send_str(self._writer.connected())
            await socket.send_str(self._start())
            self.record.started = True
            self.started.set()
            self._leg.stream = self
            await self._carry(socket)
        except asyncio.CancelledError:
            saying_stop = True
            raise
        except (OSError, aiohttp.ClientError) as error:
            raise StreamTrouble(31903, f"Connection Broken Pipe: {type(error).__name__}") from error
        finally:
            if self._leg.stream is self:
                self._leg.stream = None
            self._leg.playback.clear()
            await self._close(socket, saying_stop)

    # tests

    def inject(self, frame: str) -> None:
        """Send something of a test's own."""
        self._enqueue(frame)

    def lose(self) -> None:
        """The connection breaks, without `stop` and without a close frame."""
        self._lost.set()

    def start_again(self) -> None:
        """A second `start`, as has been seen."""
        self._enqueue(self._start())

    # the leg's side (engine.simulator.leg.Stream)

    def send_audio(self, payload: str) -> None:
        self._at_ms += FRAME_MS
        self._enqueue(self._writer.media(payload, self._at_ms))

    def send_key(self, digit: str) -> None:
        self._enqueue(self._writer.dtmf(digit))

    def send_mark(self, name: str) -> None:
        self.record.marks_out.append(name)
        self._enqueue(self._writer.mark(name))

    def _enqueue(self, text: str) -> None:
        if len(self._queue) >= _QUEUE_FRAMES:
            self._queue.popleft()
            self._trouble(31930, "Buffer Overflow")
        self._queue.append(text)
        self._queued.set()

    def _start(self) -> str:
        settings, record = self._settings, self.record
        return self._writer.start_with(self._call_sid, settings.account_sid, record.sid, record.parameters)

    # the socket's side

    async def _dial(self, http: aiohttp.ClientSession) -> aiohttp.ClientWebSocketResponse:
        url = self._checked_url()
        target, more = real_address(self._settings, url)
        headers = {**signature_headers(self._settings, url, {}), **more, "User-Agent": "TwilioMediaStreams"}
        try:
            async with asyncio.timeout(CONNECT_S):
                return await http.ws_connect(URL(target, encoded=True), headers=headers, max_msg_size=_MAX_FRAME)
        except aiohttp.WSServerHandshakeError as error:
            raise StreamTrouble(31920, f"Handshake Error: HTTP {error.status}") from error
        except TimeoutError as error:
            raise StreamTrouble(31901, "Connection Timeout") from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise StreamTrouble(31902, f"Connection Refused: {type(error).__name__}") from error

    def _checked_url(self) -> str:
        """What is dialled: Twilio drops a query, and takes wss only."""
        parts = urlsplit(self.record.url)
        local = self._settings.plain_ws and parts.hostname in _LOCAL
        if parts.scheme != "wss" and not (local and parts.scheme == "ws"):
            raise StreamTrouble(31922, "URL Schema Not Supported")
        if not parts.hostname:
            raise StreamTrouble(31923, "Malformed URL")
        return f"{parts.scheme}://{parts.netloc}{parts.path}"

    async def _carry(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        jobs = (self._receive(socket), self._send(socket), self._break(socket))
        tasks = [asyncio.create_task(job) for job in jobs]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)

    async def _break(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        await self._lost.wait()
        connection = socket._response.connection
        if connection is not None and connection.transport is not None:
            connection.transport.abort()
        raise StreamTrouble(31903, _BROKEN)

    async def _send(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        while True:
            await self._queued.wait()
            self._queued.clear()
            while self._queue:
                await socket.send_str(self._queue.popleft())
                self.record.frames_out += 1

    async def _receive(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        while True:
            await self.flowing.wait()
            message = await socket.receive()
            if message.type is aiohttp.WSMsgType.TEXT:
                self._obey(message.data)
            elif message.type is aiohttp.WSMsgType.BINARY:
                self._trouble(31950, "Malformed Message: binary")
            else:
                if self._lost.is_set():
                    raise StreamTrouble(31903, _BROKEN)
                self.record.close_code = socket.close_code
                self.record.end = "closed by the other side"
                raise StreamTrouble(31921, f"Close Error: the server closed the stream ({socket.close_code})")

    def _obey(self, text: str) -> None:
        record, playback = self.record, self._leg.playback
        record.frames_in += 1
        match read_frame(text, record.sid):
            case PlayAudio(payload):
                record.media_in += 1
                record.audio += payload
                if not playback.push(payload):
                    self._trouble(31931, "Media Discarded: more than ten minutes wait")
            case PlayMark(name):
                record.marks_in.append(name)
                if playback.mark(name):
                    self.send_mark(name)
            case ClearAudio():
                record.clears += 1
                for name in playback.clear():
                    self.send_mark(name)
            case BadFrame(code, why):
                self._trouble(code, why)

    def _trouble(self, code: int, why: str) -> None:
        """Reported once for each stream and number."""
        if code not in [known for known, _ in self.record.errors]:
            self.record.errors.append((code, why))

    async def _close(self, socket: aiohttp.ClientWebSocketResponse, say_stop: bool) -> None:
        with contextlib.suppress(OSError, aiohttp.ClientError, TimeoutError):
            async with asyncio.timeout(2):
                if say_stop:
                    self.record.end = "stopped"
                    while self._queue:
                        await socket.send_str(self._queue.popleft())
                    await socket.send_str(self._writer.stop())
                if say_stop and self._settings.close_late_s:
                    self._spawn(_close_later(socket, self._settings.close_late_s))
                else:
                    await socket.close()


async def _close_later(socket: aiohttp.ClientWebSocketResponse, seconds: float) -> None:
    await asyncio.sleep(seconds)
    with contextlib.suppress(OSError, aiohttp.ClientError):
        await socket.close()
