"""What our side says in one call, line by line, whoever gives it a voice.

Lines are spoken strictly one after the other. Each ends in exactly one of heard, cut, skipped and failed, and
whoever asked for it learns which.
"""

from __future__ import annotations

import asyncio
import itertools
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final, Literal

from engine.calls import Call, Draft, Speaker
from engine.calls.call import Line
from engine.live.prepared import Prepared
from engine.live.turn_clock import Point, TurnClock
from engine.media.dtmf import pressed
from engine.media.ledger import heard_text
from engine.media.phrases import is_nod

Kind = Literal["greeting", "reply", "speak", "notify", "hold", "keys"]
"""`keys` are tones and no words: `text` holds the keys, and they are not part of the transcript."""
Ending = Literal["heard", "cut", "skipped", "failed"]

MAX_LINES: Final = 8
"""Lines that may wait; one more is refused."""
MS_PER_CHARACTER: Final = 65
"""How long a character takes to say, for a line whose length nobody has measured (yet)."""


class MouthFull(Exception):
    """Too many lines wait to be spoken."""


class Stage(Enum):
    """How far a line is."""

    QUEUED = auto()
    PLAYING = auto()
    OVER = auto()


@dataclass(slots=True, eq=False)
class Utterance:
    """One line of ours on its way to the caller."""

    say_id: str
    speaker: Speaker
    kind: Kind
    text: str
    done: asyncio.Future[Ending]
    clock: TurnClock | None = None
    prepared: Prepared | None = None
    stage: Stage = Stage.QUEUED
    synth_ms: int = 0
    complete: bool = False
    begun: bool = False
    """Its synthesis has begun."""
    heard_text: str = ""
    """What was heard of it when it was cut."""
    error: str = ""
    voice: str = ""
    """Who speaks it, where the voice says so."""
    cached: bool = False
    """It had been spoken before."""
    replaced: int = 0
    """How many voices failed at it."""
    wanted: bool = False
    """A person or a program asked for it: it is said all the same when the caller talks over what is before it."""
    kept: bool = False
    """Whoever interrupts it may turn out to have said nothing: then the rest of it is said."""
    since_ms: float | None = None
    """When the caller began to hear it, on the clock of turns; None where that is not known."""
    over_ms: float | None = None
    """When it was over, on the same clock."""

    @property
    def stays(self) -> bool:
        """An interruption does not take it back while it waits. Keys are not talk, and half a number is worse than
        none."""
        return self.wanted or self.speaker == "operator" or self.kind == "keys"

    @property
    def rest(self) -> str:
        """What of it was not heard."""
        return self.text[len(self.heard_text) :].strip()

    @property
    def full_ms(self) -> int:
        """How long the whole line is, estimated while it is not synthesized to its end."""
        return self.synth_ms if self.complete else max(self.synth_ms, estimated_ms(self.text))

    def heard(self, ms: int) -> str:
        """What of it was heard after `ms`."""
        return pressed(self.text, ms) if self.kind == "keys" else heard_text(self.text, ms, self.full_ms)


