"""The voices of the simulated people: each line is synthesized once and its frames are shared by all calls.

The synthesizer (SVOX pico, package ttspico) is not thread-safe and takes 15 ms a line, so it lives in one thread of
its own. Where it is missing, people speak in speech-shaped noise: calls, turns and timing still work, but there is
nothing to understand.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import logging
import math
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol

import numpy as np
import numpy.typing as npt

from engine.media.audio import FRAME_BYTES, PHONE, SILENCE, Audio, AudioFormat
from engine.media.convert import to_phone
from engine.media.g711 import mulaw_to_pcm16, pcm16_to_mulaw

log = logging.getLogger(__name__)

SPEECH_DB: Final = -20.0
"""RMS level of the voiced part of every line, in dBFS."""
NOISE_DB: Final = -60.0
"""RMS level of the noise that a quiet telephone line has."""
BEEP_MS: Final = 400
_SILENCE_DB: Final = -45.0
"""Below this the synthesizer is silent."""
_CACHED_LINES: Final = 2000
_SYNTH: Final = AudioFormat("pcm16", 16000)
_Samples = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class VoiceSpec:
    """A synthesizer voice: language model, pitch and speed in percent."""

    language: str
    pitch: int
    speed: int


CARRIER_VOICE: Final = "carrier"
"""Who speaks the carrier's own announcements."""
VOICES: Final[Mapping[str, VoiceSpec]] = {
    "anna": VoiceSpec("en-US", 100, 90),
    "tom": VoiceSpec("en-US", 72, 88),
    "grace": VoiceSpec("en-GB", 100, 90),
    "henry": VoiceSpec("en-GB", 72, 86),
    "lucy": VoiceSpec("en-US", 122, 88),
    "peter": VoiceSpec("en-US", 86, 90),
    "emma": VoiceSpec("en-US", 112, 87),
    "george": VoiceSpec("en-US", 80, 92),
    "mary": VoiceSpec("en-US", 95, 88),
    "frank": VoiceSpec("en-US", 67, 87),
    "alice": VoiceSpec("en-GB", 93, 90),
    "daniel": VoiceSpec("en-US", 76, 86),
    "sarah": VoiceSpec("en-US", 106, 90),
    "james": VoiceSpec("en-GB", 79, 88),
    "ruth": VoiceSpec("en-US", 117, 91),
    "oliver": VoiceSpec("en-US", 90, 92),
    CARRIER_VOICE: VoiceSpec("en-US", 103, 85),
}
"""Slower than pico's own pace, which a telephone line does not carry well."""


def voice_spec(name: str) -> VoiceSpec:
    """A voice by name; an unknown name gets a voice of its own, always the same one."""
    if name in VOICES:
        return VOICES[name]
    digest = hashlib.sha256(name.encode()).digest()
    return VoiceSpec("en-GB" if digest[0] & 1 else "en-US", 70 + digest[1] % 50, 85 + digest[2] % 8)


_Key = tuple[VoiceSpec, str]


@dataclass(frozen=True, slots=True)
class Utterance:
    """A line as it goes over the wire: whole frames of mu-law, and the same in base64."""

    text: str
    frames: tuple[bytes, ...]
    encoded: tuple[str, ...]

    @property
    def ms(self) -> int:
        return len(self.frames) * 20


def utterance(text: str, mulaw: bytes) -> Utterance:
    """Cut `mulaw` into frames, the last one padded with silence."""
    padded = mulaw + bytes([SILENCE]) * (-len(mulaw) % FRAME_BYTES)
    frames = tuple(padded[at : at + FRAME_BYTES] for at in range(0, len(padded), FRAME_BYTES))
    return Utterance(text, frames, tuple(base64.b64encode(frame).decode() for frame in frames))


class Synthesizer(Protocol):
    """Text to 16 kHz PCM."""

    kind: Literal["pico", "noise"]

    def speak(self, text: str, voice: VoiceSpec) -> bytes:
        """Signed 16-bit samples at 16 kHz."""


class PicoSynthesizer:
    """SVOX pico. Raises ImportError when ttspico is not installed."""

    kind: Literal["pico", "noise"] = "pico"

    def __init__(self) -> None:
        import ttspico

        self._module = ttspico
        self._engines: dict[str, Any] = {}

    def speak(self, text: str, voice: VoiceSpec) -> bytes:
        if voice.language not in self._engines:
            self._engines[voice.language] = self._module.TtsEngine(voice.language)
        engine = self._engines[voice.language]
        # At full volume pico clips its own loud vowels; the level is set later.
        engine.pitch, engine.rate, engine.volume = voice.pitch, voice.speed, 50
        # pico reads tags; a line is text only.
        return bytes(engine.speak(text.replace("<", " ").replace(">", " ")) or b"")


