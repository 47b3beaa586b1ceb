"""A Plivo carrier, the far end and our side of it, over real sockets."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from engine.carriers.base import DialOrder
from engine.carriers.plivo import PlivoCarrier
from engine.carriers.plivo_account import Access
from engine.carriers.plivo_signature import Tokens
from tests.carriers.plivo_far import OUR_NUMBER, FarCall, PlivoFar, Settings
from tests.carriers.plivo_far.desk import PlivoDesk

URL = "http://127.0.0.1:3334/voice/webhook"
UUID = "38cb006a-e25d-4455-9862-27550dbea7e9"
SINK = "+15550100201"
HALLO = "+15550100202"
NEVER = "+15550100203"
QUICK = {"ring_ms": 20, "think_ms": 20}
CALLERS: list[dict[str, Any]] = [
    {"number": SINK, "name": "Sink", "manners": {**QUICK, "deaf_and_mute": True}},
    {"number": HALLO, "name": "Hello", "manners": QUICK},
    {"number": NEVER, "name": "Never", "manners": {**QUICK, "answers": "never"}},
]
NOW_MS = 1_795_000_000_000
FAR = Settings(callers=CALLERS, say_speed=20, wait_speed=20)


@dataclass
class Line:
    """A carrier, the far end and our side of it."""

    carrier: PlivoCarrier
    far: PlivoFar
    desk: PlivoDesk

    def order(self, to: str = SINK, **more: Any) -> DialOrder:
        url = self.desk.url("/voice/webhook")
        return DialOrder("c1", OUR_NUMBER, to, url, **{"ring_timeout_ms": 30_000, "max_duration_seconds": 60, **more})

    async def dial(self, to: str = SINK, **more: Any) -> FarCall:
        made = self.far.by_request(await self.carrier.dial(self.order(to, **more)))
        assert made is not None
        return made

    async def live(self) -> FarCall:
        """A call that was answered and stays up."""
        call = await self.dial()
        await call.until(lambda: call.documents)
        return call


@asynccontextmanager
async def line(settings: Settings = FAR, timeout_s: float = 5.0) -> AsyncIterator[Line]:
    async with AsyncExitStack() as stack:
        desk = await stack.enter_async_context(PlivoDesk(settings.auth_token))
        desk.documents["/voice/webhook"] = '<Response><Wait length="1200"/></Response>'
        far = await stack.enter_async_context(PlivoFar(settings))
        carrier = PlivoCarrier(
            Access(settings.auth_id, settings.auth_token, far.base_url, timeout_s),
            Tokens((settings.auth_token,)),
            voice="Polly.Joanna",
            language="en-US",
            find_pauses_s=(0.02,),
        )
        await carrier.open()
        stack.push_async_callback(carrier.close)
        yield Line(carrier, far, desk)
        assert far.complaints == [], "Plivo would have refused or ignored a part of what we say"
