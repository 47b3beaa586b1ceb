"""The call record: what the log says about one call."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from engine.calls.signs import Signs
from engine.calls.state import State

Direction = Literal["inbound", "outbound"]
Mode = Literal["notify", "conversation"]
Floor = Literal["agent", "operator", "held"]
Speaker = Literal["agent", "caller", "operator"]
Media = Literal["stream", "native", "inline"]
"""How a call is spoken in: over our media stream, by the carrier's own voice and recogniser, or by a message that
went with the dial."""


Recorded = Literal["", "asked", "on", "off"]
"""asked: the consent line is being said. off: it was stopped, and does not begin again by itself."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the transcript.

    `text` of our own lines is what the caller heard: while `playing` the whole line, after a cut only the heard
    part (`unheard` keeps the rest).
    """

    at: int
    speaker: Speaker
    text: str
    cut: bool = False
    unheard: str = ""
    say_id: str | None = None
    playing: bool = False
    hint: bool = False
    """An operator's word to the brain: the caller did not hear it."""

    def to_json(self) -> dict[str, Any]:
        value: dict[str, Any] = {
            "at": self.at,
            "speaker": self.speaker,
            "text": self.text,
            "cut": self.cut,
        }
        if self.unheard:
            value["unheard"] = self.unheard
        if self.playing:
            value["playing"] = True
        if self.hint:
            value["hint"] = True
        return value


@dataclass(frozen=True, slots=True)
class Queued:
    """A line of ours that waits to be spoken."""

    speaker: Speaker
    text: str
    kind: str


@dataclass(frozen=True, slots=True)
class RecordingFile:
    """One recording of a call. `started_at` is epoch ms, so an event's place in it is `at - started_at`."""

    index: int
    file: str
    started_at: int
    ms: int | None = None
    """None while it runs, and when nobody ended it."""
    lost_ms: int = 0

    def to_json(self) -> dict[str, Any]:
        return {
            "index": self.index,
            "file": self.file,
            "startedAt": self.started_at,
            "ms": self.ms,
            "lostMs": self.lost_ms,
        }


@dataclass(frozen=True, slots=True)
class Call:
    """One call. All times are epoch milliseconds."""

    call_id: str
    provider: str
    direction: Direction
    mode: Mode
    from_number: str
    to_number: str
    started_at: int
    state: State = State.INITIATED
    provider_call_id: str | None = None
    guessed: bool = False
    """The carrier's id was found by the numbers of a lost dial: it may turn out to be another call's."""
    message: str = ""
    media: Media = "stream"
    answered_by: str = ""
    """Who took the call, where the carrier finds out: human, machine, fax or unknown."""
    waiting: bool = False
    """An unknown caller, who hears nothing until a person lets them in."""
    transferred_to: str = ""
    """The number that the caller talks to instead of us."""
    floor: Floor = "agent"
    floor_by: str = ""
    microphone: str = ""
    """Whose own voice the caller hears now."""
    answered_at: int | None = None
    ended_at: int | None = None
    end_reason: State | None = None
    ended_by: str = ""
    ended_why: str = ""
    """The detail of the end, in words or in the carrier's own."""
    transcript: tuple[Line, ...] = ()
    """As the lines became known: the caller's at its end, so that what is answered stands last. See `in_order`."""
    queued: Mapping[str, Queued] = field(default_factory=dict)
    turns: tuple[Mapping[str, int], ...] = ()
    dtmf: str = ""
    pressed: tuple[tuple[int, str], ...] = ()
    """Keys of the caller with their times, the newest ones."""
    error: Mapping[str, Any] | None = None
    rungs: Mapping[str, int] = field(default_factory=dict)
    """Rung of the ladder -> when it was reached first."""
    deaf: bool = False
    """Speech recognition failed and has not come back."""
    recording: Recorded = ""
    recordings: tuple[RecordingFile, ...] = ()
    signs: Signs = Signs()
    """What tells whether it needs a person; see `attention`."""
    last_at: int = 0
    """When the latest event about this call happened."""

    @property
    def live(self) -> bool:
        return not self.state.terminal

    @property
    def refused(self) -> str:
        """Why a caller was turned away before anybody answered; "" for every other call."""
        if self.live or self.direction != "inbound" or self.answered_at is not None:
            return ""
        told = self.error is not None and self.error.get("code") == "inbound_refused"
        unwanted = (
            "waiting" in self.rungs and "admitted" not in self.rungs and self.ended_by not in ("caller", "carrier")
        )
        return (self.ended_why or "not let in") if told or unwanted else ""

    @property
    def shown(self) -> str:
        """The state in a word for people: also what is no state of its own."""
        if self.refused:
            return "refused"
        if self.live and self.waiting:
            return "waiting"
        return "transferred" if self.live and self.transferred_to else self.state.value

    @property
    def peer(self) -> str:
        """The number at the other end."""
        return self.from_number if self.direction == "inbound" else self.to_number

    @property
    def ours(self) -> str:
        """Our own number."""
        return self.to_number if self.direction == "inbound" else self.from_number

    @property
    def in_order(self) -> list[Line]:
        """The transcript by when each line began, as readers want it."""
        return sorted(self.transcript, key=lambda line: line.at)

    def to_json(self) -> dict[str, Any]:
        """The public call record."""
        return {
            "callId": self.call_id,
            "provider": self.provider,
            "providerCallId": self.provider_call_id,
            "direction": self.direction,
            "mode": self.mode,
            "state": self.state.value,
            "shown": self.shown,
            "refused": self.refused or None,
            "from": self.from_number,
            "to": self.to_number,
            "floor": self.floor,
            "floorBy": self.floor_by or None,
            "microphone": self.microphone or None,
            "media": self.media,
            "answeredBy": self.answered_by or None,
            "waiting": self.waiting,
            "transferredTo": self.transferred_to or None,
            "startedAt": self.started_at,
            "answeredAt": self.answered_at,
            "endedAt": self.ended_at,
            "endReason": self.end_reason.value if self.end_reason else None,
            "endedBy": self.ended_by or None,
            "endedWhy": self.ended_why or None,
            "transcript": [line.to_json() for line in self.in_order if line.text],
            "turns": [dict(turn) for turn in self.turns],
            "dtmf": self.dtmf,
            "error": dict(self.error) if self.error else None,
            "recording": self.recording == "on",
            "recordings": [each.to_json() for each in self.recordings],
            "ladder": [{"rung": name, "at": at} for name, at in self.rungs.items()],
        }
