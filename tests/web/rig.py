"""The public server alone: real sockets and a real carrier's signatures, with acts that a test decides."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from aiohttp import web
from yarl import URL

from engine.calls import Draft
from engine.carriers.base import Carrier, CarrierEvent, Connect
from engine.carriers.mock import MockCarrier
from engine.config import parse_config
from engine.exposure.address import Exposure
from engine.simulator.signing import signed_headers
from engine.web.listening import Handler
from engine.web.server import WebServer
from engine.web.webhooks import Keeps, Outcome, WebhookPipeline

SECRET = "a signing secret"
PATH = "/voice/webhook"
LIMIT_S = 10.0
Answer = tuple[int, bytes]


def webhook(type_: str = "call.ringing", **call: Any) -> bytes:
    """A webhook of the simulated carrier, as bytes."""
    base = {"id": "CA1", "client_ref": "ours", "direction": "outbound", "from": "+15550100", "to": "+15550101"}
    return json.dumps({"id": "EV1", "type": type_, "call": {**base, "status": "ringing", **call}}).encode()


@dataclass
class Front:
    """A server with its pipeline; `act` may be replaced."""

    url: str = ""
    acts: list[CarrierEvent] = field(default_factory=list)
    posted: list[Draft] = field(default_factory=list)
    act: Callable[[CarrierEvent], Awaitable[Outcome]] | None = None
    exposure: Exposure | None = None

    async def connect(self, event: CarrierEvent) -> Outcome:
        """The usual act: a document that opens a stream, with a token that may be used once."""
        self.acts.append(event)
        return Outcome((Connect("ws://example/stream", "one-time"),), "ours", "document: connect")

    async def post(self, body: bytes, headers: Mapping[str, str] | None = None, query: str = "") -> Answer:
        """POST as the carrier does: signed over the exact URL, unless `headers` are given."""
        url = self.url + query
        signed = signed_headers(SECRET, "POST", url, body) if headers is None else headers
        return await self.ask("POST", url, body, signed)

    async def ask(
        self, method: str, url: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        async with (
            asyncio.timeout(LIMIT_S),
            aiohttp.ClientSession(auto_decompress=False) as http,
            http.request(method, URL(url, encoded=True), data=body, headers=headers) as reply,
        ):
            return reply.status, await reply.read()

    @property
    def notes(self) -> list[tuple[str, int]]:
        """What was recorded of webhooks: (verdict, status)."""
        return [(str(draft.data["verdict"]), int(draft.data["status"])) for draft in self.posted]

    async def open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A bare connection to the server."""
        url = URL(self.url)
        return await asyncio.open_connection(url.host, url.port)

    async def raw(self, request: bytes) -> int:
        """Send these bytes and nothing more; the status of the answer, 0 when the connection just closes."""
        reader, writer = await self.open()
        try:
            writer.write(request)
            async with asyncio.timeout(LIMIT_S):
                line = await reader.readline()
            return int(line.split()[1]) if line else 0
        except ConnectionError:
            return 0
        finally:
            writer.close()


async def no_media(request: web.Request) -> web.StreamResponse:
    raise web.HTTPNotFound


@asynccontextmanager
async def front(
    media: Handler = no_media,
    carrier: Carrier | None = None,
    config: bytes = b"",
    keeps: Keeps | None = None,
    missed: Callable[[web.Request], None] = lambda _: None,
) -> AsyncIterator[Front]:
    """A running server on any free port; `config` as in a file."""
    parsed = parse_config(config, None, {}).config
    settings = parsed.model_copy(update={"serve": parsed.serve.model_copy(update={"port": 0})})
    made = Front()
    exposure = made.exposure = Exposure(settings, made.posted.append)

    async def act(event: CarrierEvent) -> Outcome:
        return await (made.act or made.connect)(event)

    behind = carrier or MockCarrier("http://127.0.0.1:1", "key", SECRET)
    pipeline = WebhookPipeline(behind, PATH, exposure, act, exposure.webhook_seen, keeps)
    server = WebServer(settings, pipeline.handle, media, missed=missed)
    await server.open()
    try:
        await exposure.open(server.port)
        made.posted.clear()
        made.url = f"http://127.0.0.1:{server.port}{PATH}"
        yield made
    finally:
        await server.close()
