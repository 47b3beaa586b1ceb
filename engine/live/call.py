"""Everything that one call runs while it is up: one task group, gone with the call.

The call's own state lives in the log; what is here is only what sockets, voices and timers need. Each thing that
must happen once has one owner: the greeting is one job, the playing voice is the mouth's, a turn belongs to the
ears until it is answered, and hanging up is the engine's.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterator
from functools import partial
from typing import Any, Final

from engine.api import Refusal
from engine.calls import Call, Draft, Floor, Speaker, State
from engine.carriers.base import CarrierError, CarrierEvent, Document, Streamless
from engine.clock import epoch_ms
from engine.live import notice
from engine.live.deafness import Deafness
from engine.live.documents import connect
from engine.live.limits import Limits
from engine.live.lines import Kind, MouthFull, Speaking, Utterance
from engine.live.listening import Listeners
from engine.live.machine import Machine
from engine.live.manners import manners_of
from engine.live.native import Native
from engine.live.notice import NoticeWatch
from engine.live.parts import Parts
from engine.live.person import Microphone, Person
from engine.live.prepared import Prepared
from engine.live.pressed import Pressed
from engine.live.questions import Questions
from engine.live.realtime import Realtime
from engine.live.realtime_replies import RealtimeReplies
from engine.live.recording import CallRecording
from engine.live.replies import Replies
from engine.live.routes import first_words
from engine.live.silence import SilenceWatch
from engine.live.streamed import Streamed
from engine.live.transfer import SORRY, Handover
from engine.live.turn_clock import TurnClock
from engine.live.unreached import Unreached
from engine.media.session import MediaSession
from engine.media.wire import Started
from engine.speech.ports import EndCall

log = logging.getLogger(__name__)

UNANSWERED_SECONDS: Final = 60
"""A caller's words are answered by an agent who gets the floor back, if they are not older than this."""


class _Over(Exception):
    """The call has ended: everything in its task group stops."""


