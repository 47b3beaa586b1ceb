"""One call at the far end, from the dial or the first ring to the last status callback."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from random import Random
from typing import Any, Final

import aiohttp

from engine.simulator.leg import Leg
from engine.simulator.people import Beep, Line, Person
from engine.simulator.ticker import Ticker
from engine.simulator.voices import VoiceBank
from tests.carriers.twilio_far.interpreter import Goto, Interpreter, Spoken
from tests.carriers.twilio_far.limits import Refusal
from tests.carriers.twilio_far.model import API_VERSION, CallState, Notification, Status
from tests.carriers.twilio_far.settings import Settings, WebhookFaults, WebhookKind
from tests.carriers.twilio_far.stream import MediaSocket, StreamRecord
from tests.carriers.twilio_far.webhooks import Caller, Delivery, Reply

_PLACES: Final = {"City": "", "State": "CA", "Zip": "", "Country": "US"}
_SIP: Final[Mapping[str, int]] = {"busy": 486, "no-answer": 487, "failed": 404, "canceled": 487, "completed": 200}
_HOLD_S: Final = 1.0
"""A status that is held back goes out after this when none follows it."""
Spawn = Callable[[Coroutine[Any, Any, object]], object]


@dataclass
class World:
    """What all calls share."""

    settings: Settings
    http: aiohttp.ClientSession
    caller: Caller
    faults: WebhookFaults
    voices: VoiceBank
    ticker: Ticker
    spawn: Spawn
    new_sid: Callable[[str], str]
    find_person: Callable[[str], Person]
    own_numbers: Callable[[], set[str]]
    status_callback: Callable[[str], str]
    """A number's own status callback."""
    forced_verdicts: dict[str, str] = field(default_factory=dict)
    """Number -> what machine detection says, whoever answers."""


@dataclass(frozen=True)
class Orders:
    """What the create request, or the number's settings, said about a call."""

    first: Goto
    status_url: str = ""
    status_events: frozenset[str] = frozenset({"completed"})
    machine_detection: str = ""
    async_amd: bool = False
    amd_url: str = ""
    send_digits: str = ""


