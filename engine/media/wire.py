"""What a media socket can say, whatever the carrier: values in, values out, no I/O.

A carrier brings a `MediaWire` that turns its text frames into these events and our intents into its text frames.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from engine.media.audio import AudioFormat


@dataclass(frozen=True, slots=True)
class Connected:
    """The carrier greeted us; nothing is known yet."""


@dataclass(frozen=True, slots=True)
class Started:
    """The stream belongs to a call. `parameters` carry the one-time token."""

    stream_id: str
    provider_call_id: str
    format: AudioFormat
    parameters: Mapping[str, str] = field(default_factory=dict)
    unusable: str = ""
    """Why its audio can not be used, in words for the operator; empty when it can."""


@dataclass(frozen=True, slots=True)
class MediaFrame:
    """Caller audio. `at_ms` counts from the start of the stream, by the carrier's clock."""

    payload: bytes
    at_ms: int


@dataclass(frozen=True, slots=True)
class MarkReturned:
    """Everything that was sent before this mark has been played, or was cleared."""

    name: str


@dataclass(frozen=True, slots=True)
class DtmfReceived:
    """The caller pressed a key."""

    digit: str


@dataclass(frozen=True, slots=True)
class Stopped:
    """The carrier ended the stream."""


@dataclass(frozen=True, slots=True)
class Waits:
    """A frame that came too early: its audio follows with that of the frames before it."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """The carrier does not like something about our frames. `why` is in its words, for the operator."""

    why: str


@dataclass(frozen=True, slots=True)
class Refused:
    """A frame that is not in the carrier's protocol. `why` is safe to log."""

    why: str


@dataclass(frozen=True, slots=True)
class Noted:
    """The carrier confirms something of which nothing follows."""

    what: str


WireEvent = (
    Connected | Started | MediaFrame | Waits | MarkReturned | DtmfReceived | Stopped | Trouble | Noted | Refused
)


class MediaWire(Protocol):
    """One carrier's frames, for one stream. Methods never raise on bad input: they return `Refused`."""

    def receive(self, text: str | bytes) -> WireEvent:
        """Read one text frame."""

    def media(self, payload: bytes) -> bytes:
        """The UTF-8 text of a frame that plays `payload` (the stream's own encoding)."""

    def mark(self, name: str) -> bytes:
        """The frame that asks to be told when everything before it has been played."""

    def clear(self) -> bytes:
        """The frame that empties the carrier's playback buffer."""


@runtime_checkable
class PressesKeys(Protocol):
    """A wire whose carrier plays telephone keys into the stream by itself."""

    def keys(self, digits: str) -> bytes:
        """The frame that plays `digits` (0-9 A-D * #), after the audio that was sent before."""
