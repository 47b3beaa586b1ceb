"""The configuration of turn taking, as turn taking knows it."""

from __future__ import annotations

from engine.config import Config
from engine.media.turns import TurnSettings


def turn_settings(config: Config) -> TurnSettings:
    """`silence_timeout_ms` and `turn_taking` in one."""
    taking = config.turn_taking
    return TurnSettings(
        silence_ms=config.silence_timeout_ms,
        complete_ms=taking.complete_ms,
        unfinished_ms=taking.unfinished_ms,
        endpoint_ms=taking.endpoint_ms,
        min_speech_ms=taking.min_speech_ms,
        barge_in=taking.barge_in,
        barge_in_ms=taking.barge_in_ms,
        barge_in_level_db=taking.barge_in_level_db,
        backchannel_ms=taking.backchannel_ms,
        unconfirmed_ms=taking.unconfirmed_ms,
        voice_probability=taking.voice_probability,
        max_turn_ms=taking.max_turn_ms,
    )
