"""A Twilio carrier, the far end and our side of it, over real sockets."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from engine.carriers.base import (
    DialOrder,
)
from engine.carriers.twilio import TwilioCarrier
from engine.carriers.twilio_account import Access
from engine.carriers.twilio_signature import SigningKeys
from tests.carriers.twilio_far import OUR_NUMBER, FarCall, Settings, TwilioFar
from tests.carriers.twilio_far.desk import Desk

URL = "http://127.0.0.1:3334/voice/webhook"
SID = "CA" + "1" * 32
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

    carrier: TwilioCarrier
    far: TwilioFar
    desk: Desk

    def order(self, to: str = SINK, **more: Any) -> DialOrder:
        url = self.desk.url("/voice/webhook")
        return DialOrder("c1", OUR_NUMBER, to, url, **{"ring_timeout_ms": 30_000, "max_duration_seconds": 60, **more})

    async def dial(self, to: str = SINK, **more: Any) -> FarCall:
        return self.far.calls[await self.carrier.dial(self.order(to, **more))]

    async def live(self) -> FarCall:
        """A call that was answered and stays up."""
        call = await self.dial()
        await call.until(lambda: call.documents)
        return call

    def sent(self, operation: str) -> list[dict[str, str]]:
        """The forms of our requests of one kind."""
        asked = [request.form for request in self.far.requests if request.operation == operation]
        return [{name: values[0] for name, values in form.items()} for form in asked]


@asynccontextmanager
async def line(settings: Settings = FAR, timeout_s: float = 5.0) -> AsyncIterator[Line]:
    async with AsyncExitStack() as stack:
        desk = await stack.enter_async_context(Desk(settings.auth_token))
        desk.documents["/voice/webhook"] = '<Response><Pause length="1200"/></Response>'
        far = await stack.enter_async_context(TwilioFar(settings))
        carrier = TwilioCarrier(
            Access(settings.account_sid, settings.auth_token, base_url=far.base_url, timeout_s=timeout_s),
            SigningKeys((settings.auth_token,), {}),
            voice="Polly.Joanna",
            language="en-US",
            change_pauses_s=(0.01, 0.02),
            find_pauses_s=(0.02,),
        )
        await carrier.open()
        stack.push_async_callback(carrier.close)
        yield Line(carrier, far, desk)
        assert far.complaints == [], "Twilio would have ignored a part of a request"
