"""What the chosen vendors still need, and what is set but has no effect."""

from __future__ import annotations

import pytest

from engine.config import Config, ignored, missing, parse_config


def parse(text: str) -> Config:
    return parse_config(text.encode(), None, {}).config


def test_the_defaults_need_nothing_and_ignore_nothing() -> None:
    assert list(missing(Config())) == []
    assert list(ignored(Config(), [])) == []


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("provider: twilio", ["twilio.account_sid", "twilio.auth_token", "from_number"]),
        ("provider: telnyx", ["telnyx.api_key", "telnyx.connection_id", "telnyx.public_key", "from_number"]),
        ("provider: plivo\nfrom_number: +15550001111\nplivo: {auth_id: a, auth_token: b}", []),
        ("streaming: {provider: openai}", ["streaming.providers.openai.api_key"]),
        ("streaming: {provider: openai, enabled: false}", []),
        ("streaming: {provider: openai, providers: {openai: {base_url: 'http://localhost:1/v1'}}}", []),
        (
            "streaming: {fallback: [openai, elevenlabs]}",
            ["streaming.providers.openai.api_key", "streaming.providers.elevenlabs.api_key"],
        ),
        ("tts: {provider: elevenlabs}", ["tts.providers.elevenlabs.api_key", "tts.providers.elevenlabs.voice_id"]),
        ("response: {provider: openai}", ["response.api_key"]),
        ("response: {provider: openai, base_url: 'http://localhost:11434/v1'}", []),
        ("mock: {api_base_url: 'http://localhost:9'}", ["mock.api_key"]),
    ],
)
def test_missing_values_are_named_for_the_chosen_vendors_only(text: str, keys: list[str]) -> None:
    assert [need.key for need in missing(parse(text))] == keys


def test_a_need_names_the_variable_that_would_do() -> None:
    needs = {need.key: need.hint for need in missing(parse("provider: twilio"))}
    assert needs["from_number"] == "set from_number, or export TWILIO_FROM_NUMBER"


@pytest.mark.parametrize(
    ("text", "key", "why"),
    [
        ("provider: twilio", "mock.seed", "provider is twilio"),
        ("{}", "twilio.auth_token", "provider is mock"),
        ("{}", "tunnel.ngrok_domain", "tunnel.provider is none"),
        ("{}", "response.command", "response.provider is script"),
        ("{}", "streaming.providers.openai.model", "streaming.provider is local"),
        (
            "streaming: {provider: openai}",
            "streaming.providers.openai.vad_threshold",
            "streaming.providers.openai.turn_detection is none",
        ),
        (
            "streaming: {provider: elevenlabs}",
            "streaming.providers.elevenlabs.vad_threshold",
            "streaming.providers.elevenlabs.commit_strategy is manual",
        ),
        ("{}", "tailscale.port", "tailscale.mode is off"),
        ("{}", "allow_from", "inbound_policy is disabled"),
        ("{}", "control.token", "control.port is not set"),
        ("{}", "tts.providers.openai.voice", "tts.provider is local"),
        ("{}", "response_system_prompt", "response.provider is script"),
        ("response: {provider: operator}", "numbers.+15550001111.response_model", "response.provider is operator"),
        ("{}", "session_scope", "response.provider is script, which remembers nothing"),
        (
            "{session_scope: per-call, response: {provider: command, command: x}}",
            "response.memory_calls",
            "session_scope is per-call",
        ),
        ("response: {provider: operator}", "response.silence_prompt", "a person notices"),
        ("{}", "response.command_mode", "response.provider is script"),
    ],
)
def test_settings_without_effect_say_why(text: str, key: str, why: str) -> None:
    (finding,) = ignored(parse(text), [key])
    assert finding.key == key
    assert why in finding.message


def test_a_voice_that_one_number_uses_is_not_ignored() -> None:
    config = parse("numbers: {'+15550001111': {tts: {provider: openai}}}")
    assert list(ignored(config, ["tts.providers.openai.voice"])) == []


def test_the_settings_of_a_fallback_have_an_effect_and_its_key_comes_from_the_environment() -> None:
    text = b"streaming: {provider: openai, fallback: [elevenlabs]}"
    config = parse_config(text, None, {"OPENAI_API_KEY": "a", "ELEVENLABS_API_KEY": "b"}).config
    assert list(missing(config)) == []
    assert list(ignored(config, ["streaming.providers.elevenlabs.model", "streaming.fallback"])) == []
