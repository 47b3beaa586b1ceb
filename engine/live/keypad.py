"""Keys into a call: by REST where the carrier can do that, else as a line of our voice, whoever says it."""

from __future__ import annotations

from collections.abc import Callable

from engine.api import Refusal, Slug
from engine.calls import Call, Draft
from engine.carriers.base import Carrier, CarrierError
from engine.live.call import LiveCall
from engine.recorder import Recorder


class Keypad:
    """Presses keys in the calls of one engine."""

    def __init__(self, carrier: Carrier, recorder: Recorder, read_call: Callable[[str], Call | None]) -> None:
        self._carrier = carrier
        self._recorder = recorder
        self._read_call = read_call

    async def press(self, live: LiveCall, digits: str, by: str) -> None:
        """Play keys into a connected call; returns when they were played. Raises Refusal."""
        call = self._read_call(live.call_id)
        if call is None or not call.live:
            raise Refusal("call_ended", "the call is over")
        try:
            if live.press(digits):
                pass  # the stream's own frame
            elif self._carrier.capabilities.send_dtmf:
                await self._carrier.send_dtmf(call.provider_call_id or "", digits)
            else:
                await self._as_line(live, digits, by)
        except CarrierError as error:
            code: Slug = "call_ended" if error.kind == "gone" else "carrier_refused"
            raise Refusal(code, f"the keys were not sent: {error}", error.hint) from error
        await self._sent(live, digits, by)

    async def _as_line(self, live: LiveCall, digits: str, by: str) -> None:
        """Among our lines, where they wait their turn. Raises Refusal unless all of them were heard."""
        line = live.say(digits, "agent", "keys")
        ending = await line.done
        if ending == "heard":
            return
        if line.heard_text:
            await self._sent(live, line.heard_text, by)
        await self._recorder.settle()  # an end that cut the keys off is on its way to the log
        call = self._read_call(live.call_id)
        if call is None or not call.live:
            so_far = f"only the keys {line.heard_text} were heard" if line.heard_text else "no key was heard"
            raise Refusal("call_ended", f"the call ended: {so_far}")
        if line.heard_text:
            raise Refusal("speech_unavailable", f"only the keys {line.heard_text} were heard", "send the rest again")
        if ending == "failed":
            raise Refusal(
                "speech_unavailable", f"the keys were not sent: {line.error}", "the call goes on: try again"
            )
        raise Refusal("speech_unavailable", "the keys were dropped before they were heard", "send them again")

    async def _sent(self, live: LiveCall, digits: str, by: str) -> None:
        self._recorder.post(Draft("dtmf.sent", live.call_id, {"digits": digits, "by": by}))
        await self._recorder.settle()
