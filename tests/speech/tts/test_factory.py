"""Which voices a configuration makes."""

from __future__ import annotations

from engine.config import parse_config
from engine.speech.factory import make_voice
from engine.speech.tts.chain import Speaker, Voices
from engine.speech.tts.elevenlabs import ElevenLabsVoice
from engine.speech.tts.local import LocalVoice
from engine.speech.tts.openai import OpenAiVoice
from engine.speech.tts.openai_realtime import OpenAiRealtimeVoice


def chains(text: str) -> dict[str, list[Speaker]]:
    voices = make_voice(parse_config(text.encode(), None, {}).config)
    assert isinstance(voices, Voices)
    return {number: list(chain) for number, chain in voices._routes.items()}


def test_without_configuration_the_offline_voice_speaks() -> None:
    ((speaker,),) = chains("{}").values()
    assert isinstance(speaker.voice, LocalVoice)
    assert (speaker.label, speaker.name) == ("local anna", "anna")


def test_the_model_decides_by_which_way_openai_speaks() -> None:
    ((by_default,),) = chains("tts: {provider: openai, openai: {api_key: k}}").values()
    assert isinstance(by_default.voice, OpenAiRealtimeVoice)
    ((older,),) = chains(
        "tts: {provider: openai, openai: {api_key: k, model: gpt-4o-mini-tts, voice: coral}}"
    ).values()
    assert isinstance(older.voice, OpenAiVoice)
    assert older.label == "openai gpt-4o-mini-tts coral"


def test_numbers_share_engines_and_not_voices() -> None:
    found = chains(
        """
        tts: {provider: elevenlabs, fallback: [local], elevenlabs: {api_key: k, voice_id: one}}
        numbers:
          "+15550001111": {tts: {local: {voice: ben}}}
          "+15550001112": {tts: {elevenlabs: {voice_id: two}}}
          "+15550001113": {tts: {elevenlabs: {voice_settings: {speed: 0.9}}}}
          "+15550001114": {inbound_greeting: Hello.}
        """
    )
    assert set(found) == {"", "+15550001111", "+15550001112", "+15550001113"}
    general, ben, two, slow = found.values()
    assert general[0].voice is ben[0].voice, "the same settings are one engine with its connections"
    assert general[1].voice is ben[1].voice
    assert (general[1].name, ben[1].name) == ("anna", "ben")
    assert isinstance(two[0].voice, ElevenLabsVoice)
    assert len({general[0].voice, two[0].voice, slow[0].voice}) == 3
    assert len({chain[0].key for chain in (general, two, slow)}) == 3, "their lines are not mixed up in the cache"


def test_a_voice_is_asked_once_even_when_a_number_names_it_again() -> None:
    found = chains(
        "tts: {fallback: [elevenlabs], elevenlabs: {api_key: k, voice_id: v}}\n"
        "numbers: {'+15550001111': {tts: {provider: elevenlabs}}}"
    )
    assert [speaker.label for speaker in found["+15550001111"]] == ["elevenlabs eleven_flash_v2_5 v"]
