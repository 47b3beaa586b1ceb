"""A Telnyx carrier, the far end and our side of it in small, over real sockets."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import WSMsgType, web

from engine.carriers.base import Connect, DialOrder, WebhookRequest
from engine.carriers.telnyx import Manner, TelnyxCarrier
from engine.carriers.telnyx_account import Access
from engine.carriers.telnyx_signature import read_key
from tests.carriers.telnyx_far import OUR_NUMBER, FarCall, Settings, TelnyxFar

LIMIT_S = 10.0
SINK = "+15550100201"
HALLO = "+15550100202"
NEVER = "+15550100203"
BUSY = "+15550100204"
MACHINE = "+15550100205"
QUICK = {"ring_ms": 20, "think_ms": 20}
TOKEN = "t0k-en_0123456789abcdefghijklmnop"
CALLERS: list[dict[str, Any]] = [
    {"number": SINK, "name": "Sink", "manners": {**QUICK, "deaf_and_mute": True}},
    {"number": HALLO, "name": "Hello", "manners": QUICK},
    {"number": NEVER, "name": "Never", "manners": {**QUICK, "answers": "never"}},
    {"number": BUSY, "name": "Busy", "manners": {**QUICK, "answers": "busy"}},
    {
        "number": MACHINE,
        "name": "Machine",
        "script": ["Please leave a message.", "beep"],
        "manners": {**QUICK, "machine": True},
    },
]
FAR = Settings(callers=CALLERS, say_speed=20, wait_speed=20)


@dataclass
class Media:
    """One media socket."""

    path: str
    socket: web.WebSocketResponse
    headers: dict[str, str]
    frames: list[Any] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def of(self, event: str) -> list[Any]:
        return [frame for frame in self.frames if frame["event"] == event]

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(LIMIT_S):
            while not condition():
                self.changed.clear()
                await self.changed.wait()


class Desk:
    """Takes the far end's webhooks and media sockets. `status` is what it answers with."""

    def __init__(self) -> None:
        self.hooks: list[WebhookRequest] = []
        self.media: list[Media] = []
        self.status = 200
        self.refuse_streams = False
        self._changed = asyncio.Event()

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(hook.body)["data"] for hook in self.hooks]

    def of(self, name: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["event_type"] == name]

    def connect(self, token: str = TOKEN) -> Connect:
        return Connect(self.base_url.replace("http", "ws", 1) + "/media", token)

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(LIMIT_S):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    async def stream(self, index: int = 0) -> Media:
        """The media socket with this index, once it said `start`."""
        await self.until(lambda: len(self.media) > index)
        await self.media[index].until(lambda: self.media[index].of("start"))
        return self.media[index]

    async def __aenter__(self) -> Desk:
        app = web.Application()
        app.router.add_get("/media/{token}", self._on_media)
        app.router.add_post("/{path:.*}", self._on_webhook)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.base_url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        for media in self.media:
            await media.socket.close()
        await self._runner.cleanup()

    async def _on_webhook(self, request: web.Request) -> web.Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        url = self.base_url + request.raw_path
        self.hooks.append(WebhookRequest("POST", url, headers, await request.read()))
        self._changed.set()
        return web.Response(text="OK", status=self.status)

    async def _on_media(self, request: web.Request) -> web.StreamResponse:
        if self.refuse_streams:
            return web.Response(status=403)
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        media = Media(request.raw_path, socket, dict(request.headers))
        self.media.append(media)
        self._changed.set()
        async for message in socket:
            if message.type is WSMsgType.TEXT:
                media.frames.append(json.loads(message.data))
                media.changed.set()
        return socket


@dataclass
class Line:
    """A carrier, the far end and our side of it."""

    carrier: TelnyxCarrier
    far: TelnyxFar
    desk: Desk

    def order(self, to: str = SINK, **more: Any) -> DialOrder:
        url = f"{self.desk.base_url}/voice/webhook"
        return DialOrder("c1", OUR_NUMBER, to, url, **{"ring_timeout_ms": 30_000, "max_duration_seconds": 60, **more})

    async def dial(self, to: str = SINK, **more: Any) -> FarCall:
        return self.far.calls[await self.carrier.dial(self.order(to, **more))]

    async def live(self, to: str = SINK, **more: Any) -> FarCall:
        """A call that was answered and stays up."""
        call = await self.dial(to, **more)
        await call.until(lambda: call.answered_at)
        return call


@asynccontextmanager
async def line(settings: Settings = FAR, timeout_s: float = 5.0, **manner: Any) -> AsyncIterator[Line]:
    async with AsyncExitStack() as stack:
        desk = await stack.enter_async_context(Desk())
        far = await stack.enter_async_context(TelnyxFar(settings))
        far.app.webhook_url = f"{desk.base_url}/voice/webhook"
        carrier = TelnyxCarrier(
            Access(settings.api_key, settings.connection_id, far.base_url, timeout_s),
            read_key(far.public_key),
            Manner(**manner),
            answer_pauses_s=(0.02, 0.05, 0.1, 0.2),
            find_pauses_s=(0.02,),
        )
        await carrier.open()
        stack.push_async_callback(carrier.close)
        yield Line(carrier, far, desk)
        assert far.complaints == [], "Telnyx's description says something against a request"