class FarCall:
    """A call. Tests read its fields and use `hear`, `press`, `hang_up_person` and `until`."""

    def __init__(self, state: CallState, person: Person, orders: Orders, world: World) -> None:
        self.state = state
        self.person = person
        self.orders = orders
        self.deliveries: list[Delivery] = []
        self.notifications: list[Notification] = []
        self.streams: list[StreamRecord] = []
        self.spoken: list[Spoken] = []
        self.documents: list[bytes] = []
        self.transfers: list[CallState] = []
        self.leg: Leg | None = None
        self.socket: MediaSocket | None = None
        self.changed = asyncio.Event()
        self.world = world
        self._interpreter = Interpreter(self)
        self._sequence = 0
        self._last_status: asyncio.Task[Reply] | None = None
        self._held: list[asyncio.Event] = []
        self._over: asyncio.Future[tuple[Status, str]] = asyncio.get_running_loop().create_future()
        self._timers: list[asyncio.TimerHandle] = []
        self._ticked = asyncio.Event()

    # tests

    async def until(self, condition: Callable[[], object], limit_s: float = 10.0) -> None:
        """Return when something about this call became true."""
        async with asyncio.timeout(limit_s):
            while not condition():
                self.changed.clear()
                await self.changed.wait()

    async def until_over(self) -> None:
        """Return when the call is over and its last status callback was delivered (or given up)."""
        await self.until(lambda: self.state.over and (self._last_status is None or self._last_status.done()))

    async def until_stream(self) -> MediaSocket:
        """The media socket of the present stream, once it has started."""
        await self.until(lambda: self.socket is not None and self.socket.started.is_set())
        assert self.socket is not None
        return self.socket

    async def hear(self, *texts: str) -> None:
        """The person says this into the present or next Gather: growing words, the last text is final."""
        await self.until(lambda: self._interpreter.hearing is not None)
        hearing = self._interpreter.hearing
        assert hearing is not None
        hearing.hear(*texts)

    async def press(self, digits: str) -> None:
        """The person presses keys, once somebody listens: a stream or a Gather."""
        for digit in digits:
            await self.until(lambda: self.socket is not None or self._interpreter.hearing is not None)
            if self.socket is not None and self.leg is not None and self.leg.stream is not None:
                self.socket.send_key(digit)
            else:
                self._interpreter.press(digit)

    def hang_up_person(self) -> None:
        """The person hangs up."""
        self.finish("completed" if self.state.answered_at is not None else "no-answer", "person")

    def of(self, kind: WebhookKind) -> list[Delivery]:
        """The webhooks of one kind, oldest first."""
        return [delivery for delivery in self.deliveries if delivery.kind == kind]

    def codes(self) -> list[int]:
        """The numbers of what Twilio noted."""
        return [note.code for note in self.notifications]

    # REST

    def complete(self) -> None:
        """`Status=completed`."""
        self.finish("completed" if self.state.answered_at is not None else "canceled", "api")

    def cancel(self) -> None:
        if self.state.status not in ("queued", "ringing"):
            raise Refusal(400, 21220, "Call is not in a state to be canceled.")
        self.finish("canceled", "api")

    def replace(self, goto: Goto) -> None:
        """Another document, whatever runs now."""
        if self.state.status != "in-progress":
            raise Refusal(400, 21220, "Call is not in-progress. Cannot redirect.")
        self._interpreter.replace(goto)

    # life

    async def run(self) -> None:
        """Live the whole call."""
        life = asyncio.create_task(self._live(), name=f"far call {self.state.sid}")
        either: list[asyncio.Future[Any]] = [life, self._over]
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if not self._over.done():
            error = life.exception()
            self.finish("failed" if error else "completed", f"bug: {error!r}" if error else "document")
        status, why = self._over.result()
        self._end(status, why)
        life.cancel()
        await asyncio.wait({life})
        if not life.cancelled() and (error := life.exception()) is not None:
            raise error

    def finish(self, status: Status, why: str) -> None:
        """End the call; the first end counts."""
        if not self._over.done():
            self._over.set_result((status, why))

    async def _live(self) -> None:
        await self.world.voices.prepare(self.person.voice, self.person.texts())
        if self.state.direction == "inbound":
            self.state.status = "ringing"
            self.state.started_at = time.time()
            self._touch()
            await self._interpreter.run(self.orders.first)
            return
        await self._ring()
        await self._answered()

    async def _ring(self) -> None:
        """Dial the person; returns when they pick up, and ends the call when they do not."""
        settings, manners = self.world.settings, self.person.manners
        await asyncio.sleep(settings.queue_s)
        self.state.started_at = time.time()
        self.progress("initiated")
        await asyncio.sleep(settings.ring_pause_s)
        self.state.status = "ringing"
        self.progress("ringing")
        rng = Random(f"{settings.seed}:{self.state.sid}")
        ring_s, patience_s = rng.randint(*manners.ring_ms) / 1000, self.state.ring_s / settings.wait_speed
        if manners.answers == "never" or ring_s > patience_s:
            await asyncio.sleep(patience_s)
            self.finish("no-answer", "nobody answered")
            await asyncio.Event().wait()
        await asyncio.sleep(ring_s)
        if manners.answers == "busy":
            self.finish("busy", "busy")
            await asyncio.Event().wait()

    async def _answered(self) -> None:
        leg = self.answer()
        self.progress("answered")
        orders = self.orders
        # With SendDigits Twilio ignores machine detection.
        detects = bool(orders.machine_detection) and not orders.send_digits
        if orders.send_digits:
            await self._interpreter.play_keys(orders.send_digits)
        if detects and not orders.async_amd:
            self.state.answered_by = await self._verdict(leg)
        elif detects:
            self.world.spawn(self._detect(leg))
        await self._interpreter.run(orders.first)

    def answer(self) -> Leg:
        """The person is on the line from here on (or, for an inbound call, Twilio is)."""
        self.state.status = "in-progress"
        self.state.answered_at = time.time()
        self.leg = Leg(
            person=self.person,
            called=self.state.direction == "outbound-api",
            rng=Random(f"{self.world.settings.seed}:{self.state.sid}:leg"),
            voices=self.world.voices,
            on_leave=lambda: self.finish("completed", "person"),
            on_key=self._interpreter.press,
        )
        self.world.ticker.add(self._tick, lambda error: self.finish("failed", f"bug: {error!r}"))
        loop = asyncio.get_running_loop()
        self._timers.append(loop.call_later(self.state.time_limit_s, self.finish, "completed", "time-limit"))
        self._touch()
        return self.leg

    def _tick(self) -> None:
        assert self.leg is not None
        self.leg.tick()
        self._ticked.set()
        if self._interpreter.hearing is not None:
            self._interpreter.hearing.tick()

    def _end(self, status: Status, why: str) -> None:
        for timer in self._timers:
            timer.cancel()
        if self.leg is not None:
            self.world.ticker.remove(self._tick)
            self.leg.close()
        self.state.status, self.state.over_because = status, why
        self.state.ended_at = time.time()
        self.state.sip_code = _SIP[status]
        self._ticked.set()
        self.progress("completed")
        self._touch()

    # answering machine detection

    async def _detect(self, leg: Leg) -> None:
        verdict = await self._verdict(leg)
        if self.state.over:
            return
        self.state.answered_by = verdict
        if self.orders.amd_url:
            spent = str(leg.now_ms)
            pairs = [("CallSid", self.state.sid), ("AccountSid", self.state.account_sid)]
            pairs += [("AnsweredBy", verdict), ("MachineDetectionDuration", spent)]
            await self.ask("amd", self.orders.amd_url, "POST", dict(pairs), whole=False)

    async def _verdict(self, leg: Leg) -> str:
        """Who answered, when Twilio would know: a person after a short hello, a machine by its long greeting or, with
        DetectMessageEnd, after its beep."""
        speed = self.world.settings.wait_speed
        forced = self.world.forced_verdicts.get(self.state.to_number)
        if forced is not None:
            await asyncio.sleep(0.5 / speed)
            return forced
        if self.person.manners.deaf_and_mute:
            await asyncio.sleep(5.0 / speed)
            return "unknown"
        if not self.person.manners.machine:
            await self._until_leg(lambda: bool(leg.said and leg.said[0].end_ms))
            return "human"
        if self.orders.machine_detection == "Enable":
            await self._until_leg(lambda: bool(leg.said) and leg.now_ms - leg.said[0].start_ms >= 2400 / speed)
            return "machine_start"
        script = self.person.script
        beep = next((at for at, step in enumerate(script) if isinstance(step, Beep)), len(script))
        greeting = sum(isinstance(step, Line) for step in script[:beep])
        await self._until_leg(lambda: sum(bool(line.end_ms) for line in leg.said) >= greeting)
        await asyncio.sleep(1.0)  # the beep itself: the person's clock has no speed
        return "machine_end_beep" if beep < len(script) else "machine_end_silence"

    async def _until_leg(self, condition: Callable[[], bool]) -> None:
        """The leg has no events of its own: it is looked at after each tick."""
        while not condition() and not self.state.over:
            self._ticked.clear()
            await self._ticked.wait()

    # webhooks

    def progress(self, event: WebhookKind) -> None:
        """A status callback, in the background; each waits for the one before."""
        self._touch()
        url = self.orders.status_url
        if self.state.direction == "inbound":
            url = self.world.status_callback(self.state.to_number)
        if not url or event not in self.orders.status_events:
            return
        status = {"initiated": "initiated", "ringing": "ringing", "answered": "in-progress"}.get(event)
        more = {
            "CallStatus": status or self.state.status,
            "CallbackSource": "call-progress-events",
            "SequenceNumber": str(self._sequence),
            "Timestamp": formatdate(time.time()).replace("-0000", "+0000"),
        }
        self._sequence += 1
        if event == "completed":
            more["CallDuration"] = str(self.state.duration_s)
            more["Duration"] = str(-(-self.state.duration_s // 60))
            more["SipResponseCode"] = str(self.state.sip_code)
            if self.state.answered_by:
                more["AnsweredBy"] = self.state.answered_by
        before, gate, releases = self._last_status, None, self._held
        if event in self.world.faults.hold:
            gate = asyncio.Event()
            self._held = [gate]
        else:
            self._held = []
        task = asyncio.create_task(self._tell(event, url, more, before, gate, releases))
        if gate is None:
            self._last_status = task
        self.world.spawn(_outcome(task))

    async def _tell(
        self,
        event: WebhookKind,
        url: str,
        more: Mapping[str, str],
        before: asyncio.Task[Reply] | None,
        gate: asyncio.Event | None,
        releases: list[asyncio.Event],
    ) -> Reply:
        if before is not None:
            await asyncio.wait([before])
        if gate is not None:
            try:
                async with asyncio.timeout(_HOLD_S):
                    await gate.wait()
            except TimeoutError:
                pass
        try:
            return await self.ask(event, url, "POST", more)
        finally:
            for event_held in releases:
                event_held.set()
            asyncio.get_running_loop().call_soon(self._touch)

    async def ask(
        self, kind: WebhookKind, url: str, method: str, more: Mapping[str, str], whole: bool = True
    ) -> Reply:
        """One webhook; failures become notifications. `whole`: with the fields that every voice request has."""
        fields = {**(self._fields() if whole else {}), **more}
        record = Delivery(kind, url, fields)
        self.deliveries.append(record)
        reply = await self.world.caller.send(record, method, list(fields.items()))
        if reply.code:
            self.note(reply.code, reply.why, url)
        self._touch()
        return reply

    def note(self, code: int, text: str, url: str = "") -> None:
        """Something for Twilio's debugger."""
        warning = code in (12200, 13520, 13214, 13223, 13224, 13225, 13227, 31930, 31931, 31950, 31951)
        sid = self.world.new_sid("NO")
        self.notifications.append(Notification(sid, self.state.sid, code, text, int(warning), url, time.time()))
        self._touch()

    def _fields(self) -> dict[str, str]:
        state = self.state
        fields = {
            "AccountSid": state.account_sid,
            "ApiVersion": API_VERSION,
            "CallSid": state.sid,
            "CallStatus": state.status,
            "Direction": state.direction,
            "From": state.from_number,
            "To": state.to_number,
            "Caller": state.from_number,
            "Called": state.to_number,
        }
        for who in ("From", "To", "Caller", "Called"):
            fields |= {who + place: value for place, value in _PLACES.items()}
        if state.direction == "inbound":
            token = {"parentCallInfoToken": "eyJhbGciOiJFUzI1NiJ9.e30.x+/=", "identityHeaderTokens": []}
            fields |= {"CallToken": json.dumps(token), "StirVerstat": "TN-Validation-Passed-A"}
        if state.answered_by and not self.orders.async_amd:
            fields["AnsweredBy"] = state.answered_by
        return fields

    def _touch(self) -> None:
        self.changed.set()


async def _outcome(task: asyncio.Task[Reply]) -> Reply:
    """A job whose failure the exchange hears of."""
    return await task
