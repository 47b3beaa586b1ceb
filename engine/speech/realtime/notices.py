"""What happened in a realtime session, in our words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from engine.speech.realtime.problems import Problem


@dataclass(frozen=True, slots=True)
class Send:
    """An event for the service."""

    event: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Ready:
    """The session is as it was asked to be. `expires_at`: epoch seconds, where the service says."""

    expires_at: float | None = None


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something failed; `problem.lost` says whether the session is over."""

    problem: Problem


@dataclass(frozen=True, slots=True)
class CallerBegan:
    """The service hears a voice: the beginning of the item `item`."""

    item: str
    start_ms: int
    """Where in the audio that this session got; the service includes some of what was before the voice."""


@dataclass(frozen=True, slots=True)
class CallerStopped:
    """The voice is over."""

    item: str
    end_ms: int
    """Where in the audio that this session got; with the silence that ended it."""


@dataclass(frozen=True, slots=True)
class CallerTurn:
    """A turn of the caller is complete: it is in the conversation, and can be answered."""

    item: str


@dataclass(frozen=True, slots=True)
class CallerPartial:
    """What the caller's item reads so far."""

    item: str
    text: str


@dataclass(frozen=True, slots=True)
class CallerText:
    """What the caller said. Texts come in the order of the turns, whatever order they were made in."""

    item: str
    text: str
    error: str = ""


@dataclass(frozen=True, slots=True)
class ResponseBegan:
    """The model works on what was asked for with `key`."""

    key: str


@dataclass(frozen=True, slots=True)
class LineBegan:
    """The model begins to say something."""

    key: str
    item: str


@dataclass(frozen=True, slots=True)
class LineAudio:
    """More of it, mu-law at 8 kHz. Comes faster than it is said."""

    item: str
    audio: bytes


@dataclass(frozen=True, slots=True)
class LineText:
    """What it says: the whole text so far."""

    item: str
    text: str


@dataclass(frozen=True, slots=True)
class LineOver:
    """All audio of the line is here. `ms` is its length."""

    item: str
    text: str
    ms: int


@dataclass(frozen=True, slots=True)
class ToolCall:
    """The model wants something done. `arguments` is JSON by a model: anything may stand in it."""

    key: str
    call_id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class ResponseOver:
    """Nothing more comes for `key`."""

    key: str
    status: Literal["completed", "cancelled", "failed", "incomplete"]
    problem: Problem | None = None
    why: str = ""


Notice = (
    Ready
    | Trouble
    | CallerBegan
    | CallerStopped
    | CallerTurn
    | CallerPartial
    | CallerText
    | ResponseBegan
    | LineBegan
    | LineAudio
    | LineText
    | LineOver
    | ToolCall
    | ResponseOver
)
Action = Send | Notice
