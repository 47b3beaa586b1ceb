"""The simulated carrier's switch: all its calls, its numbers, its people and its clock."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from random import Random
from typing import Final

import aiohttp

from engine.simulator.call import SimCall
from engine.simulator.cast import Cast
from engine.simulator.handset import Handset
from engine.simulator.model import CallState
from engine.simulator.people import Manners, Person
from engine.simulator.setup import DialBody, InboundBody, PaceBody, Setup
from engine.simulator.ticker import Ticker
from engine.simulator.voices import VoiceBank
from engine.simulator.webhooks import Job, WebhookSender
from engine.simulator.world import World

log = logging.getLogger(__name__)

KEPT_CALLS: Final = 2000
"""Calls that REST and the report still know about; the oldest ones that are over are forgotten."""
_GOODBYE_S: Final = 3.0


class AlreadyDialled(Exception):
    """There is a call with this client_ref. `call_id` is its id."""

    def __init__(self, call_id: str) -> None:
        super().__init__(f"this client_ref was dialled before as {call_id}")
        self.call_id = call_id


class Full(Exception):
    """As many calls are live as the carrier takes."""


class Exchange:
    """Use as an async context manager: leaving it ends all calls."""

    def __init__(self, setup: Setup, voices: VoiceBank | None = None) -> None:
        self.setup = setup
        self.cast = Cast(setup.callers)
        self.voices = voices or VoiceBank()
        self.ticker = Ticker()
        self.pace = setup.pace
        self.calls: OrderedDict[str, SimCall] = OrderedDict()
        self._by_ref: dict[str, str] = {}
        self._handsets: dict[str, Handset] = {}
        """Numbers at which somebody real waits to be called."""
        self._held: dict[Handset, SimCall] = {}
        self._tasks: set[asyncio.Task[object]] = set()
        self._ids = Random(f"{setup.seed}:ids:{time.time_ns()}")
        self._dials = Random(f"{setup.seed}:dials")
        self._count = 0
        self._turn = 0
        self._pace_changed = asyncio.Event()

    async def __aenter__(self) -> Exchange:
        http = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), auto_decompress=False)
        setup = self.setup
        self.world = World(
            setup=setup,
            http=http,
            sender=WebhookSender(http, setup.signing_secret, setup.webhook_timeout_s, setup.retry_s),
            voices=self.voices,
            ticker=self.ticker,
            clock=lambda: time.time_ns() // 1_000_000,
            spawn=self._spawn,
            faults=setup.faults,
        )
        self._pacer = asyncio.create_task(self._keep_pace(), name="people who call in")
        return self

    async def __aexit__(self, *_: object) -> None:
        self._pacer.cancel()
        for call in self.live():
            call.finish("simulator-stopped")
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_GOODBYE_S)
        for task in self._tasks:
            task.cancel()
        await asyncio.wait([self._pacer, *self._tasks])
        await self.ticker.close()
        await self.world.http.close()
        self.voices.close()

    # calls

    def live(self) -> list[SimCall]:
        return [call for call in self.calls.values() if not call.state.status.over]

    def streams_up(self) -> bool:
        """Whether any media socket is open."""
        return any(call.leg is not None and call.leg.stream is not None for call in self.calls.values())

    def find(self, call_id: str) -> SimCall | None:
        return self.calls.get(call_id)

    def find_ref(self, client_ref: str) -> SimCall | None:
        return self.calls.get(self._by_ref.get(client_ref, ""))

    def dial_fate(self) -> tuple[bool, bool]:
        """Whether the next dial is refused on purpose, and whether the reply to it gets lost."""
        faults, draw = self.world.faults, (self._dials.random(), self._dials.random())
        return draw[0] < faults.refuse_dial, draw[1] < faults.lose_dial

    def dial(self, body: DialBody) -> SimCall:
        """Call somebody. Raises AlreadyDialled or Full."""
        if (known := self._by_ref.get(body.client_ref)) is not None:
            raise AlreadyDialled(known)
        self._make_room()
        state = CallState(
            id=self._new_id(),
            number=self._count,
            direction="outbound",
            from_number=body.from_,
            to_number=body.to,
            created_at=self.world.clock(),
            client_ref=body.client_ref,
            ring_timeout_ms=body.ring_timeout_ms,
            time_limit_s=body.time_limit_s,
        )
        handset = self._handsets.pop(body.to, None)
        person = (
            _holder(body.to) if handset else self.cast.at(body.to, Random(f"{self.setup.seed}:{state.number}:who"))
        )
        document = list(body.document) if body.document is not None else None
        call = SimCall(state, person, self.world, body.webhook_url, document, body.dtmf_sequence or "", handset)
        if handset is not None:
            self._held[handset] = call
        self._by_ref[body.client_ref] = state.id
        self._start(call)
        return call

    def ring_in(self, body: InboundBody) -> SimCall:
        """Somebody calls one of our numbers. Raises LookupError when nobody like that exists, Full."""
        webhook_url = self.world.numbers.get(body.to)
        if webhook_url is None:
            raise LookupError(f"nobody has registered the number {body.to}")
        person = self._caller(body)
        self._make_room()
        state = CallState(
            id=self._new_id(),
            number=self._count,
            direction="inbound",
            from_number=body.from_ or person.number,
            to_number=body.to,
            created_at=self.world.clock(),
        )
        call = SimCall(state, person, self.world, webhook_url)
        self._start(call)
        return call

    def lift(self, handset: Handset, number: str, to: str) -> None:
        """Somebody real calls one of our numbers, from `number`. Raises LookupError, Full."""
        to = self.number_of(to)
        self._make_room()
        state = CallState(
            id=self._new_id(),
            number=self._count,
            direction="inbound",
            from_number=number,
            to_number=to,
            created_at=self.world.clock(),
        )
        call = SimCall(state, _holder(number), self.world, self.world.numbers[to], handset=handset)
        self._held[handset] = call
        self._start(call)

    def number_of(self, wanted: str) -> str:
        """A number of ours that can be called; unset: the first. Raises LookupError."""
        if wanted and wanted not in self.world.numbers:
            raise LookupError(f"nobody has registered the number {wanted}")
        if not self.world.numbers:
            raise LookupError("no engine has registered a number: set from_number, or start the engine")
        return wanted or min(self.world.numbers)

    def hold_ready(self, handset: Handset, number: str) -> None:
        """Whoever is called at `number` next is somebody real."""
        self._handsets[number] = handset

    def hang_up_handset(self, handset: Handset) -> None:
        """The handset is put down. Again is harmless."""
        for number in [number for number, each in self._handsets.items() if each is handset]:
            del self._handsets[number]
        call = self._held.pop(handset, None)
        if call is not None:
            call.finish("hangup-person")

    def set_pace(self, pace: PaceBody) -> None:
        self.pace = pace
        self._pace_changed.set()

    def _caller(self, body: InboundBody) -> Person:
        wanted = body.person or body.from_
        if wanted is None:
            return self._next_caller()
        person = self.cast.find(wanted)
        if person is None and body.person is not None:
            raise LookupError(f"there is no person {body.person!r} in the cast")
        return person or self._next_caller()

    def _next_caller(self) -> Person:
        callers = self.cast.callers()
        if not callers:
            raise LookupError("nobody in the cast calls in")
        self._turn += 1
        return callers[(self._turn - 1) % len(callers)]

    def _new_id(self) -> str:
        self._count += 1
        return f"CA{self._ids.getrandbits(128):032x}"

    def _make_room(self) -> None:
        if len(self.calls) >= KEPT_CALLS:
            over = (id_ for id_, call in self.calls.items() if call.state.status.over)
            if (oldest := next(over, None)) is not None:
                self._by_ref.pop(self.calls.pop(oldest).state.client_ref, None)
        if len(self.live()) >= self.setup.max_calls:
            raise Full(f"{self.setup.max_calls} calls are live")

    def _start(self, call: SimCall) -> None:
        self.calls[call.state.id] = call
        self._spawn(call.run())

    def _spawn(self, job: Job) -> asyncio.Task[object]:
        task: asyncio.Task[object] = asyncio.create_task(job)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[object]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a background job failed", exc_info=error)

    # people who call in by themselves

    async def _keep_pace(self) -> None:
        while True:
            self._pace_changed.clear()
            try:
                async with asyncio.timeout(self.pace.every_seconds or None):
                    await self._pace_changed.wait()
            except TimeoutError:
                self._let_somebody_call()

    def _let_somebody_call(self) -> None:
        numbers = sorted(self.world.numbers)
        inbound = sum(call.state.direction == "inbound" for call in self.live())
        if not numbers or inbound >= self.pace.max_live:
            return
        try:
            self.ring_in(InboundBody(to=numbers[self._turn % len(numbers)]))
        except (LookupError, Full) as refusal:
            log.warning("nobody called: %s", refusal)


def _holder(number: str) -> Person:
    """Whoever holds a handset: says nothing by themselves."""
    return Person(number, "somebody real", "anna", (), Manners.named("sink"))
