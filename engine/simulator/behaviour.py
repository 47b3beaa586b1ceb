"""What a person at the telephone does, as a pure state machine: time and heard loudness in, acts out.

There is no clock and no audio here. `Behaviour.step` is called for every 20 ms of the call with the level that
sounds at the person's ear and with whether their mouth is still busy; the random numbers are handed in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto
from random import Random
from typing import Final

from engine.media.audio import FRAME_MS
from engine.simulator.people import ARE_YOU_THERE, GIVE_UP, Beep, Keys, Line, Person, Step

LOUD_DB: Final = -45.0
"""Above this a frame holds somebody's voice, below it the noise of the line."""
HANGOVER_MS: Final = 900
"""Silence after which the other side is taken to have finished: longer than the pauses between its sentences."""
BLIP_MS: Final = 100
"""Shorter sounds are clicks, not words."""
LEAVE_AFTER_MS: Final = (900, 1600)
LEAVE_AT_LATEST_MS: Final = 8000
TALKER_PAUSE_MS: Final = 400
MACHINE_SILENCE_MS: Final = 5000
MACHINE_LIMIT_MS: Final = 60_000
SILENT_LIMIT_MS: Final = 30_000
"""How long somebody who has fallen silent stays on the line."""


@dataclass(frozen=True, slots=True)
class Speak:
    """Say this, breath by breath, with `pauses_ms` between."""

    parts: tuple[str, ...]
    pauses_ms: tuple[int, ...] = ()
    until: float = 1.0
    """How much of it gets out (0..1): less than 1 when the person hangs up in the middle."""


@dataclass(frozen=True, slots=True)
class Press:
    """Press these keys."""

    digits: str


@dataclass(frozen=True, slots=True)
class Tone:
    """The beep of an answering machine."""


@dataclass(frozen=True, slots=True)
class Leave:
    """Hang up. Nothing comes after it."""


Act = Speak | Press | Tone | Leave


class Ear:
    """Hears whether the other side talks: an energy detector with a hang-over."""

    def __init__(self) -> None:
        self.turns = 0
        """How often the other side has finished talking."""
        self.last_loud = 0
        """When it was last heard."""
        self._onset: int | None = None
        self._loud_ms = 0

    def hear(self, now_ms: int, level_db: float) -> None:
        """The level of the 20 ms that end at `now_ms`."""
        if level_db > LOUD_DB:
            if self._onset is None:
                self._onset, self._loud_ms = now_ms, 0
            self.last_loud = now_ms
            self._loud_ms += FRAME_MS
        elif self._onset is not None and now_ms - self.last_loud >= HANGOVER_MS:
            self.turns += self._loud_ms >= BLIP_MS
            self._onset = None

    @property
    def talking(self) -> bool:
        return self._onset is not None and self._loud_ms >= BLIP_MS

    def talking_for(self, now_ms: int) -> int:
        """How long the other side has been talking, in ms."""
        return now_ms - self._onset if self._onset is not None and self.talking else 0

    def quiet_for(self, now_ms: int) -> int:
        """How long nothing has been heard, in ms (since the call began when nothing ever was)."""
        return 0 if self.talking else now_ms - self.last_loud


class Phase(Enum):
    LISTENING = auto()
    """It is the other side's turn."""
    THINKING = auto()
    """The next thing to say is due in a moment."""
    TALKING = auto()
    LEAVING = auto()
    """Everything is said; hears the other side out."""
    MUTE = auto()
    """On the line, without a word."""
    GONE = auto()


class Then(Enum):
    """What follows when something has been said."""

    LISTEN = auto()
    LEAVE = auto()
    DROP = auto()
    """Hang up that very moment."""