class NoiseSynthesizer:
    """Syllables of shaped noise, as many as the text has, at the voice's speed."""

    kind: Literal["pico", "noise"] = "noise"

    def speak(self, text: str, voice: VoiceSpec) -> bytes:
        rng = np.random.default_rng(list(text.encode()))
        syllable = int(_SYNTH.rate * 0.18 * 100 / voice.speed)
        count = max(2, len(text) // 3)
        envelope = np.tile(np.sin(np.linspace(0, math.pi, syllable)) ** 2, count)
        noise = np.convolve(rng.standard_normal(syllable * count), np.ones(12) / 12, mode="same")
        return _to_pcm(noise * envelope * 8000)


def _to_pcm(samples: _Samples) -> bytes:
    return np.clip(np.rint(samples), -32768, 32767).astype("<i2").tobytes()


def _amplitude(db: float) -> float:
    return float(32768 * 10 ** (db / 20))


def _trimmed(samples: _Samples) -> _Samples:
    """Without the silence around it (20 ms stay): a line starts and ends when it is said to."""
    loud = np.nonzero(np.abs(samples) > _amplitude(_SILENCE_DB))[0]
    if not len(loud):
        return samples[:0]
    margin = _SYNTH.rate // 50
    return samples[max(0, loud[0] - margin) : loud[-1] + margin]


def _at_speech_level(samples: _Samples) -> _Samples:
    """Brought to `SPEECH_DB`, measured where somebody speaks; peaks are rounded off instead of clipped."""
    voiced = samples[np.abs(samples) > _amplitude(_SILENCE_DB)]
    if not len(voiced):
        return samples
    scaled = samples * (_amplitude(SPEECH_DB) / math.sqrt(float(np.mean(voiced**2))))
    knee = 0.6 * 32768
    over = np.abs(scaled) > knee
    scaled[over] = np.sign(scaled[over]) * (knee + (32767 - knee) * np.tanh((np.abs(scaled[over]) - knee) / 13000))
    return scaled


def _line_noise(count: int, seed: int) -> _Samples:
    return np.asarray(np.random.default_rng(seed).standard_normal(count) * _amplitude(NOISE_DB))


def phone_line(text: str, pcm16k: bytes) -> Utterance:
    """A synthesized line as it sounds through a telephone: band-limited, at speech level, over line noise."""
    samples = _at_speech_level(_trimmed(np.frombuffer(pcm16k, dtype="<i2").astype(np.float64)))
    narrow = np.frombuffer(mulaw_to_pcm16(to_phone(Audio(_SYNTH, _to_pcm(samples)))), dtype="<i2")
    noisy = narrow.astype(np.float64) + _line_noise(len(narrow), len(narrow))
    return utterance(text, pcm16_to_mulaw(_to_pcm(noisy)))


def quiet_line(seconds: int = 2) -> Utterance:
    """The noise between words, to be repeated for ever."""
    return utterance("", pcm16_to_mulaw(_to_pcm(_line_noise(PHONE.rate * seconds, 1))))


def beep() -> Utterance:
    """The tone of an answering machine: 1 kHz."""
    at = np.arange(PHONE.rate * BEEP_MS // 1000) / PHONE.rate
    return utterance("", pcm16_to_mulaw(_to_pcm(_amplitude(-12) * np.sin(2 * math.pi * 1000 * at))))


class VoiceBank:
    """Lines by voice and text, synthesized in one thread and kept for all calls."""

    def __init__(self, synthesizer: Synthesizer | None = None) -> None:
        self._synthesizer = synthesizer or _best_synthesizer()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="voices")
        self._lines: OrderedDict[_Key, Utterance] = OrderedDict()
        self._making: dict[_Key, asyncio.Future[Utterance]] = {}
        self.quiet = quiet_line()
        self.beep = beep()

    @property
    def kind(self) -> Literal["pico", "noise"]:
        """What the people speak with."""
        return self._synthesizer.kind

    def get(self, voice: str, text: str) -> Utterance | None:
        """The line when it is ready."""
        key = (voice_spec(voice), text)
        line = self._lines.get(key)
        if line is not None:
            self._lines.move_to_end(key)
        return line

    async def prepare(self, voice: str, texts: Iterable[str]) -> None:
        """Have these lines ready; returns when they are."""
        for text in texts:
            await self.line(voice, text)

    async def line(self, voice: str, text: str) -> Utterance:
        """One line, made now when it is not ready. Calls that want the same line at the same time share the work."""
        ready = self.get(voice, text)
        if ready is not None:
            return ready
        key = (voice_spec(voice), text)
        if key not in self._making:
            self._making[key] = asyncio.ensure_future(self._make(key))
        return await asyncio.shield(self._making[key])

    async def _make(self, key: _Key) -> Utterance:
        try:
            made = await asyncio.get_running_loop().run_in_executor(self._thread, self._render, *key)
        finally:
            del self._making[key]
        self._lines[key] = made
        while len(self._lines) > _CACHED_LINES:
            self._lines.popitem(last=False)
        return made

    def close(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _render(self, voice: VoiceSpec, text: str) -> Utterance:
        return phone_line(text, self._synthesizer.speak(text, voice))


def _best_synthesizer() -> Synthesizer:
    try:
        return PicoSynthesizer()
    except ImportError:
        log.warning("ttspico is not installed: the simulated people speak in noise; install the extra `local`")
        return NoiseSynthesizer()
