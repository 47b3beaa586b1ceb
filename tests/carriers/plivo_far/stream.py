"""The media socket of one `<Stream>`, from Plivo's side."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from binascii import a2b_base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import aiohttp
from yarl import URL

from engine.simulator.leg import Leg
from tests.carriers.far.address import real_address
from tests.carriers.plivo_far.schema import problems
from tests.carriers.plivo_far.webhooks import upgrade_headers
from tests.carriers.plivo_far.xml import Element

if TYPE_CHECKING:
    from tests.carriers.plivo_far.call import FarCall

CONNECT_S: Final = 5.0
ATTEMPTS: Final = 3
BUFFER_MS: Final = 60_000
MAX_MESSAGE: Final = 64 * 1024
MAX_BASE64: Final = 16 * 1024
_NAMES: Final[Mapping[str, str]] = {"StartStream": "started", "StopStream": "stopped", "DroppedStream": "failed"}


class StreamTrouble(Exception):
    """The stream did not come about, or broke."""


@dataclass
class StreamRecord:
    """One stream for tests and the report."""

    stream_id: str
    url: str
    started: bool = False
    plays: int = 0
    audio: bytearray = field(default_factory=bytearray)
    """All that was sent to be played, heard or not."""
    checkpoints: list[str] = field(default_factory=list)
    played: list[str] = field(default_factory=list)
    clears: int = 0
    keys: str = ""
    end: str = ""
    ahead_ms: int = 0
    """The most audio that ever waited to be played."""
    problems: list[str] = field(default_factory=list)
    """Frames that Plivo would not have taken, or advises against."""


class MediaSocket:
    """Opens the socket and carries the call. `run` returns when the other side closed it, or raises StreamTrouble."""

    def __init__(self, call: FarCall, leg: Leg, element: Element) -> None:
        self.record = StreamRecord(call.world.new_id(), element.text)
        self.started = asyncio.Event()
        self._call = call
        self._leg = leg
        self._sequence = 0
        self._chunk = 0
        self._headers = element.get("extraHeaders")
        self._queue: asyncio.Queue[str] = asyncio.Queue()
        self._lost = asyncio.Event()

    async def run(self) -> None:
        socket = await self._dial()
        stopping = False
        try:
            await socket.send_str(json.dumps(self._start()))
            self.record.started = True
            self.started.set()
            self._leg.stream = self
            await self._carry(socket)
        except asyncio.CancelledError:
            stopping = True
            raise
        except (OSError, aiohttp.ClientError) as error:
            raise StreamTrouble(f"connection disconnected with the remote service: {type(error).__name__}") from error
        finally:
            if self._leg.stream is self:
                self._leg.stream = None
            self._leg.playback.clear()
            await self._close(socket, stopping)

    def lose(self) -> None:
        """The connection breaks, without a close frame."""
        self._lost.set()

    def inject(self, frame: str) -> None:
        """Send something of a test's own."""
        self._queue.put_nowait(frame)

    # the leg's side (engine.simulator.leg.Stream)

    def send_audio(self, payload: str) -> None:
        self._chunk += 1
        at = str(round(time.time() * 1000))
        media = {"track": "inbound", "timestamp": at, "chunk": self._chunk, "payload": payload}
        self._put("media", media=media, extra_headers=self._headers)

    def send_key(self, digit: str) -> None:
        at = str(round(time.time() * 1000))
        self._put("dtmf", dtmf={"track": "inbound", "digit": digit, "timestamp": at}, extra_headers=self._headers)

    def send_mark(self, name: str) -> None:
        self.record.played.append(name)
        self._put("playedStream", name=name)

    def _put(self, event: str, **more: Any) -> None:
        self._queue.put_nowait(json.dumps(self._numbered(event, streamId=self.record.stream_id, **more)))

    def _numbered(self, event: str, **more: Any) -> dict[str, Any]:
        self._sequence += 1
        frame = {"event": event, "sequenceNumber": self._sequence, **more}
        assert not problems(frame), "what this far end sends is in the schema"
        return frame

    def _start(self) -> dict[str, Any]:
        start = {
            "callId": self._call.state.uuid,
            "streamId": self.record.stream_id,
            "accountId": self._call.world.settings.auth_id,
            "tracks": ["inbound"],
            "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000},
        }
        return self._numbered("start", start=start, extra_headers=self._headers)

    # the socket's side

    async def _dial(self) -> aiohttp.ClientWebSocketResponse:
        settings, why = self._call.world.settings, ""
        url = self.record.url
        for _ in range(ATTEMPTS):
            target, more = real_address(settings, url)
            headers = {**upgrade_headers(settings, url), **more}
            try:
                async with asyncio.timeout(CONNECT_S):
                    return await self._call.world.http.ws_connect(URL(target, encoded=True), headers=headers)
            except aiohttp.WSServerHandshakeError as error:
                why = f"HTTP {error.status}"
            except (aiohttp.ClientError, OSError, ValueError) as error:
                why = type(error).__name__
        raise StreamTrouble(f"connection_failed: {why}")

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
        raise StreamTrouble("connection disconnected with the remote service")

    async def _send(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        while True:
            await socket.send_str(await self._queue.get())

    async def _receive(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        while True:
            message = await socket.receive()
            if message.type is aiohttp.WSMsgType.TEXT:
                self._obey(message.data)
            elif message.type is aiohttp.WSMsgType.BINARY:
                self.record.problems.append("a binary frame")
            else:
                self.record.end = f"closed by the other side ({socket.close_code})"
                return

    def _obey(self, text: str) -> None:
        record, playback = self.record, self._leg.playback
        frame = json.loads(text)
        found = problems(frame)
        if len(text) > MAX_MESSAGE:
            found.append("a message over 64 KB")
        if frame.get("streamId", record.stream_id) != record.stream_id:
            found.append("a frame for another stream")
        record.problems += found
        if found:
            return
        match frame["event"]:
            case "playAudio":
                self._play(frame["media"])
            case "checkpoint":
                record.checkpoints.append(frame["name"])
                if playback.mark(frame["name"]):
                    self.send_mark(frame["name"])
            case "clearAudio":
                record.clears += 1
                playback.clear()  # checkpoints that were pending are not told
                self._put("clearedAudio")
            case "sendDTMF":
                record.keys += frame["dtmf"]
                self._leg.heard.digits += frame["dtmf"]
        self._call.changed.set()

    def _play(self, media: Mapping[str, Any]) -> None:
        record = self.record
        record.plays += 1
        if (media["contentType"], media["sampleRate"]) != ("audio/x-mulaw", 8000):
            record.problems.append(f"audio of {media['contentType']} in a mu-law stream")
            return
        if len(media["payload"]) > MAX_BASE64:
            record.problems.append("a chunk over 16 KB")
        audio = a2b_base64(media["payload"], strict_mode=True)
        if audio[:4] == b"RIFF":
            record.problems.append("a WAV header in raw audio")
        record.audio += audio
        waiting = self._leg.playback.waiting_ms
        record.ahead_ms = max(record.ahead_ms, waiting)
        if waiting > BUFFER_MS or not self._leg.playback.push(audio):
            record.problems.append("buffer_overflow")

    async def _close(self, socket: aiohttp.ClientWebSocketResponse, stopping: bool) -> None:
        with contextlib.suppress(OSError, aiohttp.ClientError, TimeoutError):
            async with asyncio.timeout(2):
                if stopping:
                    self.record.end = "stopped"
                    if self._call.world.settings.says_stop:
                        await socket.send_str(json.dumps({"event": "stop", "streamId": self.record.stream_id}))
                await socket.close()


async def carry(call: FarCall, leg: Leg, element: Element) -> None:
    """One stream from its upgrade to its end, with its callbacks."""
    socket = call.socket = MediaSocket(call, leg, element)
    call.streams.append(socket.record)
    status_url = element.get("statusCallbackUrl")
    watcher = asyncio.create_task(_announce(call, socket, status_url))
    trouble = ""
    try:
        await socket.run()
    except StreamTrouble as error:
        trouble = socket.record.end = str(error)
    finally:
        call.socket = None
        if socket.record.started and not trouble:
            _tell(call, socket.record, status_url, "StopStream", "")
        elif trouble:
            _tell(call, socket.record, status_url, "DroppedStream", trouble)
        watcher.cancel()
        await asyncio.wait([watcher])
        call.changed.set()


async def _announce(call: FarCall, socket: MediaSocket, status_url: str) -> None:
    await socket.started.wait()
    call.changed.set()
    _tell(call, socket.record, status_url, "StartStream", "")


def _tell(call: FarCall, record: StreamRecord, url: str, event: str, error: str) -> None:
    if not url:
        return
    settings = call.world.settings
    fields = {
        "CallUUID": call.state.uuid,
        "Event": _NAMES[event] if settings.reference_names else event,
        "From": call.state.from_number.removeprefix("+"),
        "ParentAuthID": settings.auth_id,
        "ServiceURL": record.url,
        "StreamID": record.stream_id,
        "Timestamp": time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime()),
        "To": call.state.to_number.removeprefix("+"),
        "status_callback_method": "POST",
        "status_callback_url": url,
    }
    if error:
        fields["StatusReason" if settings.reference_names else "Error"] = error
    call.world.spawn(call.ask("stream", url, "POST", fields, whole=False))