class Behaviour:
    """One person in one call. `called`: their telephone rang, so they speak first."""

    def __init__(self, person: Person, rng: Random, called: bool) -> None:
        self._person = person
        self._manners = person.manners
        self._rng = rng
        self._ear = Ear()
        self._next = 0
        """The script step that comes next."""
        self._planned: tuple[Step, Then] | None = None
        """What comes out of the mouth when thinking is over."""
        self._then = Then.LISTEN
        self._due = 0
        self._since = 0
        """When the present phase began."""
        self._turns_before = 0
        """The ear's turns when the person began to listen: more of them means that an answer came."""
        self._prompts = 0
        self.phase = Phase.LISTENING
        self._begin(called)

    def step(self, now_ms: int, level_db: float, mouth_busy: bool) -> Sequence[Act]:
        """The next 20 ms. `now_ms` counts from the answer and rises by 20; `mouth_busy`: still saying a `Speak`."""
        self._ear.hear(now_ms, level_db)
        match self.phase:
            case Phase.LISTENING:
                return self._listen(now_ms)
            case Phase.THINKING:
                return self._think(now_ms)
            case Phase.TALKING:
                return () if mouth_busy else self._finish_talking(now_ms)
            case Phase.LEAVING:
                return self._take_leave(now_ms)
            case Phase.MUTE:
                return self._stay_mute(now_ms)
            case Phase.GONE:
                return ()

    @property
    def _listens(self) -> bool:
        return not (self._manners.machine or self._manners.endless)

    def _begin(self, called: bool) -> None:
        if self._manners.deaf_and_mute or self._manners.silent_from == 0:
            self._enter(Phase.MUTE, 0)
        elif not self._listens:
            self._plan_next(0)
        elif called and self._person.opening:
            self._plan(0, Line(self._person.opening), Then.LISTEN)

    def _enter(self, phase: Phase, now_ms: int) -> None:
        self.phase = phase
        self._since = now_ms

    def _plan(self, now_ms: int, step: Step, then: Then) -> None:
        """Take a breath before `step`."""
        self._planned = step, then
        self._due = now_ms + self._rng.randint(*self._manners.think_ms)
        self._enter(Phase.THINKING, now_ms)

    def _plan_next(self, now_ms: int) -> None:
        """Plan the next step of the script, the goodbye after its last one, and then nothing more."""
        script = self._person.script
        if self._next < len(script):
            self._plan(now_ms, *self._take_step())
        elif self._manners.machine:
            self._enter(Phase.MUTE, now_ms)
        elif self._person.goodbye:
            self._plan(now_ms, Line(self._person.goodbye), Then.LEAVE)
        else:
            self._leave_soon(now_ms)

    def _take_step(self) -> tuple[Step, Then]:
        index, script = self._next, self._person.script
        self._next = index + 1
        if self._manners.endless:
            self._next %= len(script)
        return script[index], Then.DROP if index == self._manners.hangs_up_at else Then.LISTEN

    def _listen(self, now_ms: int) -> Sequence[Act]:
        interrupts = self._manners.interrupts_after_ms
        if interrupts and self._ear.talking_for(now_ms) >= interrupts and self._next < len(self._person.script):
            return self._say(now_ms, *self._take_step())
        if self._ear.talking:
            return ()
        if self._ear.turns > self._turns_before:
            self._turns_before = self._ear.turns
            if self._ear.last_loud > self._since:
                self._answered(now_ms)
        elif min(now_ms - self._since, self._ear.quiet_for(now_ms)) >= self._manners.patience_ms:
            return self._ask(now_ms)
        return ()

    def _answered(self, now_ms: int) -> None:
        """The other side has had its turn."""
        self._prompts = 0
        silent_from = self._manners.silent_from
        if silent_from is not None and self._next >= silent_from:
            self._enter(Phase.MUTE, now_ms)
        else:
            self._plan_next(now_ms)

    def _ask(self, now_ms: int) -> Sequence[Act]:
        """Nothing has come for long: ask, and in the end give up."""
        self._prompts += 1
        if self._prompts > self._manners.prompts:
            return self._say(now_ms, GIVE_UP, Then.LEAVE)
        return self._say(now_ms, ARE_YOU_THERE[(self._prompts - 1) % len(ARE_YOU_THERE)], Then.LISTEN)

    def _think(self, now_ms: int) -> Sequence[Act]:
        if self._listens and self._ear.talking:
            self._give_way(now_ms)
        elif now_ms >= self._due and self._planned is not None:
            return self._say(now_ms, *self._planned)
        return ()

    def _give_way(self, now_ms: int) -> None:
        """The other side talks on, or talks first: keep what was about to be said for later."""
        script = self._person.script
        if self._planned is not None and self._next and self._planned[0] is script[self._next - 1]:
            self._next -= 1
        self._planned = None
        self._enter(Phase.LISTENING, now_ms)

    def _say(self, now_ms: int, step: Step, then: Then) -> Sequence[Act]:
        self._then = then
        self._enter(Phase.TALKING, now_ms)
        match step:
            case Keys(digits):
                return (Press(digits),)
            case Beep():
                return (Tone(),)
            case Line():
                return (self._line(step, then),)

    def _line(self, line: Line, then: Then) -> Speak:
        parts = line.parts(self._manners.hesitates)
        pauses = tuple(self._rng.randint(*self._manners.hesitate_ms) for _ in parts[1:])
        return Speak(parts, pauses, self._rng.uniform(0.4, 0.7) if then is Then.DROP else 1.0)

    def _finish_talking(self, now_ms: int) -> Sequence[Act]:
        """The mouth has just fallen silent."""
        if self._then is Then.DROP:
            return self._leave(now_ms)
        if self._then is Then.LEAVE:
            self._leave_soon(now_ms)
        elif self._listens:
            self._turns_before = self._ear.turns
            self._enter(Phase.LISTENING, now_ms)
        else:
            self._plan_next(now_ms)
            self._due = now_ms + (TALKER_PAUSE_MS if self._manners.endless else 0)
        return ()

    def _leave_soon(self, now_ms: int) -> None:
        self._due = now_ms + self._rng.randint(*LEAVE_AFTER_MS)
        self._enter(Phase.LEAVING, now_ms)

    def _take_leave(self, now_ms: int) -> Sequence[Act]:
        heard_out = now_ms >= self._due and not self._ear.talking
        if heard_out or now_ms - self._since >= LEAVE_AT_LATEST_MS:
            return self._leave(now_ms)
        return ()

    def _leave(self, now_ms: int) -> Sequence[Act]:
        self._enter(Phase.GONE, now_ms)
        return (Leave(),)

    def _stay_mute(self, now_ms: int) -> Sequence[Act]:
        here_for = now_ms - self._since
        if self._manners.deaf_and_mute:
            return ()
        if not self._manners.machine:
            return self._leave(now_ms) if here_for >= SILENT_LIMIT_MS else ()
        nothing_more = min(here_for, self._ear.quiet_for(now_ms)) >= MACHINE_SILENCE_MS
        return self._leave(now_ms) if nothing_more or here_for >= MACHINE_LIMIT_MS else ()
