"""A call of ours of which no webhook comes: the address that the carrier was told is wrong, or leads nowhere.

Such a call would look unanswered until its ring limit, while the carrier tells whoever answered that something broke
and hangs up. What can be known is asked for: how the call stands, and what the carrier noted about our address.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from engine.calls import Call, Draft, State
from engine.carriers.base import CarrierError, CarrierStatus
from engine.live.alerts import about
from engine.live.parts import Parts

log = logging.getLogger(__name__)

FIRST_SECONDS: Final = 4.0
"""How long after the dial the first webhook may take; carriers report a dial within a second."""
AGAIN_SECONDS: Final = 3.0
PATIENCE_SECONDS: Final = 10.0
"""How long an answered call may be without a webhook, where the carrier notes nothing: Twilio tries twice to connect,
5 s each."""
_WITHOUT_US: Final = (State.BUSY, State.NO_ANSWER, State.HANGUP_BOT)
"""Ends that had nothing to do with our address."""


class Unreached:
    """Watches one call until its first webhook has come."""

    def __init__(self, call_id: str, parts: Parts) -> None:
        self._call_id = call_id
        self._parts = parts
        self._told = False
        """The carrier has noted that it can not reach us."""

    async def run(self) -> None:
        """Return when a webhook has come, or end the call of which none will."""
        before: CarrierStatus | None = None
        answered_s = 0.0
        await asyncio.sleep(FIRST_SECONDS)
        while (call := self._silent()) is not None:
            status = await self._status(call)
            if status is not None and self._silent() is not None:
                await self._read_notes(call)
                # The second look decides: a webhook may be on its way at the first.
                if before is not None and not before.live and not status.live:
                    self._over(status)
                    return
                answered_s += AGAIN_SECONDS if before is not None and before.answered else 0.0
                if status.live and status.answered and answered_s and (self._told or answered_s >= PATIENCE_SECONDS):
                    self._end(State.ERROR, status)
                    return
                before = status
            await asyncio.sleep(AGAIN_SECONDS)

    def _silent(self) -> Call | None:
        """The call while no webhook of it has come."""
        call = self._parts.book.get(self._call_id)
        return None if call is None or not call.live or "signed" in call.rungs or call.answered_at else call

    async def _status(self, call: Call) -> CarrierStatus | None:
        """How the call stands at the carrier; None where it does not say."""
        if call.provider_call_id is None:
            return None  # an uncertain dial is the reconciler's business
        try:
            return await self._parts.carrier.status(call.provider_call_id)
        except CarrierError as error:
            log.warning("call %s: the carrier was asked and did not say: %s", self._call_id, error)
            return None

    async def _read_notes(self, call: Call) -> None:
        """Put into the record that the carrier can not reach us, once it has noted so."""
        if self._told or not self._parts.carrier.capabilities.alerts:
            return
        try:
            notes = await self._parts.carrier.alerts(call.provider_call_id or "")
        except CarrierError as error:
            log.warning("call %s: the carrier was not to be asked for its notes: %s", self._call_id, error)
            return
        note = next((note for note in notes if note.unreachable), None)
        if note is not None:
            self._told = True
            self._parts.recorder.post(Draft("call.error", self._call_id, about(note)))

    def _over(self, status: CarrierStatus) -> None:
        """The carrier ended the call: for a reason of its own, or because it got no document from us."""
        reason = status.reason or State.COMPLETED
        if reason in _WITHOUT_US or (reason is State.FAILED and not self._told):
            self._end(reason, status)
        else:
            self._end(State.ERROR, status)

    def _end(self, reason: State, status: CarrierStatus) -> None:
        where = f"webhook not reachable at {self._parts.webhook_url()}"
        drafts: list[Draft] = []
        if not self._told:
            said = f"{where}: the call is {status.raw or 'over'}, and the carrier has told nothing of it here; "
            error = {"code": "webhook_unreachable", "message": said + "is public_url right?"}
            drafts.append(Draft("call.error", self._call_id, error))
        if status.answered:
            drafts.append(Draft("call.answered", self._call_id))
        self._parts.recorder.post(*drafts)
        self._parts.hang_up(self._call_id, reason, "carrier", where)
