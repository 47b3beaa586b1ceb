"""Days and times in what a caller said. English; pure functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, Literal

from engine.speech.brains.matching import sentences, tokens, within

Part = Literal["morning", "afternoon", "evening"]

DAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
PARTS: Final[tuple[Part, ...]] = ("morning", "afternoon", "evening")
NUMBERS: Final[Mapping[str, int]] = {
    "one": 1,
    "two": 2,
    "three": 3,
    "four": 4,
    "five": 5,
    "six": 6,
    "seven": 7,
    "eight": 8,
    "nine": 9,
    "ten": 10,
    "eleven": 11,
    "twelve": 12,
    "fifteen": 15,
    "twenty": 20,
    "thirty": 30,
    "forty": 40,
    "fifty": 50,
}
_MINUTES: Final = frozenset({15, 20, 30, 40, 45, 50})
_THINGS: Final = frozenset(["years", "people", "persons", "days", "weeks", "months", "hours", "minutes", "of"])
_EARLIEST_HOUR: Final = 7
"""A bare hour before this is in the afternoon: nobody means three at night."""


@dataclass(frozen=True, slots=True)
class TimeOfDay:
    """A time on the clock, 24 hours."""

    hour: int
    minute: int = 0

    def __str__(self) -> str:
        minutes = f":{self.minute:02}" if self.minute else ""
        return f"{self.hour % 12 or 12}{minutes} {'AM' if self.hour < 12 else 'PM'}"


@dataclass(frozen=True, slots=True)
class When:
    """What was said about a day and a time; empty or None where nothing was."""

    day: str = ""
    """As one would repeat it: "Thursday", "next Tuesday", "tomorrow"."""
    weekday: str = ""
    """The day of the week in lower case, if one was named."""
    time: TimeOfDay | None = None
    part: Part | None = None
    week: str = ""
    """'this week' or 'next week'."""


def find_when(text: str, *, asked: bool = False) -> When:
    """Day and time in `text`; a bare number is a time only when a time was `asked` for.

    Of several days the last one counts, and a time said with an earlier one goes with it: in "it is on Monday at
    ten, can I come on Thursday" the wish is Thursday.
    """
    found = When()
    for sentence in sentences(text):
        heard = tokens(sentence)
        day, weekday = _last_day(heard)
        if day:
            found = When(day=day, weekday=weekday, week=found.week)
        time = _first_time(heard, bare=asked)
        part: Part | None = next((part for part in PARTS if part in heard), None)
        week = next((f"{which} week" for which in ("this", "next") if (which, "week") in pairwise(heard)), "")
        found = When(found.day, found.weekday, time or found.time, part or found.part, week or found.week)
    return found


def _last_day(heard: Sequence[str]) -> tuple[str, str]:
    for index in range(len(heard) - 1, -1, -1):
        word = heard[index]
        if word in ("today", "tomorrow"):
            after = word == "tomorrow" and list(heard[max(0, index - 2) : index]) == ["day", "after"]
            return ("the day after tomorrow" if after else word), ""
        weekday = _weekday(word)
        if weekday:
            coming = index > 0 and heard[index - 1] == "next"
            return f"{'next ' if coming else ''}{weekday.capitalize()}", weekday
    return "", ""


def _weekday(word: str) -> str:
    singular = word.removesuffix("s")
    if singular in DAYS:
        return singular
    if len(singular) < 5 or not singular.endswith(("day", "dy", "dai")):
        return ""
    close = [day for day in DAYS if within(singular, day, 2 if day == "wednesday" else 1)]
    return close[0] if len(close) == 1 else ""


def number(word: str) -> int | None:
    """The value of a number in digits or, up to twelve and for tens, in letters."""
    return int(word) if word.isdecimal() and len(word) <= 4 else NUMBERS.get(word)


def _first_time(heard: Sequence[str], *, bare: bool) -> TimeOfDay | None:
    for index, word in enumerate(heard):
        if word in ("noon", "midday"):
            return TimeOfDay(12)
        time = _time_at(heard, index, bare=bare)
        if time is not None:
            return time
    return None


def _time_at(heard: Sequence[str], index: int, *, bare: bool) -> TimeOfDay | None:
    word, before, after = heard[index], heard[max(0, index - 2) : index], heard[index + 1 : index + 4]
    if ":" in word:
        hours, _, minutes = word.partition(":")
        return _clock(int(hours), int(minutes), after)
    hour = number(word)
    if hour is None or hour > 23:
        return None
    if len(before) == 2 and before[1] in ("past", "to"):
        shift = {"half": 30, "quarter": 15}.get(before[0]) or number(before[0])
        if shift:
            return _clock(hour, shift, after) if before[1] == "past" else _clock(hour - 1, 60 - shift, after)
    minute = number(after[0]) if after else None
    if minute not in _MINUTES:
        minute = None
    at = before[-1:] in (["at"], ["around"], ["about"], ["by"])
    counts = bool(after) and after[0] in _THINGS
    if _is_marked(after) or minute or at or (bare and not counts):
        return _clock(hour, minute or 0, after)
    return None


def _is_marked(after: Sequence[str]) -> bool:
    """Does what follows the number say that it is a time?"""
    first, second = (*after, "", "")[:2]
    return first in ("oclock", "am", "pm", "clock") or second == "clock" or (first == "in" and second == "the")


def _clock(hour: int, minute: int, after: Sequence[str]) -> TimeOfDay | None:
    """To 24 hours, as somebody means it who calls a practice."""
    if not (0 <= hour <= 23 and 0 <= minute <= 59):
        return None
    late = any(word in after for word in ("pm", "afternoon", "evening", "night"))
    early = any(word in after for word in ("am", "morning"))
    if hour < 12 and (late or (not early and hour < _EARLIEST_HOUR)):
        hour += 12
    return TimeOfDay(hour, minute)
