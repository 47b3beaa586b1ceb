"""Configuration of turn taking: when the caller has begun, interrupts, and has finished."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from engine.config.base import Positive, Section

_Fraction = Annotated[float, Field(ge=0, le=1)]
_Level = Annotated[float, Field(ge=-90, le=0)]
_Decibels = Annotated[float, Field(ge=1, le=40)]


class TurnTaking(Section):
    """When the caller has begun, interrupts, and has finished; `silence_timeout_ms` is the rule that this refines."""

    complete_ms: Positive = Field(
        default=720, description="Silence that ends a turn whose words read like a finished sentence."
    )
    unfinished_ms: Positive = Field(
        default=1500, description='Silence that ends a turn whose words break off: "and", half a number.'
    )
    endpoint_ms: Positive = Field(
        default=400, description="Silence that ends a turn which the recogniser itself holds to be over."
    )
    min_speech_ms: Positive = Field(default=80, description="Voice that makes a turn; less is a click.")
    barge_in: bool = Field(default=True, description="Whether the caller can interrupt our voice.")
    barge_in_ms: Positive = Field(default=300, description="Voice that an interruption takes at least.")
    backchannel_ms: Positive = Field(
        default=600, description='How long it must go on for, since an "uh-huh" is shorter.'
    )
    unconfirmed_ms: Positive = Field(default=700, description="The same while nothing of it has been understood.")
    barge_in_level_db: _Level = Field(
        default=-46, description="A quieter sound does not interrupt, dBFS; -90: any may."
    )
    voice_probability: _Fraction = Field(
        default=0.5, description="Second opinion, 0 to 1, from which a sound is a voice."
    )
    voice_margin_db: _Decibels = Field(
        default=10, description="How far above the line's noise a voice must be, in dB."
    )
    echo_guard: bool = Field(default=True, description="Recognise our own voice when it comes back from the caller.")
    resume: bool = Field(
        default=True, description="Go on where a line was interrupted when the caller said nothing after all."
    )
    max_turn_ms: Positive = Field(default=60_000, description="A turn this long is ended.")
