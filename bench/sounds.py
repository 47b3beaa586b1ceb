"""Sounds of telephone lines for benchmarks: recorded people, and what is made by computing. All at 8 kHz.

The recorded people are Allison Smith's prompts with their texts (Debian: `apt install asterisk-core-sounds-en-wav
asterisk-core-sounds-en`) and the readers of `two_cities.wav` and `beckett.wav` in the wheel of moonshine-voice.
"""

from __future__ import annotations

import audioop
import gzip
import importlib.util
import math
import wave
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from engine.media.audio import FRAME_BYTES
from engine.media.dtmf import tones
from engine.media.g711 import mulaw_to_pcm16

Samples = npt.NDArray[np.float64]
"""8 kHz, in units of 16-bit PCM."""
RATE: Final = 8000
SOUNDS: Final = Path("/usr/share/asterisk/sounds/en_US_f_Allison")
TEXTS: Final = Path("/usr/share/doc/asterisk-core-sounds-en/core-sounds-en.txt.gz")
ADVICE: Final = "apt install asterisk-core-sounds-en-wav asterisk-core-sounds-en; pip install '.[local]'"
VOICE_DB: Final = -22.0
"""RMS level of a caller who speaks into the telephone."""
_AUDIBLE: Final = 0.03


class NoRecordings(Exception):
    """The recordings are not on this machine."""


# -- recorded ----------------------------------------------------------------------------------


@cache
def prompt(name: str) -> Samples:
    """A recorded prompt from its first to its last audible sample. Raises NoRecordings."""
    path = SOUNDS / f"{name}.wav"
    if not path.exists():
        raise NoRecordings(f"no recording {path}: {ADVICE}")
    return trimmed(_read(path))


@cache
def texts() -> dict[str, str]:
    """What is said in each prompt. Raises NoRecordings."""
    if not TEXTS.exists():
        raise NoRecordings(f"no {TEXTS}: {ADVICE}")
    pairs = (line.partition(": ") for line in gzip.decompress(TEXTS.read_bytes()).decode().splitlines())
    return {name: text for name, _, text in pairs if text and not name.startswith(";")}


@cache
def reading(name: str) -> Samples:
    """A recording in moonshine's wheel. Raises NoRecordings."""
    spec = importlib.util.find_spec("moonshine_voice")
    path = Path(spec.origin).parent / "assets" / name if spec is not None and spec.origin else Path("missing")
    if not path.exists():
        raise NoRecordings(f"no recording {name}: {ADVICE}")
    return trimmed(_read(path))


def _read(path: Path) -> Samples:
    with wave.open(str(path)) as file:
        pcm = np.frombuffer(file.readframes(file.getnframes()), np.int16).astype(np.float64)
        return to_phone_rate(pcm, file.getframerate())