class Speaking(ABC):
    """The voice of one call. `run` belongs to the call's task group; all else is called from the same loop."""

    voice_engine = ""
    """The engine that speaks, where a line does not say it."""

    def __init__(self, call_id: str, post: Callable[..., None], now_ms: Callable[[], float]) -> None:
        self._call_id = call_id
        self._post = post
        self._now_ms = now_ms
        self._ids = itertools.count(1)
        self._lines: dict[str, Utterance] = {}
        self._broken: list[Utterance] = []
        """Lines that were interrupted, in their order, until it is known what the caller said."""
        self._caller_over = asyncio.Event()
        self._caller_over.set()

    @property
    def speaking(self) -> bool:
        """The caller hears us now."""
        return any(line.stage is Stage.PLAYING for line in self._lines.values())

    @property
    def broken_off(self) -> bool:
        """The caller interrupted us, and it is not known yet whether they said anything."""
        return bool(self._broken)

    @property
    def busy(self) -> bool:
        """Something is being said or waits to be."""
        return bool(self._lines)

    @property
    def full(self) -> bool:
        """No further line is taken now."""
        return len(self._lines) >= MAX_LINES

    async def room(self) -> None:
        """Return once another line would be taken."""
        while self.full:
            await asyncio.wait([line.done for line in self._lines.values()], return_when=asyncio.FIRST_COMPLETED)

    def say(
        self,
        text: str,
        *,
        speaker: Speaker = "agent",
        kind: Kind = "speak",
        clock: TurnClock | None = None,
        prepared: Prepared | None = None,
        done: asyncio.Future[Ending] | None = None,
        wanted: bool = False,
    ) -> Utterance:
        """Queue a line. Raises MouthFull. `done`: who waits already for how it ends. `wanted`: a person or a program
        asked for it."""
        if self.full:
            raise MouthFull(f"{MAX_LINES} lines wait already")
        done = done or asyncio.get_running_loop().create_future()
        say_id = f"{self._call_id[:8]}-{next(self._ids)}-{self._now_ms():.0f}"
        line = Utterance(say_id, speaker, kind, text, done, clock, prepared, wanted=wanted)
        self._lines[say_id] = line
        self._post(
            Draft("say.queued", self._call_id, {"sayId": say_id, "speaker": speaker, "kind": kind, "text": text})
        )
        self._queued(line)
        return line

    def cut(self, why: str) -> None:
        """Be silent now."""
        for draft in self.silence(why):
            self._post(draft)

    def interrupted(self, why: str, *, keep: bool = False) -> None:
        """The caller speaks over us: the agent is silent. What a person or a program wants said is said afterwards.

        Keys are not talk: a voice menu goes on speaking while they are pressed, and half a number is worse than none.
        `keep`: it may have been nothing; `go_on` or `give_up` follows.
        """
        pressing = any(line.kind == "keys" for line in self._at(Stage.PLAYING))
        for line in self._lines.values():
            plays = line.stage is Stage.PLAYING
            resumes = (plays or not line.stays) if keep else (plays and line.stays)
            line.kept = resumes and line.kind not in ("keys", "hold")
        if not pressing:
            for draft in self._cut_playing():
                self._post(draft)
        for line in self._at(Stage.QUEUED):
            if not line.stays:
                self._skip(line, why)
        if not pressing:
            self._unsaid(keep)
            self._caller_over.clear()
            self._interrupted()

    def _unsaid(self, keep: bool) -> None:
        """What was asked for and not heard at all is said once more. Without `keep` nothing goes on."""
        again = [line for line in self._broken if line.stays and not line.heard_text]
        self._broken = [line for line in self._broken if line not in again]
        self._say_first(again)
        if not keep:
            self.give_up()

    def _say_first(self, lines: Iterable[Utterance]) -> bool:
        """Say what is left of lines, before what waits; whoever waits for such a line waits for its rest. Gives
        whether something that waited has to wait longer."""
        waiting = dict(self._lines)
        for line in lines:
            if self.full or not any(map(str.isalnum, line.rest)):
                _settle(line, "cut" if line.heard_text else "skipped")
            else:
                self.say(line.rest, speaker=line.speaker, kind=line.kind, done=line.done, wanted=line.wanted)
        first = {say_id: line for say_id, line in self._lines.items() if say_id not in waiting}
        self._lines = {**first, **waiting}
        return bool(first) and bool(waiting)

    def caller_began(self) -> None:
        """The caller speaks: what a person or a program wants said from now on waits until they have finished."""
        self._caller_over.clear()

    def caller_over(self) -> None:
        """The caller has stopped speaking: what waited for that is said."""
        self._caller_over.set()

    def go_on(self) -> None:
        """The caller said nothing after all: say what is left of the lines that they interrupted."""
        self.caller_over()
        broken, self._broken = self._broken, []
        if self._say_first(broken):
            self._interrupted()

    def give_up(self, kind: Kind | None = None) -> None:
        """The caller did say something: the lines that they interrupted (of this kind) stay as they are."""
        for line in self._broken:
            if kind in (None, line.kind):
                _settle(line, "cut" if line.heard_text else "skipped")
        self._broken = [line for line in self._broken if kind not in (None, line.kind)]

    def was_nodded_at(self, text: str) -> bool:
        """Did whoever interrupted us say no more than "okay", in the middle of something that asked them nothing?"""
        broken = self._broken[0] if self._broken else None
        return broken is not None and is_nod(text, broken.heard_text, broken.rest)

    def take_back(self, line: Utterance, why: str) -> None:
        """A line is not needed any more: it is cut where it is, or not begun. Others are said all the same."""
        if line.stage is Stage.PLAYING:
            for draft in self._cut_playing():
                self._post(draft)
            self._interrupted()
        elif line.stage is Stage.QUEUED:
            self._skip(line, why)

    def skip_replies(self, why: str) -> None:
        """Drop reply lines that have not begun to play, and the rest of interrupted ones."""
        self.give_up("reply")
        for line in self._at(Stage.QUEUED):
            if line.kind == "reply":
                self._skip(line, why)

    def silence(self, why: str) -> list[Draft]:
        """Stop everything, and return the facts of it for the caller to record."""
        self.give_up()
        drafts = self._cut_playing()
        for line in list(self._lines.values()):
            drafts.append(Draft("say.skipped", self._call_id, {"sayId": line.say_id, "why": why}))
            self._end(line, "skipped")
        self._silenced()
        return drafts

    @abstractmethod
    async def run(self) -> None:
        """Speak what is queued, for the life of the call."""

    @abstractmethod
    def _queued(self, line: Utterance) -> None:
        """A line waits to be said."""

    @abstractmethod
    def _cut_playing(self) -> list[Draft]:
        """Stop what is playing; returns the facts of it."""

    @abstractmethod
    def _dropped(self, line: Utterance) -> None:
        """A line is over before it was heard: nothing of it is to be said any more."""

    @abstractmethod
    def _interrupted(self) -> None:
        """The caller cut us off."""

    @abstractmethod
    def _silenced(self) -> None:
        """All lines are over."""

    def _at(self, stage: Stage) -> Iterator[Utterance]:
        return (line for line in list(self._lines.values()) if line.stage is stage)

    def _skip(self, line: Utterance, why: str) -> None:
        self._post(Draft("say.skipped", self._call_id, {"sayId": line.say_id, "why": why}))
        self._end(line, "skipped")
        self._dropped(line)

    def _fail(self, line: Utterance, error: str) -> None:
        if line.stage is Stage.OVER:
            return
        line.error = error
        self._dropped(line)
        self._post(Draft("say.failed", self._call_id, {"sayId": line.say_id, "error": error}))
        self._end(line, "failed")

    def _was_heard(self, line: Utterance, ms: int, *, confirmed: bool) -> Draft:
        """A line is over because the caller heard it."""
        data: dict[str, object] = {"sayId": line.say_id, "ms": ms}
        if not confirmed:
            data["unconfirmed"] = True
        self._end(line, "heard")
        return Draft("say.heard", self._call_id, data)

    def _was_stopped(self, line: Utterance, ms: int, *, confirmed: bool) -> Draft:
        """A line is over after `ms`: heard whole, or cut where it was. One whose voice broke off is never whole."""
        line.heard_text = text = line.heard(ms)
        if text == line.text and not line.error:
            return self._was_heard(line, ms, confirmed=confirmed)
        data: dict[str, object] = {"sayId": line.say_id, "heardMs": ms, "heardText": text}
        if line.error:
            data["error"] = line.error
        self._end(line, "cut")
        return Draft("say.cut", self._call_id, data)

    def _end(self, line: Utterance, ending: Ending) -> None:
        line.stage = Stage.OVER
        line.over_ms = self._now_ms()
        self._lines.pop(line.say_id, None)
        if line.prepared is not None:
            line.prepared.cancel()
        if line.kept and ending in ("cut", "skipped"):
            self._broken.append(line)
        else:
            _settle(line, ending)

    def _reach(self, line: Utterance, point: Point) -> None:
        clock = line.clock
        if clock is None or clock.reported:
            return
        now = self._now_ms()
        if point == "audio" and self.speaking:
            clock.blocked(now)
        elif point == "frame":
            clock.unblocked(now)
        clock.reach(point, now)
        stages = clock.stages()
        if stages is not None:
            clock.reported = True
            engines = {**clock.engines, "tts": line.voice or self.voice_engine}
            facts: dict[str, object] = {"turn": clock.turn, "stages": stages}
            if named := {part: name for part, name in engines.items() if name}:
                facts["engines"] = named
            if clock.waited_ms:
                facts["waitedMs"] = clock.waited_ms
            self._post(Draft("turn.completed", self._call_id, facts))


