"""Putting a caller through to another number, and having the call back when nobody is there.

The carrier takes the caller away from our stream and gives them back by asking for a document. In between the call
is still ours, without our voice: its stream ends and is not missed.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from math import ceil
from typing import Final, Literal, Protocol

from engine.api import Refusal, Slug
from engine.calls import Call, Draft, State
from engine.calls.policy import digits_of, is_e164
from engine.carriers.base import Carrier, CarrierError, CarrierEvent, ShowsTransfers, Transfer
from engine.carriers.links import link
from engine.clock import epoch_ms
from engine.config import Config
from engine.recorder import Recorder
from engine.store import StoreError

log = logging.getLogger(__name__)

STREAM_ENDS_SECONDS: Final = 3.0
"""After a request with an unknown outcome: a stream that ends within this time ended because the caller is away."""
SORRY: Final = "I'm sorry, I could not put you through."


class Handover:
    """Whether the caller is with us. One per live call; the log has the same in `Call.transferred_to`."""

    def __init__(self, to: str = "") -> None:
        self.to = to
        """The number that the caller is, or is about to be, connected with; empty: they are with us."""
        self.by = ""
        self._recorded = bool(to)
        self.gone = asyncio.Event()
        """Set once it is certain that the carrier took the caller away."""

    @property
    def away(self) -> bool:
        """Our stream may end: it is not lost, and must not be opened again."""
        return bool(self.to)

    @property
    def left(self) -> bool:
        """The caller is not with us, as far as we know: while the carrier has not said so they are, and are
        answered."""
        return self.away and self._recorded

    def begin(self, to: str, by: str) -> None:
        """The carrier is about to be asked."""
        self.to, self.by, self._recorded = to, by, False
        self.gone.clear()

    def facts(self, call_id: str) -> list[Draft]:
        """The transfer as a fact, once: its end may be told before the carrier's answer to our request is here."""
        if not self.to or self._recorded:
            return []
        self._recorded = True
        self.gone.set()
        return [Draft("call.transferred", call_id, {"to": self.to, "by": self.by})]

    def end(self) -> None:
        """The caller is with us again."""
        self.to = self.by = ""


class Handed(Protocol):
    """What a transfer needs of a live call (`engine.live.call`)."""

    call_id: str
    handover: Handover
    orders: asyncio.Lock

    def let_go(self) -> None:
        """The caller is away: be silent, answer nothing."""

    def stay(self) -> None:
        """The transfer did not come about: the call goes on as it was."""

    async def stream_ended(self) -> None:
        """Return when no media stream is up."""


def over(call: Call, event: CarrierEvent, handover: Handover | None) -> list[Draft]:
    """The facts of the end of a transfer: both have talked and the call is over, or the caller comes back."""
    drafts = handover.facts(call.call_id) if handover is not None else []
    to = call.transferred_to or (handover.to if handover is not None else "")
    if event.reached:
        said = f"the caller was put through to {to}" if to else "the caller was put through"
        facts = {"reason": State.COMPLETED.value, "by": "carrier", "detail": said}
        return [*drafts, Draft("call.ended", call.call_id, facts)]
    return [*drafts, Draft("call.returned", call.call_id, {"why": event.detail or "not reached", "to": to})]


