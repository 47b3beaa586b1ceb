"""One call of the simulated carrier, from the first ring to the last webhook."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from random import Random
from typing import Final, assert_never

from pydantic import ValidationError

from engine.simulator.faults import FaultPlan
from engine.simulator.handset import Handset
from engine.simulator.leg import Leg
from engine.simulator.media import MediaLink, StreamLost, StreamStats
from engine.simulator.model import CallState, Reason, Status, WebhookType, webhook_body
from engine.simulator.people import Person
from engine.simulator.recording import Recording
from engine.simulator.setup import (
    ConnectVerb,
    Document,
    HangupVerb,
    PauseVerb,
    RedirectVerb,
    RejectVerb,
    SayVerb,
    StreamBody,
    Verb,
)
from engine.simulator.voices import CARRIER_VOICE
from engine.simulator.webhooks import Outbox
from engine.simulator.world import World

log = logging.getLogger(__name__)

DIAL_PAUSE_S: Final = 0.15
"""From the dial to the first ring."""
STOP_S: Final = 1.0
"""How long the media socket may take to say `stop` and close."""
MAX_REDIRECTS: Final = 100
"""Documents that one call may ask for by redirect; more of them are a loop."""
KEY_S: Final = 0.1
WAIT_S: Final = {"w": 0.5, "W": 1.0}
"""Pauses in a sequence of keys."""


class NotNow(Exception):
    """The call can not do that in its present state."""


class _Cut(Exception):
    """The call can not go on."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason: Reason = reason