def _settle(line: Utterance, ending: Ending) -> None:
    if not line.done.done():
        line.done.set_result(ending)


def estimated_ms(text: str) -> int:
    """How long a text takes to say, about."""
    return len(text) * MS_PER_CHARACTER


def lost_lines(call: Call, why: str, now: int) -> list[Draft]:
    """Lines that were on their way when their voice was lost. Nobody knows what was heard of them: at most what fits
    into the time until `now` (epoch ms)."""
    playing = [_lost(call, line, why, now) for line in call.transcript if line.playing and line.say_id]
    return playing + [Draft("say.skipped", call.call_id, {"sayId": say_id, "why": why}) for say_id in call.queued]


def _lost(call: Call, line: Line, why: str, now: int) -> Draft:
    """A stream fell silent with us, so that its line was cut; a carrier's own voice went on without us."""
    call_id = call.call_id
    ms = max(0, min(now - line.at, estimated_ms(line.text)))
    heard = heard_text(line.text, ms, estimated_ms(line.text))
    if not heard:
        return Draft("say.failed", call_id, {"sayId": line.say_id, "error": why})
    if heard == line.text and call.media != "stream":
        return Draft("say.heard", call_id, {"sayId": line.say_id, "ms": ms, "unconfirmed": True})
    facts = {"sayId": line.say_id, "heardMs": ms, "heardText": heard, "unconfirmed": True, "why": why}
    return Draft("say.cut", call_id, facts)
