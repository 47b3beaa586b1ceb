"""Who can be at the other end of a line: a name, a number, a voice, a script and manners. Values only."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Final, Literal, get_args

STOP: Final = " ... "
"""Where a hesitant person stops to think."""


@dataclass(frozen=True, slots=True)
class Line:
    """Something to say; `STOP` may be in it."""

    text: str

    def parts(self, hesitates: bool) -> tuple[str, ...]:
        """What is said in one breath each."""
        return tuple(self.text.split(STOP)) if hesitates else (self.text.replace(STOP, " "),)


@dataclass(frozen=True, slots=True)
class Keys:
    """Keys to press on the telephone."""

    digits: str


@dataclass(frozen=True, slots=True)
class Beep:
    """The tone after an answering machine's greeting."""


Step = Line | Keys | Beep
Answers = Literal["yes", "busy", "never"]

ARE_YOU_THERE: Final = (Line("Hello? I can hear nothing at all."), Line("I can hear nothing at all."))
GIVE_UP: Final = Line("I am going to try again later.")


@dataclass(frozen=True, slots=True)
class Manners:
    """How somebody behaves. Times are milliseconds; a pair is a range to draw from."""

    answers: Answers = "yes"
    ring_ms: tuple[int, int] = (1500, 3500)
    """How long the telephone rings before it is answered (or found busy)."""
    rings_for_ms: int = 60_000
    """How long somebody who calls in lets it ring before they give up."""
    think_ms: tuple[int, int] = (250, 800)
    """From the end of the other side's words, as noticed, to the first word of the reply."""
    patience_ms: int = 8000
    """Silence after which they ask whether anybody is there."""
    prompts: int = 2
    """How often they ask before they give up."""
    hesitate_ms: tuple[int, int] = (0, 0)
    """How long they stop at the places that their script marks."""
    interrupts_after_ms: int = 0
    """They begin to talk when the other side's voice has gone on for so long. 0: they let people finish."""
    silent_from: int | None = None
    """The script step from which they say nothing more (0: they never say a word)."""
    hangs_up_at: int | None = None
    """The script step in the middle of which they hang up."""
    machine: bool = False
    """An answering machine: plays its script without listening, then records."""
    endless: bool = False
    """Talks on and on, starting again at the end of the script, whatever is said."""
    deaf_and_mute: bool = False
    """Only keeps the line open."""

    @property
    def hesitates(self) -> bool:
        return self.hesitate_ms[1] > 0

    @classmethod
    def named(cls, names: str | Iterable[str] | Mapping[str, Any] | None, base: Manners | None = None) -> Manners:
        """Manners by name ("hesitates", ["busy"]) or field by field ({"patience_ms": 5000}). Raises ValueError."""
        manners = base or cls()
        if names is None:
            return manners
        if isinstance(names, Mapping):
            return _with_fields(manners, names)
        for name in [names] if isinstance(names, str) else names:
            if name not in MANNERS:
                raise ValueError(f"unknown manners {name!r}; known: {', '.join(sorted(MANNERS))}")
            manners = _with_fields(manners, MANNERS[name])
        return manners


MANNERS: Final[Mapping[str, Mapping[str, Any]]] = {
    "polite": {},
    "hesitates": {"hesitate_ms": (350, 600)},
    "interrupts": {"interrupts_after_ms": 1500},
    "silent": {"silent_from": 0},
    "goes-silent": {"silent_from": 2},
    "hangs-up-mid-word": {"hangs_up_at": 1},
    "voicemail": {"machine": True, "think_ms": (300, 600)},
    "busy": {"answers": "busy", "ring_ms": (400, 900)},
    "never-answers": {"answers": "never"},
    "impatient": {"patience_ms": 4000, "prompts": 1},
    "patient": {"patience_ms": 20000},
    "talker": {"endless": True},
    "sink": {"deaf_and_mute": True},
}
"""What `manners` may be called in the configuration."""


