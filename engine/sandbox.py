"""A webhook that comes again, to nobody: judged, read and folded as the engine does it, on a copy of its call.

The code is the engine's own. What it stands on is not: a log that forgets, a carrier that is never asked anything,
and calls that have neither voice nor ears.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, Final

from engine.admission import WaitingRoom
from engine.api import Refusal
from engine.book import CallBook
from engine.calls import Call, Draft, Event
from engine.carriers.base import (
    Carrier,
    CarrierEvent,
    Connect,
    Document,
    Listen,
    Verdict,
    WebhookRequest,
)
from engine.carriers.links import link
from engine.clock import epoch_ms
from engine.config import Config
from engine.inbound import CarrierEvents, Life
from engine.live.hangup import HangUps
from engine.live.parts import Parts
from engine.live.registry import LiveCalls, StreamTokens
from engine.muted import MutedCarrier
from engine.operations import Operations
from engine.recorder import Recorder
from engine.store import EventLog
from engine.web.masking import Masker
from engine.web.record import Stored
from engine.web.request import arrival, as_signed
from engine.web.webhooks import UNSIGNED, Addresses, Outcome

LIMIT_SECONDS: Final = 5.0
_UNFOLDED: Final = frozenset({"ladder", "lastAt"})
"""Of a call record: what follows from the rest of it."""


class Sandbox:
    """Replays requests without any effect. Belongs to the engine's loop."""

    def __init__(
        self,
        config: Config,
        carrier: Carrier,
        event_log: EventLog,
        book: CallBook,
        addresses: Addresses,
        stream_url: Callable[[], str],
        always: Callable[[], Sequence[str]],
    ) -> None:
        self._config = config
        self._carrier: Carrier = MutedCarrier(carrier)
        self._log = event_log
        self._book = book
        self._addresses = addresses
        self._stream_url = stream_url
        self._always = always

    async def replay(self, stored: Stored, masker: Masker, knows: Callable[[str], bool]) -> dict[str, Any]:
        """What the engine would make of a request, against its call as it was when the request came.

        `knows` tells whether a replay key is known to the real pipeline. Raises StoreError and Refusal.
        """
        incoming, verdict, now = self._judge(stored)
        result: dict[str, Any] = {"into": "sandbox", "webhook": stored.id, **_judged(verdict, now)}
        if verdict.ok and knows(verdict.replay_key):
            result["live"] = "live it would be a replay: these bytes were seen within the last ten minutes"
        try:
            event = self._carrier.parse(incoming)
        except ValueError as error:
            failed = {"effect": f"failed: the carrier's message can not be read: {error}", "event": None}
            return _without_secrets({**result, **failed, **_nothing()}, masker)
        result["event"] = {"type": event.type, "raw": event.raw_type, "wantsDocument": event.wants_document}
        return _without_secrets({**result, **await self._fold(stored, event)}, masker)

    def _judge(self, stored: Stored) -> tuple[WebhookRequest, Verdict, Verdict]:
        """The request, and the verdicts about it at the time when it came, and now."""
        believed = self._addresses.webhook_address(arrival(stored.head))
        incoming = as_signed(stored.head, believed.url, stored.body)
        if believed.unsigned:
            unsigned = Verdict(True, UNSIGNED)
            return incoming, unsigned, unsigned
        explained = replace(incoming, suspects=believed.suspects)
        then = self._carrier.verify(explained, stored.summary["at"])
        return incoming, then, self._carrier.verify(incoming, epoch_ms())

    async def _fold(self, stored: Stored, event: CarrierEvent) -> dict[str, Any]:
        history = await self._history(stored, event)
        async with self._world(history) as world:
            before = world.book.get(history[-1].call_id or "") if history else None
            try:
                async with asyncio.timeout(LIMIT_SECONDS):
                    outcome = await world.events.act(event)
            except TimeoutError:
                raise Refusal("timeout", "the sandbox was not done in time") from None
            after = world.book.get(outcome.call_id) if outcome.call_id else None
            return {
                "against": _against(before),
                "effect": outcome.effect,
                "events": [{"type": event.type, "data": dict(event.data)} for event in world.log.events],
                "instructions": [type(verb).__name__.lower() for verb in outcome.document],
                "document": self._document(outcome),
                "state": after.state.value if after is not None else None,
                "before": before.state.value if before is not None else None,
                "changes": _changes(before, after),
            }

    def _document(self, outcome: Outcome) -> dict[str, Any]:
        try:
            reply = self._carrier.render(outcome.document)
        except ValueError as error:
            return {"status": 500, "type": "", "body": f"there is no document for the carrier: {error}"}
        body = reply.body.decode("utf-8", "replace")
        tokens = Masker([verb.token for verb in outcome.document if isinstance(verb, Connect) and verb.token])
        return {"status": reply.status, "type": reply.content_type, "body": tokens.scrub(body)}

    async def _history(self, stored: Stored, event: CarrierEvent) -> list[Event]:
        """What was known of the call when the request came: the events that were stored by then."""
        found = self._book.by_carrier(event.provider_call_id) or self._book.get(event.call_id)
        call_id = found.call_id if found is not None else stored.summary["callId"]
        events = await self._log.read_calls([call_id]) if call_id else []
        return [each for each in events if each.seq <= stored.detail["position"]]

    @asynccontextmanager
    async def _world(self, history: Sequence[Event]) -> AsyncIterator[_World]:
        """Everything that an event is worked on with, standing on nothing."""
        log, book, tokens = _Forgetful(), CallBook(), StreamTokens()
        book.take(history)
        calls = LiveCalls(book, tokens)
        room: WaitingRoom | None = None

        def changed(before: Call | None, after: Call) -> None:
            if room is not None:
                room.changed(before, after)

        recorder = Recorder(log, book, changed)
        hang_ups = HangUps(self._carrier, recorder, book, calls.closing_facts)
        operations = Operations(self._config, self._carrier, recorder, book, calls, tokens, hang_ups)
        policy, allowed = self._config.inbound_policy, [*self._config.allow_from, *self._allowed()]
        room = WaitingRoom(policy, allowed, recorder, book, lambda: True, lambda call: None)
        events = _Lifeless(
            self._config,
            self._carrier,
            recorder,
            book,
            calls,
            operations,
            room,
            self._stream_url,
            self._addresses.webhook_url,
            _no_parts,
        )
        running = asyncio.create_task(recorder.run(), name="sandbox")
        try:
            yield _World(book, log, events)
        finally:
            await room.close()
            running.cancel()
            await asyncio.wait([running])

    def _allowed(self) -> Sequence[str]:
        """Those who were let in for good; the sandbox has no timers to be told of them otherwise."""
        return self._always() if self._config.inbound_policy == "pairing" else ()


