"""A small engine over a real event log: calls are answered by an echo, everything else is as in the real one."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from engine.api import Listening, Microphone, Page, Recorded, Refusal, ReplayInto, Side
from engine.calls import Call, Cursor, Draft, Event, Floor, Mode, fold
from engine.calls.policy import Decision
from engine.live.listening import Listeners
from engine.media.session import Tap
from engine.store import EventLog, WebhookQuery


class Sound:
    """A call's media stream, as far as listeners know it."""

    def __init__(self) -> None:
        self.taps: list[Tap] = []
        self.listeners = Listeners()
        self.listeners.attach(self)

    def add_tap(self, tap: Tap) -> None:
        self.taps.append(tap)

    def remove_tap(self, tap: Tap) -> None:
        if tap in self.taps:
            self.taps.remove(tap)

    def play(self, side: Side, payload: bytes) -> None:
        for tap in self.taps:
            tap(side, payload)


class EchoMicrophone:
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []
        self.rests = 0
        self.over: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.lost = ""
        self.told = asyncio.Event()

    def hear(self, payload: bytes) -> None:
        self.heard.append(payload)
        self.told.set()

    def rest(self) -> None:
        self.rests += 1
        self.told.set()

    def close(self) -> None:
        if not self.over.done():
            self.over.set_result("put away")

    def lose(self, why: str) -> None:
        if not self.over.done():
            self.lost = why
            self.over.set_result(why)

    async def ended(self) -> str:
        return await asyncio.shield(self.over)