class LiveCall:
    """One call while it is up. `run` returns when the call is over; nothing of it is left then.

    It has either a media stream or a carrier that speaks by itself, never both: what is between us and the caller is
    decided when the call begins.
    """

    def __init__(self, call: Call, parts: Parts) -> None:
        self.call_id = call.call_id
        self._parts = parts
        self._group: asyncio.TaskGroup | None = None
        self.began = asyncio.Event()
        """Set when its task group runs."""
        self._over = asyncio.Event()
        self.answered = asyncio.Event()
        if call.answered_at is not None:
            self.answered.set()
        self._greeted = call.answered_at is not None and bool(call.transcript)
        self._floor: Floor = call.floor
        self._holds = 0
        """Changes of the floor: a hold knows by it that it is over."""
        self._questions = Questions()
        self.listeners = Listeners()
        self.handover = Handover(call.transferred_to)
        self.orders = asyncio.Lock()
        """Held while the carrier is told what the call does now: what is told last has to arrive last."""
        self._streamed: Streamed | None = None
        self._native: Native | None = None
        self._realtime: Realtime | None = None
        self.mouth: Speaking
        if call.media == "stream":
            if parts.realtime is not None and call.mode == "conversation":
                self._realtime = Realtime(call, parts, parts.realtime, self, self._bot_hangs_up, self._spawn)
            self._streamed = Streamed(
                call, parts, self, self.handover, self.listeners, self.reopen_stream, self._spawn, self._realtime
            )
            self.mouth = self._streamed.mouth
        else:
            self._native = Native(call, parts, self, self._instruct, self._nobody_is_cut_off)
            self.mouth = self._native.mouth
        self.recording: CallRecording | None = None
        """What may keep the sound of the call, where there is a stream for it."""
        if self._streamed is not None and parts.recordings is not None:
            self.recording = CallRecording(
                call, parts.config.recording, parts.recordings, self._say_consent, parts.recorder.post, self._spawn
            )
            self._streamed.recording = self.recording
        self.person: Person | None = None
        """A person's own voice, where there is a stream for it."""
        if self._streamed is not None and call.mode == "conversation":
            self.person = Person(call.call_id, parts, self.mouth, self, self._spawn)
            self._streamed.on_playout = self.person.attach
        self._manners = manners_of(parts.config, call)
        make_replies = partial(RealtimeReplies, self._realtime) if self._realtime is not None else Replies
        self.replies: Replies = make_replies(
            call.call_id,
            parts.brain,
            self.mouth,
            lambda: parts.book.get(call.call_id),
            self._manners,
            self._bot_hangs_up,
            parts.recorder.post,
            parts.recorder.settle,
            parts.now_ms,
            parts.remember,
        )
        self._pressed = Pressed(self._caller_answered_with_keys)
        self.machine = Machine(call.call_id, parts, self.mouth, self.be_silent, self._first_words, self._spawn)
        self.deafness = Deafness(call.call_id, parts, self.mouth, self, self.answered, self._spawn)

    # -- life ---------------------------------------------------------------------------------

    async def run(self) -> None:
        """Live until `over` is called. An error in here ends this call, never the engine."""
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                for work in self._work(group):
                    group.create_task(work)
                self.began.set()
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
            self._put_away("the call ended")
            self._group = None
            self.began.set()
            self.listeners.close()
            self._pressed.forget()
            await self.replies.close()
            if self._streamed is not None:
                await self._streamed.close()
            if self.recording is not None:
                await self.recording.close()

    def _work(self, group: asyncio.TaskGroup) -> Iterator[Coroutine[Any, Any, None]]:
        """What runs for the whole call."""
        yield self.mouth.run()
        up = self._streamed.up if self._streamed is not None else asyncio.Event()
        if self._call.media == "inline":
            yield NoticeWatch(self.call_id, self._parts, self.answered, self.closing_facts).run()
        else:
            yield Limits(self.call_id, self._parts, self.answered, up).run()
            if self._call.mode == "conversation":
                yield self.replies.prepare()
                yield self._silence_watch().run()
            if self._call.direction == "outbound":
                yield Unreached(self.call_id, self._parts).run()
        if self._native is not None:
            yield self._native.ears.run()
        if self._call.media == "native" and self._native is not None:
            yield self._native.watch()
        if self.recording is not None:
            yield self.recording.resume()
        if self._streamed is not None:
            yield self._streamed.run()
            if not self._greeted:
                prepared = self._streamed.mouth.prepare(self._first_words(), group)
                yield self._streamed.greet(prepared, self._greet)

    def over(self) -> None:
        """The call has ended in the log."""
        self._questions.refuse(Refusal("call_ended", "the call ended before the caller answered"), for_good=True)
        self.listeners.close()
        self._put_away("the call ended")
        if not self._call.live:
            self.mouth.cut("the call ended")  # what was queued while the end was being written down
        self._over.set()

    def leave(self, why: str) -> None:
        """Somebody else carries the call from here on; it is not over."""
        self._questions.refuse(Refusal("call_not_connected", why, "ask again"), for_good=True)
        self.be_silent(why)
        self._over.set()

    def first_words(self) -> None:
        """Nobody asks for our first words: say them."""
        if not self._greeted:
            self._greet()

    def closing_facts(self, duration_s: int | None = None) -> list[Draft]:
        """What has to stand in the log before the end of the call: what was heard of the last line. `duration_s` is
        how long the call was by the carrier's count, where it says so."""
        self.replies.revoke("the call ended")
        if self._native is None:
            return self.mouth.silence("the call ended")
        return [*notice.closing(self._call, duration_s, epoch_ms()), *self._native.closing_facts()]

    def take_note(self, event: CarrierEvent) -> None:
        """The carrier said something about this call, and it was recorded."""
        self.machine.act()
        if self._native is not None:
            self._native.take_note(event)
        if event.type == "transfer_over" and not event.reached:
            self.come_back()

    def is_stale(self, event: CarrierEvent) -> bool:
        """What the carrier heard is of an earlier turn, and was told then."""
        return self._native is not None and self._native.is_stale(event)

    def document(self, event: CarrierEvent) -> Document:
        """What a carrier that speaks by itself does next. With the first document go our first words."""
        if self._native is None:
            raise ValueError("a call over a media stream gets no such document")
        if not self._greeted:
            self._greet()
        return self._native.document(event)

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

    # -- the carrier --------------------------------------------------------------------------

    @property
    def streaming(self) -> bool:
        """A media stream is up."""
        return self._streamed is not None and self._streamed.up.is_set()

    async def stream(self, session: MediaSession, started: Started) -> None:
        """Carry one media stream until it ends. A newer stream of the same call replaces an older one."""
        if self._streamed is None:  # nobody was given a token for one
            await session.close()
            return
        await self._streamed.carry(session, started)

    async def reopen_stream(self) -> None:
        """Ask the carrier to open the media stream again."""
        parts = self._parts
        again = connect(self.call_id, parts.stream_url(), parts.webhook_url(), parts.issue_token(self.call_id))
        async with self.orders:
            await parts.carrier.reopen_stream(self._streamless(), again)

    async def _instruct(self, document: Document) -> None:
        """Replace what a call without a stream does now."""
        async with self.orders:
            await self._parts.carrier.instruct(self._streamless(), document)

    def _streamless(self) -> Streamless:
        """Proof that no document can cut anybody off now. Raises CarrierError where a stream is up, or the caller
        talks to somebody else."""
        if self.streaming:
            raise CarrierError("a media stream is up: new instructions would cut it off")
        if self.handover.away:
            raise CarrierError("the caller was put through: new instructions would fetch them back")
        return Streamless(self._call.provider_call_id or "")

    def _nobody_is_cut_off(self, caller_speaks: bool) -> bool:
        """Whether a document may be put into the call now."""
        if self.handover.away or self._over.is_set():
            return False
        return self.machine.talks or not caller_speaks

    def report_level(self) -> None:
        """Tell watchers how loud both sides are now, where we can hear that."""
        if self._streamed is not None:
            self._streamed.report_level()

    # -- the caller talks to somebody else (engine.live.transfer.Handed) ----------------------

    def let_go(self) -> None:
        """The caller is away: be silent, answer nothing."""
        self._put_away("the caller was put through")
        self._questions.refuse(Refusal("call_not_connected", "the caller was put through to somebody else"))
        self.be_silent(f"the caller was put through to {self.handover.to}")

    def stay(self) -> None:
        """The transfer did not come about: the call goes on as it was."""
        self.handover.end()
        if self._streamed is not None:
            self._streamed.miss("it ended for a transfer that did not come about")
        if self._native is not None:
            self._native.mouth.wake()

    def come_back(self) -> None:
        """Nobody was there: the carrier gives the caller back to us."""
        self.handover.end()
        if self._streamed is not None:
            self._streamed.expect()
        if self._floor == "agent" and not self.mouth.full:
            self.say(SORRY, "agent")

    def press(self, digits: str) -> bool:
        """Play telephone keys by the stream's own frame; False where that is not possible, or they hold a pause."""
        plain = set(digits) <= set("0123456789ABCD*#")
        return plain and self._streamed is not None and self._streamed.press(digits)

    async def stream_ended(self) -> None:
        """Return when no media stream is up."""
        if self._streamed is not None:
            await self._streamed.ended()

    # -- speaking -----------------------------------------------------------------------------

    def say(self, text: str, speaker: Speaker, kind: Kind = "speak", *, wanted: bool = False) -> Utterance:
        """Queue a line from outside. Raises Refusal. A person's line comes before replies that wait. `wanted`: by
        somebody outside, whatever the caller says meanwhile."""
        if speaker == "operator":
            self.replies.revoke("the operator speaks")
        try:
            return self.mouth.say(text, speaker=speaker, kind=kind, wanted=wanted)
        except MouthFull as error:
            raise Refusal("turn_in_progress", str(error), "wait until some of them were heard") from error

    async def ask(self, text: str, speaker: Speaker, timeout_ms: int) -> str:
        """Say a line and return the caller's answer. Raises Refusal."""

        def say() -> Utterance:
            self.replies.revoke("the caller is asked something else")
            return self.say(text, speaker, wanted=True)

        return await self._questions.ask(say, timeout_ms)

    def set_floor(self, holder: Floor) -> None:
        """Who speaks for our side from now on. A hold is spoken, so that the caller knows."""
        before, self._floor = self._floor, holder
        if holder != "operator":
            self._put_away(f"the floor went to {holder}")
        if holder == before:
            return
        self._holds += 1
        if holder != "agent":
            self.replies.revoke(f"the floor went to {holder}")
            self.mouth.cut(f"the floor went to {holder}")
        if holder == "held" and not self.handover.away:
            self._spawn(self._hold(self._holds))
        if self._realtime is not None:
            self._realtime.floor(holder)
        if holder == "agent":
            self._go_on(before)
        self.deafness.act()

    async def _hold(self, hold: int) -> None:
        """Tell the caller that they wait, now and every so often, for as long as this hold lasts."""
        floor = self._parts.config.floor
        while self._holds == hold and not self.handover.away:
            if floor.holding_line and not self.mouth.busy:
                self.say(floor.holding_line, "agent", "hold")
            await asyncio.sleep(floor.holding_repeat_seconds)

    def _go_on(self, before: Floor) -> None:
        """The agent has the floor again: whoever spoke last and waits is answered."""
        floor = self._parts.config.floor
        if self.agent_speaks and before == "operator" and floor.handed_back_line and not self.mouth.full:
            self.say(floor.handed_back_line, "agent")
        if self._group is None or not self.wants_answer() or not self.replies.quiet:
            return
        said = [line for line in self._call.in_order if line.text not in ("", floor.holding_line) and not line.hint]
        waits = bool(said) and said[-1].speaker == "caller"
        if not waits or epoch_ms() - said[-1].at > UNANSWERED_SECONDS * 1000:
            return
        if self._realtime is not None and self.held_by_model:
            self._realtime.go_on()
        else:
            clock = TurnClock(len(self._call.turns) + 1, reported=True)  # people took the time: no stages
            clock.reach("text", self._parts.now_ms())
            self.replies.answer(said[-1].text, clock, self._group)

    def open_microphone(self, by: str, lost: Callable[[str], None]) -> Microphone:
        """A person's own voice for the caller. Raises Refusal."""
        if self.person is None:
            raise Refusal(
                "not_supported",
                "there is no media stream in this call for a microphone",
                "type what is to be said",
            )
        return self.person.open(by, lost)

    def _put_away(self, why: str) -> None:
        if self.person is not None:
            self.person.put_away(why)

    async def words_settled(self) -> None:
        """Return once what a person said with their own voice is written down."""
        if self.person is not None:
            await self.person.settle()

    def person_said(self, text: str) -> None:
        """Words of a person's own voice are known (engine.live.person.Tells)."""
        if self._realtime is not None:
            self._realtime.person_said(text)

    @property
    def held_by_model(self) -> bool:
        """A speech-to-speech model holds the call."""
        return self._realtime is not None and self._realtime.speaks

    def hint(self, text: str) -> None:
        """An operator's word to the brain; others read it in the record."""
        if self._realtime is not None:
            self._realtime.hint(text)

    def be_silent(self, why: str) -> None:
        """Say nothing more of what was meant to be said."""
        self.replies.revoke(why)
        if self._native is not None:
            self._parts.recorder.post(*notice.closing(self._call, None, epoch_ms()))
        self.mouth.cut(why)

    def _first_words(self) -> str:
        return first_words(self._parts.config, self._call)

    def _greet(self, prepared: Prepared | None = None) -> None:
        """The moment of our first words, once. Whoever has the call by then may have taken it from the agent."""
        notify = self._call.mode == "notify"
        text = self._first_words()
        if self._greeted or self.machine.talks:
            return
        self._greeted = True
        if not text or (self._floor != "agent" and not notify) or self.mouth.full or self.deafness.leaving:
            return
        if self.recording is not None:
            self.recording.greet()
        line = self.mouth.say(text, kind="notify" if notify else "greeting", prepared=prepared)
        if notify:
            self._spawn(self._notified(line))

    def _say_consent(self, text: str) -> Utterance:
        return self.mouth.say(text)

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
        self.machine.heard(True)
        self.mouth.caller_began()
        self.replies.caller_began()

    def caller_interrupts(self) -> None:
        if self.machine.talks or self._call.mode == "notify":
            return  # nobody is there to be listened to: the beep, what is left of a greeting, or a notice
        if self.person is not None and self.person.talking:
            return  # they talk with a person, who hears them
        # Until it is known that they said something, the reply is not given up: it holds its breath, as since
        # `caller_began`.
        keep = self._streamed is not None and self._parts.config.turn_taking.resume
        if not keep:
            self.replies.revoke("the caller interrupted")
        self.mouth.interrupted("the caller interrupted", keep=keep)

    def caller_said_nothing(self) -> None:
        self.machine.heard(False)
        self.mouth.go_on()
        self.replies.caller_quiet()

    def caller_pressed(self, digits: str) -> None:
        """Keys stop our voice as words do, and are a turn once they are complete."""
        if self._call.mode != "conversation" or not self._greeted or not self._callers_answer_counts():
            return
        self.caller_interrupts()
        self.mouth.caller_over()
        self._caller_means_it()
        self._pressed.take(digits)

    def _caller_answered_with_keys(self, digits: str) -> None:
        if not self._callers_answer_counts():
            return
        if self._questions.waiting:
            self._questions.offer(digits, None)
        elif self._floor == "agent" and self._group is not None:
            clock = TurnClock(len(self._call.turns) + 1, reported=True)  # no voice, so no stages
            clock.reach("text", self._parts.now_ms())
            self.replies.answer("", clock, self._group)

    def _caller_means_it(self) -> None:
        """What they interrupted is over."""
        if self.mouth.broken_off:
            self.replies.revoke("the caller interrupted")
            self.mouth.give_up()

    def _callers_answer_counts(self) -> bool:
        return not (self.machine.talks or self.handover.left or self._over.is_set())

    def wants_answer(self) -> bool:
        """What the caller says now is for the agent to answer (engine.live.realtime.Holds)."""
        waits = self._greeted and self._floor == "agent" and not self._questions.waiting
        return waits and self._callers_answer_counts()

    def _silence_watch(self) -> SilenceWatch:
        def callers_turn() -> bool:
            waits = self._greeted and self._floor == "agent" and not self._questions.waiting
            return waits and self.replies.quiet and not self.replies.pending and self._callers_answer_counts()

        def hang_up(why: str) -> None:
            self._parts.hang_up(self.call_id, State.HANGUP_BOT, "agent", why)

        read_call = self._parts.book.get
        return SilenceWatch(self.mouth, self._manners, lambda: read_call(self.call_id), callers_turn, hang_up)

    def cannot_hear(self, for_good: bool) -> None:
        self.deafness.began(for_good)

    def hears_again(self) -> None:
        self.deafness.over()

    @property
    def agent_speaks(self) -> bool:
        """Our lines reach the caller, and no person has the floor (engine.live.deafness.Deaf)."""
        silent = self.machine.talks or self.handover.away or self._over.is_set()
        return self._floor == "agent" and not silent

    def caller_said(self, text: str, clock: TurnClock, after: str | None = None) -> None:
        self.machine.heard(False)
        if self.mouth.was_nodded_at(text):
            self.caller_said_nothing()
            return
        self.mouth.caller_over()
        if self._call.mode == "notify":
            return
        self._caller_means_it()
        self.replies.caller_quiet()
        if self.machine.talks or self.handover.left:
            return
        if self._questions.waiting:
            self._questions.offer(text, after, clock)
        elif not self._greeted:
            return  # Whoever picks up says "Hello?"; what we say first is the answer to that.
        elif self._native is not None and self.machine.pending:
            self._spawn(self._answer_once_known(text, clock))
        else:
            self._answer(text, clock)

    def _answer(self, text: str, clock: TurnClock) -> None:
        if self._floor == "agent" and self._group is not None and not self._over.is_set():
            self.replies.answer(text, clock, self._group)

    async def _answer_once_known(self, text: str, clock: TurnClock) -> None:
        """A machine's greeting gets no answer, which would have to be cut off for the message."""
        await self.machine.told()
        if self._callers_answer_counts():
            self._answer(text, clock)
