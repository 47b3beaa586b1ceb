"""What a verified webhook does: find or admit the call, record the fact, decide on the document."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final, Protocol

from engine import admission
from engine.admission import WaitingRoom
from engine.answers import Kind, document_for
from engine.api import Refusal
from engine.book import CallBook
from engine.calls import Call, Draft, State
from engine.calls.call import Media
from engine.carriers.base import Carrier, CarrierEvent, Document, Hangup, Reject
from engine.clock import epoch_ms
from engine.config import Config
from engine.keyed_lock import KeyedLock
from engine.live import machine, notice, transfer
from engine.live.parts import Parts
from engine.live.registry import LiveCalls
from engine.operations import Operations
from engine.owning import made_room
from engine.recorder import Recorder
from engine.web.webhooks import Outcome

log = logging.getLogger(__name__)

_STATE_FACTS: Final = {"ringing": "call.ringing", "answered": "call.answered"}


class Life(Protocol):
    """What an event needs of a live call."""

    def take_note(self, event: CarrierEvent) -> None:
        """Something happened at the carrier."""

    def document(self, event: CarrierEvent) -> Document:
        """What a carrier that speaks by itself says and hears next."""


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
        self._tells_keys_twice = not carrier.capabilities.answers_by_reply
        """By the stream and by a webhook."""

    async def act(self, event: CarrierEvent) -> Outcome:
        """Do what a verified event asks for; its facts are stored when this returns."""
        async with self._locks.hold(event.provider_call_id):
            return await self._act(event)

    async def _act(self, event: CarrierEvent) -> Outcome:
        call = self._find(event)
        if call is not None and (taken := made_room(self._book, event.provider_call_id, call.call_id)):
            await self._recorder.record(*taken)
        if event.type == "ignored":
            matched = call.call_id if call is not None else None
            return Outcome((), matched, f"nothing: {event.detail or event.raw_type}")
        if event.type == "cost" or (event.type == "trouble" and call is None):
            return await self._noted(call, event)
        if call is None and event.type == "incoming":
            return await self._incoming(event)
        if call is not None and not call.live and event.cost:
            return await self._noted(call, event)  # our own hang-up was quicker than the carrier's word of the end
        if call is None or not call.live:
            return await self._reply(call, event)
        return await self._known(call, event)

    async def _noted(self, call: Call | None, event: CarrierEvent) -> Outcome:
        """What belongs to no call, or to one that may be over."""
        if call is None or not event.cost:
            return Outcome((), None, f"nothing: {event.detail or 'no call matches this cost'}")
        billed = event.type == "cost" and event.duration_s is not None
        seconds = {"billedSeconds": event.duration_s} if billed else {}
        await self._recorder.record(Draft("call.cost", call.call_id, {"total": event.cost, **seconds}))
        return Outcome((), call.call_id, f"cost: {event.cost}")

    def _find(self, event: CarrierEvent) -> Call | None:
        """Match by the carrier's id, or by ours where it was handed back; never when the two disagree. Ours went with
        the dial, so it is believed over a carrier's id that was only guessed."""
        names = [event.provider_call_id, *([event.dialled_as] if event.dialled_as else [])]
        call = next((found for name in names if (found := self._book.by_carrier(name)) is not None), None)
        if event.call_id and (call is None or call.guessed) and (named := self._book.get(event.call_id)) is not None:
            call = named
            if call.provider_call_id not in (None, *names):
                return None
        return call

    async def _known(self, call: Call, event: CarrierEvent) -> Outcome:
        effect, drafts = self._facts(call, event)
        if drafts:
            await self._recorder.record(*drafts)
        elif event.type == "fetches":
            await self._recorder.settle()  # that the caller is put through may be on its way to the log already
        if event.type == "stream_failed" and self._speaks_instead(call):
            await self._go_on_natively(call, event)
        current = self._book.get(call.call_id) or call
        live: Life | None = self._calls.get(call.call_id)
        if event.wants_document and current.live and not current.waiting:
            live = await self._alive(current)
        if live is not None:
            live.take_note(event)
        return await self._reply(self._book.get(call.call_id) or call, event, effect)

    def _facts(self, call: Call, event: CarrierEvent) -> tuple[str, list[Draft]]:
        """What an event says, as facts, and in a word."""
        drafts: list[Draft] = []
        live = self._calls.get(call.call_id)
        if call.provider_call_id is None:
            drafts.append(Draft("call.accepted", call.call_id, {"providerCallId": event.provider_call_id}))
        elif call.provider_call_id != event.provider_call_id:
            names = {"providerCallId": event.provider_call_id, "was": call.provider_call_id}
            drafts.append(Draft("call.renamed", call.call_id, names))
        if live is not None:
            drafts += live.machine.verdict(event.answered_by)
        if live is not None and live.is_stale(event):
            return "nothing: it is of an earlier turn, which was told", drafts
        if event.type in _STATE_FACTS:
            drafts.append(Draft(_STATE_FACTS[event.type], call.call_id))
        if event.type in ("answered", "machine"):
            drafts += notice.started(call)
        elif event.type == "dtmf" and live is not None and live.streaming and self._tells_keys_twice:
            return "nothing: the stream tells the keys", drafts
        elif event.type == "trouble":
            drafts.append(Draft("call.error", call.call_id, {"code": "carrier_setup", "message": event.detail}))
        elif event.type == "dtmf":
            drafts.append(Draft("dtmf.received", call.call_id, {"digits": event.digits, "by": "caller"}))
        elif event.type == "stream_failed" and live is not None and live.streaming:
            return "nothing: a newer stream is up", drafts
        elif event.type == "stream_failed":
            drafts.append(Draft("call.error", call.call_id, {"code": "stream_failed", "message": event.detail}))
        elif event.type == "fetches" and live is not None:
            drafts += live.handover.facts(call.call_id)
        elif event.type == "transfer_over":
            drafts += self._calls.closing_facts(call.call_id) if event.reached else []
            drafts += transfer.over(call, event, live.handover if live is not None else None)
        elif event.type == "ended":
            closing = self._calls.closing_facts(call.call_id, event.duration_s)
            facts = self._end_of(call, event, cut=notice.was_cut(closing) and call.mode == "notify")
            drafts += [*closing, Draft("call.ended", call.call_id, facts)]
            if event.cost:
                drafts.append(Draft("call.cost", call.call_id, {"total": event.cost}))
            return f"ended: {facts['reason']}", drafts
        return event.type, drafts

    def _speaks_instead(self, call: Call) -> bool:
        """Whether the carrier's own voice can stand in for a stream that never came about."""
        can, live = self._carrier.capabilities, self._calls.get(call.call_id)
        never = call.media == "stream" and "start" not in call.rungs and not (live is not None and live.streaming)
        away = call.waiting or bool(call.transferred_to) or self._operations.ending(call.call_id) is not None
        return never and call.live and not away and can.native_speech and can.answers_by_reply

    async def _go_on_natively(self, call: Call, event: CarrierEvent) -> None:
        """Nobody is left in silence until the time for a stream is over."""
        why = f"the media stream could not be opened: {event.detail}"
        log.warning("call %s: %s; it goes on in the carrier's own voice", call.call_id, why)
        changed = Draft("call.voice", call.call_id, {"media": "native", "why": why})
        await self._recorder.record(Draft("call.answered", call.call_id), changed)
        await self._calls.change_voice(call, self._parts())

    async def _alive(self, call: Call) -> Life:
        """A call with its task group; after a restart the carrier may ask before we have."""
        live = await self._calls.take_up(call, self._parts())
        await live.began.wait()
        return live

    def _end_of(self, call: Call, event: CarrierEvent, *, cut: bool) -> Mapping[str, str]:
        """Why a call is over. What we ended ourselves is just `completed`, or cancelled, for the carrier; `cut`: the
        other end hung up before a notice was over."""
        reason = event.reason or State.COMPLETED
        ours = self._operations.ending(call.call_id)
        if ours is not None and reason in (State.COMPLETED, State.HANGUP_BOT):
            return ours
        theirs = "caller" if call.direction == "inbound" else "callee"
        if event.hung_up == theirs and reason in (State.COMPLETED, State.HANGUP_BOT):
            reason = State.HANGUP_USER
        taken_by = call.answered_by or event.answered_by or ""
        reason = machine.ended_as(taken_by, self._config.outbound.answering_machine, reason)
        if cut and reason is State.COMPLETED:
            return {"reason": State.HANGUP_USER.value, "by": "caller", "detail": "before the message was over"}
        by = "caller" if reason is State.HANGUP_USER else "carrier"
        return {"reason": reason.value, "by": by} | ({"detail": event.detail} if event.detail else {})

    async def _reply(self, call: Call | None, event: CarrierEvent, effect: str = "") -> Outcome:
        """What the carrier is told. `effect`: what the event did, when nothing is to be told."""
        answer = document_for(
            call, event, ending=call is not None and self._operations.ending(call.call_id) is not None
        )
        call_id = call.call_id if call is not None else None
        if answer.kind == "nothing" and effect:
            return Outcome((), call_id, effect)
        document = _FIXED.get(answer.kind)
        if document is None:
            assert call is not None, "only what concerns a call of ours is made for it"
            document = await self._make(answer.kind, call, event)
        return Outcome(document, call_id, answer.effect)

    async def _make(self, kind: Kind, call: Call, event: CarrierEvent) -> Document:
        """A document for one call."""
        match kind:
            case "hold":
                return admission.hold(self._webhook_url(), call.call_id, epoch_ms())
            case "notice":
                return self._operations.notice(call.call_id, call.message, self._webhook_url())
            case "after_notice":
                return machine.after_notice(call)
            case "ordered":
                return event.ordered
            case "listen":
                return await self._listen(call, event)
            case _:
                return self._operations.connect_document(call.call_id, self._stream_url(), self._webhook_url())

    async def _listen(self, call: Call, event: CarrierEvent) -> Document:
        """What a carrier that speaks by itself says and hears next. For a call that comes in it is the answer."""
        if call.answered_at is None:
            await self._recorder.record(Draft("call.answered", call.call_id))
        live = await self._alive(call)
        document = live.document(event)
        await self._recorder.settle()
        return document

    async def _incoming(self, event: CarrierEvent) -> Outcome:
        """A call that we did not place. One for a number that the configuration does not name is told to be so: it
        may be another number of the account, that leads here too."""
        outcome = await self._let_in_or_not(event)
        ours = {number for number in (self._operations.from_number, *self._config.numbers) if number}
        if not ours or event.to_number in ours or self._carrier.name == "mock":
            return outcome
        log.warning(
            "call %s: to %s, which is no number of the configuration", outcome.call_id, _shown(event.to_number)
        )
        return replace(outcome, effect=f"{outcome.effect}; not our number: {_shown(event.to_number)[:40]}")

    async def _let_in_or_not(self, event: CarrierEvent) -> Outcome:
        """Let a caller in or refuse them, before any stream exists."""
        call_id = str(uuid.uuid4())
        event = replace(event, from_number=_shown(event.from_number), to_number=_shown(event.to_number))
        judged = self._waiting_room.judge(event.from_number)
        why = "the engine is stopping" if self._operations.stopping else ""
        if judged.verdict == "reject":
            why = why or judged.why
        media: Media = "stream"
        try:
            media = self._operations.media("conversation")
        except Refusal as refusal:
            why = why or refusal.error
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
                    "media": media,
                },
            ),
            Draft("call.accepted", call_id, {"providerCallId": event.provider_call_id}),
            Draft("call.ringing", call_id),
        ]
        if why:
            await self._recorder.record(*facts, *admission.turned_away(call_id, "engine", why))
            return Outcome(admission.REJECT, call_id, f"document: reject, {why}")
        if judged.verdict == "ask":
            return await self._ask(call_id, facts, event)
        await self._recorder.record(*facts)
        call = self._book.get(call_id)
        assert call is not None, "just recorded"
        await self._alive(call)
        return await self._reply(call, event)

    async def _ask(self, call_id: str, begun: list[Draft], event: CarrierEvent) -> Outcome:
        """Let a caller whom nobody knows wait for a decision, if there is room."""
        if await self._waiting_room.take_in(call_id, begun, event):
            return await self._reply(self._book.get(call_id), event)
        full = self._waiting_room.full(event.from_number) or admission.FULL
        await self._recorder.record(*begun, *admission.turned_away(call_id, "engine", full, reason=State.BUSY))
        return Outcome((Reject("busy"),), call_id, f"document: reject as busy, {full}")


def _shown(number: str) -> str:
    """A number as it can be written down: who calls may send any characters."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in number)


_FIXED: Final[Mapping[Kind, Document]] = {"nothing": (), "reject": admission.REJECT, "hang_up": (Hangup(),)}
