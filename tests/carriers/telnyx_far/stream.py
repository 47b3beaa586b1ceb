"""The media socket of one stream, from Telnyx's side: frames of its own shape, G.711 in the codecs agreed on."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from base64 import b64decode, b64encode
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp
from yarl import URL

from engine.media.audio import FRAME_MS
from engine.media.g711 import alaw_to_mulaw, mulaw_to_alaw
from engine.simulator.leg import Leg
from tests.carriers.far.address import real_address
from tests.carriers.telnyx_far.settings import Settings

CONNECT_S: Final = 5.0
_QUEUE_FRAMES: Final = 500
_ALLOWED: Final[Mapping[str, set[str]]] = {"media": {"payload"}, "mark": {"name"}, "clear": set()}
_MIN_BYTES: Final = 160
_MAX_BYTES: Final = 240_000


class StreamTrouble(Exception):
    """The stream did not come about, or broke, in Telnyx's words."""


@dataclass
class StreamRecord:
    """One stream for tests and the report."""

    id: str
    url: str
    fields: Mapping[str, Any]
    """What it was ordered with."""
    carries: str
    """The codec of what we hear there."""
    takes: str
    """The codec of what is played."""
    started: bool = False
    connected_at: float = 0.0
    started_at: float = 0.0
    headers: Mapping[str, str] = field(default_factory=dict)
    frames_in: int = 0
    media_in: int = 0
    audio: bytearray = field(default_factory=bytearray)
    """All that was sent to be played, as it came."""
    marks_in: list[str] = field(default_factory=list)
    marks_out: list[str] = field(default_factory=list)
    clears: int = 0
    close_code: int | None = None
    end: str = ""
    errors: list[tuple[int, str]] = field(default_factory=list)


