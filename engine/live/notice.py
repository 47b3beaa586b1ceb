"""Notices that the carrier says by itself: the message went with the dial, and no media stream is ever up.

What the caller heard is known from the time between the answer and the end. Since such a call must work although no
webhook reaches us, the carrier is asked how it stands when it should have said so.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from math import ceil
from typing import Final

from engine.calls import Call, Draft, State
from engine.carriers.base import CarrierError
from engine.live.lines import estimated_ms
from engine.live.parts import Parts
from engine.media.ledger import heard_text

log = logging.getLogger(__name__)

HEARD_SHARE: Final = 0.75
"""Voices differ: a message counts as heard when this share of its estimated length had passed."""
RING_SLACK_SECONDS: Final = 10.0
SAID_SLACK_SECONDS: Final = 20.0
"""How long after its time the carrier may be silent about an answer or an end before it is asked."""
ASK_SECONDS: Final = 10.0
UNTOLD_SECONDS: Final = 5.0
"""The same while no webhook of the call has come at all: then perhaps none will."""


def queued(call_id: str, text: str) -> Draft:
    """The message went to the carrier with the dial."""
    data = {"sayId": _say_id(call_id), "speaker": "agent", "kind": "notify", "text": text}
    return Draft("say.queued", call_id, data)


def started(call: Call) -> list[Draft]:
    """The call was answered: the message is being said."""
    if _say_id(call.call_id) not in call.queued:
        return []
    return [Draft("say.started", call.call_id, {"sayId": _say_id(call.call_id), "synthMs": 0})]


def closing(call: Call, duration_s: int | None, now: int) -> list[Draft]:
    """What was heard of the message when the call ended at `now` (epoch ms), `duration_s` after the answer by the
    carrier's own count, which is in whole seconds."""
    say_id = _say_id(call.call_id)
    if say_id in call.queued:
        return [Draft("say.skipped", call.call_id, {"sayId": say_id, "why": "the call ended before it was answered"})]
    line = next((line for line in call.transcript if line.say_id == say_id and line.playing), None)
    if line is None:
        return []
    elapsed = (duration_s + 1) * 1000 if duration_s is not None else now - (call.answered_at or now)
    full = estimated_ms(line.text)
    if elapsed >= full * HEARD_SHARE:
        data: dict[str, object] = {"sayId": say_id, "ms": min(elapsed, full), "unconfirmed": True}
        return [Draft("say.heard", call.call_id, data)]
    data = {"sayId": say_id, "heardMs": elapsed, "heardText": heard_text(line.text, elapsed, full)}
    return [Draft("say.cut", call.call_id, data)]


def was_cut(drafts: list[Draft]) -> bool:
    """The caller did not stay for the whole message."""
    return any(draft.type == "say.cut" for draft in drafts)


def _say_id(call_id: str) -> str:
    return f"{call_id[:8]}-notice"


class NoticeWatch:
    """The time limits of one such call, which also notice what no webhook told."""

    def __init__(
        self,
        call_id: str,
        parts: Parts,
        answered: asyncio.Event,
        closing_facts: Callable[[int | None], list[Draft]],
    ) -> None:
        """`closing_facts`: what was heard of every line of the call, which was so many seconds long."""
        self._call_id = call_id
        self._parts = parts
        self._answered = answered
        self._closing_facts = closing_facts

    async def run(self) -> None:
        """Return, or are cancelled, when the call is over."""
        config = self._parts.config
        ringing = config.ring_timeout_ms / 1000 + RING_SLACK_SECONDS
        wait = UNTOLD_SECONDS
        while not await self._told_within(wait):
            ringing -= wait
            if self._untold or ringing <= 0:
                if await self._over_or_answered():
                    return
                wait = UNTOLD_SECONDS if self._untold else ASK_SECONDS
            else:
                wait = ringing
        call = self._parts.book.get(self._call_id)
        text = call.message if call is not None else ""
        said = ceil(estimated_ms(text) / 1000) + config.outbound.notify_hangup_delay_sec + SAID_SLACK_SECONDS
        left = float(config.max_duration_seconds)
        wait = min(said, left)
        while left > 0:
            await asyncio.sleep(wait)
            left -= wait
            if await self._over_or_answered():
                return
            wait = min(ASK_SECONDS, left)
        self._parts.hang_up(self._call_id, State.TIMEOUT, "engine", "the call reached max_duration_seconds")

    @property
    def _untold(self) -> bool:
        """No webhook of this call has come."""
        call = self._parts.book.get(self._call_id)
        return call is not None and "signed" not in call.rungs

    async def _told_within(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self._answered.wait()
        except TimeoutError:
            return False
        return True

    async def _over_or_answered(self) -> bool:
        """Ask the carrier how the call stands; True when it is over. A carrier that does not say is asked again."""
        call = self._parts.book.get(self._call_id)
        if call is None or not call.live:
            return True
        if call.provider_call_id is None:
            return False  # an uncertain dial is the reconciler's business
        try:
            status = await self._parts.carrier.status(call.provider_call_id)
        except CarrierError as error:
            log.warning("call %s: the carrier was asked and did not say: %s", self._call_id, error)
            return False
        if status.answered and call.answered_at is None:
            self._parts.recorder.post(Draft("call.answered", self._call_id), *started(call))
            await self._parts.recorder.settle()
        if status.live:
            return False
        facts = {
            "reason": (status.reason or State.COMPLETED).value,
            "by": "carrier",
            "detail": "it said so when asked",
        }
        drafts = self._closing_facts(status.duration_s)
        self._parts.recorder.post(*drafts, Draft("call.ended", self._call_id, facts))
        return True
