"""What a verified webhook does: find or admit the call, record the fact, decide on the document."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Mapping
from typing import Final

from engine import admission
from engine.admission import WaitingRoom
from engine.book import CallBook
from engine.calls import Call, Draft, State
from engine.carriers.base import Carrier, CarrierEvent, Document, Hangup, Reject
from engine.clock import epoch_ms
from engine.config import Config
from engine.keyed_lock import KeyedLock
from engine.live import machine, notice, transfer
from engine.live.parts import Parts
from engine.live.registry import LiveCalls
from engine.operations import Operations
from engine.recorder import Recorder
from engine.web.webhooks import Outcome

log = logging.getLogger(__name__)

_STATE_FACTS: Final = {"ringing": "call.ringing", "answered": "call.answered"}


class CarrierEvents:
    """Turns carrier events into facts and documents."""

    def __init__(
        self,
        config: Config,
        carrier: Carrier,
        recorder: Recorder,
        book: CallBook,
        calls: LiveCalls,
        operations: Operations,
        waiting_room: WaitingRoom,
        stream_url: Callable[[], str],
        webhook_url: Callable[[], str],
        parts: Callable[[], Parts],
    ) -> None:
        self._config = config
        self._carrier = carrier
        self._recorder = recorder
        self._book = book
        self._calls = calls
        self._operations = operations
        self._waiting_room = waiting_room
        self._stream_url = stream_url
        self._webhook_url = webhook_url
        self._parts = parts
        self._locks = KeyedLock()

    async def act(self, event: CarrierEvent) -> Outcome:
        """Do what a verified event asks for; its facts are stored when this returns."""
        async with self._locks.hold(event.provider_call_id):
            return await self._act(event)

    async def _act(self, event: CarrierEvent) -> Outcome:
        call = self._find(event)
        if call is None:
            if event.type == "incoming":
                return await self._incoming(event)
            return Outcome(_hang_up(event), None, f"nothing: no call matches this {event.raw_type or event.type}")
        if not call.live:
            over = f"the call is over ({call.state.value})"
            if event.wants_document and admission.is_unanswered(call):
                return Outcome(admission.REJECT, call.call_id, f"document: reject, {over}")
            return Outcome(_hang_up(event), call.call_id, f"nothing: {over}")
        return await self._known(call, event)

    def _find(self, event: CarrierEvent) -> Call | None:
        """Match by the carrier's id, or by ours where it was handed back; never when the two disagree."""
        call = self._book.by_carrier(event.provider_call_id)
        if call is None and event.call_id:
            call = self._book.get(event.call_id)
            if call is not None and call.provider_call_id not in (None, event.provider_call_id):
                return None
        return call

    async def _known(self, call: Call, event: CarrierEvent) -> Outcome:
        drafts: list[Draft] = []
        live = self._calls.get(call.call_id)
        if call.provider_call_id is None:
            drafts.append(Draft("call.accepted", call.call_id, {"providerCallId": event.provider_call_id}))
        effect: str = event.type
        if live is not None:
            drafts += live.machine.verdict(event.answered_by)
        if event.type in _STATE_FACTS:
            drafts.append(Draft(_STATE_FACTS[event.type], call.call_id))
            drafts += notice.started(call) if event.type == "answered" else []
        elif event.type == "dtmf":
            drafts.append(Draft("dtmf.received", call.call_id, {"digits": event.digits, "by": "caller"}))
        elif event.type == "stream_failed" and self._streams(call):
            effect = "nothing: a newer stream is up"
        elif event.type == "stream_failed":
            drafts.append(Draft("call.error", call.call_id, {"code": "stream_failed", "message": event.detail}))
        elif event.type == "transfer_over":
            drafts += self._calls.closing_facts(call.call_id) if event.reached else []
            drafts += transfer.over(call, event, live.handover if live is not None else None)
        elif event.type == "ended":
            closing = self._closing(call, event)
            facts = self._end_of(call, event, cut=notice.was_cut(closing) and call.media == "inline")
            drafts += [*closing, Draft("call.ended", call.call_id, facts)]
            effect = f"ended: {facts['reason']}"
        if drafts:
            await self._recorder.record(*drafts)
        if live is not None:
            live.take_note(event)
        if not event.wants_document:
            return Outcome((), call.call_id, effect)
        current = self._book.get(call.call_id) or call
        if current.waiting:
            return self._hold(current.call_id)
        if current.live:
            self._calls.start(current, self._parts())
        return self._document(current, event)

    def _closing(self, call: Call, event: CarrierEvent) -> list[Draft]:
        """What stands in the log before the end: what was heard of the last line."""
        if call.media == "inline":
            return notice.closing(call, event.duration_s, epoch_ms())
        return self._calls.closing_facts(call.call_id)

    def _end_of(self, call: Call, event: CarrierEvent, *, cut: bool) -> Mapping[str, str]:
        """Why a call is over. What we ended ourselves is just `completed`, or cancelled, for the carrier; `cut`: the
        other end hung up before a notice was over."""
        reason = event.reason or State.COMPLETED
        ours = self._operations.ending(call.call_id)
        if ours is not None and reason in (State.COMPLETED, State.HANGUP_BOT):
            return ours
        taken_by = call.answered_by or event.answered_by or ""
        reason = machine.ended_as(taken_by, self._config.outbound.answering_machine, reason)
        if cut and reason is State.COMPLETED:
            return {"reason": State.HANGUP_USER.value, "by": "caller", "detail": "before the message was over"}
        by = "caller" if reason is State.HANGUP_USER else "carrier"
        return {"reason": reason.value, "by": by} | ({"detail": event.detail} if event.detail else {})

    def _streams(self, call: Call) -> bool:
        live = self._calls.get(call.call_id)
        return live is not None and live.streaming

    def _document(self, call: Call, event: CarrierEvent) -> Outcome:
        if event.type == "transfer_over" and event.reached:
            return Outcome((Hangup(),), call.call_id, "document: hang up, the transfer is over")
        if call.media == "inline":
            return self._notice(call, event)
        document = self._operations.connect_document(call.call_id, self._stream_url(), self._webhook_url())
        return Outcome(document, call.call_id, f"document: connect, after {event.raw_type or event.type}")

    def _notice(self, call: Call, event: CarrierEvent) -> Outcome:
        """A notice that did not fit in the dial is asked for at the answer; later the carrier asks what now."""
        if event.type == "answered":
            document = self._operations.notice(call.call_id, call.message, self._webhook_url())
            return Outcome(document, call.call_id, "document: the notice")
        return Outcome(machine.after_notice(call), call.call_id, "document: after the notice")

    async def _incoming(self, event: CarrierEvent) -> Outcome:
        """A call that we did not place: let it in or refuse it, before any stream exists."""
        call_id = str(uuid.uuid4())
        facts = [
            Draft(
                "call.initiated",
                call_id,
                {
                    "provider": self._carrier.name,
                    "direction": "inbound",
                    "mode": "conversation",
                    "from": event.from_number,
                    "to": event.to_number,
                },
            ),
            Draft("call.accepted", call_id, {"providerCallId": event.provider_call_id}),
            Draft("call.ringing", call_id),
        ]
        stopping = self._operations.stopping
        judged = self._waiting_room.judge(event.from_number)
        if stopping or judged.verdict == "reject":
            why = "the engine is stopping" if stopping else judged.why
            await self._recorder.record(*facts, *admission.turned_away(call_id, "engine", why))
            return Outcome(admission.REJECT, call_id, f"document: reject, {why}")
        if judged.verdict == "ask":
            return await self._ask(call_id, facts, event)
        await self._recorder.record(*facts)
        call = self._book.get(call_id)
        assert call is not None, "just recorded"
        self._calls.start(call, self._parts())
        return self._document(call, event)

    async def _ask(self, call_id: str, begun: list[Draft], event: CarrierEvent) -> Outcome:
        """Let a caller whom nobody knows wait for a decision, if there is room."""
        if await self._waiting_room.take_in(call_id, begun, event):
            return self._hold(call_id)
        full = admission.FULL
        await self._recorder.record(*begun, *admission.turned_away(call_id, "engine", full, reason=State.BUSY))
        return Outcome((Reject("busy"),), call_id, f"document: reject as busy, {full}")

    def _hold(self, call_id: str) -> Outcome:
        return Outcome(admission.hold(self._webhook_url(), call_id, epoch_ms()), call_id, "hold: the caller waits")


def _hang_up(event: CarrierEvent) -> Document:
    """A call that is nobody's must not stay open."""
    return (Hangup(),) if event.wants_document else ()
