"""Situations of a telephone call, each with what a good listener makes of it.

Who speaks in them is chosen by a seed from all recordings that fit, by their length and text alone; another seed
gives other people, words, noises and moments. Nothing is labelled by ear: the labels follow from how a situation is
made.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from bench.sounds import (
    RATE,
    VOICE_DB,
    NoRecordings,
    Samples,
    at_level,
    babble,
    breath,
    click,
    cough,
    hum,
    keys,
    mixed,
    music,
    noise,
    prompt,
    reading,
    road,
    room,
    silence,
    synthesized,
    texts,
    typing,
)

OUR_LINES: Final = (
    "We have Tuesday at ten, Wednesday at half past two, and Friday in the afternoon. Which of these suits you best?",
    "Your appointment is with Doctor Miller at our practice beside the train station, please bring your card.",
    "I can see three appointments under your name, and the next one is a check-up in the second week of May.",
    "Before I change anything, let me read you what I have written down, and tell me if something is wrong.",
)
OUR_DB: Final = -20.0
LINE_TONE_DB: Final = -58.0
"""The noise of a good line."""
BACKCHANNELS: Final = ("Uh-huh.", "Okay.", "Right.", "Mm-hmm.", "Yeah.", "I see.", "All right.", "Oh, okay.")


@dataclass(frozen=True)
class Span:
    """From the first to the last sound of something that is said, ms."""

    from_ms: int
    until_ms: int


@dataclass(frozen=True)
class Echo:
    """How our voice comes back."""

    gain_db: float
    delay_ms: int
    in_room: bool = False


@dataclass(frozen=True)
class Situation:
    """What comes from the caller's side, what we say meanwhile, and what is right."""

    name: str
    kind: str
    caller: Samples
    said: tuple[Span, ...] = ()
    """Turns of the caller that want an answer: each must end once, after its last sound."""
    interrupts: bool = False
    """The first of them must stop our voice."""
    ours: str = ""
    ours_at_ms: int = 1000
    echo: Echo | None = None


@dataclass
class _Track:
    """One side of a call as it is put together."""

    seconds: float
    background: Samples | None = None
    placed: list[tuple[float, Samples]] = field(default_factory=list)

    def put(self, at: float, samples: Samples) -> Span:
        self.placed.append((at, samples))
        return Span(int(at * 1000), int((at + len(samples) / RATE) * 1000))

    def samples(self) -> Samples:
        out = silence(self.seconds)
        if self.background is not None:
            out += np.resize(self.background, len(out))
        for at, sound in self.placed:
            start = int(at * RATE)
            end = min(len(out), start + len(sound))
            out[start:end] += sound[: end - start]
        return out