def _with_fields(manners: Manners, values: Mapping[str, Any]) -> Manners:
    known = {item.name for item in fields(Manners)}
    for name in values:
        if name not in known:
            raise ValueError(f"unknown manner {name!r}; known: {', '.join(sorted(known))}")
    clean: dict[str, Any] = {}
    for name, value in values.items():
        wants_pair = name.endswith("_ms") and isinstance(getattr(manners, name), tuple)
        if wants_pair:
            pair = (value, value) if isinstance(value, int) else tuple(value)
            if len(pair) != 2 or not 0 <= pair[0] <= pair[1]:
                raise ValueError(f"{name} wants milliseconds or a pair [from, to], not {value!r}")
            clean[name] = pair
        else:
            clean[name] = value
    if clean.get("answers", "yes") not in get_args(Answers):
        raise ValueError(f"answers is one of {', '.join(get_args(Answers))}, not {clean['answers']!r}")
    return replace(manners, **clean)


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody with a telephone."""

    number: str
    name: str
    voice: str
    script: tuple[Step, ...]
    """In order: each step follows when the other side has answered the one before."""
    manners: Manners = field(default_factory=Manners)
    goodbye: str = "Thank you for your help. Have a nice day."
    """Said when the script is through and its last step has been answered. Empty: just hangs up."""
    calls_us: bool = True
    """Whether they call in by themselves. Everybody can be called."""
    opening: str = "Hello?"
    """What they say when they pick up the telephone."""

    def texts(self) -> tuple[str, ...]:
        """All that they may say, breath by breath, so that it can be synthesized before it is needed."""
        manners = self.manners
        if manners.deaf_and_mute or manners.silent_from == 0:
            return ()
        lines = [step for step in self.script if isinstance(step, Line)]
        if not (manners.machine or manners.endless):
            lines += [Line(text) for text in (self.opening, self.goodbye) if text]
            lines += [*ARE_YOU_THERE, GIVE_UP]
        return tuple(part for line in lines for part in line.parts(manners.hesitates))


def read_step(value: str | Mapping[str, Any]) -> Step:
    """A script step as the configuration writes it: a sentence, `keys: 12#` or `beep`. Raises ValueError."""
    if isinstance(value, Mapping):
        if set(value) == {"say"}:
            return Line(str(value["say"]))
        if set(value) == {"keys"}:
            return Keys(_digits(str(value["keys"])))
        raise ValueError(f"a script step has `say` or `keys`, not {', '.join(map(str, value))}")
    text = value.strip()
    if not text:
        raise ValueError("a script step is empty")
    if text.lower() == "beep":
        return Beep()
    if text.lower().startswith("keys:"):
        return Keys(_digits(text[5:].strip()))
    return Line(text)


def _digits(text: str) -> str:
    if not text or any(key not in "0123456789*#ABCD" for key in text):
        raise ValueError(f"keys are 0-9, *, # and A-D, not {text!r}")
    return text


def person_from_config(value: Mapping[str, Any], base: Person | None) -> Person:
    """One entry of `mock.callers`: overrides the cast's person with that number, or adds one. Raises ValueError."""
    number = str(value.get("number", ""))
    if not number:
        raise ValueError("a caller needs a number")
    person = base or Person(number=number, name=number, voice="anna", script=())
    script: Sequence[Any] | None = value.get("script")
    manners = value.get("manners")
    return replace(
        person,
        name=str(value.get("name") or person.name),
        voice=str(value.get("voice") or person.voice),
        script=person.script if script is None else tuple(read_step(step) for step in script),
        manners=person.manners if manners is None else Manners.named(manners),
        calls_us=person.calls_us if value.get("calls_us") is None else bool(value["calls_us"]),
        goodbye=person.goodbye if value.get("goodbye") is None else str(value["goodbye"]),
        opening=person.opening if value.get("opening") is None else str(value["opening"]),
    )
