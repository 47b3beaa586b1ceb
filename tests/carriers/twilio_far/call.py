"""One call at the far end, from the dial or the first ring to the last status callback."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from random import Random
from typing import Any, Final

from engine.simulator.leg import Leg
from engine.simulator.people import Person
from tests.carriers.twilio_far.detection import Detector
from tests.carriers.twilio_far.interpreter import Goto, Interpreter, Spoken
from tests.carriers.twilio_far.limits import Refusal
from tests.carriers.twilio_far.model import CallState, Notification, Status
from tests.carriers.twilio_far.reporting import Reporter
from tests.carriers.twilio_far.settings import WebhookKind
from tests.carriers.twilio_far.stream import MediaSocket, StreamRecord
from tests.carriers.twilio_far.webhooks import Delivery
from tests.carriers.twilio_far.world import Orders, World

_SIP: Final[Mapping[str, int]] = {"busy": 486, "no-answer": 487, "failed": 404, "canceled": 487, "completed": 200}


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
        self.reporter = Reporter(self)
        self._detector = Detector(self)
        self._over: asyncio.Future[tuple[Status, str]] = asyncio.get_running_loop().create_future()
        self._timers: list[asyncio.TimerHandle] = []
        self.ticked = asyncio.Event()

    # tests

    @property
    def id(self) -> str:
        return self.state.sid

    @property
    def over(self) -> bool:
        return self.state.over

    async def until(self, condition: Callable[[], object], limit_s: float = 10.0) -> None:
        """Return when something about this call became true."""
        async with asyncio.timeout(limit_s):
            while not condition():
                self.changed.clear()
                await self.changed.wait()

    async def until_over(self) -> None:
        """Return when the call is over and its last status callback was delivered (or given up)."""
        await self.until(lambda: self.state.over and self.reporter.told)

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
        self.reporter.progress("initiated")
        await asyncio.sleep(settings.ring_pause_s)
        self.state.status = "ringing"
        self.reporter.progress("ringing")
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
        self.reporter.progress("answered")
        orders = self.orders
        # With SendDigits Twilio ignores machine detection.
        detects = bool(orders.machine_detection) and not orders.send_digits
        if orders.send_digits:
            await self._interpreter.play_keys(orders.send_digits)
        if detects and not orders.async_amd:
            self.state.answered_by = await self._detector.verdict(leg)
        elif detects:
            self.world.spawn(self._detector.detect(leg))
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
        self.ticked.set()
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
        self.ticked.set()
        self.reporter.progress("completed")
        self._touch()

    def _touch(self) -> None:
        self.changed.set()
