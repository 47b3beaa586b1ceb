"""Documents for carriers that read none: what the reply to a webhook would say is carried out by commands.

A document is executed as such a carrier would: verb by verb, with its pauses, and where it says to ask again the
question is put by us. One document of a call is followed at a time; a newer one takes the place of one that pauses.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Final

from engine.admission import is_unanswered
from engine.book import CallBook
from engine.calls import Call, Draft, State
from engine.carriers.base import Carrier, CarrierError, CarrierEvent, Connect, Document, Pause, Redirect
from engine.keyed_lock import KeyedLock
from engine.live.parts import Parts
from engine.live.registry import LiveCalls
from engine.operations import Operations
from engine.web.webhooks import Outcome

log = logging.getLogger(__name__)

RETRY_PAUSES_S: Final = (0.25, 0.5, 1.0, 2.0)
"""Between tries of a command that the carrier did not take for the moment."""


@dataclass(slots=True)
class _Job:
    task: asyncio.Task[None]
    pausing: bool = False


class Commands:
    """Stands between the webhooks and what they do (`act`), for a carrier that takes commands."""

    def __init__(
        self,
        carrier: Carrier,
        act: Callable[[CarrierEvent], Awaitable[Outcome]],
        book: CallBook,
        calls: LiveCalls,
        operations: Operations,
        parts: Callable[[], Parts],
    ) -> None:
        self._carrier = carrier
        self._act = act
        self._book = book
        self._calls = calls
        self._operations = operations
        self._parts = parts
        self._jobs: dict[str, _Job] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._orders = KeyedLock()

    async def act(self, event: CarrierEvent) -> Outcome:
        """Do what a verified event asks for. The carrier is acknowledged at once and commanded meanwhile."""
        event = self._named(event)
        call = self._book.by_carrier(event.provider_call_id)
        pick_up = is_unanswered(call) if call is not None else event.type == "incoming"
        if event.type == "answered" and call is not None and self._misses_stream(call):
            event = replace(event, wants_document=True)
        outcome = await self._act(event)
        if not outcome.document:
            return outcome
        self._give(event.provider_call_id, outcome, pick_up)
        return replace(outcome, document=())

    def _named(self, event: CarrierEvent) -> CarrierEvent:
        """An event that names no call of the carrier's, but ours: that one's."""
        if event.provider_call_id or not event.call_id:
            return event
        call = self._book.get(event.call_id)
        if call is None or call.provider_call_id is None:
            return replace(event, type="ignored", detail="it names no call")
        return replace(event, provider_call_id=call.provider_call_id)

    def resume(self) -> None:
        """After a start: calls that came in and were not answered go on being answered, or being let wait."""
        for call in self._book.live():
            if is_unanswered(call) and call.provider_call_id is not None:
                self._spawn(self._ask(call.call_id, call.provider_call_id))

    async def close(self) -> None:
        """Command nothing more."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _misses_stream(self, call: Call) -> bool:
        """A call that is answered now, and that no stream is on its way to: who told the carrier of one is gone."""
        live = self._calls.get(call.call_id)
        up = live is not None and live.streaming
        return call.live and call.media == "stream" and not up and not self._operations.awaits_stream(call.call_id)

    def _give(self, provider_call_id: str, outcome: Outcome, pick_up: bool) -> None:
        older = self._jobs.get(provider_call_id)
        if older is not None and older.pausing:
            older.task.cancel()
        task = self._spawn(self._follow(provider_call_id, outcome.call_id, outcome.document, pick_up))
        job = self._jobs[provider_call_id] = _Job(task)
        task.add_done_callback(lambda _: self._forget(provider_call_id, job))

    def _spawn(self, work: Awaitable[None]) -> asyncio.Task[None]:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _forget(self, provider_call_id: str, job: _Job) -> None:
        if self._jobs.get(provider_call_id) is job:
            del self._jobs[provider_call_id]

    async def _follow(self, provider_call_id: str, call_id: str | None, document: Document, pick_up: bool) -> None:
        """Carry out a document. Pauses and questions are ours, the rest is the carrier's."""
        verbs = [verb for verb in document if not isinstance(verb, Pause | Redirect)]
        if verbs and not await self._command(provider_call_id, call_id, verbs, pick_up):
            return
        pause = sum(verb.seconds for verb in document if isinstance(verb, Pause))
        if not any(isinstance(verb, Redirect) for verb in document):
            return
        job = self._jobs.get(provider_call_id)
        if job is not None:
            job.pausing = True
        await asyncio.sleep(pause)
        if job is not None:
            job.pausing = False
        await self._ask(call_id or "", provider_call_id)

    async def _ask(self, call_id: str, provider_call_id: str) -> None:
        """What now?"""
        asks = CarrierEvent("asks", provider_call_id, call_id, wants_document=True)
        try:
            await self.act(asks)
        except Exception:
            log.exception("call %s: it could not be decided what comes next", call_id)
            self._parts().hang_up(call_id, State.ERROR, "engine", "an internal error")

    async def _command(self, provider_call_id: str, call_id: str | None, verbs: Document, pick_up: bool) -> bool:
        """Whether the carrier took it. A call that it would not take commands for is ended."""
        for pause in (*RETRY_PAUSES_S, None):
            try:
                async with self._orders.hold(provider_call_id):
                    needed = self._still_needed(call_id, verbs)
                    if needed:
                        await self._carrier.answer(provider_call_id, needed, pick_up=pick_up)
                return True
            except CarrierError as error:
                if error.kind == "gone":
                    log.info("call %s: over before it was told what to do: %s", call_id, error)
                    return False
                if error.kind != "retry" or pause is None:
                    self._failed(call_id, error)
                    return False
                log.info("call %s: a command was not taken, again soon: %s", call_id, error)
            await asyncio.sleep(pause)
        return False

    def _still_needed(self, call_id: str | None, verbs: Document) -> Document:
        """A stream that is up is not opened twice."""
        live = self._calls.get(call_id or "")
        up = live is not None and live.streaming
        return [verb for verb in verbs if not (up and isinstance(verb, Connect))]

    def _failed(self, call_id: str | None, error: CarrierError) -> None:
        log.warning("call %s: the carrier did not do what it was told: %s", call_id, error)
        if call_id is None:
            return
        parts = self._parts()
        facts = {"code": "carrier_refused", "message": str(error), "carrierCode": error.code, "link": error.link}
        parts.recorder.post(Draft("call.error", call_id, facts))
        parts.hang_up(call_id, State.ERROR, "engine", f"the carrier did not do what it was told: {error}")
