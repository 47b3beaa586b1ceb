"""Everything that one call runs while it is up: one task group, gone with the call.

The call's own state lives in the log; what is here is only what sockets, voices and timers need. Each thing that
must happen once has one owner: the greeting is one job, the playing voice is the mouth's, a turn belongs to the
ears until it is answered, and hanging up is the engine's.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, Final

from engine.api import Refusal
from engine.calls import Call, Draft, Floor, Speaker, State
from engine.carriers.base import CarrierError, CarrierEvent, Streamless
from engine.clock import epoch_ms
from engine.live import notice
from engine.live.documents import connect
from engine.live.ears import Ears
from engine.live.limits import Limits
from engine.live.listening import Listeners
from engine.live.machine import Machine
from engine.live.lines import Kind, MouthFull, Utterance
from engine.live.mouth import Mouth
from engine.live.notice import NoticeWatch
from engine.live.parts import Parts
from engine.live.replies import Replies
from engine.live.transfer import SORRY, Handover
from engine.live.turn_clock import TurnClock
from engine.media.audio import Audio
from engine.media.session import MediaSession
from engine.media.turns import TurnSettings, TurnTaker
from engine.media.vad import Gate
from engine.media.wire import Started
from engine.speech.ports import EndCall

log = logging.getLogger(__name__)

GREETING: Final = "Hello, how can I help you?"
HOLDING: Final = "One moment, please."
GRACE_SECONDS: Final = 2.0
"""How long a lost stream may take to come back where the carrier can not open it again."""
LOST_SECONDS: Final = 0.5
"""How long after its stream a call may end without the stream having been lost."""
REOPEN_SECONDS: Final = 15.0
"""The same where it can."""
EARS_SECONDS: Final = 3.0
"""How long a greeting waits for recognition: a late greeting is better than a deaf one, to a point."""


class _Over(Exception):
    """The call has ended: everything in its task group stops."""


class LiveCall:
    """One call while it is up. `run` returns when the call is over; nothing of it is left then."""

    def __init__(self, call: Call, parts: Parts) -> None:
        self.call_id = call.call_id
        self._parts = parts
        self._group: asyncio.TaskGroup | None = None
        self._over = asyncio.Event()
        self.answered = asyncio.Event()
        if call.answered_at is not None:
            self.answered.set()
        self._streaming = asyncio.Event()
        self._stream_over = asyncio.Event()
        self._stream_over.set()
        self._session: MediaSession | None = None
        self._greeted = call.answered_at is not None and bool(call.transcript)
        self._answer: asyncio.Future[str] | None = None
        self._turn_lock = asyncio.Lock()
        self._floor: Floor = call.floor
        config = parts.config
        self.listeners = Listeners()
        self.mouth = Mouth(call.call_id, parts.voice, _voice_name(parts, call), parts.recorder.post, parts.now_ms)
        self.ears = Ears(
            call.call_id,
            parts.recogniser,
            Gate(),
            TurnTaker(TurnSettings(silence_ms=config.silence_timeout_ms)),
            self,
            lambda: self.mouth.speaking,
            parts.recorder.post,
            parts.recorder.ephemeral,
            parts.now_ms,
        )
        self.mouth.on_line = self.ears.our_line
        self.replies = Replies(
            call.call_id,
            parts.brain,
            self.mouth,
            lambda: parts.book.get(call.call_id),
            _response_timeout(parts, call),
            self._bot_hangs_up,
            parts.recorder.post,
            parts.recorder.settle,
            parts.now_ms,
        )
        self.machine = Machine(
            call.call_id, parts, self.mouth, self._be_silent, self.streamless, self._first_words, self._spawn
        )
        self.handover = Handover(call.transferred_to)
        self.asked = asyncio.Event()
        """Set when the carrier asks what now, and at the end."""

    # -- life ---------------------------------------------------------------------------------

    async def run(self) -> None:
        """Live until `over` is called. An error in here ends this call, never the engine."""
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                group.create_task(self.mouth.run())
                if self._call.mode == "conversation":
                    group.create_task(self.ears.run())
                if self._call.media == "inline":
                    group.create_task(NoticeWatch(self.call_id, self._parts, self.answered).run())
                else:
                    group.create_task(Limits(self.call_id, self._parts, self.answered, self._streaming).run())
                if not self._greeted and self._call.media != "inline":
                    group.create_task(self._greet(self.mouth.prepare(self._first_words(), group)))
                await self._over.wait()
                raise _Over
        except* _Over:
            pass
        except* Exception as errors:
            log.exception("call %s failed", self.call_id, exc_info=errors)
            self._parts.recorder.post(
                Draft(
                    "call.error",
                    self.call_id,
                    {"code": "internal_error", "message": str(errors.exceptions[0])},
                )
            )
            self._parts.hang_up(self.call_id, State.ERROR, "engine", "an internal error")
        finally:
            self._group = None
            self.listeners.close()
            if self._session is not None:
                await self._session.close()

    def over(self) -> None:
        """The call has ended in the log."""
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(Refusal("call_ended", "the call ended before the caller answered"))
            self._answer.exception()
        self.listeners.close()
        self.asked.set()
        self._over.set()

    def closing_facts(self) -> list[Draft]:
        """What has to stand in the log before the end of the call: what was heard of the last line."""
        self.replies.revoke()
        if (call := self._call).media == "inline":
            return notice.closing(call, None, epoch_ms())
        return self.mouth.silence("the call ended")

    @property
    def streaming(self) -> bool:
        """A media stream is up."""
        return self._streaming.is_set()

    def take_note(self, event: CarrierEvent) -> None:
        """The carrier said something about this call, and it was recorded."""
        self.machine.act()
        if event.type == "asks":
            self.asked.set()
        elif event.type == "transfer_over" and not event.reached:
            self.come_back()

    def post_fact(self, type_: str, data: dict[str, object]) -> None:
        """Record a fact of this call that nobody waits for."""
        self._parts.recorder.post(Draft(type_, self.call_id, data))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run something for as long as the call lives."""
        if self._group is None or self._over.is_set():
            work.close()
            return
        self._group.create_task(work)

    @property
    def _call(self) -> Call:
        call = self._parts.book.get(self.call_id)
        assert call is not None, "a live call is in the book"
        return call

    # -- the media stream ---------------------------------------------------------------------

    async def stream(self, session: MediaSession, started: Started) -> None:
        """Carry one media stream until it ends. A newer stream of the same call replaces an older one."""
        older, self._session = self._session, session
        resumed = "start" in self._call.rungs
        facts: dict[str, object] = {"streamId": started.stream_id}
        post = self._parts.recorder.post
        post(Draft("stream.opened", self.call_id, facts))
        post(
            Draft(
                "stream.started",
                self.call_id,
                {**facts, "encoding": started.format.encoding, "sampleRate": started.format.rate},
            )
        )
        if resumed:
            post(Draft("stream.resumed", self.call_id, facts))
        if older is not None:
            await older.close()
        self.listeners.attach(session)
        self.mouth.attach(session.playout)
        self._streaming.set()
        self._stream_over.clear()
        try:
            why = await session.run(_FrameHandler(self, started.stream_id, self._call.mode == "conversation"))
        except Exception as error:
            log.exception("call %s: its stream failed", self.call_id)
            why = f"an internal error: {type(error).__name__}"
        finally:
            if self._session is session:
                self._session = None
                self._streaming.clear()
                self._stream_over.set()
                self.mouth.detach()
        if self._session is None and not self._over.is_set():
            self._spawn(self._recover_stream({**facts, "why": why}))

    async def reopen_stream(self) -> None:
        """Ask the carrier to open the media stream again."""
        parts = self._parts
        again = connect(self.call_id, parts.stream_url(), parts.webhook_url(), parts.issue_token(self.call_id))
        await parts.carrier.reopen_stream(self.streamless(), again)

    def streamless(self) -> Streamless:
        """Proof that no document can cut anybody off now. Raises CarrierError where a stream is up, or the caller
        talks to somebody else."""
        if self._streaming.is_set():
            raise CarrierError("a media stream is up: new instructions would cut it off")
        if self.handover.away:
            raise CarrierError("the caller was put through: new instructions would fetch them back")
        return Streamless(self._call.provider_call_id or "")

    async def _recover_stream(self, facts: dict[str, object]) -> None:
        """A lost stream: open it again where that is possible, and end the call when it stays away.

        A stream that ends because the call does is not lost; the carrier says so a moment later.
        """
        await asyncio.sleep(LOST_SECONDS)
        if self.handover.away:
            return
        if not self._streaming.is_set():
            self.post_fact("stream.lost", facts)
        can_reopen = self._parts.carrier.capabilities.reopen_stream
        try:
            async with asyncio.timeout(REOPEN_SECONDS if can_reopen else GRACE_SECONDS):
                if can_reopen and not self._streaming.is_set():
                    await self.reopen_stream()
                await self._streaming.wait()
        except TimeoutError:
            self._parts.hang_up(self.call_id, State.ERROR, "engine", "the media stream did not come back")
        except CarrierError as error:
            reason = State.COMPLETED if error.kind == "gone" else State.ERROR
            self._parts.hang_up(self.call_id, reason, "carrier", f"the media stream was lost: {error}")

    # -- the caller talks to somebody else (engine.live.transfer.Handed) ----------------------

    def let_go(self) -> None:
        """The caller is away: be silent, answer nothing."""
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(Refusal("call_not_connected", "the caller was put through to somebody else"))
            self._answer.exception()
        self._be_silent(f"the caller was put through to {self.handover.to}")

    def stay(self) -> None:
        """The transfer did not come about: the call goes on as it was."""
        self.handover.end()
        if "start" in self._call.rungs and not self._streaming.is_set():
            self._spawn(self._recover_stream({"why": "it ended for a transfer that did not come about"}))

    def come_back(self) -> None:
        """Nobody was there: the carrier gives the caller back to us."""
        self.handover.end()
        if self._call.media == "stream":
            self._spawn(self._await_stream())
        if self._floor == "agent" and not self.mouth.full:
            self.say(SORRY, "agent")

    async def stream_ended(self) -> None:
        """Return when no media stream is up."""
        await self._stream_over.wait()

    async def _await_stream(self) -> None:
        try:
            async with asyncio.timeout(REOPEN_SECONDS):
                await self._streaming.wait()
        except TimeoutError:
            self._parts.hang_up(self.call_id, State.ERROR, "engine", "the caller did not come back to the stream")

    # -- speaking -----------------------------------------------------------------------------

    def say(self, text: str, speaker: Speaker, kind: Kind = "speak") -> Utterance:
        """Queue a line from outside. Raises Refusal. A person's line comes before replies that wait."""
        if speaker == "operator":
            self.replies.revoke()
        try:
            return self.mouth.say(text, speaker=speaker, kind=kind)
        except MouthFull as error:
            raise Refusal("turn_in_progress", str(error), "wait until some of them were heard") from error

    async def ask(self, text: str, speaker: Speaker, timeout_ms: int) -> str:
        """Say a line and return the caller's answer. Raises Refusal."""
        if self._turn_lock.locked():
            raise Refusal(
                "turn_in_progress",
                "another question of this call waits for its answer",
                "wait for it, or say a line with `speak`",
            )
        async with self._turn_lock:
            self.replies.revoke()
            try:
                async with asyncio.timeout(timeout_ms / 1000):
                    line = self.say(text, speaker)
                    ending = await line.done
                    if ending in ("failed", "skipped"):
                        why = line.error or "something else took its place"
                        raise Refusal("speech_unavailable", f"the question was not said: {why}", "ask it again")
                    # What the caller said before the question was heard is no answer to it.
                    self._answer = asyncio.get_running_loop().create_future()
                    if self._over.is_set():
                        self.over()
                    return await self._answer
            except TimeoutError as error:
                raise Refusal(
                    "timeout",
                    f"the caller gave no answer within {timeout_ms} ms",
                    "the call goes on: ask again or end it",
                ) from error
            finally:
                self._answer = None

    def set_floor(self, holder: Floor) -> None:
        """Who speaks for our side from now on. A hold is spoken, so that the caller knows."""
        before, self._floor = self._floor, holder
        if holder == before:
            return
        if holder != "agent":
            self.replies.revoke()
            self.mouth.cut(f"the floor went to {holder}")
        if holder == "held" and not self.handover.away:
            self.say(HOLDING, "agent", "hold")

    def _be_silent(self, why: str) -> None:
        """Say nothing more of what was meant to be said."""
        self.replies.revoke()
        self.mouth.cut(why)

    def _first_words(self) -> str:
        call = self._call
        if call.direction == "outbound":
            return call.message
        numbers = self._parts.config.numbers.get(call.to_number)
        greeting = numbers.inbound_greeting if numbers is not None else None
        return greeting or self._parts.config.inbound_greeting or GREETING

    async def _greet(self, prepared: asyncio.Task[list[Audio]]) -> None:
        """Say the first words once: when the stream is up and, in a conversation, we can hear."""
        await self._streaming.wait()
        if self._call.mode == "conversation":
            try:
                async with asyncio.timeout(EARS_SECONDS):
                    await self.ears.wait_ready()
            except TimeoutError:
                log.warning("call %s: greeted before recognition was ready", self.call_id)
        notify = self._call.mode == "notify"
        text = self._first_words()
        if self._greeted or self.machine.talks or not text or (self._floor != "agent" and not notify):
            return
        self._greeted = True
        line = self.mouth.say(text, kind="notify" if notify else "greeting", prepared=prepared)
        del prepared  # a quarter of a megabyte, and a notification lasts
        if notify:
            await self._notified(line)

    async def _notified(self, line: Utterance) -> None:
        """A notice ends its call, and the end says whether it was heard."""
        ending = await line.done
        if self.machine.talks or self.handover.away:
            return
        if ending != "heard":
            why = line.error or "it was not heard to its end"
            self._parts.hang_up(self.call_id, State.FAILED, "engine", f"the message was not delivered: {why}")
            return
        await asyncio.sleep(self._parts.config.outbound.notify_hangup_delay_sec)
        if await self.machine.has_call() or self.handover.away:
            return
        self._parts.hang_up(self.call_id, State.COMPLETED, "engine", "the message was delivered")

    def _bot_hangs_up(self, end: EndCall) -> None:
        if end.voicemail:
            self._parts.hang_up(self.call_id, State.VOICEMAIL, "agent", "an answering machine took the call")
        else:
            self._parts.hang_up(self.call_id, State.HANGUP_BOT, "agent", "the agent said goodbye")

    # -- hearing (engine.live.ears.Hears) -----------------------------------------------------

    def caller_began(self) -> None:
        self.replies.caller_began()

    def caller_interrupts(self) -> None:
        if self.machine.talks:
            return  # nobody is there to be listened to: the beep, or what is left of a greeting
        self.replies.revoke()
        self.mouth.interrupted("the caller interrupted")

    def caller_said_nothing(self) -> None:
        self.replies.caller_quiet()

    def caller_said(self, text: str, clock: TurnClock) -> None:
        self.replies.caller_quiet()
        if self.machine.talks or self.handover.away:
            return
        if self._turn_lock.locked():
            if self._answer is not None and not self._answer.done():
                self._answer.set_result(text)
        elif not self._greeted:
            return  # Whoever picks up says "Hello?"; what we say first is the answer to that.
        elif self._floor == "agent" and self._group is not None and not self._over.is_set():
            self.replies.answer(text, clock, self._group)

    def report_level(self) -> None:
        """Tell watchers how loud both sides are now."""
        session = self._session
        if session is not None:
            levels = {"caller": round(self.ears.level_db), "agent": round(session.agent_level_db)}
            self._parts.recorder.ephemeral(self.call_id, "audio.level", dict(levels))


