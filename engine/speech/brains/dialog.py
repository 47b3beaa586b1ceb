"""One conversation of the scripted assistant: what it remembers, and what it says to the next line.

A dialog is rebuilt for every reply by hearing all lines again, so it holds nothing between replies and the same
lines always give the same answer.
"""

from __future__ import annotations

import string
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal
from zlib import crc32

from engine.speech.brains.matching import tokens
from engine.speech.brains.names import find_name
from engine.speech.brains.script_file import Script, Topic
from engine.speech.brains.when import TimeOfDay, When, find_when
from engine.speech.ports import Conversation, Said

CLEAR: Final = 2.0
"""A topic or cue with this score was meant."""
SWITCH: Final = 3.0
"""What it takes to leave a topic that is still being worked on."""
PATIENCE: Final = 2
"""How often we ask again, in a row, before we give up understanding."""
NAME_TRIES: Final = 2
Question = Literal["", "day", "time", "name", "offer", "check", "more"]


@dataclass(frozen=True, slots=True)
class Reply:
    """What to say; `ends`: hang up after it."""

    text: str
    ends: bool = False
    voicemail: bool = False


@dataclass(frozen=True, slots=True)
class Heard:
    """One line of the caller, understood as far as possible."""

    text: str
    words: Sequence[str]
    when: When
    name: str
    topic: Topic | None
    topic_score: float
    cues: frozenset[str]


class Dialog:
    """What is known so far in one call."""

    def __init__(self, script: Script, conversation: Conversation) -> None:
        self.script = script
        self.purpose = conversation.purpose
        self.outbound = conversation.direction == "outbound"
        self._seed = crc32(conversation.call_id.encode())
        self._uses: Counter[str] = Counter()
        self.goal: Topic | None = None
        self.day, self.weekday, self.week, self.name = "", "", "", ""
        self.time: TimeOfDay | None = None
        self.part = ""
        self.offer: tuple[str, TimeOfDay] | None = None
        self.agreed = False
        self.declined = False
        self.name_tries = 0
        self.question: Question = ""
        self.misses = 0
        self._question_before: Question = ""
        self._ours: list[Said] = []
        self._answered = True

    def take(self, line: Said) -> Heard | None:
        """Go through one line; what was understood when it is the caller's."""
        if line.speaker != "caller":
            self._ours = [*self._ours, line] if self._answered else [line]
            self._answered = True
            if line.speaker == "operator":
                self.question = ""  # whatever comes next answers the operator, not us
            return None
        if not self._answered:
            self.question = self._question_before  # our reply to the line before was never said
        self._question_before = self.question
        self._answered = False
        return self._understand(line.text)

    @property
    def said_before(self) -> Sequence[Said]:
        """What our side said last, in one or more lines."""
        return self._ours

    def _understand(self, text: str) -> Heard:
        """Find topics, cues, times and names in `text`."""
        heard = tokens(text)
        direction = "outbound" if self.outbound else "inbound"
        scored = [
            (keywords.score(heard), topic)
            for topic, keywords in self.script.topic_keywords
            if topic.only in (None, direction)
        ]
        score, topic = max(scored, key=lambda pair: pair[0], default=(0.0, None))
        return Heard(
            text,
            heard,
            find_when(text, asked=self.question in ("time", "offer")),
            find_name(text, asked=self.question == "name"),
            topic if score >= CLEAR else None,
            score,
            frozenset(name for name, cue in self.script.cue_keywords.items() if cue.score(heard) >= CLEAR),
        )

    def text(self, key: str, variants: Sequence[str] | None = None) -> str:
        """One of the ways to say `key`, another one each time: of those that can be said, the most telling ones."""
        known = self._known()
        counts = {text: _filled(text, known) for text in variants or getattr(self.script.texts, key)}
        most = max(counts.values())
        if most < 0:
            return ""
        options = [text for text, count in counts.items() if count == most]
        turn = self._uses[key]
        self._uses[key] += 1
        return options[(self._seed + turn) % len(options)].format_map({**self.script.facts, **known})

    def _known(self) -> dict[str, str]:
        day, time = self.offer or (self.day, self.time)
        return {
            "day": day,
            "time": str(time or ""),
            "name": self.name,
            "week": self.week,
            "purpose": self.purpose,
        }


def _filled(text: str, known: Mapping[str, str]) -> int:
    """How many things about the caller `text` repeats; -1 when one of them is not known."""
    fields = [field for _, field, _, _ in string.Formatter().parse(text) if field and field in known]
    return len(fields) if all(known[field] for field in fields) else -1
