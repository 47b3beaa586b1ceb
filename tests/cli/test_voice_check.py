"""What `setup` says about voices."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.check import Check
from engine.checks import run_checks
from engine.config import parse_config


def voice_check(text: str, tmp_path: Path) -> tuple[Check, Check]:
    """The checks of the voice and of settings without effect."""
    found = {check.id: check for check in run_checks(parse_config(text.encode(), None, {}), tmp_path)}
    return found["voice"], found["settings"]


def test_the_voices_are_named_in_the_order_in_which_they_are_asked(tmp_path: Path) -> None:
    voice, _ = voice_check(
        "tts: {provider: elevenlabs, fallback: [openai], openai: {api_key: k}, "
        "elevenlabs: {api_key: k, voice_id: v}}",
        tmp_path,
    )
    assert voice.ok
    assert voice.message == "elevenlabs eleven_flash_v2_5 v, then openai gpt-realtime-2.1-mini marin"


def test_a_model_that_will_end_is_named_with_the_day(tmp_path: Path) -> None:
    voice, _ = voice_check("tts: {provider: openai, openai: {api_key: k, model: gpt-4o-mini-tts}}", tmp_path)
    assert "OpenAI ends gpt-4o-mini-tts on 2027-01-06" in voice.message
    own = "tts: {provider: openai, openai: {base_url: 'http://localhost:1/v1', model: gpt-4o-mini-tts}}"
    assert "ends" not in voice_check(own, tmp_path)[0].message, "a server of one's own goes on"


def test_a_voice_that_a_telephone_can_not_have_is_named_and_nothing_fails(tmp_path: Path) -> None:
    _, settings = voice_check("messages: {tts: {provider: edge}}", tmp_path)
    assert settings.ok
    assert "messages.tts.provider (ignored: edge has no telephone audio)" in settings.message


def test_an_offline_voice_that_only_stands_in_has_to_be_installed_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.checks.VOICE_PACKAGES", {"no_such_package": "no_such_package"})
    voice, _ = voice_check("tts: {provider: openai, fallback: [local], openai: {api_key: k}}", tmp_path)
    assert not voice.ok
    assert "no_such_package" in voice.message + voice.fix
