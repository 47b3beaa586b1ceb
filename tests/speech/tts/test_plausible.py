"""Speech passes, noise does not."""

from __future__ import annotations

import numpy as np
import pytest

from engine.media.audio import PHONE, Audio, AudioFormat
from engine.media.convert import to_phone
from engine.media.g711 import pcm16_to_mulaw
from engine.speech.tts.plausible import NoiseCheck, too_short
from tests.speech.far.speech import Synthesizer

TEXT = "Good morning, this is the practice of Doctor Evans. What can I do for you?"


@pytest.mark.parametrize("gain_db", [-20, 0, 6, 12])
def test_speech_is_no_noise_however_loud(synthesizer: Synthesizer, gain_db: int) -> None:
    samples = np.frombuffer(synthesizer.pcm(TEXT, 8000), "<i2").astype(float) * 10 ** (gain_db / 20)
    line = pcm16_to_mulaw(samples.clip(-32768, 32767).astype("<i2").tobytes())
    for at in range(0, len(line) - 4000, 800):
        assert not NoiseCheck().is_noise(line[at : at + 3200])


def test_speech_in_another_format_is_noise(synthesizer: Synthesizer) -> None:
    mulaw = pcm16_to_mulaw(synthesizer.pcm(TEXT, 8000))[4000:20000]
    assert NoiseCheck().is_noise(to_phone(Audio(AudioFormat("pcm16", 24_000), mulaw))), "mu-law taken for PCM"
    assert NoiseCheck().is_noise(synthesizer.pcm(TEXT, 24_000)[4000:20000]), "PCM taken for mu-law"


def test_silence_is_no_noise() -> None:
    assert not NoiseCheck().is_noise(b"\xff" * PHONE.bytes_for(1000))


def test_a_line_has_to_be_as_long_as_its_text_at_least(synthesizer: Synthesizer) -> None:
    ms = len(synthesizer.pcm(TEXT, 8000)) // 16
    assert not too_short(TEXT, ms)
    assert not too_short(TEXT, ms // 2)
    assert too_short(TEXT, ms // 8)
    assert not too_short("OK.", 10), "there is nothing to be said about a few letters"