class Situations:
    """All situations for one seed."""

    def __init__(self, seed: int = 1) -> None:
        self._rng = np.random.default_rng(seed)
        self._seed = seed
        self._short = self._sentences(1.0, 3.5)
        self._long = self._sentences(4.0, 9.0)

    def all(self) -> list[Situation]:
        """The table, in the order in which it is shown."""
        kinds: tuple[Callable[[], Iterator[Situation]], ...] = (
            self._noise,
            self._room_tone,
            self._echo,
            self._coughs,
            self._backchannels,
            self._interruptions,
            self._menus,
            self._others,
            self._turns,
        )
        return [situation for kind in kinds for situation in kind()]

    # -- recordings ---------------------------------------------------------------------------

    def _sentences(self, shortest: float, longest: float) -> list[str]:
        """Names of recorded prompts of this length (s) whose text is one sentence, in random order."""
        names = []
        for name, text in texts().items():
            words = text.split()
            if not re.fullmatch(r"[A-Za-z0-9 ,'-]+[.!?]?", text) or not 3 <= len(words) <= 40 or "/" in name:
                continue
            try:
                seconds = len(prompt(name)) / RATE
            except NoRecordings:
                continue
            if shortest <= seconds <= longest:
                names.append(name)
        return [str(name) for name in self._rng.permutation(sorted(names))]

    def _say(self, db: float = VOICE_DB) -> tuple[str, Samples]:
        name = self._short.pop()
        return name, at_level(prompt(name), db)

    def _number(self) -> int:
        return int(self._rng.integers(1 << 30))

    def _line(self) -> str:
        return str(self._rng.choice(OUR_LINES))

    def _tone(self, db: float = LINE_TONE_DB, seconds: float = 12) -> Samples:
        return noise(seconds, db, 0.5, self._number())

    def _babble(self, db: float) -> Samples:
        voices = [prompt(name) for name in self._long[:3]] + [reading("two_cities.wav"), reading("beckett.wav")]
        return babble(12, db, voices, self._number())

    # -- nobody speaks ------------------------------------------------------------------------

    def _over_our_voice(self, name: str, kind: str, background: Samples, *sounds: tuple[float, Samples]) -> Situation:
        track = _Track(11, background)
        for at, sound in sounds:
            track.put(at, sound)
        return Situation(name, kind, track.samples(), ours=self._line())

    def _noise(self) -> Iterator[Situation]:
        for name, sound in (
            ("white -45", noise(12, -45, 0.0, self._number())),
            ("white -30", noise(12, -30, 0.0, self._number())),
            ("pink -38", noise(12, -38, 0.5, self._number())),
            ("hum of 60 Hz -30", mixed(hum(12, 60, -30), self._tone())),
            ("road -32", mixed(road(12, -32, self._number()), self._tone())),
            ("babble -42", mixed(self._babble(-42), self._tone())),
            ("babble -34", mixed(self._babble(-34), self._tone())),
        ):
            yield self._over_our_voice(name, "noise", sound)
        fan = np.concatenate([silence(3), noise(9, -33, 0.5, self._number())])
        yield self._over_our_voice("a fan starts, -33", "noise", mixed(fan, self._tone()))

    def _room_tone(self) -> Iterator[Situation]:
        """A person's room after the digital silence of a switchboard."""
        for db in (-50, -40, -34, -30):
            sound = np.concatenate([silence(2.5), noise(9.5, db, 1.0, self._number())])
            yield self._over_our_voice(f"sets in at {db}", "room tone", sound)
        yield self._over_our_voice("brown -36 throughout", "room tone", noise(12, -36, 1.0, self._number()))

    def _echo(self) -> Iterator[Situation]:
        for gain, delay, in_room in (
            (-30, 120, False),
            (-22, 60, False),
            (-18, 240, True),
            (-14, 400, False),
            (-10, 180, True),
            (-8, 650, True),
        ):
            track = _Track(11, self._tone())
            name = f"{gain} dB after {delay} ms" + (", a room" if in_room else "")
            echo = Echo(gain, delay + int(self._rng.integers(0, 20)), in_room)
            yield Situation(name, "echo", track.samples(), ours=self._line(), echo=echo)
        for gain, delay in ((-20, 150), (-12, 300)):
            track = _Track(12, self._tone())
            name, words = self._say()
            span = track.put(3.0 + self._rng.random(), words)
            yield Situation(
                f"{gain} dB, and the caller interrupts ({name})",
                "echo",
                track.samples(),
                (span,),
                interrupts=True,
                ours=self._line(),
                echo=Echo(gain, delay, True),
            )

    def _coughs(self) -> Iterator[Situation]:
        seed = self._number
        for name, sounds in (
            ("a cough", [(3.2, cough(-18, seed()))]),
            ("three coughs", [(3.0, cough(-18, seed())), (3.5, cough(-16, seed())), (4.1, cough(-20, seed()))]),
            ("clicks", [(2.0 + 0.7 * n, click(-14, 12, seed())) for n in range(6)]),
            ("a breath", [(3.0, breath(-30, seed()))]),
            ("a keyboard", [(2.0, typing(5, -26, seed()))]),
            ("something falls", [(4.0, room(click(-8, 60, seed()), 0.3, seed()))]),
        ):
            yield self._over_our_voice(name, "cough", self._tone(), *sounds)

    def _backchannels(self) -> Iterator[Situation]:
        voices = ("tom", "lucy", "george", "ruth")
        said = [str(text) for text in self._rng.permutation(BACKCHANNELS)[:5]]
        for number, text in enumerate(said):
            sound = at_level(synthesized(text, voices[number % len(voices)]), VOICE_DB - 4)
            yield self._over_our_voice(
                f'"{text}"', "backchannel", self._tone(-52), (2.5 + 2 * self._rng.random(), sound)
            )
        thanks = at_level(prompt("auth-thankyou"), VOICE_DB - 4)
        yield self._over_our_voice('"Thank you." (recorded)', "backchannel", self._tone(-52), (3.5, thanks))
        twice = [(2.4, at_level(synthesized("Uh-huh.", "tom"), VOICE_DB - 4))]
        twice.append((5.0, at_level(synthesized("Okay.", "tom"), VOICE_DB - 4)))
        yield self._over_our_voice("twice in a line", "backchannel", self._tone(-52), *twice)

    # -- the caller interrupts ----------------------------------------------------------------

    def _interruptions(self) -> Iterator[Situation]:
        for where, background, db in (
            ("a good line", self._tone(), VOICE_DB),
            ("a good line, quietly", self._tone(), -34.0),
            ("room tone -40", noise(12, -40, 1.0, self._number()), VOICE_DB),
            ("road -36", mixed(road(12, -36, self._number()), self._tone()), -20.0),
            ("babble -42", mixed(self._babble(-42), self._tone()), VOICE_DB),
            ("digital silence", silence(12), VOICE_DB),
        ):
            name, words = self._say(db)
            yield self._interruption(f"{where} ({name})", background, words, 2.5 + 2 * self._rng.random())
        name, words = self._say()
        yield self._interruption(f"at our first word ({name})", self._tone(), words, 1.1)
        for book in ("two_cities.wav", "beckett.wav"):
            words = at_level(reading(book)[: int(2.5 * RATE)], VOICE_DB)
            yield self._interruption(f"a reader ({book})", self._tone(-50), words, 3.0)
        no = at_level(np.concatenate([prompt("vm-no"), silence(0.15), prompt("vm-no"), silence(0.15)]), VOICE_DB)
        words = np.concatenate([no, self._say()[1]])
        yield self._interruption("no, no, ...", self._tone(), words, 3.3)

    def _interruption(self, name: str, background: Samples, words: Samples, at: float) -> Situation:
        track = _Track(at + len(words) / RATE + 3.5, background)
        span = track.put(at, words)
        return Situation(name, "interruption", track.samples(), (span,), interrupts=True, ours=self._line())

    # -- switchboards -------------------------------------------------------------------------

    def _menus(self) -> Iterator[Situation]:
        """A menu with digital silence between its items: one turn. Then a person with a room around them."""
        for gap in (0.25, 0.45):
            track = _Track(13)
            at = 0.8
            items = [at_level(prompt(name), VOICE_DB) for name in ("conf-getpin", "astcc-followed-by-the-pound-key")]
            spans = []
            for item in items:
                spans.append(track.put(at, item))
                at += len(item) / RATE + gap
            yield Situation(
                f"{gap * 1000:.0f} ms of digital silence between items",
                "menu",
                track.samples(),
                (Span(spans[0].from_ms, spans[-1].until_ms),),
            )
        track = _Track(14, np.concatenate([silence(6), noise(8, -38, 1.0, self._number())]))
        menu = track.put(0.8, at_level(prompt("conf-getpin"), VOICE_DB))
        name, words = self._say()
        person = track.put(7.5, words)
        yield Situation(f"then a person in a room ({name})", "menu", track.samples(), (menu, person))

    def _others(self) -> Iterator[Situation]:
        song = music(12, -24, self._number())
        yield self._over_our_voice("hold music under our line", "music", song)
        yield self._over_our_voice("it begins in our line", "music", np.concatenate([silence(3), song]))
        tones = keys("1234")
        yield self._over_our_voice("keys while we speak", "keys", self._tone(), (3.0, tones))
        track = _Track(6, self._tone())
        track.put(1.0, keys("55#"))
        yield Situation("keys while nobody speaks", "keys", track.samples())

    # -- turns that end -----------------------------------------------------------------------

    def _turns(self) -> Iterator[Situation]:
        for background, where in (
            (self._tone(), "a good line"),
            (noise(12, -42, 1.0, self._number()), "room tone -42"),
            (mixed(self._babble(-46), self._tone()), "babble -46"),
            (silence(12), "digital silence"),
        ):
            name = self._long.pop()
            words = at_level(prompt(name), VOICE_DB)
            track = _Track(1 + len(words) / RATE + 3, background)
            span = track.put(1.0, words)
            yield Situation(f"a sentence, {where} ({name})", "turn", track.samples(), (span,))
        for pause in (0.9, 1.2):
            digits = self._rng.integers(0, 10, 8)
            first = [prompt("vm-num-i-have"), *(prompt(f"digits/{digit}") for digit in digits[:3])]
            yield self._broken_off("half a number", first, [prompt(f"digits/{d}") for d in digits[3:]], pause)
        for pause in (0.9, 1.2):
            first = [prompt(self._short.pop()), prompt("vm-and")]
            yield self._broken_off('"and"', first, [prompt(self._short.pop())], pause)
        for pause in (0.3, 0.5):
            yield self._broken_off("thinking", [prompt(self._short.pop())], [prompt(self._short.pop())], pause)
        for book, seconds in (("two_cities.wav", 9.0), ("beckett.wav", 9.9)):
            words = at_level(reading(book)[: int(seconds * RATE)], VOICE_DB)
            track = _Track(1 + len(words) / RATE + 3, self._tone(-52))
            span = track.put(1.0, words)
            yield Situation(f"{seconds:.0f} s of a reader ({book})", "turn", track.samples(), (span,))

    def _broken_off(self, name: str, first: list[Samples], then: list[Samples], pause: float) -> Situation:
        parts = [at_level(part, VOICE_DB) for part in first], [at_level(part, VOICE_DB) for part in then]
        short = silence(0.12)
        words = [np.concatenate([piece for part in half for piece in (part, short)]) for half in parts]
        whole = np.concatenate([words[0], silence(pause - 0.12), words[1][: -len(short)]])
        track = _Track(1 + len(whole) / RATE + 3.5, self._tone(seconds=16))
        span = track.put(1.0, whole)
        return Situation(f"{name}, then {pause * 1000:.0f} ms of silence", "turn", track.samples(), (span,))