class _Forgetful:
    """A log in memory, as much of one as a recorder needs."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.on_committed: Callable[[Sequence[Event]], None] = lambda events: None

    async def append(self, drafts: Sequence[Draft]) -> Sequence[Event]:
        first = len(self.events) + 1
        events = [
            Event(first + index, draft.at or epoch_ms(), draft.call_id, draft.type, draft.data)
            for index, draft in enumerate(drafts)
        ]
        self.events += events
        self.on_committed(events)
        return events

    def publish_ephemeral(self, event: Event) -> None:
        """Nobody watches."""


@dataclass(frozen=True, slots=True)
class _World:
    book: CallBook
    log: _Forgetful
    events: CarrierEvents


class _Lifeless(CarrierEvents):
    """The engine's own way with events, but no call comes to life."""

    async def _alive(self, call: Call) -> Life:
        return _Silence(call.call_id, self._webhook_url)


class _Silence:
    """A call that says nothing and hears nothing."""

    def __init__(self, call_id: str, webhook_url: Callable[[], str]) -> None:
        self._call_id = call_id
        self._webhook_url = webhook_url

    def take_note(self, event: CarrierEvent) -> None:
        """Nobody acts on it."""

    def document(self, event: CarrierEvent) -> Document:
        """Listening; what would be said before it only the live call knows."""
        url = self._webhook_url()
        links = [link(url, flow, self._call_id, turn="sandbox") for flow in ("listen", "partial")]
        return (Listen(*links),)


def _no_parts() -> Parts:
    raise AssertionError("no call comes to life in the sandbox")


def _judged(verdict: Verdict, now: Verdict) -> dict[str, Any]:
    facts: dict[str, Any] = {"verdict": "ok" if verdict.ok else "refused", "why": verdict.why}
    if verdict.ok and not now.ok:
        facts["live"] = f"live it would be refused by now: {now.why}"
    if not verdict.ok:
        facts["live"] = "live it would be refused with 401; what follows is what it would do if it were genuine"
    return facts


def _nothing() -> dict[str, Any]:
    return {
        "against": "",
        "events": [],
        "instructions": [],
        "document": None,
        "state": None,
        "before": None,
        "changes": [],
    }


def _against(call: Call | None) -> str:
    if call is None:
        return "no call: none was known when it came"
    return f"the call {call.call_id} as it was when the webhook came"


def _changes(before: Call | None, after: Call | None) -> list[dict[str, Any]]:
    """The fields of the call record that are other afterwards."""
    old = before.to_json() if before is not None else {}
    new = after.to_json() if after is not None else {}
    return [
        {"field": name, "before": old.get(name), "after": value}
        for name, value in new.items()
        if name not in _UNFOLDED and old.get(name) != value and (name in old or value not in (None, [], "", {}))
    ]


def _without_secrets(result: dict[str, Any], masker: Masker) -> dict[str, Any]:
    scrubbed: dict[str, Any] = masker.scrub_all(result)
    return scrubbed
