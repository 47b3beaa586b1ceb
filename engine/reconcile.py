"""After a restart, and after a dial with an uncertain outcome: ask the carrier what is true.

A call that is in our log but over at the carrier is ended here; one that is alive there is taken up again, its
stream re-opened where the carrier can do that; what the carrier does not answer about is kept and asked again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from engine.book import CallBook
from engine.calls import Call, Draft, State
from engine.carriers.base import Carrier, CarrierError, LostDial
from engine.clock import epoch_ms
from engine.live import notice
from engine.live.parts import Parts
from engine.live.registry import LiveCalls
from engine.owning import Owned, rival
from engine.recorder import Recorder

log = logging.getLogger(__name__)

PAUSES: Final = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
"""Seconds between questions about one call."""


class Reconciler:
    """Brings our calls and the carrier's into line."""

    def __init__(
        self,
        carrier: Carrier,
        recorder: Recorder,
        book: CallBook,
        calls: LiveCalls,
        parts: Callable[[], Parts],
    ) -> None:
        self._carrier = carrier
        self._recorder = recorder
        self._book = book
        self._calls = calls
        self._parts = parts
        self._finding = asyncio.Lock()

    async def restore(self) -> None:
        """Settle every call that the log leaves open."""
        async with asyncio.TaskGroup() as group:
            for call in self._book.live():
                if self._calls.get(call.call_id) is None:
                    group.create_task(self.settle(call.call_id))

    async def settle(self, call_id: str) -> None:
        """Settle one call; gives up with an end that says so when the carrier never answers."""
        error: CarrierError | None = None
        for pause in (0.0, *PAUSES):
            await asyncio.sleep(pause)
            call = self._book.get(call_id)
            if call is None or not call.live or self._has_stream(call_id):
                return
            try:
                await self._settle(call)
            except CarrierError as failure:
                error = failure
                log.warning("call %s: the carrier was asked and did not say: %s", call_id, failure)
            else:
                return
        await self._end(call_id, State.ERROR, f"the carrier did not say what became of it: {error}")

    def _has_stream(self, call_id: str) -> bool:
        live = self._calls.get(call_id)
        return live is not None and live.streaming

    async def _settle(self, call: Call) -> None:
        provider_call_id = call.provider_call_id
        if provider_call_id is None:
            provider_call_id = await self._find(call)
            if provider_call_id is None:
                await self._end(call.call_id, State.FAILED, "the carrier never placed this call")
                return
        status = await self._carrier.status(provider_call_id)
        if call.media == "inline" and call.answered_at is None and status.answered:
            await self._recorder.record(Draft("call.answered", call.call_id), *notice.started(call))
        if not status.live:
            reason = status.reason or State.COMPLETED
            await self._end(call.call_id, reason, "it ended while no engine ran", status.duration_s)
            return
        await self._take_up(call)

    async def _find(self, call: Call) -> str | None:
        """The carrier's id of a dial whose outcome we do not know. One at a time: a call found for one is not
        another's. Raises CarrierError while it can not be told."""
        async with self._finding:
            if (named := self._named(call)) is not None:
                return named
            lost = LostDial(call.call_id, call.from_number, call.to_number, call.started_at, Owned(self._book))
            found = await self._carrier.find(lost)
            # A webhook names the call that it is about: one may have come meanwhile, and knows better.
            if (named := self._named(call)) is not None or found is None:
                return named
            guess = not self._carrier.capabilities.keeps_our_id
            if guess and (other := rival(self._book, call)) is not None:
                raise _undecided(f"a call between the same numbers is there, and {other.call_id} may be it as well")
            facts: dict[str, object] = {"providerCallId": found, **({"guessed": True} if guess else {})}
            await self._recorder.record(Draft("call.accepted", call.call_id, facts))
            if (named := self._named(call)) is None:
                raise _undecided("the call that was found is another's by now")
            return named

    def _named(self, call: Call) -> str | None:
        """The carrier's id of a call, by now."""
        current = self._book.get(call.call_id)
        return current.provider_call_id if current is not None else None

    async def _take_up(self, call: Call) -> None:
        """The call goes on: give it its task group and its stream back."""
        if call.waiting:
            return  # nobody has let the caller in: that is the waiting room's business
        parts = self._parts()
        age = (epoch_ms() - (call.answered_at or call.started_at)) / 1000
        if age > parts.config.max_duration_seconds:
            parts.hang_up(call.call_id, State.TIMEOUT, "engine", "over max_duration_seconds after a restart")
            return
        log.info("call %s goes on", call.call_id)
        live = await self._calls.take_up(call, parts)
        if call.media != "stream" or call.transferred_to:
            return  # there is no stream to open; a caller who was put through comes back by themselves
        if call.answered_at is not None and self._carrier.capabilities.reopen_stream and not live.streaming:
            await live.reopen_stream()

    async def _end(self, call_id: str, reason: State, detail: str, duration_s: int | None = None) -> None:
        call = self._book.get(call_id)
        if call is None or not call.live:
            return
        log.info("call %s: %s", call_id, detail)
        drafts = self._calls.closing_facts(call_id, duration_s)
        facts = {"reason": reason.value, "by": "carrier", "detail": detail}
        await self._recorder.record(*drafts, Draft("call.ended", call_id, facts))


def _undecided(why: str) -> CarrierError:
    return CarrierError(why, kind="retry", code="undecided")
