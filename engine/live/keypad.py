"""Keys into a call, as the carrier and the call allow: by REST, as tones on the stream, or as a document."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from typing import Final

from engine.api import Refusal, Slug
from engine.calls import Call, Draft
from engine.carriers.base import Carrier, CarrierError, Keys, Redirect
from engine.carriers.links import link
from engine.live.call import LiveCall
from engine.media.dtmf import duration_ms
from engine.recorder import Recorder

SLACK_SECONDS: Final = 10.0
"""How much longer than their tones keys may take that the carrier plays."""


class Keypad:
    """Presses keys in the calls of one engine."""

    def __init__(self, carrier: Carrier, recorder: Recorder, read_call: Callable[[str], Call | None]) -> None:
        self._carrier = carrier
        self._recorder = recorder
        self._read_call = read_call

    async def press(self, live: LiveCall, digits: str, by: str, webhook_url: str) -> None:
        """Play keys into a connected call; returns when they were played. Raises Refusal."""
        call = self._read_call(live.call_id)
        if call is None or not call.live:
            raise Refusal("call_ended", "the call is over")
        try:
            if self._carrier.capabilities.send_dtmf:
                await self._carrier.send_dtmf(call.provider_call_id or "", digits)
            elif call.media == "stream":
                await self._as_tones(live, digits, by)
            else:
                await self._as_document(live, digits, webhook_url)
        except CarrierError as error:
            code: Slug = "call_ended" if error.kind == "gone" else "carrier_refused"
            raise Refusal(code, f"the keys were not sent: {error}", error.link) from error
        await self._sent(live, digits, by)

    async def _as_tones(self, live: LiveCall, digits: str, by: str) -> None:
        """On the stream, where they wait their turn. Raises Refusal unless all of them were heard."""
        line = live.say(digits, "agent", "keys")
        ending = await line.done
        if ending == "heard":
            return
        if line.heard_text:
            await self._sent(live, line.heard_text, by)
            raise Refusal("speech_unavailable", f"only the keys {line.heard_text} were heard", "send the rest again")
        if ending == "failed":
            raise Refusal("speech_unavailable", f"the keys were not sent: {line.error}")
        raise Refusal("speech_unavailable", "the keys were dropped before they were heard", "send them again")

    async def _as_document(self, live: LiveCall, digits: str, webhook_url: str) -> None:
        """On a call that has no stream to lose; the carrier asks what now when it has played them."""
        # Each time another address: a carrier that signs no time would send the same bytes twice, which is a replay.
        again = Redirect(link(webhook_url, "connect", live.call_id, n=secrets.token_urlsafe(6)))
        live.asked.clear()
        await self._carrier.instruct(live.streamless(), (Keys(digits), again))
        try:
            async with asyncio.timeout(duration_ms(digits) / 1000 + SLACK_SECONDS):
                await live.asked.wait()
        except TimeoutError as error:
            raise Refusal("timeout", "the carrier has not said that the keys were played") from error
        call = self._read_call(live.call_id)
        if call is None or not call.live:
            raise Refusal("call_ended", "the call ended while the keys were played")

    async def _sent(self, live: LiveCall, digits: str, by: str) -> None:
        self._recorder.post(Draft("dtmf.sent", live.call_id, {"digits": digits, "by": by}))
        await self._recorder.settle()
