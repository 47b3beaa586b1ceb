from __future__ import annotations

import numpy as np
import pytest

from engine.media.audio import PHONE, AudioFormat, UnsupportedAudio
from engine.media.g711 import pcm16_to_mulaw
from engine.speech.stt.samples import RATE, SampleReader


def tone(hertz: float, rate: int, seconds: float = 1.0) -> bytes:
    at = np.arange(int(rate * seconds)) / rate
    return (0.5 * np.sin(2 * np.pi * hertz * at) * 32767).astype("<i2").tobytes()


def test_a_tone_keeps_its_pitch_and_gets_no_image_above_the_telephone_band() -> None:
    samples = SampleReader(PHONE).feed(pcm16_to_mulaw(tone(1000, 8000)))
    spectrum = np.abs(np.fft.rfft(samples[1000:-1000] * np.hanning(len(samples) - 2000)))
    hertz = np.fft.rfftfreq(len(samples) - 2000, 1 / RATE)
    assert abs(hertz[spectrum.argmax()] - 1000) < 5
    assert spectrum[hertz > 6000].max() < spectrum.max() / 1000  # -60 dB; the image would be at 7 kHz


def test_frames_of_any_size_give_the_same_samples_as_the_whole() -> None:
    whole = pcm16_to_mulaw(tone(440, 8000))
    reader = SampleReader(PHONE)
    pieces = [reader.feed(whole[at : at + 37]) for at in range(0, len(whole), 37)]
    assert np.array_equal(np.concatenate(pieces), SampleReader(PHONE).feed(whole))


@pytest.mark.parametrize(
    "format_", [AudioFormat("mulaw", 16000), AudioFormat("pcm16", 44100), AudioFormat("pcm16", 8000, 2)]
)
def test_an_unknown_format_is_refused(format_: AudioFormat) -> None:
    with pytest.raises(UnsupportedAudio):
        SampleReader(format_)
