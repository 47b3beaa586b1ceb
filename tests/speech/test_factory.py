from __future__ import annotations

import pytest

from engine.config import Config, ConfigError, load_config, parse_config
from engine.speech.factory import make_recogniser
from engine.speech.stt.chain import RecogniserChain
from engine.speech.stt.elevenlabs import ElevenLabsRecogniser
from engine.speech.stt.local import LocalRecogniser
from engine.speech.stt.openai import OpenAiRecogniser


def parse(text: str) -> Config:
    return parse_config(text.encode(), None, {}).config


def test_without_configuration_recognition_is_local() -> None:
    assert isinstance(make_recogniser(load_config(None, {}).config), LocalRecogniser)


def test_a_vendor_is_asked_with_everything_that_the_configuration_says() -> None:
    chain = make_recogniser(
        parse(
            "streaming: {provider: openai, providers: {openai: {api_key: k, base_url: 'http://localhost:1/v1', "
            "model: whisper-1, language: de, turn_detection: server_vad, silence_duration_ms: 450, "
            "vad_threshold: 0.7}}}"
        )
    )
    assert isinstance(chain, RecogniserChain) and chain.name == "openai"
    (engine,) = chain.order()
    assert isinstance(engine, OpenAiRecogniser)
    session = engine.session()
    assert session.url == "ws://localhost:1/v1/realtime?intent=transcription"
    assert session.headers == {"Authorization": "Bearer k"}
    (greeting,) = session.greeting()
    for part in ('"whisper-1"', '"de"', '"server_vad"', "450", "0.7"):
        assert part in greeting


def test_elevenlabs_is_asked_with_everything_that_the_configuration_says() -> None:
    chain = make_recogniser(
        parse(
            "streaming: {provider: elevenlabs, providers: {elevenlabs: {api_key: k, "
            "base_url: 'https://eu.example.com', model: scribe_v3_live, language: de, commit_strategy: vad, "
            "vad_silence_threshold_secs: 0.5, "
            "vad_threshold: 0.3}}}"
        )
    )
    assert isinstance(chain, RecogniserChain)
    (engine,) = chain.order()
    assert isinstance(engine, ElevenLabsRecogniser)
    assert engine.session().url == (
        "wss://eu.example.com/v1/speech-to-text/realtime?model_id=scribe_v3_live&audio_format=ulaw_8000"
        "&commit_strategy=vad&vad_silence_threshold_secs=0.5&vad_threshold=0.3&language_code=de"
    )


def test_fallbacks_stand_behind_the_provider_in_their_order() -> None:
    chain = make_recogniser(parse("streaming: {provider: openai, fallback: [elevenlabs, local]}"))
    assert isinstance(chain, RecogniserChain)
    assert [engine.name for engine in chain.order()] == ["openai", "elevenlabs", "local"]


@pytest.mark.parametrize("fallback", ["[openai]", "[local, local]", "[openai-realtime]"])
def test_a_recogniser_is_no_fallback_for_itself(fallback: str) -> None:
    with pytest.raises(ConfigError, match="no fallback for itself"):
        parse(f"streaming: {{provider: openai, fallback: {fallback}}}")


def test_a_model_without_voice_detection_is_not_asked_for_it() -> None:
    with pytest.raises(ConfigError, match="no voice detection"):
        parse(
            "streaming: {provider: openai, providers: {openai: {model: gpt-realtime-whisper, "
            "turn_detection: server_vad}}}"
        )
