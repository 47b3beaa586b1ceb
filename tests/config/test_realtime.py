"""The `realtime` block: the plugin's spelling, what excludes what, and that no key is silently dead."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from engine.config import DEFAULT, ConfigError, Loaded, ignored, missing, parse_config, reveal
from engine.speech.realtime.service import make_service


def load(text: str, env: Mapping[str, str] | None = None) -> Loaded:
    return parse_config(text.encode(), None, env or {})


def without_effect(text: str) -> set[str]:
    loaded = load(text)
    given = [key for key, origin in loaded.origins.items() if origin != DEFAULT]
    return {finding.key for finding in ignored(loaded.config, given)}


def test_the_plugins_block_can_be_pasted() -> None:
    loaded = load("""
    {"realtime": {"enabled": true, "provider": "openai", "streamPath": "/voice/stream/realtime",
      "instructions": "You answer for a dentist.", "toolPolicy": "safe-read-only", "consultPolicy": "auto",
      "fastContext": {"enabled": true, "timeoutMs": 800}, "agentContext": {"enabled": false}, "tools": [],
      "providers": {"openai": {"apiKey": "sk", "model": "gpt-realtime-2.1-mini", "speakerVoice": "cedar",
        "temperature": 0.8, "vadThreshold": 0.6, "silenceDurationMs": 700, "prefixPaddingMs": 200,
        "interruptResponseOnInputAudio": false, "minBargeInAudioEndMs": 250, "reasoningEffort": "low"}}}}
    """)
    realtime = loaded.config.realtime
    vendor = realtime.providers.openai
    assert realtime.enabled and realtime.instructions == "You answer for a dentist."
    assert (reveal(vendor.api_key), vendor.model, vendor.voice) == ("sk", "gpt-realtime-2.1-mini", "cedar")
    assert (vendor.vad_threshold, vendor.silence_duration_ms, vendor.prefix_padding_ms) == (0.6, 700, 200)
    assert (vendor.interrupt_response_on_input_audio, vendor.reasoning_effort) == (False, "low")
    noted = {note.key.rpartition(".")[2] for note in loaded.notes}
    assert noted == {
        "streamPath", "toolPolicy", "consultPolicy", "fastContext", "agentContext", "tools",
        "temperature", "minBargeInAudioEndMs",
    }  # fmt: skip
    service = make_service(loaded.config)
    assert service is not None and not service.interruptible and service.silence_ms == 700


def test_realtime_takes_the_place_of_streaming_unless_both_are_asked_for() -> None:
    config = load("realtime: {enabled: true}").config
    assert (config.streaming.enabled, config.media_streams, config.in_steps) == (False, True, False)
    assert load("realtime: {enabled: false}").config.streaming.enabled
    assert make_service(load("").config) is None
    with pytest.raises(ConfigError) as refused:
        load("realtime: {enabled: true}\nstreaming: {enabled: true}")
    (problem,) = refused.value.problems
    assert (problem.key, problem.line) == ("realtime.enabled", 1) and "fallback" in problem.hint


@pytest.mark.parametrize("flag", ["true", "yes", "on", '"true"', '"${ON}"'])
def test_however_it_is_switched_on_streaming_is_off(flag: str) -> None:
    config = load(f"realtime: {{enabled: {flag}}}", {"ON": "true"}).config
    assert config.realtime.enabled and not config.streaming.enabled


def test_the_key_comes_from_the_environment_only_when_it_is_used() -> None:
    env = {"OPENAI_API_KEY": "sk-env"}
    assert reveal(load("realtime: {enabled: true}", env).config.realtime.providers.openai.api_key) == "sk-env"
    assert load("", env).config.realtime.providers.openai.api_key is None


def test_what_is_missing_is_named_for_the_model_and_for_its_fallback() -> None:
    def needs(text: str) -> set[str]:
        return {need.key for need in missing(load(text).config)}

    assert needs("realtime: {enabled: true}") == {"realtime.providers.openai.api_key"}
    own = "realtime: {enabled: true, providers: {openai: {base_url: http://127.0.0.1:1/v1}}%s}\n"
    cloud = "response: {provider: openai}\nstreaming: {provider: openai}\n"
    assert needs(own % "" + cloud) == set()
    assert needs(own % ", fallback: streaming" + cloud) == {"streaming.providers.openai.api_key", "response.api_key"}


def test_a_fallback_needs_recogniser_and_brain() -> None:
    config = load("realtime: {enabled: true, fallback: streaming}").config
    assert config.in_steps and not config.streaming.enabled


@pytest.mark.parametrize(
    ("text", "dead"),
    [
        ("realtime: {instructions: hi}", {"realtime.instructions"}),
        ("realtime: {enabled: true, providers: {openai: {eagerness: low}}}", {"realtime.providers.openai.eagerness"}),
        (
            "realtime: {enabled: true, providers: {openai: {turn_detection: semantic_vad, vad_threshold: 0.4}}}",
            {"realtime.providers.openai.vad_threshold"},
        ),
        ("realtime: {enabled: true}\nsilence_timeout_ms: 700", {"silence_timeout_ms"}),
        ("realtime: {enabled: true, fallback: streaming}\nsilence_timeout_ms: 700", set()),
        ("realtime: {enabled: true}\nresponse: {provider: script}", {"response.provider"}),
        ("realtime: {enabled: true, fallback: streaming}\nresponse: {provider: script}", set()),
        ("realtime: {enabled: true}\nresponse: {silence_prompt: Hello}", set()),
        ("realtime: {enabled: true}\nstreaming: {provider: local}", {"streaming.provider"}),
        ("realtime: {enabled: true}\nturn_taking: {complete_ms: 500}", {"turn_taking.complete_ms"}),
        ("realtime: {enabled: true}\nturn_taking: {barge_in_ms: 400}", set()),
        ("realtime: {enabled: true}\nresponse_system_prompt: hi", set()),
        ("realtime: {enabled: true, instructions: ho}\nresponse_system_prompt: hi", {"response_system_prompt"}),
    ],
)
def test_settings_that_have_no_effect_are_named(text: str, dead: set[str]) -> None:
    assert without_effect(text) == dead


def test_the_default_model_outlives_its_forerunners() -> None:
    assert load("").config.realtime.providers.openai.model == "gpt-realtime-2.1"
