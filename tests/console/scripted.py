"""An engine that is a script: it replays lists of events and answers requests as the test says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from engine.api import Page
from engine.calls import Cursor, Event
from engine.client import Batch, EngineClient

START = 1_790_000_000_000
"""Epoch ms at which scripts begin."""
HEALTH: Mapping[str, Any] = {
    "engine": {"version": "0.1.0", "pid": 1, "provider": "mock", "lagMs": 3, "stopping": False},
    "exposure": {
        "provider": "loopback",
        "publicUrl": "http://127.0.0.1:3334/voice/webhook",
        "port": 3334,
        "webhooks": {"ok": 4, "refused": 0, "replay": 1},
    },
    "speech": {"stt": {"ok": True}, "tts": {"ok": True}},
    "store": {"ok": True},
    "security": {"skipSignatures": False},
}


class Script:
    """Writes events with growing `seq` and time."""

    def __init__(self, at: int = START) -> None:
        self.at = at
        self.seq = 0
        self.events: list[Event] = []

    def add(self, type_: str, call_id: str | None = None, after: int = 100, **data: Any) -> Event:
        """A stored event `after` ms later. `from_` stands for the key `from`."""
        self.at += after
        self.seq += 1
        given = {key.rstrip("_"): value for key, value in data.items()}
        event = Event(self.seq, self.at, call_id, type_, given)
        self.events.append(event)
        return event

    def ephemeral(self, type_: str, call_id: str, **data: Any) -> Event:
        """An event that is not stored."""
        return Event(0, self.at, call_id, type_, data)

    def talking(self, call_id: str, number: str = "+15550100142", direction: str = "inbound") -> None:
        """A call that is up and has been greeted."""
        ends: dict[str, Any] = {"from_": number, "to": "+15550109999"}
        if direction == "outbound":
            ends = {"from_": "+15550109999", "to": number}
        self.add("call.initiated", call_id, provider="mock", direction=direction, mode="conversation", **ends)
        if direction == "outbound":
            self.add("call.dialing", call_id)
            self.add("call.accepted", call_id, providerCallId=f"sim-{call_id}")
            self.add("call.ringing", call_id, 400)
        self.webhook(call_id, "call.answered", "document")
        self.add("call.answered", call_id)
        self.add("stream.opened", call_id, streamId=f"st-{call_id}")
        self.add("stream.started", call_id, streamId=f"st-{call_id}", encoding="mulaw", sampleRate=8000)
        self.add("stream.first_frame", call_id, streamId=f"st-{call_id}")
        self.add("speech.ready", call_id, engine="local")
        self.say(call_id, "hello", "Good morning, Riverside Dental.", kind="greeting")

    def webhook(self, call_id: str | None, type_: str, effect: str = "", verdict: str = "ok", why: str = "") -> None:
        """A webhook as the pipeline reports it."""
        self.add(
            "webhook.received", call_id, verdict=verdict, why=why, ms=4, type=type_, effect=effect, method="POST"
        )

    def say(self, call_id: str, say_id: str, text: str, *, speaker: str = "agent", kind: str = "reply") -> None:
        """A line of ours that is heard to its end."""
        self.add("say.queued", call_id, sayId=say_id, speaker=speaker, kind=kind, text=text)
        self.add("say.started", call_id, sayId=say_id, synthMs=1200)
        self.add("say.heard", call_id, 1200, sayId=say_id, ms=1200)

    def hears(self, call_id: str, text: str, turn: int = 1) -> None:
        """The caller says something."""
        self.add("speech.started", call_id)
        self.add("speech.final", call_id, 1500, text=text, turn=turn)

    def turn(self, call_id: str, turn: int, *stages: int) -> None:
        """A turn with its seven stages in ms."""
        names = ("end", "text", "agent", "sentence", "voice", "send", "heard")
        times = dict(zip(names, stages, strict=True))
        self.add("turn.completed", call_id, turn=turn, stages={**times, "total": sum(stages)})

    def ended(self, call_id: str, reason: str = "hangup-user", by: str = "caller") -> None:
        """The call is over."""
        self.add("call.ended", call_id, reason=reason, by=by)


class ScriptedClient(EngineClient):
    """Replays `backlog`, then every batch that `send` is given; requests are recorded and answered from `answers`."""

    def __init__(self, backlog: Sequence[Event] = (), health: Mapping[str, Any] = HEALTH) -> None:
        super().__init__()
        self.stored = list(backlog)
        self.health_answer: Mapping[str, Any] | Exception = health
        self.backlog_answer: Exception | None = None
        """Raised instead of an answer, as by an engine that is out of reach."""
        self.answers: dict[str, Any] = {}
        """Method -> result, exception to raise, or awaitable to wait for."""
        self.requests: list[tuple[str, Mapping[str, Any]]] = []
        self.requested = asyncio.Event()
        self.generation = "g1"
        self.watching = asyncio.Event()
        """Set once the backlog was folded and batches are read."""
        self.asked_health = asyncio.Event()
        self._batches: asyncio.Queue[Batch | Exception] = asyncio.Queue()

    def send(self, *events: Event, lagged: bool = False) -> None:
        """Deliver a batch."""
        self.stored += [event for event in events if event.seq]
        self._batches.put_nowait(Batch(events, self._cursor(), lagged))

    def fail(self, error: Exception) -> None:
        """Break the connection."""
        self._batches.put_nowait(error)

    def _cursor(self) -> Cursor:
        return Cursor(self.generation, self.stored[-1].seq if self.stored else 0)

    async def backlog(self, calls: int = 50) -> Page:
        if self.backlog_answer is not None:
            raise self.backlog_answer
        return Page(list(self.stored), self._cursor())

    async def watch(self, cursor: Cursor | None = None, last: int = 0) -> AsyncIterator[Batch]:
        self.watching.set()
        while True:
            batch = await self._batches.get()
            try:
                if isinstance(batch, Exception):
                    raise batch
                yield batch
            finally:
                self._batches.task_done()

    async def taken(self) -> None:
        """Return once everything that was sent has been folded."""
        async with asyncio.timeout(10):
            await self._batches.join()

    async def health(self) -> dict[str, Any]:
        self.asked_health.set()
        if isinstance(self.health_answer, Exception):
            raise self.health_answer
        return dict(self.health_answer)

    async def _request(self, method: str, params: Mapping[str, Any], timeout_s: float = 30.0) -> Any:
        self.requests.append((method, dict(params)))
        self.requested.set()
        answer = self.answers.get(method, {"success": True, "callId": "new", "transcript": "Thursday."})
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, asyncio.Future):
            answer = await answer
        return answer

    async def close(self) -> None:
        """Nothing to close."""
