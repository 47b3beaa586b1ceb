"""Conversion to and from telephone audio: frequency response, streaming in any pieces, refusals."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.media.audio import PHONE, Audio, AudioFormat, UnsupportedAudio
from engine.media.convert import PCM_RATES, PhoneConverter, PhoneUpsampler, low_pass, phone_to_pcm16, to_phone
from engine.media.g711 import alaw_to_mulaw, mulaw_to_pcm16
from tests.media.tones import pcm_tone, tone

FILTERED_RATES = [rate for rate in PCM_RATES if rate > 8000]


def gain_db(rate: int, hz: float) -> float:
    taps = low_pass(rate).astype(float)
    response = abs(np.sum(taps * np.exp(-2j * np.pi * hz / rate * np.arange(len(taps)))))
    return float(20 * np.log10(response + 1e-12))


def strength(mulaw: bytes, hz: float) -> float:
    """The amplitude of `hz` in the middle of a piece of telephone audio."""
    samples = np.frombuffer(mulaw_to_pcm16(mulaw), "<i2")[400:-400].astype(float)
    return float(2 * abs(np.mean(samples * np.exp(-2j * np.pi * hz / 8000 * np.arange(len(samples))))))


@pytest.mark.parametrize("rate", FILTERED_RATES)
def test_the_filter_is_flat_in_the_voice_band_and_deaf_above_it(rate: int) -> None:
    assert all(abs(gain_db(rate, hz)) < 0.1 for hz in range(0, 3401, 100))
    assert all(gain_db(rate, hz) < -65 for hz in range(4600, rate // 2, 50))
    assert gain_db(rate, 5000) < -70


@pytest.mark.parametrize("rate", FILTERED_RATES)
def test_the_filter_holds_less_than_two_milliseconds_back(rate: int) -> None:
    assert len(low_pass(rate)) / 2 / rate < 0.002


@pytest.mark.parametrize("rate", [16000, 24000])
def test_a_tone_above_the_band_does_not_fold_back(rate: int) -> None:
    heard = to_phone(Audio(AudioFormat("pcm16", rate), pcm_tone(5000, 500, 20_000, rate)))
    assert strength(heard, 3000) < 20_000 * 10 ** (-50 / 20)


@pytest.mark.parametrize("rate", PCM_RATES)
def test_a_tone_in_the_band_keeps_its_strength_length_and_place(rate: int) -> None:
    heard = to_phone(Audio(AudioFormat("pcm16", rate), pcm_tone(1000, 500, 16_000, rate)))
    assert len(heard) == 4000
    assert strength(heard, 1000) == pytest.approx(16_000, rel=0.01)
    wanted = np.frombuffer(pcm_tone(1000, 500), "<i2")[100:-100].astype(float)
    got = np.frombuffer(mulaw_to_pcm16(heard), "<i2")[100:-100].astype(float)
    assert np.abs(wanted - got).max() < 600, "within mu-law's own steps, so not shifted by a sample"


@given(st.sampled_from(PCM_RATES), st.lists(st.integers(1, 700), min_size=1, max_size=12))
def test_pieces_of_any_size_give_the_same_audio_as_the_whole(rate: int, sizes: list[int]) -> None:
    """Pain A6."""
    pcm = pcm_tone(700, 60, 9000, rate)
    converter, at, pieces = PhoneConverter(AudioFormat("pcm16", rate)), 0, []
    for size in itertools.cycle(sizes):
        pieces.append(converter.feed(pcm[at : at + size]))
        at += size
        if at >= len(pcm):
            break
    pieces.append(converter.flush())
    whole = to_phone(Audio(AudioFormat("pcm16", rate), pcm))
    streamed = b"".join(pieces)
    assert len(streamed) == len(whole) == 480
    difference = np.frombuffer(mulaw_to_pcm16(whole), "<i2").astype(int) - np.frombuffer(
        mulaw_to_pcm16(streamed), "<i2"
    ).astype(int)
    assert np.abs(difference).max() <= 512, "one mu-law step, where float rounding fell on the other side"


def test_a_converter_starts_afresh_after_flush() -> None:
    pcm = pcm_tone(700, 60, 9000, 24000)
    converter = PhoneConverter(AudioFormat("pcm16", 24000))
    first = converter.feed(pcm + b"\x11") + converter.flush()
    assert converter.feed(pcm) + converter.flush() == first


def test_loud_audio_is_clipped_rather_than_wrapped() -> None:
    square = np.where(np.arange(4800) % 48 < 24, 32767, -32768).astype("<i2").tobytes()
    heard = np.frombuffer(mulaw_to_pcm16(to_phone(Audio(AudioFormat("pcm16", 24000), square))), "<i2")
    middle = heard[160:1440].reshape(-1, 16)[:, 3:6]
    assert (np.abs(middle).min(axis=1) > 20_000).all()


def test_g711_is_not_resampled() -> None:
    assert to_phone(Audio(PHONE, b"\x01\x7f\xff")) == b"\x01\x7f\xff"
    assert to_phone(Audio(AudioFormat("alaw", 8000), b"\xd5\x01")) == alaw_to_mulaw(b"\xd5\x01")


@pytest.mark.parametrize(
    "format",
    [
        AudioFormat("pcm16", 22050),
        AudioFormat("pcm16", 44100),
        AudioFormat("pcm16", 4000),
        AudioFormat("mulaw", 16000),
        AudioFormat("alaw", 16000),
        AudioFormat("pcm16", 16000, channels=2),
    ],
)
def test_unknown_formats_are_refused(format: AudioFormat) -> None:  # noqa: A002
    """Pain A7."""
    with pytest.raises(UnsupportedAudio):
        PhoneConverter(format)


@pytest.mark.parametrize("rate", PCM_RATES)
def test_upsampled_audio_has_no_images_and_the_same_length(rate: int) -> None:
    pcm = np.frombuffer(phone_to_pcm16(tone(1000, 500), rate), "<i2").astype(float)
    assert len(pcm) == rate // 2
    spectrum = np.abs(np.fft.rfft(pcm * np.hanning(len(pcm))))
    hz = np.fft.rfftfreq(len(pcm), 1 / rate)
    assert hz[spectrum.argmax()] == pytest.approx(1000, abs=4)
    above = spectrum[hz > 4600]
    assert above.size == 0 or above.max() < spectrum.max() * 10 ** (-55 / 20)
    wanted = np.frombuffer(pcm_tone(1000, 500, rate=rate), "<i2").astype(float)
    assert np.abs(wanted - pcm)[200:-200].max() < 600


def test_an_upsampler_gives_every_frame_at_once() -> None:
    upsampler, mulaw = PhoneUpsampler(16000), tone(440, 100)
    frames = [upsampler.feed(mulaw[at : at + 160]) for at in range(0, 800, 160)]
    assert [len(frame) for frame in frames] == [640] * 5
    assert b"".join(frames) == PhoneUpsampler(16000).feed(mulaw)


def test_other_rates_for_listening_are_refused() -> None:
    with pytest.raises(UnsupportedAudio):
        phone_to_pcm16(b"\xff", 22050)