class Transfers:
    """The transfers of one engine."""

    def __init__(
        self, config: Config, carrier: Carrier, recorder: Recorder, read_call: Callable[[str], Call | None]
    ) -> None:
        self._config = config
        self._carrier = carrier
        self._recorder = recorder
        self._read_call = read_call

    def check(self, to: str) -> None:
        """Refuse what can be refused without looking at a call."""
        if not self._carrier.capabilities.transfer:
            raise Refusal("not_supported", f"{self._carrier.name} can not transfer calls")
        if not is_e164(to):
            raise Refusal(
                "invalid_number",
                f"{to[:40]!r} is not a phone number in E.164 form",
                "write it with + and country code, for example +15550100142",
            )

    async def start(self, live: Handed, to: str, by: str, webhook_url: str) -> None:
        """Put the caller of a connected call through; returns when the carrier took it. Raises Refusal."""
        call = self._read_call(live.call_id)
        if call is None or not call.live:
            raise Refusal("call_ended", "the call is over")
        if live.handover.away:
            raise Refusal(
                "turn_in_progress",
                f"the caller is put through to {live.handover.to} already",
                "wait until that is over",
            )
        if digits_of(to) == digits_of(call.peer):
            raise Refusal("invalid_number", f"{to} is the caller's own number")
        live.handover.begin(to, by)
        try:
            await self._record(live, to, by)
            await self._ask(live, call, self._order(call, to, webhook_url))
        except BaseException:
            live.stay()
            raise
        if facts := live.handover.facts(live.call_id):
            self._recorder.post(*facts)
        if live.handover.away:
            live.let_go()
        await self._recorder.settle()

    async def _record(self, live: Handed, to: str, by: str) -> None:
        facts = {"action": "transfer", "to": to, "by": by}
        try:
            await self._recorder.record(Draft("operator.acted", live.call_id, facts))
        except StoreError as error:
            raise Refusal(
                "store_failed", f"not transferred, because it could not be recorded: {error}", error.hint
            ) from error

    def _order(self, call: Call, to: str, webhook_url: str) -> Transfer:
        return Transfer(
            to_number=to,
            caller_id=call.to_number if call.direction == "inbound" else call.from_number,
            url=link(webhook_url, "transfer", call.call_id),
            ring_seconds=ceil(self._config.ring_timeout_ms / 1000),
        )

    async def _ask(self, live: Handed, call: Call, order: Transfer) -> None:
        asked_at = epoch_ms()
        try:
            async with live.orders:  # a document that is on its way would fetch the caller back
                await self._carrier.transfer(call.provider_call_id or "", order)
        except CarrierError as error:
            if error.kind != "unknown":
                raise _refusal(error) from error
            facts = {"code": "outcome_unknown", "message": f"nobody knows whether the caller is put through: {error}"}
            self._recorder.post(Draft("call.error", live.call_id, facts))
            if await self._has_gone(live, call):
                log.warning("call %s: the transfer happened although the carrier did not say so", live.call_id)
                return
            known = await self._known(live, call, order, asked_at)
            if known is None:
                return
            raise _unknown(error, live.call_id, order.to_number, known) from error

    async def _known(self, live: Handed, call: Call, order: Transfer, asked_at: int) -> str | None:
        """What the carrier knows of a transfer whose outcome we do not; None when the caller was put through."""
        if not isinstance(self._carrier, ShowsTransfers):
            return "the caller is still with us"
        try:
            leg = await self._carrier.transferred(call.provider_call_id or "", order, asked_at)
        except CarrierError as error:
            log.warning("call %s: the carrier was asked about the transfer and did not say: %s", live.call_id, error)
            return "the caller is still with us, and the carrier does not say more"
        if not leg:
            return f"the caller is still with us, and the carrier shows no call to {order.to_number}"
        log.warning("call %s: the transfer happened: the carrier shows a leg that is %s", live.call_id, leg)
        return None

    @staticmethod
    async def _has_gone(live: Handed, call: Call) -> bool:
        """Whether a transfer with an unknown outcome happened: it shows by the end of our stream, or by the carrier's
        coming for what it does now."""
        signs = [asyncio.ensure_future(live.handover.gone.wait())]
        if call.media == "stream":
            signs.append(asyncio.ensure_future(_ended(live)))
        try:
            done, _ = await asyncio.wait(signs, timeout=STREAM_ENDS_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for sign in signs:
                sign.cancel()
        return bool(done)


async def _ended(live: Handed) -> Literal[True]:
    await live.stream_ended()
    return True


def _refusal(error: CarrierError) -> Refusal:
    code: Slug = "call_ended" if error.kind == "gone" else "carrier_refused"
    return Refusal(code, f"the call was not transferred: {error}", error.hint)


def _unknown(error: CarrierError, call_id: str, to: str, known: str) -> Refusal:
    return Refusal(
        "outcome_unknown",
        f"the carrier did not say whether it transferred the call ({error}); {known}",
        f"the agent goes on; before you try again see `voicecall status --call-id {call_id}`: {to} might ring twice",
        call_id=call_id,
    )
