"""Our side in small: takes the far end's webhooks and media sockets, checks their signatures, answers as told.

For tests of the far end itself, and of a carrier without an engine.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from aiohttp import WSMsgType, web
from twilio.request_validator import RequestValidator, get_signature_algorithm

LIMIT_S = 10.0
EMPTY = "<Response/>"


@dataclass(frozen=True)
class Webhook:
    """One request of the far end."""

    url: str
    params: Mapping[str, str]
    headers: Mapping[str, str]
    """Lower-case names."""
    body: bytes
    signed: bool


@dataclass
class Media:
    """One media socket."""

    url: str
    socket: web.WebSocketResponse
    signed: bool
    headers: Mapping[str, str] = field(default_factory=dict)
    frames: list[Any] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    closed: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def stream_sid(self) -> str:
        return str(self.of("start")[0]["streamSid"])

    def of(self, event: str) -> list[Any]:
        return [frame for frame in self.frames if frame["event"] == event]

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(LIMIT_S):
            while not condition():
                self.changed.clear()
                await self.changed.wait()

    async def send(self, event: str, **more: Any) -> None:
        await self.socket.send_str(json.dumps({"event": event, "streamSid": self.stream_sid, **more}))

    async def play(self, mulaw: bytes) -> None:
        await self.send("media", media={"payload": base64.b64encode(mulaw).decode()})


Answer = str | tuple[int, str, bytes]
"""A document, or status, content type and body."""
Answerer = Callable[[Webhook], Awaitable[Answer]]


class Desk:
    """Use as an async context manager. `documents` answers by path, or set `answer`."""

    def __init__(self, token: str, public: str = "", shared_secret: str = "") -> None:
        self.token = token
        self.public = public
        """The origin that the far end believes to call; by default where we are."""
        self.shared_secret = shared_secret
        self.documents: dict[str, Answer] = {}
        self.answer: Answerer = self._by_path
        self.webhooks: list[Webhook] = []
        self.media: list[Media] = []
        self.refuse_streams = False
        self.base_url = ""
        self._changed = asyncio.Event()

    def url(self, path: str = "/voice") -> str:
        return (self.public or self.base_url) + path

    def socket_url(self, path: str = "/media") -> str:
        return self.url(path).replace("http", "ws", 1)

    def of(self, path: str) -> list[Webhook]:
        """The webhooks that came to a path, query included when `path` has one."""
        return [hook for hook in self.webhooks if hook.url.removeprefix(self.url("")).startswith(path)]

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
        app.router.add_get("/media", self._on_media)
        app.router.add_route("*", "/{path:.*}", self._on_webhook)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.base_url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        for media in self.media:
            await media.socket.close()
        await self._runner.cleanup()

    async def _by_path(self, hook: Webhook) -> Answer:
        path = hook.url.removeprefix(self.url(""))
        return self.documents.get(path, self.documents.get(path.partition("?")[0], EMPTY))

    def _signed(self, request: web.Request, url: str, params: Mapping[str, str]) -> bool:
        algorithm = get_signature_algorithm(request.headers.get("X-Twilio-Webhooks-Signature-Settings"))
        secret = self.shared_secret if algorithm == "HMAC_SHA256" else self.token
        signature = request.headers.get("X-Twilio-Signature", "")
        return bool(RequestValidator(secret).validate(url, dict(params), signature, algorithm))

    async def _on_webhook(self, request: web.Request) -> web.Response:
        body = await request.read()
        url = self.url(request.raw_path)
        params = dict(parse_qsl(body.decode(), keep_blank_values=True))
        headers = {name.lower(): value for name, value in request.headers.items()}
        hook = Webhook(url, params, headers, body, self._signed(request, url, params))
        self.webhooks.append(hook)
        self._changed.set()
        answer = await self.answer(hook)
        if isinstance(answer, str):
            return web.Response(text=answer, content_type="text/xml")
        status, kind, content = answer
        reply = web.Response(status=status, body=content)
        reply.headers["Content-Type"] = kind
        return reply

    async def _on_media(self, request: web.Request) -> web.StreamResponse:
        url = self.socket_url(request.raw_path)
        if self.refuse_streams:
            return web.Response(status=403)
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        media = Media(url, socket, self._signed(request, url, {}), dict(request.headers))
        self.media.append(media)
        self._changed.set()
        async for message in socket:
            if message.type is WSMsgType.TEXT:
                media.frames.append(json.loads(message.data))
                media.changed.set()
        media.closed.set()
        return socket
