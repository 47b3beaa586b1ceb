from __future__ import annotations

import pytest

from engine.config import load_config
from engine.speech.factory import make_recogniser, make_voice
from engine.speech.ports import SpeechUnavailable
from engine.speech.stt.local import LocalRecogniser
from engine.speech.tts.local import LocalVoice


def test_without_configuration_speech_is_local() -> None:
    config = load_config(None, {}).config
    assert isinstance(make_recogniser(config), LocalRecogniser)
    assert isinstance(make_voice(config), LocalVoice)


def test_a_vendor_that_is_not_built_yet_is_refused_by_name() -> None:
    config = load_config(None, {}).config
    streaming = config.streaming.model_copy(update={"provider": "openai"})
    tts = config.tts.model_copy(update={"provider": "elevenlabs"})
    config = config.model_copy(update={"streaming": streaming, "tts": tts})
    with pytest.raises(SpeechUnavailable, match=r"streaming\.provider 'openai'"):
        make_recogniser(config)
    with pytest.raises(SpeechUnavailable, match=r"tts\.provider 'elevenlabs'"):
        make_voice(config)
