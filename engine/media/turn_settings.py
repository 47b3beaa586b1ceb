"""When a turn of the caller's begins, interrupts and ends: every number that turn taking goes by."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TurnSettings:
    """All times in milliseconds. The defaults are those of the configuration (`turn_taking`)."""

    silence_ms: int = 800
    """Silence after the last voiced sample that ends the turn."""
    complete_ms: int = 720
    """The same when the words so far read like a finished sentence (never longer than `silence_ms`). Shorter answers
    sooner, and interrupts those who pause between two sentences: 0.6 to 0.7 s is usual."""
    unfinished_ms: int = 1500
    """The same when they break off: "my number is five five five" (never shorter than `silence_ms`)."""
    endpoint_ms: int = 400
    """The same when the recogniser itself holds that the turn is over (never longer than `silence_ms`)."""
    min_speech_ms: int = 80
    """Voiced audio that makes a turn; less is a click."""
    hangover_ms: int = 300
    """Sounds further apart than this do not add up to `min_speech_ms`."""
    barge_in: bool = True
    """Whether our voice can be interrupted at all."""
    barge_in_ms: int = 300
    """Voiced audio within `window_ms` that a barge-in takes at least ..."""
    backchannel_ms: int = 600
    """... spread over at least this long, because an "uh-huh" is shorter; words can shorten or double it."""
    unconfirmed_ms: int = 700
    """The same while there are no words, and voiced audio when nobody gave a second opinion either."""
    barge_in_level_db: float = -46.0
    """A quieter sound does not interrupt, dBFS: the next room, or an echo that is all but gone. Whoever whispers into
    a telephone is at -40."""
    window_ms: int = 1000
    """How far back voiced audio counts for a barge-in."""
    voice_probability: float = 0.5
    """A second opinion of at least this confirms a voice."""
    bare_ms: int = 120
    """Voiced audio that makes a turn real although there is neither a second opinion nor a word."""
    max_turn_ms: int = 60_000
    """A turn this long is ended, so that a radio in the room can not hold the call for ever."""
