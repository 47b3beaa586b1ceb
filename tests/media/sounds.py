"""Sounds for tests, as 20 ms mu-law frames: noises of a line, tones, synthesized and real speech."""

from __future__ import annotations

import audioop
import importlib.util
import math
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from engine.media.audio import FRAME_BYTES

Samples = npt.NDArray[np.float64]
"""8 kHz, in units of 16-bit PCM."""
RATE = 8000


def at_level(samples: Samples, db: float) -> Samples:
    """`samples` scaled to an RMS level in dBFS."""
    rms = float(np.sqrt(np.mean(np.square(samples))))
    scaled: Samples = samples * (32768.0 * math.pow(10.0, db / 20.0) / rms)
    return scaled


def digital_silence(seconds: float) -> Samples:
    return np.zeros(int(seconds * RATE))


def noise(seconds: float, db: float, slope: float = 0.0, seed: int = 7) -> Samples:
    """Noise whose amplitude falls with frequency to the power `slope`: 0 white, 0.5 pink, 1 brown (room tone)."""
    count = int(seconds * RATE)
    spectrum = np.fft.rfft(np.random.default_rng(seed).standard_normal(count))
    hz = np.fft.rfftfreq(count, 1 / RATE)
    spectrum *= np.where(hz > 60, np.maximum(hz, 60.0) ** -slope, 0.0)
    return at_level(np.fft.irfft(spectrum, count), db)


def tone(seconds: float, hz: float, db: float) -> Samples:
    """A hum: a sine with some of its first overtone."""
    t = np.arange(int(seconds * RATE)) / RATE
    return at_level(np.sin(2 * np.pi * hz * t) + 0.3 * np.sin(4 * np.pi * hz * t), db)


def to_phone_rate(samples: Samples, rate: int) -> Samples:
    """Down to 8 kHz through a low-pass at 3.4 kHz."""
    taps = np.arange(-90, 91)
    kernel = np.sinc(taps * 6800 / rate) * np.hamming(len(taps))
    filtered = np.convolve(samples, kernel / kernel.sum(), "same")
    return filtered[:: rate // RATE]


def spoken(text: str, db: float | None = None) -> Samples:
    """`text` in a synthetic voice, from the first audible sample to the last.

    Skips the test where the offline speech extra is missing.
    """
    ttspico: Any = pytest.importorskip("ttspico", reason="needs the offline voice: install the extra `local`")
    pcm = np.frombuffer(ttspico.TtsEngine("en-US").speak(text), np.int16).astype(np.float64)
    voice = to_phone_rate(pcm, 16000)
    loud = np.flatnonzero(np.abs(voice) > 0.05 * np.abs(voice).max())
    voice = voice[loud[0] : loud[-1]]
    return voice if db is None else at_level(voice, db)


def recorded(name: str) -> Samples:
    """A recording of real people from the offline recogniser's wheel; skips the test where it is missing."""
    spec = importlib.util.find_spec("moonshine_voice")
    if spec is None or spec.origin is None:
        pytest.skip("needs the recordings in moonshine-voice: install the extra `local`")
    path = Path(spec.origin).parent / "assets" / name
    if not path.exists():
        pytest.skip(f"this release of moonshine-voice does not hold {name}")
    with wave.open(str(path)) as file:
        pcm = np.frombuffer(file.readframes(file.getnframes()), np.int16).astype(np.float64)
        return to_phone_rate(pcm, file.getframerate())


def frames(*parts: Samples) -> Iterator[bytes]:
    """The parts one after the other, cut into whole 20 ms frames of mu-law."""
    samples = np.clip(np.concatenate(parts), -32767, 32767).astype("<i2")
    mulaw = audioop.lin2ulaw(samples.tobytes(), 2)
    for start in range(0, len(mulaw) - FRAME_BYTES + 1, FRAME_BYTES):
        yield mulaw[start : start + FRAME_BYTES]


def over(voice: Samples, background: float, seed: int = 7) -> Samples:
    """`voice` with room tone of `background` dBFS under it."""
    return voice + noise(len(voice) / RATE + 0.01, background, 0.5, seed)[: len(voice)]
