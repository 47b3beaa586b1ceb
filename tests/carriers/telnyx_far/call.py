"""One call at the far end, from the dial or the first ring to the last event. What is done with it is a command."""

from __future__ import annotations

import asyncio
import contextlib
import time
from base64 import b64decode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final, Literal

from engine.simulator.leg import Leg
from engine.simulator.people import Beep, Line, Person
from engine.simulator.voices import CARRIER_VOICE
from tests.carriers.telnyx_far.hearing import Transcription
from tests.carriers.telnyx_far.stream import MediaSocket, StreamRecord, StreamTrouble
from tests.carriers.telnyx_far.webhooks import Delivery
from tests.carriers.telnyx_far.world import Refusal, World

Direction = Literal["incoming", "outgoing"]
HOLD_S: Final = 1.0
"""An event that is held back goes out after this when none follows it."""
_SIP: Final[Mapping[str, str]] = {
    "user_busy": "486",
    "timeout": "unspecified",
    "normal_clearing": "200",
    "call_rejected": "603",
}
_BEFORE_ANSWER: Final = frozenset({"answer", "reject", "hangup", "transfer"})


@dataclass
class Spoken:
    """What the carrier's own voice said."""

    text: str
    voice: str
    whole: bool = False
    stopped: bool = False


@dataclass
class FarCall:
    """A call. Tests read its fields and use `hear`, `press`, `hang_up_person` and `until`."""

    world: World
    id: str
    session_id: str
    direction: Direction
    from_number: str
    to_number: str
    person: Person
    webhook_url: str
    client_state: str | None = None
    orders: Mapping[str, Any] = field(default_factory=dict)
    """What the dial asked for."""
    leg: Leg | None = None
    answered_at: float | None = None
    ended_at: float | None = None
    made_at: float = field(default_factory=time.time)
    hangup_cause: str = ""
    hangup_source: str = ""
    deliveries: list[Delivery] = field(default_factory=list)
    commands: list[tuple[str, Mapping[str, Any]]] = field(default_factory=list)
    """Those that took effect."""
    spoken: list[Spoken] = field(default_factory=list)
    streams: list[StreamRecord] = field(default_factory=list)
    keys: str = ""
    """Played by `send_dtmf`."""
    transfers: list[FarCall] = field(default_factory=list)
    socket: MediaSocket | None = None
    transcription: Transcription | None = None
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    told: asyncio.Event = field(default_factory=asyncio.Event)
    """The last event was delivered, or given up."""

    def __post_init__(self) -> None:
        self._over: asyncio.Future[tuple[str, str]] = asyncio.get_running_loop().create_future()
        self._speech: list[tuple[Spoken, asyncio.Task[None]]] = []
        self._chain: asyncio.Task[None] | None = None
        self._held: list[asyncio.Event] = []
        self._command_ids: dict[str, float] = {}
        self._answered = asyncio.Event()
        self._ticked = asyncio.Event()

    # tests

    @property
    def over(self) -> bool:
        return self.ended_at is not None

    async def until(self, condition: Callable[[], object], limit_s: float = 10.0) -> None:
        async with asyncio.timeout(limit_s):
            while not condition():
                self.changed.clear()
                await self.changed.wait()

    async def until_over(self) -> None:
        await self.until(lambda: self.over)
        async with asyncio.timeout(10):
            await self.told.wait()

    async def until_stream(self, count: int = 1) -> MediaSocket:
        """The present stream, once so many have started."""
        await self.until(lambda: sum(record.started for record in self.streams) >= count)
        assert self.socket is not None
        return self.socket

    async def hear(self, *texts: str) -> None:
        """The person says this: growing words, the last text is final."""
        await self.until(lambda: self.transcription is not None)
        assert self.transcription is not None
        for text in texts[:-1]:
            self.transcription.tell(text, final=False)
        self.transcription.tell(texts[-1], final=True)

    async def press(self, digits: str) -> None:
        """The person presses keys: told on the stream, if there is one, and by webhook."""
        for digit in digits:
            if self.socket is not None and self.socket.record.started:
                self.socket.send_key(digit)
            self.tell("call.dtmf.received", digit=digit)

    def hang_up_person(self) -> None:
        """The person hangs up."""
        theirs = "caller" if self.direction == "incoming" else "callee"
        self.finish("normal_clearing" if self.answered_at is not None else "originator_cancel", theirs)

    def of(self, name: str) -> list[Delivery]:
        return [delivery for delivery in self.deliveries if delivery.name == name]

    def sent(self, action: str) -> list[Mapping[str, Any]]:
        """The bodies of our commands of one kind that took effect."""
        return [body for name, body in self.commands if name == action]

    # life

    async def run(self) -> None:
        """Live the whole call."""
        life = asyncio.create_task(self._live(), name=f"far call {self.id}")
        either: list[asyncio.Future[Any]] = [life, self._over]
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if not self._over.done():
            error = life.exception()
            self.finish(f"bug: {error!r}" if error else "unspecified", "unknown")
        cause, source = self._over.result()
        self._end(cause, source)
        life.cancel()
        await asyncio.wait({life})
        if not life.cancelled() and (error := life.exception()) is not None:
            raise error

    def finish(self, cause: str, source: str) -> None:
        """End the call; the first end counts."""
        if not self._over.done():
            self._over.set_result((cause, source))

    async def _live(self) -> None:
        await self.world.voices.prepare(self.person.voice, self.person.texts())
        if self.direction == "incoming":
            self.tell("call.initiated", direction="incoming", state="parked", shaken_stir_attestation="A")
        else:
            self.tell("call.initiated", direction="outgoing", state="bridging")
            await self._ring()
        await asyncio.Event().wait()

    async def _ring(self) -> None:
        settings, manners = self.world.settings, self.person.manners
        if self.orders.get("stream_url") and settings.early_socket:
            self.open_stream(self.orders)
        await asyncio.sleep(settings.ring_pause_s)
        ring_s = Random(f"{settings.seed}:{self.id}").randint(*manners.ring_ms) / 1000
        patience_s = float(self.orders.get("timeout_secs", 30)) / settings.wait_speed
        if manners.answers == "never" or ring_s > patience_s:
            await asyncio.sleep(patience_s)
            self.finish("timeout", "unknown")
            return
        await asyncio.sleep(ring_s)
        if manners.answers == "busy":
            self.finish("user_busy", "callee")
            return
        self.pick_up()
        if self.orders.get("stream_url") and not settings.early_socket:
            self.open_stream(self.orders)
        if digits := self.orders.get("send_digits_on_answer"):
            self._play_keys(digits)
        detection = self.orders.get("answering_machine_detection", "disabled")
        if detection != "disabled":
            self.world.spawn(self._detect(detection))

    def pick_up(self) -> Leg:
        """The person is on the line from here on (or, for an inbound call, Telnyx is)."""
        self.answered_at = time.time()
        self.leg = Leg(
            person=self.person,
            called=self.direction == "outgoing",
            rng=Random(f"{self.world.settings.seed}:{self.id}:leg"),
            voices=self.world.voices,
            on_leave=self.hang_up_person,
            on_key=self._key,
        )
        self.world.ticker.add(self._tick, lambda error: self.finish(f"bug: {error!r}", "unknown"))
        if self.socket is not None and not self.socket.answered.done():
            self.socket.answered.set_result(self.leg)
        self.tell("call.answered", state="answered")
        self._answered.set()
        return self.leg

    def _key(self, digit: str) -> None:
        self.tell("call.dtmf.received", digit=digit)

    def _tick(self) -> None:
        assert self.leg is not None
        self.leg.tick()
        self._ticked.set()
        if self.transcription is not None:
            self.transcription.tick()

    def _end(self, cause: str, source: str) -> None:
        self.ended_at, self.hangup_cause, self.hangup_source = time.time(), cause, source
        if self.leg is not None:
            self.world.ticker.remove(self._tick)
            self.leg.close()
        for spoken, task in self._speech:
            spoken.stopped = spoken.stopped or not spoken.whole
            task.cancel()
        if self.socket is not None:
            self.socket.stop()
        self.tell(
            "call.hangup",
            state="hangup",
            hangup_cause=cause,
            hangup_source=source,
            sip_hangup_cause=_SIP.get(cause, "unspecified"),
            call_quality_stats=None,
        )
        if self.world.settings.call_cost:
            seconds = self.duration_s
            part = {"billed_duration_secs": seconds, "call_part": "call-control", "cost": "0.0018", "currency": "USD"}
            self.tell(
                "call.cost", total_cost="0.0018", cost_parts=[part], billed_duration_secs=seconds, status="valid"
            )
        self.world.spawn(self._tell_the_last())

    async def _tell_the_last(self) -> None:
        if self._chain is not None:
            await asyncio.wait([self._chain])
        self.told.set()
        self.changed.set()

    @property
    def duration_s(self) -> int:
        if self.answered_at is None:
            return 0
        return max(1, round((self.ended_at or time.time()) - self.answered_at))

    # events

    def tell(self, name: str, **payload: Any) -> Delivery:
        """An event, in the background; each waits for the one before, unless a fault says otherwise."""
        full = {
            "call_control_id": self.id,
            "call_leg_id": self.id[3:],
            "call_session_id": self.session_id,
            "connection_id": self.world.settings.connection_id,
            "client_state": self.client_state,
            "from": self.from_number,
            "to": self.to_number,
            **payload,
        }
        if "machine" in name:
            del full["call_control_id"]  # as in Telnyx's own examples
        record = Delivery(name, full)
        self.deliveries.append(record)
        before, releases, gate = self._chain, self._held, None
        self._held = []
        if name in self.world.faults.hold:
            gate = asyncio.Event()
            self._held = [gate]
        task = asyncio.create_task(self._deliver(record, before, releases, gate))
        if gate is None:
            self._chain = task
        self.world.spawn(_outcome(task))
        self.changed.set()
        return record

    async def _deliver(
        self,
        record: Delivery,
        before: asyncio.Task[None] | None,
        releases: list[asyncio.Event],
        gate: asyncio.Event | None,
    ) -> None:
        if gate is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(HOLD_S):
                    await gate.wait()
        elif before is not None:
            await asyncio.wait([before])
        url = self.webhook_url or self.world.settings.webhook_url
        try:
            if url:
                await self.world.caller.deliver(url, record)
        finally:
            for held in releases:
                held.set()
            self.changed.set()

    async def _detect(self, mode: str) -> None:
        """Machine detection, by what is known of the person."""
        leg, speed = self.leg, self.world.settings.wait_speed
        assert leg is not None
        kind = "call.machine.premium" if mode == "premium" else "call.machine"
        forced = self.world.forced_results.get(self.to_number)
        machine = self.person.manners.machine
        await asyncio.sleep(0.5 / speed if forced or not machine else 1.0 / speed)
        human = "human_residence" if mode == "premium" else "human"
        result = forced or ("machine" if machine else human)
        self.tell(f"{kind}.detection.ended", result=result)
        if result != "machine" or mode not in ("premium", "greeting_end", "detect_words", "detect_beep"):
            return
        script = self.person.script
        beep = next((at for at, step in enumerate(script) if isinstance(step, Beep)), len(script))
        greeting = sum(isinstance(step, Line) for step in script[:beep])
        while sum(bool(line.end_ms) for line in leg.said) < greeting and not self.over:
            self._ticked.clear()
            await self._ticked.wait()
        await asyncio.sleep(1.0)  # the beep itself: the person's clock has no speed
        beeped = beep < len(script)
        if mode == "premium" or beeped:
            self.tell(f"{kind}.greeting.ended", result="beep_detected" if beeped else "no_beep_detected")
        elif mode != "detect_beep":
            self.tell(f"{kind}.greeting.ended", result="ended")

    # commands

    def command(self, action: str, body: Mapping[str, Any]) -> None:
        """`POST /calls/{id}/actions/{action}`. Raises Refusal."""
        if self.over:
            raise Refusal(422, "90018", "Call has already ended")
        once = body.get("command_id")
        if once and time.time() - self._command_ids.get(once, 0.0) < 60:
            return
        if self.answered_at is None and action not in _BEFORE_ANSWER:
            raise Refusal(422, "90034", "Call not answered yet")
        handler = getattr(self, f"_on_{action}", None)
        if handler is None:
            raise Refusal(404, "10005", "Resource not found")
        handler(body)
        if once:
            self._command_ids[once] = time.time()
        if "client_state" in body:
            state = body["client_state"]
            b64decode(state, validate=True)
            self.client_state = state
        self.commands.append((action, dict(body)))
        self.changed.set()

    def _on_answer(self, body: Mapping[str, Any]) -> None:
        if self.direction != "incoming" or self.answered_at is not None:
            raise Refusal(422, "90017", "Call can not be answered")
        if "client_state" in body:
            self.client_state = body["client_state"]
        self.world.spawn(self._answer_soon(body))

    async def _answer_soon(self, body: Mapping[str, Any]) -> None:
        await asyncio.sleep(self.world.settings.ring_pause_s)
        if self.over or self.answered_at is not None:
            return
        self.pick_up()
        if body.get("stream_url"):
            self.open_stream(body)

    def _on_reject(self, body: Mapping[str, Any]) -> None:
        if self.answered_at is not None:
            raise Refusal(422, "90017", "Call has been answered")
        self.finish("user_busy" if body["cause"] == "USER_BUSY" else "call_rejected", "callee")

    def _on_hangup(self, body: Mapping[str, Any]) -> None:
        ours = "callee" if self.direction == "incoming" else "caller"
        self.finish("normal_clearing" if self.answered_at is not None else "originator_cancel", ours)

    def _on_speak(self, body: Mapping[str, Any]) -> None:
        if self.socket is not None and self.socket.record.started:
            raise Refusal(422, "90045", "Command refused because media streaming is used")
        if body.get("stop"):
            self._stop_speaking(everything=body["stop"] == "all")
        if "client_state" in body:
            self.client_state = body["client_state"]
        spoken = Spoken(body["payload"], body["voice"])
        self.spoken.append(spoken)
        before = self._speech[-1][1] if self._speech else None
        task = asyncio.create_task(self._speak(spoken, before))
        self._speech.append((spoken, task))

    async def _speak(self, spoken: Spoken, before: asyncio.Task[None] | None) -> None:
        if before is not None:
            await asyncio.wait([before])
        assert self.leg is not None
        line = await self.world.voices.line(CARRIER_VOICE, spoken.text)
        frames = line.frames[: max(1, round(len(line.frames) / self.world.settings.say_speed))]
        self.tell("call.speak.started")
        self.leg.playback.push(b"".join(frames))
        await asyncio.sleep(len(frames) * 0.02)
        spoken.whole = True
        self.tell("call.speak.ended", status="completed")

    def _stop_speaking(self, *, everything: bool) -> None:
        under_way = [(spoken, task) for spoken, task in self._speech if not task.done()]
        for spoken, task in under_way if everything else under_way[:1]:
            spoken.stopped = True
            task.cancel()
        if under_way and self.leg is not None:
            self.leg.playback.clear()
            self.tell("call.speak.ended", status="completed")

    def _on_playback_stop(self, body: Mapping[str, Any]) -> None:
        self._stop_speaking(everything=body.get("stop", "all") == "all")

    def _on_transcription_start(self, body: Mapping[str, Any]) -> None:
        if self.transcription is not None:
            raise Refusal(422, "90054", "Call transcription is already in progress")
        config = body.get("transcription_engine_config", {})
        self.transcription = Transcription(self, bool(config.get("interim_results")))

    def _on_transcription_stop(self, body: Mapping[str, Any]) -> None:
        if self.transcription is None:
            raise Refusal(404, "10005", "There is no transcription")
        self.transcription = None

    def _on_send_dtmf(self, body: Mapping[str, Any]) -> None:
        self._play_keys(body["digits"])

    def _play_keys(self, digits: str) -> None:
        keys = "".join(digit for digit in digits if digit not in "wW")
        self.keys += keys
        if self.leg is not None:
            self.leg.heard.digits += keys

    def _on_streaming_start(self, body: Mapping[str, Any]) -> None:
        if self.socket is not None:
            raise Refusal(422, "90046", "Media streaming is already in progress")
        self.open_stream(body)

    def _on_streaming_stop(self, body: Mapping[str, Any]) -> None:
        if self.socket is None:
            raise Refusal(422, "90031", "There is no stream")
        self.socket.stop()

    def _on_transfer(self, body: Mapping[str, Any]) -> None:
        if self.direction == "incoming" and self.answered_at is None:
            raise Refusal(422, "90034", "Call not answered yet")
        other: FarCall = self.world.dial_leg(self, body)
        self.transfers.append(other)
        self.world.spawn(self._bridge(other, float(body.get("timeout_secs", 30))))

    async def _bridge(self, other: FarCall, patience_s: float) -> None:
        from tests.carriers.far.bridge import Across

        answered, over = asyncio.create_task(other._answered.wait()), asyncio.ensure_future(other.until_ended())
        await asyncio.wait({answered, over}, return_when=asyncio.FIRST_COMPLETED)
        answered.cancel()
        if other.over or self.over or other.leg is None or self.leg is None:
            if self.over:
                other.finish("originator_cancel", "caller")
            return
        for call in (self, other):
            call.tell("call.bridged")
        self.leg.playback.clear()
        if self.socket is None:
            self.leg.stream = Across(other.leg)
        other.leg.stream = Across(self.leg)
        ours = asyncio.ensure_future(self.until_ended())
        await asyncio.wait({over, ours}, return_when=asyncio.FIRST_COMPLETED)
        for call in (self, other):
            call.finish("normal_clearing", "callee")

    async def until_ended(self) -> None:
        await asyncio.wait([self._over])

    # streams

    def open_stream(self, body: Mapping[str, Any]) -> None:
        settings = self.world.settings
        wanted = body.get("stream_codec", "default")
        same = {"PCMU", "PCMA"} >= {wanted, settings.leg_codec}
        carries = wanted if settings.transcodes and same else settings.leg_codec
        takes = body.get("stream_bidirectional_codec", "PCMU")
        record = StreamRecord(self.world.new_id(), body["stream_url"], dict(body), carries, takes)
        self.streams.append(record)
        facts = {"call_control_id": self.id, "call_session_id": self.session_id}
        facts |= {"from": self.from_number, "to": self.to_number, "client_state": self.client_state or ""}
        self.socket = MediaSocket(record, facts, settings)
        self.socket.on_mark = self.changed.set
        if self.leg is not None:
            self.socket.answered.set_result(self.leg)
        self.world.spawn(self._stream(self.socket))

    async def _stream(self, socket: MediaSocket) -> None:
        record = socket.record
        starting = asyncio.create_task(self._tell_start(socket))
        try:
            await socket.run(self.world.http)
        except StreamTrouble as trouble:
            record.end = str(trouble)
            params = {"stream_url": record.url, "track": "inbound_track"}
            self.tell(
                "streaming.failed",
                failure_reason=str(trouble),
                stream_id=record.id,
                stream_params=params,
                stream_type="websocket",
            )
        else:
            self.tell("streaming.stopped", stream_url=record.url)
        finally:
            starting.cancel()
            if self.socket is socket:
                self.socket = None
            self.changed.set()

    async def _tell_start(self, socket: MediaSocket) -> None:
        await socket.started.wait()
        self.tell("streaming.started", stream_url=socket.record.url)


async def _outcome(task: asyncio.Task[None]) -> None:
    """A job whose failure the far end hears of."""
    await task