class MediaSocket:
    """Opens the socket and carries the call. `run` returns when it is over, or raises StreamTrouble."""

    def __init__(self, record: StreamRecord, call: Mapping[str, str], settings: Settings) -> None:
        self.record = record
        self.started = asyncio.Event()
        self.answered: asyncio.Future[Leg] = asyncio.get_running_loop().create_future()
        """The leg, once somebody is on it: the start frame waits for that."""
        self.on_mark: Callable[[], None] = lambda: None
        self._call = call
        self._settings = settings
        self._lost = asyncio.Event()
        self._stopping = asyncio.Event()
        self._queue: deque[str] = deque()
        self._queued = asyncio.Event()
        self._leg: Leg | None = None
        self._sequence = 0
        self._chunk = 0
        self._held: str | None = None

    async def run(self, http: aiohttp.ClientSession) -> None:
        socket = await self._dial(http)
        try:
            await socket.send_str(json.dumps({"event": "connected", "version": "1.0.0"}))
            await self._carry(socket)
        except (OSError, aiohttp.ClientError) as error:
            raise StreamTrouble(f"connection_lost: {type(error).__name__}") from error
        finally:
            if self._leg is not None and self._leg.stream is self:
                self._leg.stream = None
                self._leg.playback.clear()
            with contextlib.suppress(OSError, aiohttp.ClientError, TimeoutError):
                async with asyncio.timeout(2):
                    await socket.close()

    def stop(self) -> None:
        """The stream is over: `streaming_stop`, or the end of the call."""
        self._stopping.set()

    # tests

    def inject(self, frame: str) -> None:
        self._enqueue(frame)

    def lose(self) -> None:
        """The connection breaks, without `stop` and without a close frame."""
        self._lost.set()

    # the leg's side (engine.simulator.leg.Stream)

    def send_audio(self, payload: str) -> None:
        if self.record.carries == "PCMA":
            payload = b64encode(mulaw_to_alaw(b64decode(payload))).decode()
        self._chunk += 1
        media = {
            "track": "inbound",
            "chunk": str(self._chunk),
            "timestamp": str(self._chunk * FRAME_MS),
            "payload": payload,
        }
        frame = self._frame("media", media=media)
        if self._settings.shuffle and self._held is None:
            self._held = frame
            return
        self._enqueue(frame)
        if self._held is not None:
            held, self._held = self._held, None
            self._enqueue(held)

    def send_key(self, digit: str) -> None:
        self._enqueue(self._frame("dtmf", occurred_at="2026-11-25T08:54:19.698408Z", dtmf={"digit": digit}))

    def send_mark(self, name: str) -> None:
        self.record.marks_out.append(name)
        self.on_mark()
        self._enqueue(json.dumps({"event": "mark", "stream_id": self.record.id, "mark": {"name": name}}))

    # the socket's side

    def _frame(self, event: str, **more: Any) -> str:
        self._sequence += 1
        head = {"event": event, "sequence_number": str(self._sequence), "stream_id": self.record.id}
        return json.dumps({**head, **more})

    def _enqueue(self, text: str) -> None:
        if len(self._queue) >= _QUEUE_FRAMES:
            self._queue.popleft()
        self._queue.append(text)
        self._queued.set()

    def _start(self) -> str:
        record = self.record
        start = {
            "user_id": "3E6F995F-85F7-4705-9741-53B116D28237",
            **self._call,
            "media_format": {"encoding": record.carries, "sample_rate": 8000, "channels": 1},
        }
        return self._frame("start", start=start)

    async def _dial(self, http: aiohttp.ClientSession) -> aiohttp.ClientWebSocketResponse:
        target, more = real_address(self._settings, self.record.url)
        token = self.record.fields.get("stream_auth_token")
        headers = {**more, "User-Agent": "telnyx-media"} | ({"Authorization": f"Bearer {token}"} if token else {})
        try:
            async with asyncio.timeout(CONNECT_S):
                socket = await http.ws_connect(URL(target, encoded=True), headers=headers, max_msg_size=1 << 20)
        except aiohttp.WSServerHandshakeError as error:
            raise StreamTrouble(f"connection_failed: HTTP {error.status}") from error
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            raise StreamTrouble(f"connection_failed: {type(error).__name__}") from error
        self.record.connected_at = time.time()
        return socket

    async def _carry(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        jobs = (
            self._receive(socket),
            self._send(socket),
            self._break(socket),
            self._begin(socket),
            self._end(socket),
        )
        tasks = [asyncio.create_task(job) for job in jobs]
        try:
            await asyncio.wait(tasks[:3] + tasks[4:], return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                if task.done():
                    task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)

    async def _begin(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        leg = await asyncio.shield(self.answered)
        await socket.send_str(self._start())
        self.record.started, self.record.started_at = True, time.time()
        self._leg, leg.stream = leg, self
        self.started.set()

    async def _end(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        await self._stopping.wait()
        self.record.end = "stopped"
        if self.record.started:
            stop = {"user_id": "3E6F995F-85F7-4705-9741-53B116D28237", **self._call}
            while self._queue:
                await socket.send_str(self._queue.popleft())
            await socket.send_str(self._frame("stop", stop=stop))

    async def _break(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        await self._lost.wait()
        connection = socket._response.connection
        if connection is not None and connection.transport is not None:
            connection.transport.abort()
        raise StreamTrouble("connection_lost: on purpose")

    async def _send(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        while True:
            await self._queued.wait()
            self._queued.clear()
            while self._queue:
                await socket.send_str(self._queue.popleft())

    async def _receive(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        while True:
            message = await socket.receive()
            if message.type is aiohttp.WSMsgType.TEXT:
                self._obey(message.data)
            elif message.type is aiohttp.WSMsgType.BINARY:
                self._trouble(100003, "malformed_frame")
            else:
                self.record.close_code = socket.close_code
                self.record.end = self.record.end or "closed by the other side"
                return

    def _obey(self, text: str) -> None:
        record, leg = self.record, self._leg
        record.frames_in += 1
        try:
            frame = json.loads(text)
            event = frame["event"]
            inner = frame.get(event, {})
            allowed = _ALLOWED[event]
        except (ValueError, KeyError, TypeError):
            self._trouble(100003, "malformed_frame")
            return
        if set(inner) != allowed or set(frame) - {"event", event} or leg is None:
            self._trouble(100003, "malformed_frame")
        elif event == "media":
            self._play(leg, inner["payload"])
        elif event == "mark":
            record.marks_in.append(inner["name"])
            if leg.playback.mark(inner["name"]):
                self.send_mark(inner["name"])
        else:
            record.clears += 1
            for name in leg.playback.clear():
                self.send_mark(name)

    def _play(self, leg: Leg, encoded: str) -> None:
        try:
            payload = b64decode(encoded, validate=True)
        except ValueError:
            self._trouble(100004, "invalid_media")
            return
        self.record.media_in += 1
        self.record.audio += payload
        if not _MIN_BYTES <= len(payload) <= _MAX_BYTES:
            self._trouble(100004, "invalid_media")
            return
        if self.record.fields.get("stream_bidirectional_mode") != "rtp":
            self._trouble(100004, "invalid_media")  # it was taken for MP3
            return
        if self.record.fields.get("stream_bidirectional_target_legs", "opposite") == "opposite":
            return  # one leg alone: nobody is opposite, so nobody hears it
        leg.playback.push(alaw_to_mulaw(payload) if self.record.takes == "PCMA" else payload)

    def _trouble(self, code: int, title: str) -> None:
        self.record.errors.append((code, title))
        payload = {"code": code, "title": title, "detail": ""}
        self._enqueue(json.dumps({"event": "error", "stream_id": self.record.id, "payload": payload}))
