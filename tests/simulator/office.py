"""A small stand-in for the engine: takes webhooks and media sockets, checks what it can, and answers as told."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import WSMsgType, web

from engine.simulator.signing import signature

SECRET = "a signing secret"
KEY = "an api key of the carrier"
LIMIT_S = 10.0
"""No test waits longer for anything."""

Answer = tuple[int, Any]
Answerer = Callable[[dict[str, Any]], Awaitable[Answer]]


@dataclass
class Stream:
    """One media socket as the engine's side sees it."""

    socket: web.WebSocketResponse
    stream_id: str = ""
    frames: list[Any] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    arrivals: list[float] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    closed: asyncio.Event = field(default_factory=asyncio.Event)

    async def send(self, **frame: Any) -> None:
        await self.socket.send_str(json.dumps({**frame, "streamSid": self.stream_id}))

    async def play(self, mulaw: bytes) -> None:
        for at in range(0, len(mulaw), 160):
            payload = base64.b64encode(mulaw[at : at + 160]).decode()
            await self.send(event="media", media={"payload": payload})

    async def mark(self, name: str) -> None:
        await self.send(event="mark", mark={"name": name})

    def of(self, event: str) -> list[Any]:
        return [frame for frame in self.frames if frame["event"] == event]

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(LIMIT_S):
            while not condition():
                self.changed.clear()
                await self.changed.wait()

    def audio(self) -> bytes:
        return b"".join(base64.b64decode(frame["media"]["payload"]) for frame in self.of("media"))


class Office:
    """The engine's side. Set `answer` to decide what a webhook is answered with."""

    def __init__(self) -> None:
        self.webhooks: list[dict[str, Any]] = []
        self.refused: list[dict[str, Any]] = []
        """Webhooks whose signature was wrong."""
        self.raw: list[tuple[str, str, bytes]] = []
        """Timestamp, signature and body of every webhook, as they came."""
        self.urls: list[str] = []
        """Where every webhook came in, as it was requested."""
        self.streams: list[Stream] = []
        self.bad_upgrades = 0
        self.answer: Answerer = self.connect
        self.refuse_streams = False
        self.base_url = ""
        self._changed = asyncio.Event()
        self._runner: web.AppRunner | None = None

    @property
    def webhook_url(self) -> str:
        return f"{self.base_url}/hook?tenant=a%20b"

    @property
    def stream_url(self) -> str:
        return self.base_url.replace("http", "ws", 1) + "/media/t0ken"

    async def connect(self, webhook: dict[str, Any]) -> Answer:
        """Answer every call with our media socket."""
        if webhook.get("document_wanted"):
            verb = {"verb": "connect", "url": self.stream_url, "token": "for " + webhook["call"]["id"]}
            return 200, {"document": [verb]}
        return 204, None

    def of(self, type_: str) -> list[dict[str, Any]]:
        return [webhook for webhook in self.webhooks if webhook["type"] == type_]

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(LIMIT_S):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    async def stream(self, index: int = 0) -> Stream:
        """The stream with this index, once it has started."""
        await self.until(lambda: len(self.streams) > index)
        await self.streams[index].until(lambda: self.streams[index].stream_id)
        return self.streams[index]

    async def webhook(self, type_: str) -> dict[str, Any]:
        await self.until(lambda: self.of(type_))
        return self.of(type_)[0]

    async def __aenter__(self) -> Office:
        app = web.Application()
        app.add_routes([web.post("/hook", self._on_webhook), web.get("/media/t0ken", self._on_media)])
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.base_url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._runner is not None
        for stream in self.streams:
            await stream.socket.close()
        await self._runner.cleanup()

    def _signed(self, request: web.Request, url: str, body: bytes) -> bool:
        timestamp = request.headers.get("X-Sim-Timestamp", "0")
        expected = signature(SECRET, int(timestamp), request.method, url, body)
        return request.headers.get("X-Sim-Signature") == expected and abs(int(timestamp) - time.time()) < 5

    async def _on_webhook(self, request: web.Request) -> web.Response:
        body = await request.read()
        webhook = json.loads(body)
        self.raw.append((request.headers["X-Sim-Timestamp"], request.headers["X-Sim-Signature"], body))
        self.urls.append(self.base_url + request.raw_path)
        signed = self._signed(request, self.urls[-1], body)
        (self.webhooks if signed else self.refused).append(webhook)
        self._changed.set()
        if not signed:
            return web.Response(status=401)
        status, answer = await self.answer(webhook)
        return web.json_response(answer, status=status) if answer is not None else web.Response(status=status)

    async def _on_media(self, request: web.Request) -> web.StreamResponse:
        if not self._signed(request, self.stream_url, b""):
            self.bad_upgrades += 1
            return web.Response(status=401)
        if self.refuse_streams:
            return web.Response(status=503)
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        stream = Stream(socket)
        self.streams.append(stream)
        self._changed.set()
        async for message in socket:
            if message.type is WSMsgType.TEXT:
                self._on_frame(stream, message.data)
        stream.closed.set()
        return socket

    def _on_frame(self, stream: Stream, text: str) -> None:
        stream.texts.append(text)
        stream.arrivals.append(time.monotonic())
        try:
            frame = json.loads(text)
            stream.frames.append({"event": "?", **frame})
        except (ValueError, TypeError):
            stream.frames.append({"event": "garbage"})
        if stream.frames[-1]["event"] == "start":
            stream.stream_id = frame["streamSid"]
        stream.changed.set()
