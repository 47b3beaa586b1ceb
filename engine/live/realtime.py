"""A call that a speech-to-speech model holds: OpenAI Realtime on the carrier's media stream.

Each thing has one owner here. When a turn of the caller is over is the service's word; whether it is answered is
ours (the floor, a question that waits, an "uh-huh" under our voice). That the caller interrupts is our ears' word:
then the carrier is cleared, the response cancelled and the model told how much of its line was heard.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final, Protocol

from engine.calls import Call, Draft, Floor
from engine.live.lines import Ending, Utterance
from engine.live.parts import Parts
from engine.live.realtime_ears import RealtimeEars
from engine.live.realtime_line import ModelLine
from engine.live.realtime_link import Link
from engine.live.realtime_mouth import RealtimeMouth
from engine.live.realtime_prompts import AGAIN, HANDED_BACK, Role, about, earlier, hint, history, keys, spoken_by
from engine.live.realtime_tools import Tools
from engine.live.realtime_turns import CallerTurns
from engine.live.realtime_voice import ModelVoice
from engine.live.turn_clock import TurnClock
from engine.media.audio import FRAME_BYTES, SILENCE
from engine.speech.ports import EndCall
from engine.speech.realtime.core import RealtimeCore
from engine.speech.realtime.notices import (
    CallerBegan,
    CallerPartial,
    CallerStopped,
    CallerText,
    CallerTurn,
    Notice,
    ToolCall,
    Trouble,
)
from engine.speech.realtime.problems import Problem
from engine.speech.realtime.service import RealtimeService

log = logging.getLogger(__name__)

LOOK_SECONDS: Final = 0.25
UNHEARD_MS: Final = 500
"""A caller who is there and whom nobody hears for this long is a fact ..."""
EXCUSE_MS: Final = 3_500
"""... and after this they are told: later than first words that did not wait for the service."""
GAP_MS: Final = 400
"""Frames that stop coming for this long in the middle of a turn are taken for silence."""


class Holds(Protocol):
    """The call (`engine.live.call`)."""

    def wants_answer(self) -> bool:
        """What the caller says now is for the agent to answer."""

    def caller_interrupts(self) -> None:
        """The caller speaks over our voice and means it."""

    def caller_said(self, text: str, clock: TurnClock) -> None:
        """One whole turn of the caller."""

    def cannot_hear(self, for_good: bool) -> None:
        """Nobody hears the caller."""

    def hears_again(self) -> None:
        """They are heard again."""


class Realtime:
    """The model's side of one call."""

    mouth: RealtimeMouth
    ears: RealtimeEars

    def __init__(
        self,
        call: Call,
        parts: Parts,
        service: RealtimeService,
        holds: Holds,
        hang_up: Callable[[EndCall], None],
        spawn: Callable[[Coroutine[Any, Any, None]], None],
    ) -> None:
        self._call_id = call.call_id
        self._parts = parts
        self._service = service
        self._holds = holds
        self._spawn = spawn
        ours = call.to_number if call.direction == "inbound" else call.from_number
        recorder, now_ms = parts.recorder, parts.now_ms
        self._link = Link(service, ours, about(call), self._notice, self._up, self._down, self._is_quiet)
        self._voice = ModelVoice(call.call_id, self._link, self, recorder.post, now_ms)
        self._turns = CallerTurns(call.call_id, recorder.post, recorder.ephemeral, now_ms, service.name)
        self._tools = Tools(call.call_id, self, hang_up)
        self._quiet = asyncio.Event()
        self._quiet.set()
        self._barged = self._service_heard = False
        self._unanswered = False
        self._caller_spoke_last = True
        self._unheard_ms = 0.0
        self._told = self._excused = False
        self.generation = 0

    # -- parts of the call --------------------------------------------------------------------

    def make_mouth(self, *args: Any) -> RealtimeMouth:
        """The call's mouth; takes what `Mouth` takes."""
        self.mouth = self._voice.mouth = RealtimeMouth(self, *args)
        return self.mouth

    def make_ears(self, *args: Any) -> RealtimeEars:
        """The call's ears; takes what `Ears` takes."""
        self.ears = ears = RealtimeEars(*args)
        ears.listens, ears.live = self, self._live
        ears.interruptible = self._service.interruptible and self._parts.config.turn_taking.barge_in
        return ears

    @property
    def name(self) -> str:
        """Who the model is."""
        return self._service.name

    @property
    def speaks(self) -> bool:
        """The model holds the call; false: it was lost for good."""
        return self._link.given_up is None

    @property
    def falls_back(self) -> bool:
        """A recogniser and a brain stand by for when it is lost."""
        return self._parts.config.in_steps

    @property
    def replying(self) -> bool:
        """The model makes a reply."""
        return self._voice.replying

    @property
    def quiet(self) -> bool:
        """The caller does not speak."""
        return self._quiet.is_set()

    def keys_pressed(self, digits: str) -> None:
        """The caller pressed keys, which is a turn like any other."""
        if self.wants_answer():
            self._tools.caller_spoke()
            self._tell(*keys(digits))
            self._voice.reply(None)

    def floor(self, holder: Floor) -> None:
        """Somebody else speaks for us from now on."""
        self.generation += 1
        if holder == "agent":
            self._tell("system", HANDED_BACK)

    def go_on(self) -> None:
        """The caller waits for an answer to what they said to somebody else."""
        if self.wants_answer():
            self._voice.reply(None)

    def hint(self, text: str) -> None:
        """An operator's word to the model."""
        self._tell(*hint(text))

    def person_said(self, text: str) -> None:
        """A person said this to the caller with their own voice."""
        self._tell(*spoken_by("operator", text))

    async def _live(self) -> bool:
        """Hold the call for as long as the service is there. True: somebody else takes over the ears."""
        watching = asyncio.create_task(self._watch())
        try:
            await self._link.run()
        finally:
            watching.cancel()
        self.ears.count_from(self._turns.count)
        return self.falls_back

    # -- the service --------------------------------------------------------------------------

    async def _up(self) -> None:
        """A session can be talked to: it is told what was said so far."""
        await self._parts.recorder.settle()
        call = self._parts.book.get(self._call_id)
        if call is not None:
            remember = self._parts.remember
            for role, text in earlier(await remember(call) if remember is not None else ()):
                self._tell(role, text)
            for role, text in history(call):
                self._tell(role, text)
        self._post("speech.ready", {"engine": self.name})
        self._told = self._excused = False
        self.ears.can_hear()
        self._holds.hears_again()
        if self._unanswered and self.wants_answer():
            self._voice.reply(None, AGAIN)
        self._unanswered = False

    def _down(self, problem: Problem, final: bool) -> None:
        """A session was lost, or did not come about."""
        unanswered = self._voice.lost(problem)
        self._unanswered |= self._turns.lost() or unanswered
        self._quiet.set()
        self._told = True
        fallback = self._parts.recogniser.name if final and self.falls_back else ""
        facts: dict[str, object] = {"engine": self.name, "error": problem.message, "hint": problem.hint}
        facts |= {"code": problem.code, "final": final and not fallback}
        self._post("speech.failed", facts | ({"fallback": fallback} if fallback else {}))
        log.warning("call %s: %s: %s", self._call_id, problem.code, problem.message)
        if fallback and self._unanswered:
            self._voice.apologise()
        elif final and not fallback:
            self._excused = True
            self._holds.cannot_hear(True)
            self.ears.can_hear()

    def _is_quiet(self) -> bool:
        """Nothing would be lost by a new session now."""
        return not (self._voice.busy or self._turns.open or self.mouth.busy)

    def _notice(self, notice: Notice) -> None:
        match notice:
            case CallerBegan(item=item, start_ms=start):
                self._caller_began(item, start)
            case CallerStopped(item=item, end_ms=end):
                self._turns.stopped(item, self._heard_ms() - end + self._service.silence_ms)
            case CallerTurn(item=item):
                self._caller_turn(item)
            case CallerPartial(item=item, text=text):
                self._turns.partial(text)
                if item == self._turns.speaking:
                    self.ears.words(text)
            case CallerText():
                turn = self._turns.text(notice)
                if turn is not None and not turn.backchannel:
                    self._holds.caller_said(notice.text, turn.clock)
            case Trouble(problem=problem) if not problem.lost:
                log.warning("call %s: the service complains: %s: %s", self._call_id, problem.code, problem.message)
            case _:
                self._voice.take(notice)

    # -- the caller ---------------------------------------------------------------------------

    def hear(self, frame: bytes) -> None:
        """20 ms of the caller (RealtimeEars)."""
        self._link.hear(frame)

    def interrupted(self) -> None:
        """The caller speaks over our voice and means it (RealtimeEars)."""
        self._barged, self._service_heard = True, bool(self._turns.speaking)
        self.generation += 1
        self._holds.caller_interrupts()

    def fell_silent(self) -> None:
        """Who interrupted us gets an answer, also where the service heard no voice (RealtimeEars)."""
        self.mouth.caller_over()
        if self._barged and not self._service_heard:
            self._service_heard = True
            self._voice.do(RealtimeCore.commit)

    def wants_answer(self) -> bool:
        """What the caller says now is for the agent to answer."""
        return self._holds.wants_answer()

    async def caller_quiet(self) -> None:
        """Return when the caller does not speak."""
        await self._quiet.wait()

    def _caller_began(self, item: str, start_ms: int) -> None:
        self._service_heard = True
        self._quiet.clear()
        self._turns.began(item, self._heard_ms() - start_ms)
        self.ears.voice_confirmed()

    def _caller_turn(self, item: str) -> None:
        turn = self._turns.complete(item)
        over_us = self.mouth.speaking and not self._barged
        self._barged = False
        if over_us and self.ears.interruptible:
            turn.backchannel = True
        else:
            self._caller_spoke_last = True
        if not turn.backchannel and self.wants_answer():
            self._tools.caller_spoke()
            self.revoke()
            self.mouth.skip_replies("a newer turn of the caller")
            self._voice.reply(turn.clock)
        self._quiet.set()

    def _heard_ms(self) -> int:
        session = self._link.session
        return session.core.heard_ms if session is not None else 0

    # -- what is said (RealtimeMouth, RealtimeReplies, Tools) ---------------------------------

    def revoke(self) -> None:
        """What the model has not begun to say is not to be said any more."""
        self.generation += 1
        self._voice.revoke()

    async def prepare(self, text: str) -> None:
        """Have a line made ahead of time."""
        await self._voice.prepare(text)

    async def say_line(self, text: str, patience: float) -> ModelLine:
        """Have the model say exactly this. Raises ModelLost."""
        return await self._voice.say_line(text, patience)

    def cut(self, line: ModelLine, heard_ms: int) -> None:
        """The caller hears no more of a line than this."""
        self._voice.cut(line, heard_ms)

    def was_said(self, line: Utterance, ending: Ending, *, by_model: bool) -> None:
        """A line of ours is over. The model is told what was said without it."""
        text = line.text if ending == "heard" else line.heard_text if ending == "cut" else ""
        self._caller_spoke_last &= not text
        if text and line.kind != "keys" and not by_model:
            self._tell(*spoken_by(line.speaker, text, cut=ending == "cut"))

    def used(self, calls: Sequence[ToolCall], said: Sequence[Utterance]) -> None:
        """The model wants something done."""
        self._spawn(self._tools.use(calls, said))

    def say(self, text: str) -> Utterance:
        """Say a line as the agent. Raises MouthFull."""
        return self.mouth.say(text, kind="reply")

    def agent_spoke_last(self) -> bool:
        """Nobody said anything after the agent's latest line."""
        return not self._caller_spoke_last

    def tell_tool(self, call_id: str, output: str) -> None:
        """What became of a tool call."""
        self._voice.do(lambda core: core.answer_tool(call_id, output))

    def follow_up(self) -> None:
        """Have the model go on."""
        if self.wants_answer():
            self._voice.reply(None)

    def _tell(self, role: Role, text: str) -> None:
        self._voice.do(lambda core: core.tell(role, text))

    # -- time ---------------------------------------------------------------------------------

    async def _watch(self) -> None:
        """What the passing of time means."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            now = self._parts.now_ms()
            self._voice.watch(now)
            self._watch_deaf(now)
            for item in list(self._turns.late()):
                self._give_up_text(item)
            if self._turns.endless(self._parts.config.turn_taking.max_turn_ms):
                self._voice.do(RealtimeCore.commit)  # a radio in the room can not hold the call for ever
            if self._turns.speaking and self.ears.silent_ms(now) > GAP_MS:
                for _ in range(int(LOOK_SECONDS * 50)):
                    self.hear(bytes((SILENCE,)) * FRAME_BYTES)

    def _give_up_text(self, item: str) -> None:
        self._voice.do(lambda core: core.give_up_text(item))

    def _watch_deaf(self, now: float) -> None:
        """A caller who is there is heard, or it is a fact that they are not."""
        if self._link.session is not None or not self.speaks or not self.ears.caller_is_there(now):
            self._unheard_ms = 0.0
            return
        self._unheard_ms = self._unheard_ms or now
        unheard = now - self._unheard_ms
        if not self._told and unheard >= UNHEARD_MS:
            self._told = True
            error = "it is not ready yet; what the caller says meanwhile is kept for ten seconds"
            self._post("speech.failed", {"engine": self.name, "error": error, "hint": "", "final": False})
        if not self._excused and unheard >= EXCUSE_MS:
            self._excused = True
            self._holds.cannot_hear(False)

    def _post(self, type_: str, data: dict[str, object]) -> None:
        self._parts.recorder.post(Draft(type_, self._call_id, data))