class SimCall:
    """A call, the person in it, and everything the carrier does for it."""

    def __init__(
        self,
        state: CallState,
        person: Person,
        world: World,
        webhook_url: str,
        document: list[Verb] | None = None,
        dtmf_sequence: str = "",
        handset: Handset | None = None,
    ) -> None:
        self.state = state
        self.person = person
        self.plan = FaultPlan(world.setup.seed, state.number)
        self.outbox = Outbox(world.sender, self.plan, lambda: world.faults, world.spawn)
        self.streams: list[StreamStats] = []
        self.leg: Leg | None = None
        self._world = world
        self._webhook_url = webhook_url
        self._document = document
        self._dtmf_sequence = dtmf_sequence
        self.handset = handset
        self._rng = Random(f"{world.setup.seed}:{state.number}")
        self._sequence = 0
        self._redirects = 0
        self._link: MediaLink | None = None
        self._next_stream: asyncio.Queue[StreamBody] = asyncio.Queue(1)
        self._over: asyncio.Future[Reason] = asyncio.get_running_loop().create_future()
        self._ended = asyncio.Event()
        self._time_limit: asyncio.TimerHandle | None = None
        self._patience: asyncio.TimerHandle | None = None
        """Of somebody who calls in and is not answered."""

    async def run(self) -> None:
        """Live the whole call. Returns when it is over and its last webhook is on its way."""
        life = asyncio.create_task(self._live(), name=f"call {self.state.id}")
        await asyncio.wait({life, self._over}, return_when=asyncio.FIRST_COMPLETED)
        self._end(self._over.result() if self._over.done() else self._result(life))
        if self._link is not None:
            self._link.stop()
            await self._link.wait_closed(STOP_S)
        life.cancel()
        await asyncio.wait({life})

    def finish(self, reason: Reason) -> None:
        """End the call now. The first reason counts."""
        if not self._over.done():
            self._over.set_result(reason)

    async def hang_up(self) -> None:
        """The other side asked over REST. Returns when the call is over."""
        self.finish("hangup-api")
        await self._ended.wait()

    async def wait_ended(self) -> None:
        """Return when the call is over."""
        await self._ended.wait()

    def reopen(self, body: StreamBody) -> None:
        """Open the media stream again, in place of the present one if there is one. Raises NotNow."""
        if self.state.status is not Status.IN_PROGRESS:
            raise NotNow(f"the call is {self.state.status}")
        if self._next_stream.full():
            raise NotNow("a stream is being opened already")
        self._next_stream.put_nowait(body)
        if self._link is not None:
            self._link.stop()

    def play_keys(self, digits: str) -> None:
        """Play keys to the person. Raises NotNow."""
        if self.leg is None or self.state.status is not Status.IN_PROGRESS:
            raise NotNow(f"the call is {self.state.status}")
        self._world.spawn(self._play_keys(self.leg, digits))

    # the life of a call

    async def _live(self) -> Reason:
        inbound = self.state.direction == "inbound"
        try:
            return await (self._live_inbound() if inbound else self._live_outbound())
        except _Cut as cut:
            return cut.reason

    def _result(self, life: asyncio.Task[Reason]) -> Reason:
        error = life.exception()
        if error is None:
            return life.result()
        log.error("call %s failed", self.state.id, exc_info=error)
        return "simulator-error"

    async def _live_inbound(self) -> Reason:
        """Somebody calls our number."""
        await self._prepare_voice()
        self._move(Status.RINGING)
        patience_s = self.person.manners.rings_for_ms / 1000
        self._patience = asyncio.get_running_loop().call_later(patience_s, self.finish, "hangup-person")
        verbs = await self._ring_on(await self._ask_for_document("call.incoming"))
        if verbs and isinstance(verbs[0], RejectVerb):
            return "busy" if verbs[0].reason == "busy" else "rejected"
        self._answer()
        self._post("call.answered", document_wanted=False)
        return await self._follow(verbs)

    async def _ring_on(self, verbs: list[Verb]) -> list[Verb]:
        """Pauses and redirects at the beginning of a document keep an unanswered call ringing: what comes then."""
        while verbs:
            match verbs[0]:
                case PauseVerb(seconds=seconds):
                    await asyncio.sleep(seconds)
                    verbs = verbs[1:]
                case RedirectVerb(url=url):
                    verbs = await self._redirect(url)
                case _:
                    break
        return verbs

    async def _live_outbound(self) -> Reason:
        """We were asked to call somebody."""
        self._post("call.initiated")
        manners = self.person.manners
        ring_ms = self._rng.randint(*manners.ring_ms)
        await asyncio.sleep(DIAL_PAUSE_S)
        self._move(Status.RINGING)
        self._post("call.ringing")
        patience_ms = self.state.ring_timeout_ms
        if manners.answers == "never" or ring_ms > patience_ms:
            await asyncio.sleep(patience_ms / 1000)
            return "no-answer"
        async with asyncio.TaskGroup() as group:
            group.create_task(asyncio.sleep(ring_ms / 1000))
            group.create_task(self._prepare_voice())
        if manners.answers == "busy":
            return "busy"
        return await self._pick_up()

    async def _pick_up(self) -> Reason:
        leg = self._answer()
        if self._document is not None:
            self._post("call.answered", document_wanted=False)
            verbs = self._document
        else:
            verbs = await self._ask_for_document("call.answered")
        if self._dtmf_sequence:
            await self._play_keys(leg, self._dtmf_sequence)
        return await self._follow(verbs)

    async def _prepare_voice(self) -> None:
        await self._world.voices.prepare(self.person.voice, self.person.texts())

    def _answer(self) -> Leg:
        """The person is on the line from here on."""
        if self._patience is not None:
            self._patience.cancel()
        self._move(Status.IN_PROGRESS)
        directory = self._world.setup.record_dir
        leg = Leg(
            person=self.person,
            called=self.state.direction == "outbound",
            rng=self._rng,
            voices=self._world.voices,
            on_leave=lambda: self.finish("hangup-person"),
            on_key=lambda digit: self._post("call.dtmf", digits=digit),
            handset=self.handset,
            recording=Recording(Path(directory) / f"{self.state.id}.wav") if directory else None,
        )
        self.leg = leg
        self._world.ticker.add(leg.tick, lambda _: self.finish("simulator-error"))
        loop = asyncio.get_running_loop()
        self._time_limit = loop.call_later(self.state.time_limit_s, self.finish, "time-limit")
        return leg

    async def _follow(self, verbs: list[Verb]) -> Reason:
        """Do what the document says, verb by verb. At its end the carrier hangs up."""
        assert self.leg is not None
        while verbs:
            verb, *verbs = verbs
            match verb:
                case ConnectVerb():
                    await self._connect(self.leg, StreamBody(url=verb.url, token=verb.token))
                    return "stream-lost"
                case SayVerb():
                    await self._announce(self.leg, verb.text)
                case PauseVerb():
                    await asyncio.sleep(verb.seconds)
                case RedirectVerb():
                    verbs = await self._redirect(verb.url)
                case HangupVerb() | RejectVerb():
                    break
                case _:
                    assert_never(verb)
        return "hangup-document"

    async def _announce(self, leg: Leg, text: str) -> None:
        """Speak with the carrier's own voice."""
        line = await self._world.voices.line(CARRIER_VOICE, text)
        leg.playback.push(b"".join(line.frames))
        await asyncio.sleep(line.ms / 1000)

    async def _connect(self, leg: Leg, first: StreamBody) -> None:
        """Carry the call over one stream after the other. Returns when none came in time."""
        target: StreamBody | None = first
        while target is not None:
            try:
                await self._carry(leg, target)
            except StreamLost as lost:
                self.streams[-1].end = str(lost)
                if not self.state.status.over:
                    self._post("stream.failed", detail=str(lost))
            try:
                async with asyncio.timeout(self._world.setup.stream_grace_s):
                    target = await self._next_stream.get()
            except TimeoutError:
                target = None

    async def _carry(self, leg: Leg, target: StreamBody) -> None:
        stream_id = f"MZ{self._rng.getrandbits(128):032x}"
        link = MediaLink(self.state.id, stream_id, leg, self.plan, self._world.faults)
        self.streams.append(link.stats)
        self._link = link
        try:
            await link.run(self._world.http, self._world.setup.signing_secret, target.url, target.token)
        finally:
            self._link = None
            leg.playback.clear()

    async def _play_keys(self, leg: Leg, digits: str) -> None:
        for digit in digits:
            if digit in WAIT_S:
                await asyncio.sleep(WAIT_S[digit])
            else:
                leg.heard.digits += digit
                await asyncio.sleep(KEY_S)

    # webhooks and state

    def _move(self, status: Status, reason: Reason | None = None) -> None:
        self.state = self.state.moved(status, self._world.clock(), reason)
        if self.handset is None:
            return
        if status is Status.RINGING:
            self.handset.tell(("ringing", self.state.from_number))
        elif status is Status.IN_PROGRESS:
            self.handset.tell(("answered", ""))
        elif status.over:
            self.handset.tell(("ended", reason or status.value))

    def _end(self, reason: Reason) -> None:
        for timer in (self._time_limit, self._patience):
            if timer is not None:
                timer.cancel()
        if self.leg is not None:
            self._world.ticker.remove(self.leg.tick)
            self.leg.close()
        ending = self.state.ending(reason)
        self._move(ending.status, ending.reason)
        self._post("call.ended")
        self._ended.set()

    def _webhook(self, type_: WebhookType, **extra: str | bool) -> tuple[str, dict[str, object]]:
        self._sequence += 1
        event_id = f"EV{self.state.number:08x}{self._sequence:04x}"
        # An inbound call follows its number's address: an engine that came back may have moved.
        inbound = self.state.direction == "inbound"
        url = self._world.numbers.get(self.state.to_number, self._webhook_url) if inbound else self._webhook_url
        return url, webhook_body(self.state, event_id, type_, self._sequence, self._world.clock(), **extra)

    def _post(self, type_: WebhookType, **extra: str | bool) -> None:
        self.outbox.post(*self._webhook(type_, **extra))

    async def _redirect(self, url: str) -> list[Verb]:
        """The document at `url`. Raises _Cut."""
        self._redirects += 1
        if self._redirects > MAX_REDIRECTS:
            raise _Cut("too-many-redirects")
        return await self._ask_for_document("call.asks", url)

    async def _ask_for_document(self, type_: WebhookType, at_url: str = "") -> list[Verb]:
        """The verbs that the other side answers with, at the call's own address or at `at_url`. Raises _Cut when
        there is no usable answer."""
        url, webhook = self._webhook(type_, document_wanted=True)
        reply = await self.outbox.ask(at_url or url, webhook)
        if not reply.ok:
            log.warning("call %s: %s was answered with %s %s", self.state.id, type_, reply.status, reply.why)
            raise _Cut("no-document")
        try:
            return Document.model_validate_json(reply.body).document
        except ValidationError as error:
            self.outbox.deliveries[-1].why = f"not a document: {error.error_count()} errors"
            raise _Cut("no-document") from error