class _FrameHandler:
    """What a media session reports, per frame; kept apart from the call's public methods."""

    def __init__(self, call: LiveCall, stream_id: str, listens: bool) -> None:
        self._call = call
        self._listens = listens
        self._stream_id = stream_id
        self._first = True

    def on_frame(self, payload: bytes, at_ms: int) -> None:
        if self._first:
            self._first = False
            self._call.post_fact("stream.first_frame", {"streamId": self._stream_id})
        if self._listens:
            self._call.ears.on_frame(payload, at_ms)

    def on_dtmf(self, digit: str) -> None:
        self._call.post_fact("dtmf.received", {"digits": digit, "by": "caller"})

    def on_stopped(self, why: str) -> None:
        log.info("call %s: stream stopped: %s", self._call.call_id, why)


def _voice_name(parts: Parts, call: Call) -> str:
    """The voice of the number of ours that this call is on."""
    ours = call.to_number if call.direction == "inbound" else call.from_number
    route = parts.config.numbers.get(ours)
    tts = route.tts if route is not None and route.tts is not None else parts.config.tts
    return tts.providers.local.voice if tts.provider == "local" else ""


def _response_timeout(parts: Parts, call: Call) -> int:
    number = parts.config.numbers.get(call.to_number)
    if number is not None and number.response_timeout_ms is not None:
        return number.response_timeout_ms
    return parts.config.response_timeout_ms