class EchoEngine:
    """`EngineApi` whose callers answer every question with the question. `hold` makes them wait."""

    def __init__(self, log: EventLog) -> None:
        self.log = log
        self.calls: dict[str, Call] = {}
        self.acts: list[tuple[str, str]] = []
        self.hold = asyncio.Event()
        self.hold.set()
        self.asked = asyncio.Event()
        self.watched = asyncio.Event()
        self.sound: dict[str, Sound] = {}
        self.always: list[str] = []
        self.wanted: list[WebhookQuery] = []
        self.microphones: list[EchoMicrophone] = []
        self.present: list[str] = []
        self.alone = asyncio.Event()
        """Set once somebody has left."""
        self.took_over: list[bool] = []

    async def record(self, kind: str, call_id: str | None = None, /, **data: Any) -> Event:
        (event,) = await self.log.append([Draft(kind, call_id, data)])
        self.calls |= fold(await self.log.read_calls([call_id] if call_id else []))
        return event

    def level(self, call_id: str, caller: float) -> None:
        self.log.publish_ephemeral(Event(0, 1, call_id, "audio.level", {"caller": caller, "agent": -90}))

    async def initiate(
        self, to: str | None, message: str, mode: Mode | None = None, dtmf_sequence: str = "", by: str = ""
    ) -> str:
        self.acts.append(("initiate", by))
        if to is not None and not to.startswith("+"):
            raise Refusal("invalid_number", f"{to} is not a number.", "Write it as +15550100.")
        call_id = str(uuid.uuid4())
        await self.record("call.initiated", call_id, to=to or "+15550100", mode=mode, message=message, by=by)
        return call_id

    async def speak(self, call_id: str, message: str, by: str = "") -> None:
        self._known(call_id)
        await self._say(call_id, message)

    async def continue_call(self, call_id: str, message: str, by: str = "") -> str:
        self._known(call_id)
        self.asked.set()
        await self.hold.wait()
        await self._say(call_id, message)
        await self.record("speech.final", call_id, text=message, turn=1)
        return message

    async def send_dtmf(self, call_id: str, digits: str, by: str = "") -> None:
        self._known(call_id)
        await self.record("dtmf.sent", call_id, digits=digits, by=by)

    async def transfer(self, call_id: str, to: str, by: str = "") -> None:
        self._known(call_id)
        await self.record("call.transferred", call_id, to=to, by=by)

    async def admit(self, call_id: str, verdict: Decision, by: str = "") -> None:
        if not self._known(call_id).waiting:
            raise Refusal("not_waiting", f"Nobody waits with {call_id}.")
        await self.record("call.admitted", call_id, verdict=verdict, by=by)

    def always_admitted(self) -> Sequence[str]:
        return self.always

    async def forget_caller(self, number: str, by: str = "") -> None:
        if number not in self.always:
            raise Refusal("invalid_number", f"{number} was not let in.")
        self.always.remove(number)

    async def end(self, call_id: str, by: str = "") -> None:
        if self._known(call_id).live:
            await self.record("call.ended", call_id, reason="hangup-bot", by=by)
            self.sound.setdefault(call_id, Sound()).listeners.close()

    async def hint(self, call_id: str, message: str, by: str = "") -> None:
        self._known(call_id)
        await self.record("operator.hint", call_id, text=message, by=by)

    async def microphone(self, call_id: str, by: str = "") -> Microphone:
        self._known(call_id)
        self.microphones.append(EchoMicrophone())
        return self.microphones[-1]

    @contextmanager
    def attend(self, by: str) -> Iterator[None]:
        self.present.append(by)
        try:
            yield
        finally:
            self.present.remove(by)
            self.alone.set()

    async def set_floor(self, call_id: str, holder: Floor, by: str = "", take_over: bool = False) -> None:
        self._known(call_id)
        self.took_over.append(take_over)
        await self.record("floor.changed", call_id, holder=holder, by=by)

    def call(self, call_id: str) -> Call | None:
        return self.calls.get(call_id)

    def live_calls(self) -> Sequence[Call]:
        return [call for call in self.calls.values() if call.live]

    async def history(self, last: int = 50, query: str = "") -> Sequence[Call]:
        ids = await self.log.search(query, last)
        calls = fold(await self.log.read_calls(ids))
        return [calls[call_id] for call_id in ids]

    async def events(
        self, cursor: Cursor | None, call_id: str | None = None, wait_ms: int = 0, limit: int = 500
    ) -> Page:
        after = self.log.last_seq if cursor is None else cursor.seq
        events = await self.log.read(after, limit, call_id)
        if not events and wait_ms:
            async with self.log.subscribe(after=after) as news:
                try:
                    async with asyncio.timeout(wait_ms / 1000):
                        events = [event for event in await anext(news) if event.seq]
                except TimeoutError:
                    pass
        return Page(events, Cursor(self.log.generation, events[-1].seq if events else after))

    async def backlog(self, calls: int = 50) -> Page:
        cursor = self.log.cursor
        return Page(await self.log.read_calls(await self.log.recent_call_ids(calls)), cursor)

    async def watch(self, cursor: Cursor | None, last: int = 0) -> AsyncIterator[Sequence[Event]]:
        after = max(0, self.log.last_seq - last) if cursor is None else min(cursor.seq, self.log.last_seq)
        async with self.log.subscribe(maxsize=100, after=after) as news:
            self.watched.set()
            async for batch in news:
                yield batch

    def listen(self, call_id: str) -> Listening:
        if not self._known(call_id).live:
            raise Refusal("call_ended", "The call is over.")
        return self.sound.setdefault(call_id, Sound()).listeners.add()

    async def acknowledge(self, call_id: str, by: str = "") -> None:
        self._known(call_id)
        await self.record("attention.acknowledged", call_id, by=by)

    async def record_call(self, call_id: str, on: bool, by: str = "") -> None:
        self._known(call_id)
        await self.record("recording.started" if on else "recording.stopped", call_id, index=1, by=by)

    async def recorded(self, call_id: str, index: int, from_ms: int, ms: int) -> Recorded:
        self._known(call_id)
        return Recorded(bytes(range(256)) * 4, from_ms + 32)

    async def webhooks(self, wanted: WebhookQuery) -> Sequence[Mapping[str, Any]]:
        self.wanted.append(wanted)
        return [{"id": 7, "verdict": "ok"}]

    async def webhook(self, webhook_id: int, secrets: bool = False) -> Mapping[str, Any]:
        if webhook_id != 7:
            raise Refusal("webhook_not_found", f"There is no webhook {webhook_id}.")
        return {"id": 7, "secrets": secrets, "curl": "curl"}

    async def replay_webhook(self, webhook_id: int, into: ReplayInto, by: str = "") -> Mapping[str, Any]:
        self.acts.append((f"replay {into}", by))
        return {"into": into, **(await self.webhook(webhook_id))}

    async def latency(self, last: int = 200) -> Mapping[str, Any]:
        return {"stt": {"count": len(await self.log.read_turns(last))}}

    async def probe(self) -> Mapping[str, Any] | None:
        return {"ok": True, "cause": "", "steps": []}

    async def checks(self, *, online: bool) -> Mapping[str, Any]:
        found = {"id": "online" if online else "static", "ok": True, "message": "fine", "fix": ""}
        return {"ok": True, "checks": [found]}

    def health(self) -> Mapping[str, Any]:
        return {"engine": {"version": "test"}, "slots": {"live": len(self.live_calls())}}

    def cursor(self) -> Cursor:
        return self.log.cursor

    async def _say(self, call_id: str, message: str) -> None:
        await self.record("say.queued", call_id, sayId=message, speaker="agent", kind="speak", text=message)
        await self.record("say.started", call_id, sayId=message)
        await self.record("say.heard", call_id, sayId=message)

    def _known(self, call_id: str) -> Call:
        call = self.calls.get(call_id)
        if call is None:
            raise Refusal("call_not_found", f"There is no call {call_id}.", "See `voicecall status`.")
        return call
