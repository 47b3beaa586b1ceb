"""A simulator and an office (the engine's side) over real sockets on loopback, with quick people."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from engine.simulator.exchange import Exchange
from engine.simulator.server import create_app
from engine.simulator.setup import Setup
from engine.simulator.voices import NoiseSynthesizer, VoiceBank
from tests.simulator.office import KEY, LIMIT_S, SECRET, Office

OUR_NUMBER = "+15550100000"
QUICK = {"ring_ms": 20, "think_ms": 20}
SINK = "+15550100201"
TALKER = "+15550100202"
PRESSER = "+15550100203"
CALLERS: list[dict[str, Any]] = [
    {"number": SINK, "name": "Quick sink", "manners": {**QUICK, "deaf_and_mute": True}},
    {"number": TALKER, "name": "Quick talker", "script": ["One two three."], "manners": {**QUICK, "endless": True}},
    {"number": PRESSER, "name": "Presser", "script": ["keys: 12#"], "manners": {**QUICK, "machine": True}},
]


@dataclass
class Line:
    """A running simulator and how to ask it."""

    exchange: Exchange
    base_url: str
    http: aiohttp.ClientSession
    office: Office

    async def ask(self, method: str, path: str, body: Any = None, key: str = KEY) -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {key}"}
        async with self.http.request(method, self.base_url + path, json=body, headers=headers) as reply:
            return reply.status, await reply.json()

    async def ring_in(self, person: str) -> str:
        """`person` calls our number; returns the carrier's call id."""
        await self.ask("PUT", f"/v1/numbers/{OUR_NUMBER}", {"webhook_url": self.office.webhook_url})
        status, reply = await self.ask("POST", "/sim/inbound", {"to": OUR_NUMBER, "person": person})
        assert status == 201, reply
        return str(reply["id"])

    async def dial(self, to: str, ref: str = "ours-1", **more: Any) -> str:
        status, reply = await self.ask("POST", "/v1/calls", self.order(to, ref, **more))
        assert status == 201, reply
        return str(reply["id"])

    def order(self, to: str, ref: str = "ours-1", **more: Any) -> dict[str, Any]:
        url = self.office.webhook_url
        return {"client_ref": ref, "from": OUR_NUMBER, "to": to, "webhook_url": url, **more}

    async def until_over(self, call_id: str) -> None:
        """Return when the call is over, whether a webhook says so or not."""
        async with asyncio.timeout(LIMIT_S):
            await self.exchange.calls[call_id].wait_ended()

    async def report(self, call_id: str) -> dict[str, Any]:
        _, report = await self.ask("GET", "/sim/report")
        return next(call for call in report["calls"] if call["id"] == call_id)


Start = Callable[..., Awaitable[Line]]


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """Start a simulator with the given settings."""
    async with AsyncExitStack() as stack:

        async def start_line(**settings: Any) -> Line:
            values = {
                "api_key": KEY,
                "signing_secret": SECRET,
                "callers": CALLERS,
                "retry_s": [0.05, 0.05],
                "webhook_timeout_s": 2,
                "stream_grace_s": 0.5,
                **settings,
            }
            office = await stack.enter_async_context(Office())
            voices = VoiceBank(NoiseSynthesizer())
            exchange = await stack.enter_async_context(Exchange(Setup.model_validate(values), voices))
            runner = web.AppRunner(create_app(exchange), access_log=None, shutdown_timeout=0.2)
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            timeout = aiohttp.ClientTimeout(total=LIMIT_S)
            http = await stack.enter_async_context(aiohttp.ClientSession(timeout=timeout))
            return Line(exchange, f"http://127.0.0.1:{runner.addresses[0][1]}", http, office)

        yield start_line
