"""Who speaks: `messages.tts` under `tts` under a number's `tts`, who stands in, and who can not be on a telephone."""

from __future__ import annotations

import pytest

from engine.config import Config, ConfigError, Loaded, ignored, missing, parse_config, reveal


def load(text: str, **env: str) -> Loaded:
    return parse_config(text.encode(), None, env)


def parse(text: str, **env: str) -> Config:
    return load(text, **env).config


def unused(text: str, **env: str) -> dict[str, str]:
    """Keys of a file that have no effect, as `setup` names them."""
    loaded = load(text, **env)
    given = [key for key, origin in loaded.origins.items() if origin != "default"]
    return {finding.key: finding.message for finding in ignored(loaded.config, given)}


@pytest.mark.parametrize("name", ["edge", "microsoft"])
def test_a_voice_without_telephone_audio_is_left_out_with_a_note_and_the_rest_is_merged(name: str) -> None:
    loaded = load(
        f"""
        messages: {{tts: {{auto: off, provider: {name}, {name}: {{voice: x}}, openai: {{model: m, voice: them}}}}}}
        tts: {{provider: openai, fallback: [{name}, local], openai: {{voice: own}}}}
        """
    )
    tts = loaded.config.tts
    assert (tts.provider, tts.fallback) == ("openai", ["local"])
    assert (tts.providers.openai.model, tts.providers.openai.voice) == ("m", "own")
    notes = {note.key: (note.line, note.message) for note in loaded.notes}
    assert set(notes) == {"messages.tts.auto", f"messages.tts.{name}", "messages.tts.provider", "tts.fallback"}
    assert notes["messages.tts.provider"] == (2, f"ignored: {name} has no telephone audio")
    assert notes["tts.fallback"][0] == 3


def test_when_only_such_a_voice_is_named_the_offline_voice_speaks() -> None:
    config = parse("tts: {provider: edge}\nnumbers: {'+15550001111': {tts: {provider: edge, openai: {voice: ash}}}}")
    assert config.tts.provider == "local"
    route = config.numbers["+15550001111"].tts
    assert route is not None and route.provider == "local"


def test_a_numbers_voice_is_merged_over_the_general_one_key_by_key() -> None:
    config = parse(
        """
        tts: {provider: openai, fallback: [local], openai: {api_key: k, model: m, voice: coral}}
        numbers:
          "+15550001111": {tts: {openai: {voice: ash}}}
          "+15550001112": {tts: {provider: elevenlabs, elevenlabs: {voice_id: v}, fallback: []}}
        """,
        ELEVENLABS_API_KEY="e",
    )
    one, two = (config.numbers[number].tts for number in ("+15550001111", "+15550001112"))
    assert one is not None and two is not None
    assert (one.provider, one.fallback, one.providers.openai.voice, one.providers.openai.model) == (
        "openai",
        ["local"],
        "ash",
        "m",
    )
    assert (two.provider, two.fallback, reveal(two.providers.elevenlabs.api_key)) == ("elevenlabs", [], "e")
    assert list(missing(config)) == []


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("tts: {provider: openai}", ["tts.providers.openai.api_key"]),
        ("tts: {provider: openai, openai: {base_url: 'http://localhost:1/v1'}}", []),
        (
            "tts: {fallback: [elevenlabs, openai]}",
            ["tts.providers.openai.api_key", "tts.providers.elevenlabs.api_key", "tts.providers.elevenlabs.voice_id"],
        ),
        (
            "numbers: {'+15550001111': {tts: {provider: elevenlabs, elevenlabs: {api_key: k}}}}",
            ["numbers.+15550001111.tts.providers.elevenlabs.voice_id"],
        ),
        ("tts: {provider: openai}\nstreaming: {enabled: false}", []),
    ],
)
def test_what_a_voice_needs_is_named_for_those_that_may_speak(text: str, keys: list[str]) -> None:
    assert [need.key for need in missing(parse(text))] == keys


def test_keys_of_fallbacks_come_from_the_environment() -> None:
    config = parse(
        "tts: {fallback: [openai, elevenlabs], elevenlabs: {voice_id: v}}", OPENAI_API_KEY="o", ELEVENLABS_API_KEY="e"
    )
    assert list(missing(config)) == []


def test_settings_of_voices_that_never_speak_are_named() -> None:
    text = """
    tts: {provider: elevenlabs, fallback: [local], openai: {voice: ash}, elevenlabs: {voice_id: v, api_key: k}}
    numbers:
      "+15550001111": {tts: {local: {voice: ben}, openai: {voice: coral}}}
    """
    found = unused(text)
    assert set(found) == {"tts.providers.openai.voice", "numbers.+15550001111.tts.providers.openai.voice"}
    assert found["numbers.+15550001111.tts.providers.openai.voice"] == (
        "numbers.+15550001111.tts.provider is elevenlabs, and this number does not speak with openai"
    )


def test_without_a_media_stream_no_voice_of_ours_speaks() -> None:
    found = unused("provider: twilio\nstreaming: {enabled: false}\ntts: {provider: openai, fallback: [local]}")
    assert set(found) == {"tts.provider", "tts.fallback"}
    assert "voice of its own" in found["tts.provider"]


def test_a_voice_is_no_fallback_for_itself() -> None:
    with pytest.raises(ConfigError, match=r"tts\.fallback: openai is asked already"):
        parse("tts: {provider: openai, fallback: [local, openai], openai: {api_key: k}}")


def test_an_unknown_voice_is_refused_with_the_nearest_one() -> None:
    with pytest.raises(ConfigError, match="did you mean elevenlabs"):
        parse("tts: {provider: elevenlab}")
