"""Every key of turn taking reaches turn taking."""

from __future__ import annotations

import dataclasses

from engine.config import Config, parse_config
from engine.live.turn_settings import turn_settings
from engine.media.turns import TurnSettings
from engine.media.vad import OPEN_MARGIN_DB

ELSEWHERE = {"voice_margin_db", "echo_guard", "resume"}
"""Keys that other parts read: the gate, the stream and the call."""


def test_the_defaults_are_those_of_the_configuration() -> None:
    assert turn_settings(Config()) == TurnSettings()
    assert Config().turn_taking.voice_margin_db == OPEN_MARGIN_DB


def test_each_key_changes_the_setting_of_its_name() -> None:
    for name, default in Config().turn_taking.model_dump().items():
        if name in ELSEWHERE:
            continue
        other = (
            not default if isinstance(default, bool) else default / 2 if isinstance(default, float) else default + 20
        )
        config = parse_config(f"turn_taking: {{{name}: {str(other).lower()}}}".encode(), None, {}).config
        changed = dataclasses.asdict(turn_settings(config))
        assert changed == {**dataclasses.asdict(TurnSettings()), name: other}, name


def test_the_plugins_silence_timeout_is_the_silence_that_ends_a_turn() -> None:
    config = parse_config(b"silenceTimeoutMs: 1200", None, {}).config
    assert turn_settings(config).silence_ms == 1200
