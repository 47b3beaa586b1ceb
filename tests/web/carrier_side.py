"""A carrier made by hand: rings at a real engine, and dials its media socket as well or as badly as a test wants."""

from __future__ import annotations

import asyncio
import itertools
import json
from dataclasses import dataclass, field
from typing import Any, Self

import aiohttp

from engine.simulator.frames import FrameWriter
from engine.simulator.signing import signed_headers
from tests.engine.conftest import Running
from tests.engine.simulators import SECRET

LIMIT_S = 10.0
_ids = itertools.count(1)


@dataclass(frozen=True)
class Ringing:
    """A call that was let in: where its audio shall go, and the token for it."""

    provider_call_id: str
    call_id: str
    url: str
    token: str


@dataclass
class CarrierSide:
    """Signs with the right key."""

    run: Running
    http: aiohttp.ClientSession = field(default_factory=lambda: aiohttp.ClientSession(auto_decompress=False))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.http.close()

    @property
    def webhook_url(self) -> str:
        return str(self.run.engine.health()["exposure"]["publicUrl"])

    @property
    def stream_url(self) -> str:
        return self.webhook_url.replace("http", "ws", 1).replace("/voice/webhook", "/voice/stream")

    async def tell(self, type_: str, provider_call_id: str, **more: Any) -> tuple[int, bytes]:
        """One signed webhook about an inbound call; the answer."""
        call = {"id": provider_call_id, "client_ref": "", "direction": "inbound", "status": "ringing"}
        call |= {"from": "+15550100103", "to": self.run.number}
        body = json.dumps({"id": f"EV{next(_ids)}", "type": type_, "call": {**call, **more}}).encode()
        headers = signed_headers(SECRET, "POST", self.webhook_url, body)
        async with asyncio.timeout(LIMIT_S), self.http.post(self.webhook_url, data=body, headers=headers) as reply:
            return reply.status, await reply.read()

    async def ring(self) -> Ringing:
        """Somebody calls; the engine answers with a stream."""
        provider_call_id = f"CAhand{next(_ids)}"
        _, body = await self.tell("call.incoming", provider_call_id)
        (verb,) = json.loads(body)["document"]
        call = self.run.engine.call(provider_call_id)
        assert call is not None
        return Ringing(provider_call_id, call.call_id, verb["url"], verb["token"])

    async def dial(self, url: str, *, secret: str = SECRET, signed: bool = True) -> aiohttp.ClientWebSocketResponse:
        """Open a media socket. Raises aiohttp.WSServerHandshakeError when it is refused."""
        headers = signed_headers(secret, "GET", url) if signed else {}
        async with asyncio.timeout(LIMIT_S):
            return await self.http.ws_connect(url, headers=headers)

    async def refusal(self, url: str, *, secret: str = SECRET, signed: bool = True) -> int:
        """The status with which an upgrade is refused."""
        try:
            await self.dial(url, secret=secret, signed=signed)
        except aiohttp.WSServerHandshakeError as error:
            return error.status
        raise AssertionError("the socket was opened")


def start_frame(provider_call_id: str, token: str = "", stream_id: str = "MZ1", **start: Any) -> str:
    """A start frame of Twilio's shape, with `start` over its parts."""
    frame = json.loads(FrameWriter(stream_id, provider_call_id, "AC1").start(token))
    frame["start"] |= start
    return json.dumps(frame)


async def closed_with(socket: aiohttp.ClientWebSocketResponse) -> int | None:
    """Read to the end; the code of the close frame."""
    async with asyncio.timeout(LIMIT_S):
        async for _ in socket:
            pass
    return socket.close_code
