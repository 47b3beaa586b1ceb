"""The script of the scripted assistant: its file format, and reading it.

A script is data: what callers ask for (topics with keywords), what to answer, what to find out (slots), and the
sentences around it. The built-in one is `assistant.yaml` beside this module; a user's own has the same form.
"""

from __future__ import annotations

import string
from collections.abc import Iterator
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from engine.speech.brains.matching import Keywords
from engine.speech.ports import SpeechUnavailable

MAX_BYTES: Final = 256 * 1024
Slot = Literal["day", "time", "name"]
Weekday = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
Variants = Annotated[list[Annotated[str, Field(min_length=1)]], Field(min_length=1)]
"""Ways to say the same thing; the assistant takes turns with them."""
Weights = Annotated[dict[str, Annotated[float, Field(gt=-10, lt=10)]], Field(min_length=1)]
"""Phrase -> how much it speaks for this."""
_FILLED: Final = frozenset({"day", "time", "name", "week", "purpose"})
"""What may stand in braces besides the script's own facts."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Topic(_Part):
    """Something that a caller may want."""

    name: str
    keywords: Weights
    answers: Variants | None = None
    """What to say at once. For a topic that needs slots: said first, before asking."""
    needs: list[Slot] = []
    """What to find out before it is `done`."""
    ask: dict[Slot, Variants] = {}
    """How to ask for one of them, where the common way does not fit."""
    done: Variants | None = None
    """Said when everything needed is known."""
    ends: bool = False
    voicemail: bool = False
    """It is a machine that says this."""
    """Hang up after the answer."""
    only: Literal["inbound", "outbound"] | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Topic:
        if self.needs and self.done is None:
            raise ValueError(f"the topic {self.name!r} needs {', '.join(self.needs)} but has nothing under `done`")
        if not self.needs and self.answers is None:
            raise ValueError(f"the topic {self.name!r} has nothing under `answers`")
        return self


class Hours(_Part):
    """When appointments can be had; hours of the clock, 24 hours."""

    opens: Annotated[int, Field(ge=0, le=23)]
    closes: Annotated[int, Field(ge=1, le=24)]
    closed: list[Weekday] = []


class Offers(_Part):
    """What is proposed to somebody who names no time."""

    day: str
    morning: str
    afternoon: str
    evening: str


class Cues(_Part):
    """Small words that answer a question or steer the conversation."""

    yes: Weights
    no: Weights
    cannot: Weights
    enough: Weights
    goodbye: Weights
    hello: Weights
    thanks: Weights
    repeat: Weights


class Texts(_Part):
    """The sentences around the topics."""

    hello: Variants
    ask_day: Variants
    ask_time: Variants
    ask_name: Variants
    offer_time: Variants
    offer_week: Variants
    check: Variants
    closed: Variants
    outside: Variants
    anything_else: Variants
    more: Variants
    welcome: Variants
    not_understood: Variants
    give_up: Variants
    repeat_nothing: Variants
    farewell: Variants
    farewell_open: Variants
    outbound_hello: Variants
    outbound_greet: Variants
    outbound_more: Variants
    outbound_yes: Variants
    outbound_no: Variants
    outbound_when: Variants
    outbound_noted: Variants
    outbound_farewell: Variants


class Script(_Part):
    """A whole script."""

    facts: dict[str, str] = {}
    hours: Hours
    offers: Offers
    cues: Cues
    texts: Texts
    topics: Annotated[list[Topic], Field(min_length=1)]

    @model_validator(mode="after")
    def _consistent(self) -> Script:
        names = [topic.name for topic in self.topics]
        twice = {name for name in names if names.count(name) > 1}
        if twice:
            raise ValueError(f"two topics are called {', '.join(sorted(twice))}")
        known = _FILLED | set(self.facts)
        for where, text in self._all_texts():
            for field in _fields(where, text):
                if field not in known:
                    raise ValueError(
                        f"{where}: {{{field}}} is neither a fact nor one of {', '.join(sorted(_FILLED))}"
                    )
        return self

    def _all_texts(self) -> Iterator[tuple[str, str]]:
        for name, variants in self.texts.model_dump().items():
            yield from ((f"texts.{name}", text) for text in variants)
        for topic in self.topics:
            parts = {"answers": topic.answers or (), "done": topic.done or ()}
            for part, variants in (*parts.items(), *((f"ask.{slot}", texts) for slot, texts in topic.ask.items())):
                yield from ((f"topic {topic.name}, {part}", text) for text in variants)

    @cached_property
    def topic_keywords(self) -> list[tuple[Topic, Keywords]]:
        """The topics with their keywords, ready for scoring."""
        return [(topic, Keywords(topic.keywords)) for topic in self.topics]

    @cached_property
    def cue_keywords(self) -> dict[str, Keywords]:
        """The small words by name."""
        return {name: Keywords(weights) for name, weights in self.cues.model_dump().items()}


def _fields(where: str, text: str) -> list[str]:
    try:
        return [field for _, field, _, _ in string.Formatter().parse(text) if field is not None]
    except ValueError as error:
        raise ValueError(f"{where}: {error} in {text!r}") from None


def load_script(path: Path | None = None) -> Script:
    """Read a script; None is the built-in one. Raises SpeechUnavailable with the place of every mistake."""
    name = str(path) if path else "assistant.yaml"
    try:
        data = path.read_bytes() if path else resources.files(__package__).joinpath("assistant.yaml").read_bytes()
    except OSError as error:
        raise SpeechUnavailable(
            f"the script {name} can not be read: {error.strerror or error}", "check `response.script`"
        ) from error
    if len(data) > MAX_BYTES:
        raise SpeechUnavailable(f"the script {name} is larger than {MAX_BYTES // 1024} KiB", "is it the right file?")
    try:
        # Plain strings for everything: to YAML the keyword `no` would be a boolean and 10:30 a number.
        content: Any = yaml.load(data, Loader=yaml.BaseLoader)
    except yaml.YAMLError as error:
        raise SpeechUnavailable(f"the script {name} is not valid YAML: {_yaml_problem(error)}") from error
    try:
        return Script.model_validate(content)
    except ValidationError as error:
        raise SpeechUnavailable(
            f"the script {name} has mistakes: {_problems(error)}",
            "the built-in assistant.yaml shows the form; unset `response.script` to use it",
        ) from error


def _yaml_problem(error: yaml.YAMLError) -> str:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        mark = error.problem_mark
        return f"line {mark.line + 1}, column {mark.column + 1}: {error.problem}"
    return " ".join(str(error).split())


def _problems(error: ValidationError) -> str:
    found = []
    for item in error.errors()[:8]:
        where = ".".join(map(str, item["loc"]))
        found.append(f"{where}: {item['msg']}" if where else item["msg"].removeprefix("Value error, "))
    rest = error.error_count() - len(found)
    return "; ".join(found) + (f"; and {rest} more" if rest > 0 else "")
