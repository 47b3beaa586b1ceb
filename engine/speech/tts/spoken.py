"""Audio that says which engine made it, and which engines should have but could not."""

from __future__ import annotations

from dataclasses import dataclass

from engine.media.audio import Audio


@dataclass(frozen=True, slots=True)
class EngineFailure:
    """An engine could not speak a line, or not to its end. `after_ms`: audio of the line that was there by then."""

    engine: str
    error: str
    hint: str = ""
    after_ms: int = 0


@dataclass(frozen=True, slots=True)
class SpokenAudio(Audio):
    """A piece of a line. `failures`: what went wrong on the line before this piece, oldest first."""

    engine: str = ""
    failures: tuple[EngineFailure, ...] = ()
    cached: bool = False
