"""One call at the far end, from the dial or the first ring to the last callback."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from random import Random
from typing import Any

from engine.simulator.leg import Leg
from engine.simulator.people import Person
from tests.carriers.plivo_far.interpreter import Interpreter, Spoken
from tests.carriers.plivo_far.model import CAUSES, CallState, Status, bare, local, utc
from tests.carriers.plivo_far.settings import WebhookKind
from tests.carriers.plivo_far.stream import MediaSocket, StreamRecord
from tests.carriers.plivo_far.webhooks import Delivery, Reply
from tests.carriers.plivo_far.world import Goto, Orders, World


class FarCall:
    """A call. Tests read its fields and use `hear`, `press`, `hang_up_person` and `until`."""

    def __init__(self, state: CallState, person: Person, orders: Orders, world: World) -> None:
        self.state = state
        self.person = person
        self.orders = orders
        self.deliveries: list[Delivery] = []
        self.streams: list[StreamRecord] = []
        self.spoken: list[Spoken] = []
        self.documents: list[bytes] = []
        self.transfers: list[CallState] = []
        self.leg: Leg | None = None
        self.socket: MediaSocket | None = None
        self.changed = asyncio.Event()
        self.ticked = asyncio.Event()
        self.world = world
        self.told = False
        """The last callback was delivered, or given up."""
        self._interpreter = Interpreter(self)
        self._over: asyncio.Future[tuple[Status, int, str]] = asyncio.get_running_loop().create_future()
        self._timers: list[asyncio.TimerHandle] = []

    # tests

    @property
    def id(self) -> str:
        return self.state.uuid

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
        await self.until(lambda: self.state.over and self.told)

    async def until_stream(self) -> MediaSocket:
        """The media socket of the present stream, once it has started."""
        await self.until(lambda: self.socket is not None and self.socket.started.is_set())
        assert self.socket is not None
        return self.socket

    async def hear(self, *texts: str) -> None:
        """The person says this into the present or next GetInput: growing words, the last text is final."""
        await self.until(lambda: self._interpreter.hearing is not None)
        hearing = self._interpreter.hearing
        assert hearing is not None
        hearing.hear(*texts)

    async def press(self, digits: str) -> None:
        """The person presses keys, once somebody listens: a stream or a GetInput."""
        for digit in digits:
            await self.until(lambda: self.socket is not None or self._interpreter.hearing is not None)
            if self.socket is not None and self.leg is not None and self.leg.stream is not None:
                self.socket.send_key(digit)
            else:
                self._interpreter.press(digit)

    def hang_up_person(self) -> None:
        """The person hangs up."""
        source = "Caller" if self.state.direction == "inbound" else "Callee"
        if self.state.answered_at is not None:
            self.finish("completed", 4000, source)
        else:
            self.finish("cancel" if self.state.direction == "inbound" else "no-answer", 1000, source)

    def of(self, kind: WebhookKind) -> list[Delivery]:
        """The callbacks of one kind, oldest first."""
        return [delivery for delivery in self.deliveries if delivery.kind == kind]

    # REST

    def hang_up(self) -> None:
        """By request."""
        if self.state.answered_at is not None:
            self.finish("completed", 4000, "API Request")
        else:
            self.finish("cancel", 1000, "API Request")

    def redirect(self, url: str, method: str) -> None:
        """Another document, whatever runs now."""
        self._interpreter.replace(Goto(url, method, "transfer", (), 7013, 8013))

    async def play_keys(self, digits: str) -> None:
        await self._interpreter.play_keys(digits)

    # life

    async def run(self) -> None:
        """Live the whole call."""
        life = asyncio.create_task(self._live(), name=f"far call {self.state.uuid}")
        either: list[asyncio.Future[Any]] = [life, self._over]
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if not self._over.done():
            self.finish("failed" if life.exception() else "completed", 5000 if life.exception() else 4010, "Plivo")
        self._end(*self._over.result())
        life.cancel()
        await asyncio.wait({life})
        await self._tell_end()
        if not life.cancelled() and (error := life.exception()) is not None:
            raise error

    def finish(self, status: Status, cause: int, source: str) -> None:
        """End the call; the first end counts."""
        if not self._over.done():
            self._over.set_result((status, cause, source))

    async def _live(self) -> None:
        await self.world.voices.prepare(self.person.voice, self.person.texts())
        if self.state.direction == "inbound":
            self.state.status = "ringing"
            self.changed.set()
            await self._interpreter.run(self.orders.answer)
            return
        await self._ring()
        leg = self.answer()
        if self.orders.detects:
            self.world.spawn(self._detect(leg))
        if self.orders.send_digits:
            await self._interpreter.play_keys(self.orders.send_digits)
        await self._interpreter.run(self.orders.answer)

    async def _ring(self) -> None:
        """Dial the person; returns when they pick up, and ends the call when they do not."""
        settings, manners = self.world.settings, self.person.manners
        await asyncio.sleep(settings.ring_pause_s)
        self.state.status = "ringing"
        self.changed.set()
        if self.orders.ring_url:
            self.world.spawn(self.ask("ring", self.orders.ring_url, "POST", {"Event": "Ring"}))
        rng = Random(f"{settings.seed}:{self.state.to_number}")
        ring_s, patience_s = rng.randint(*manners.ring_ms) / 1000, self.state.ring_s / settings.wait_speed
        if manners.answers == "never" or ring_s > patience_s:
            await asyncio.sleep(patience_s)
            self.finish("no-answer", 6010, "Plivo")
            await asyncio.Event().wait()
        await asyncio.sleep(ring_s)
        if manners.answers == "busy":
            self.finish("busy", 3010, "Callee")
            await asyncio.Event().wait()

    def answer(self) -> Leg:
        """The person is on the line from here on (or, for an inbound call, Plivo is)."""
        self.state.status, self.state.answered_at = "in-progress", time.time()
        self.leg = Leg(
            person=self.person,
            called=self.state.direction == "outbound",
            rng=Random(f"{self.world.settings.seed}:{self.state.to_number}:leg"),
            voices=self.world.voices,
            on_leave=self.hang_up_person,
            on_key=self._interpreter.press,
        )
        self.world.ticker.add(self._tick, lambda error: self.finish("failed", 5000, f"bug: {error!r}"))
        loop = asyncio.get_running_loop()
        self._timers.append(loop.call_later(self.state.time_limit_s, self.finish, "completed", 6000, "Plivo"))
        self.changed.set()
        return self.leg

    def _tick(self) -> None:
        assert self.leg is not None
        self.leg.tick()
        self.ticked.set()
        if self._interpreter.hearing is not None:
            self._interpreter.hearing.tick()

    async def _detect(self, leg: Leg) -> None:
        """Machine detection beside the call: a long greeting is a machine's. Of people nothing is told."""
        forced = self.world.forced_verdicts.get(self.state.to_number)
        if not (self.person.manners.machine if forced is None else forced):
            return
        long_ms = 2400 / self.world.settings.wait_speed
        while not self.state.over:
            if leg.said and leg.now_ms - leg.said[0].start_ms >= long_ms:
                break
            self.ticked.clear()
            await self.ticked.wait()
        if not self.state.over and self.orders.amd_url:
            await self.ask("amd", self.orders.amd_url, "POST", {"Event": "MachineDetection", "Machine": "true"})

    def _end(self, status: Status, cause: int, source: str) -> None:
        for timer in self._timers:
            timer.cancel()
        if self.leg is not None:
            self.world.ticker.remove(self._tick)
            self.leg.close()
        state = self.state
        state.status, state.cause, state.source, state.ended_at = status, cause, source, time.time()
        self.ticked.set()
        self.changed.set()

    async def _tell_end(self) -> None:
        state = self.state
        # Unset, it is the answer address.
        url = self.orders.hangup_url or self.orders.answer.url
        cause, name = CAUSES.get(state.cause, ("UNKNOWN", "Unknown"))
        more = {
            "Event": "Hangup",
            "AnswerTime": local(state.answered_at),
            "StartTime": local(state.created_at),
            "EndTime": local(state.ended_at),
            "Duration": str(state.duration_s),
            "BillDuration": str(-(-state.duration_s // 60) * 60),
            "TotalCost": "0.01000",
            "HangupCause": cause,
            "HangupCauseCode": str(state.cause),
            "HangupCauseName": name,
            "HangupSource": state.source,
        }
        await self.ask("hangup", url, self.orders.hangup_method, more)
        self.told = True
        self.changed.set()

    async def ask(
        self, kind: WebhookKind, url: str, method: str, more: Mapping[str, str], whole: bool = True
    ) -> Reply:
        """One callback. `whole`: with the fields that every request about a call has."""
        record = Delivery(kind, url, {**(self._fields() if whole else {}), **more}, method)
        self.deliveries.append(record)
        reply = await self.world.caller.send(record)
        self.changed.set()
        return reply

    def _fields(self) -> dict[str, str]:
        state, settings = self.state, self.world.settings
        fields = {
            "BillRate": "0.005",
            "CallStatus": state.status,
            "CallUUID": state.uuid,
            "Direction": state.direction,
            "Event": "StartApp",
            "From": bare(state.from_number),
            "ParentAuthID": settings.auth_id,
            "RouteType": "Domestic_Anchored",
            "STIRAttestation": "Not Applicable",
            "STIRVerification": "Not Applicable",
            "SessionStart": utc(state.created_at),
            "To": bare(state.to_number),
        }
        if state.direction == "inbound":
            stir = {"CallerName": bare(state.from_number), "STIRAttestation": "A", "STIRVerification": "Verified"}
            return {**fields, **stir, "X-PH-Empty": ""}
        return {
            **fields,
            "ALegRequestUUID": state.request_uuid,
            "ALegUUID": state.uuid,
            "RequestUUID": state.request_uuid,
        }
