"""The media socket of one call, from the carrier's side: it dials the other side and speaks Twilio's frames."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp
from yarl import URL

from engine.media.audio import FRAME_MS
from engine.simulator.faults import FaultPlan
from engine.simulator.frames import BadFrame, ClearAudio, FrameWriter, PlayAudio, PlayMark, read_frame
from engine.simulator.leg import Leg
from engine.simulator.setup import Faults
from engine.simulator.signing import signed_headers

CONNECT_S: Final = 5.0
_QUEUE_FRAMES: Final = 500
"""Frames that wait for a slow other side (10 s); the oldest are dropped then, as Twilio's 31930 says."""
_MAX_FRAME: Final = 1 << 20
_MAX_ERRORS: Final = 20


_MAX_CLEARS: Final = 100


class StreamLost(Exception):
    """The stream could not be opened, or broke. The message says why."""


@dataclass(slots=True)
class StreamStats:
    """One stream for the report."""

    stream_id: str
    frames_in: int = 0
    frames_out: int = 0
    marks_in: int = 0
    marks_out: int = 0
    clears: int = 0
    cleared_at: list[float] = field(default_factory=list)
    """When (monotonic ms of this machine), for as many clears as are worth remembering."""
    dropped: int = 0
    max_waiting_ms: int = 0
    garbage: int = 0
    end: str = ""
    errors: list[str] = field(default_factory=list)
    """What broke the protocol, with Twilio's error numbers; the first of each kind."""

    def error(self, code: int, why: str) -> None:
        text = f"{code} {why}"
        if text not in self.errors and len(self.errors) < _MAX_ERRORS:
            self.errors.append(text)


class MediaLink:
    """One stream. `run` opens it and returns when `stop` was called; it raises StreamLost when it ends otherwise."""

    def __init__(self, call_id: str, stream_id: str, leg: Leg, plan: FaultPlan, faults: Faults) -> None:
        self.stats = StreamStats(stream_id)
        self._leg = leg
        self._plan = plan
        self._faults = faults
        self._writer = FrameWriter(stream_id, call_id, account_id="AC" + "0" * 32)
        self._stream_id = stream_id
        self._at_ms = 0
        self._queue: deque[str] = deque(maxlen=_QUEUE_FRAMES)
        self._queued = asyncio.Event()
        self._stopping = False
        self._closed = asyncio.Event()
        self._flowing = asyncio.Event()
        self._flowing.set()

    async def run(self, http: aiohttp.ClientSession, secret: str, url: str, token: str) -> None:
        """Dial `url` and carry the call until it ends."""
        socket = await self._dial(http, secret, url)
        try:
            await socket.send_str(self._writer.connected())
            await socket.send_str(self._writer.start(token))
            self._leg.stream = self
            await self._carry(socket)
        except (OSError, aiohttp.ClientError) as error:
            raise StreamLost(f"the socket broke: {error}") from error
        finally:
            if self._leg.stream is self:
                self._leg.stream = None
            await _close(socket)
            self._closed.set()

    async def wait_closed(self, seconds: float) -> None:
        """Wait for the end of `run`, at most so long."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._closed.wait()

    def stop(self) -> None:
        """The call is over, or another stream takes it: say `stop` and close."""
        self._stopping = True
        self._queued.set()

    # the leg's side (engine.simulator.leg.Stream)

    def send_audio(self, payload: str) -> None:
        self._at_ms += FRAME_MS
        if (garbage := self._plan.garbage(self._faults)) is not None:
            self.stats.garbage += 1
            self._enqueue(garbage)
        self._enqueue(self._writer.media(payload, self._at_ms))

    def send_key(self, digit: str) -> None:
        self._enqueue(self._writer.dtmf(digit))

    def send_mark(self, name: str) -> None:
        self.stats.marks_out += 1
        self._enqueue(self._writer.mark(name))

    def _enqueue(self, text: str) -> None:
        if len(self._queue) == _QUEUE_FRAMES:
            self.stats.dropped += 1
            self.stats.error(31930, "frames are not taken in time")
        self._queue.append(text)
        self._queued.set()

    # the socket's side

    async def _dial(self, http: aiohttp.ClientSession, secret: str, url: str) -> aiohttp.ClientWebSocketResponse:
        try:
            async with asyncio.timeout(CONNECT_S):
                return await http.ws_connect(
                    URL(url, encoded=True),
                    headers=signed_headers(secret, "GET", url),
                    autoping=True,
                    max_msg_size=_MAX_FRAME,
                )
        except aiohttp.WSServerHandshakeError as error:
            raise StreamLost(f"31920 the upgrade was answered with {error.status}") from error
        except (aiohttp.ClientError, OSError, ValueError) as error:  # TimeoutError is an OSError
            raise StreamLost(f"31902 no connection: {type(error).__name__}: {error}") from error

    async def _carry(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        """Both directions and the faults, until one of them ends."""
        fate = self._plan.stream(self._faults)
        tasks = [asyncio.create_task(self._receive(socket)), asyncio.create_task(self._send(socket))]
        if fate.lose_at is not None:
            tasks.append(asyncio.create_task(self._lose_after(fate.lose_at)))
        stall = asyncio.create_task(self._stall_at(fate.stall_at)) if fate.stall_at is not None else None
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            every = [*tasks, stall] if stall is not None else tasks
            for task in every:
                task.cancel()
            await asyncio.wait(every)

    async def _send(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        while True:
            await self._queued.wait()
            self._queued.clear()
            while self._queue:
                await self._flowing.wait()
                await socket.send_str(self._queue.popleft())
                self.stats.frames_out += 1
            if self._stopping:
                await socket.send_str(self._writer.stop())
                self.stats.end = "stopped"
                return

    async def _receive(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        while True:
            await self._flowing.wait()
            message = await socket.receive()
            if message.type is aiohttp.WSMsgType.TEXT:
                self._obey(message.data)
            elif message.type is aiohttp.WSMsgType.BINARY:
                self.stats.error(31950, "binary frame")
            else:
                raise StreamLost(f"31921 the other side closed the socket ({socket.close_code})")

    def _obey(self, text: str) -> None:
        self.stats.frames_in += 1
        playback = self._leg.playback
        match read_frame(text, self._stream_id):
            case PlayAudio(payload):
                if not playback.push(payload):
                    self.stats.error(31931, "more than ten minutes of audio were queued")
                self.stats.max_waiting_ms = max(self.stats.max_waiting_ms, playback.waiting_ms)
            case PlayMark(name):
                self.stats.marks_in += 1
                if playback.mark(name):
                    self.send_mark(name)
            case ClearAudio():
                self.stats.clears += 1
                if len(self.stats.cleared_at) < _MAX_CLEARS:
                    self.stats.cleared_at.append(time.monotonic() * 1000)
                for name in playback.clear():
                    self.send_mark(name)
            case BadFrame(code, why):
                self.stats.error(code, why)

    async def _lose_after(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        raise StreamLost("lost on purpose")

    async def _stall_at(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        self._flowing.clear()
        await asyncio.sleep(self._faults.stall_ms / 1000)
        self._flowing.set()


async def _close(socket: aiohttp.ClientWebSocketResponse) -> None:
    with contextlib.suppress(OSError, aiohttp.ClientError):
        async with asyncio.timeout(2):
            await socket.close()


def stream_report(stats: StreamStats) -> dict[str, Any]:
    """One stream as the report shows it."""
    return {name: getattr(stats, name) for name in StreamStats.__slots__}