def to_phone_rate(samples: Samples, rate: int) -> Samples:
    """Down to 8 kHz through a low-pass at 3.4 kHz."""
    if rate == RATE:
        return samples
    taps = np.arange(-90, 91)
    kernel = np.sinc(taps * 6800 / rate) * np.hamming(len(taps))
    filtered: Samples = np.convolve(samples, kernel / kernel.sum(), "same")
    return filtered[:: rate // RATE]


@cache
def synthesized(text: str, voice: str = "anna") -> Samples:
    """`text` in a voice of the simulated people: our own lines, and words that nobody recorded."""
    from engine.simulator.voices import PicoSynthesizer, voice_spec

    try:
        synthesizer = PicoSynthesizer()
    except ImportError as error:
        raise NoRecordings(f"no offline voice: {ADVICE}") from error
    pcm = np.frombuffer(synthesizer.speak(text, voice_spec(voice)), np.int16).astype(np.float64)
    return trimmed(to_phone_rate(pcm, 16000))


# -- computed ----------------------------------------------------------------------------------


def noise(seconds: float, db: float, slope: float = 0.0, seed: int = 7) -> Samples:
    """Noise whose amplitude falls with frequency to the power `slope`: 0 white, 0.5 pink, 1 brown (room tone)."""
    count = int(seconds * RATE)
    spectrum = np.fft.rfft(np.random.default_rng(seed).standard_normal(count))
    hz = np.fft.rfftfreq(count, 1 / RATE)
    spectrum *= np.where(hz > 60, np.maximum(hz, 60.0) ** -slope, 0.0)
    return at_level(np.fft.irfft(spectrum, count), db)


def hum(seconds: float, hz: float, db: float) -> Samples:
    """A tone with overtones: mains hum, an engine."""
    t = np.arange(int(seconds * RATE)) / RATE
    return at_level(sum((np.sin(2 * np.pi * hz * n * t) / n for n in (1, 2, 3, 5)), np.zeros(len(t))), db)


def road(seconds: float, db: float, seed: int = 7) -> Samples:
    """A car: brown noise that swells and sinks."""
    swell = np.interp(np.linspace(0, seconds, int(seconds * RATE)), *_steps(seconds, 0.7, seed, 0.5, 1.5))
    return at_level(noise(seconds, db, 1.0, seed)[: len(swell)] * swell, db)


def music(seconds: float, db: float, seed: int = 7) -> Samples:
    """Hold music: a melody of plucked notes over a slow chord."""
    rng = np.random.default_rng(seed)
    out = np.zeros(int(seconds * RATE))
    t = np.arange(len(out)) / RATE
    for hz in (196.0, 246.9, 293.7):
        out += 0.4 * np.sin(2 * np.pi * hz * t) * (1 + 0.2 * np.sin(2 * np.pi * 0.4 * t))
    for at in np.arange(0, seconds - 0.5, 0.25):
        hz = 392.0 * 2 ** (rng.choice([0, 2, 4, 7, 9, 12]) / 12)
        note = np.arange(int(0.5 * RATE)) / RATE
        start = int(at * RATE)
        out[start : start + len(note)] += np.exp(-6 * note) * np.sin(2 * np.pi * hz * note)
    return at_level(out, db)


def click(db: float = -12.0, ms: int = 12, seed: int = 7) -> Samples:
    """A tap on the microphone."""
    burst = noise(ms / 1000, -20, 0.0, seed)
    return at_level(burst * np.exp(-5 * np.linspace(0, 1, len(burst))), db)


def cough(db: float = -16.0, seed: int = 7) -> Samples:
    """An explosive burst through the shape of a throat, then its voiced end: 300 to 400 ms."""
    rng = np.random.default_rng(seed)
    seconds = 0.3 + 0.1 * rng.random()
    t = np.arange(int(seconds * RATE)) / RATE
    air = noise(seconds, -20, 0.3, seed)[: len(t)] * (np.exp(-14 * t) + 0.35 * np.exp(-((t - 0.22) ** 2) / 0.004))
    voiced = hum(seconds, 130 + 60 * rng.random(), -20)[: len(t)] * np.exp(-((t - 0.2) ** 2) / 0.003) * 0.5
    return at_level(air + voiced, db)


def breath(db: float = -34.0, seed: int = 7) -> Samples:
    """Blowing into the microphone for 0.7 s."""
    air = noise(0.7, db, 0.6, seed)
    return at_level(air * np.sin(np.pi * np.linspace(0, 1, len(air))), db)


def typing(seconds: float, db: float = -24.0, seed: int = 7) -> Samples:
    """A keyboard beside the telephone."""
    rng = np.random.default_rng(seed)
    out = np.zeros(int(seconds * RATE))
    at = 0.0
    while at < seconds - 0.1:
        key = click(db, 8 + int(8 * rng.random()), int(rng.integers(1 << 30)))
        out[int(at * RATE) : int(at * RATE) + len(key)] += key
        at += 0.09 + 0.2 * rng.random()
    return out


def keys(digits: str, db: float = -16.0) -> Samples:
    """Keys as the caller's telephone plays them."""
    pcm = np.frombuffer(mulaw_to_pcm16(tones(digits)), np.int16).astype(np.float64)
    return at_level(pcm, db)


def babble(seconds: float, db: float, voices: Sequence[Samples], seed: int = 7) -> Samples:
    """A room full of people: each voice over and over, from somewhere in its middle."""
    rng = np.random.default_rng(seed)
    count = int(seconds * RATE)
    out = np.zeros(count)
    for voice in voices:
        out += np.resize(np.roll(at_level(voice, -22), int(rng.integers(len(voice)))), count)
    return at_level(out, db)


# -- put together ------------------------------------------------------------------------------


def trimmed(samples: Samples) -> Samples:
    """From the first audible sample to the last."""
    loud = np.flatnonzero(np.abs(samples) > _AUDIBLE * np.abs(samples).max())
    return samples[loud[0] : loud[-1] + 1] if len(loud) else samples


def at_level(samples: Samples, db: float) -> Samples:
    """`samples` scaled to an RMS level in dBFS."""
    rms = float(np.sqrt(np.mean(np.square(samples)))) or 1.0
    scaled: Samples = samples * (32768.0 * math.pow(10.0, db / 20.0) / rms)
    return scaled


def silence(seconds: float) -> Samples:
    """Digital silence."""
    return np.zeros(int(seconds * RATE))


def room(samples: Samples, seconds: float = 0.08, seed: int = 7) -> Samples:
    """`samples` as they sound in a room: the direct sound and a tail of reflections."""
    tail = np.random.default_rng(seed).standard_normal(int(seconds * RATE))
    tail *= 0.12 * np.exp(-5 * np.linspace(0, 1, len(tail)))
    tail[0] = 1.0
    return np.convolve(samples, tail)[: len(samples)]


def mixed(*parts: Samples) -> Samples:
    """Everything at once, as long as the longest."""
    out = np.zeros(max(map(len, parts)))
    for part in parts:
        out[: len(part)] += part
    return out


def mulaw(samples: Samples) -> bytes:
    """As the telephone carries it."""
    return audioop.lin2ulaw(np.clip(samples, -32767, 32767).astype("<i2").tobytes(), 2)


def frames(samples: Samples) -> Iterator[bytes]:
    """Cut into whole 20 ms frames of mu-law."""
    coded = mulaw(samples)
    for start in range(0, len(coded) - FRAME_BYTES + 1, FRAME_BYTES):
        yield coded[start : start + FRAME_BYTES]


def _steps(seconds: float, every: float, seed: int, low: float, high: float) -> tuple[Any, Any]:
    at = np.arange(0, seconds + every, every)
    return at, np.random.default_rng(seed).uniform(low, high, len(at))
