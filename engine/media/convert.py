"""Between the audio of speech engines (16-bit PCM at 8 to 48 kHz) and of telephone lines (mu-law at 8 kHz).

Going down, everything above 4 kHz would fold back into the voice, so a linear-phase FIR low-pass comes first: flat to
3.4 kHz, at least 70 dB down from 4.6 kHz. Streaming resamplers hold 60 to 150 ms back; this filter needs 1.8 ms. Both
directions keep their state between pieces, so a stream may be cut anywhere, in the middle of a sample too.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import numpy.typing as npt

from engine.media.audio import PHONE, SILENCE, Audio, AudioFormat, UnsupportedAudio
from engine.media.g711 import alaw_to_mulaw, mulaw_to_pcm16, pcm16_to_mulaw

PCM_RATES: Final = (8000, 16000, 24000, 32000, 48000)
"""Sample rates of PCM that convert to and from the telephone's: whole multiples of 8 kHz."""
_PHONE_RATE: Final = PHONE.rate
_PASS_HZ: Final = 3400.0
_STOP_HZ: Final = 4600.0
_STOP_DB: Final = 70.0
_BLOCK: Final = 4096
"""Phone samples filtered at once, so that converting a long line needs little memory."""

_Floats = npt.NDArray[np.float32]


def low_pass(rate: int) -> _Floats:
    """The filter's taps at `rate` Hz (Kaiser window, odd length, gain 1)."""
    width = 2 * math.pi * (_STOP_HZ - _PASS_HZ) / rate
    length = math.ceil((_STOP_DB - 7.95) / (2.285 * width)) | 1
    beta = 0.1102 * (_STOP_DB - 8.7)
    cut = (_PASS_HZ + _STOP_HZ) / rate
    at = np.arange(length) - (length - 1) / 2
    taps = cut * np.sinc(cut * at) * np.kaiser(length, beta)
    return np.asarray(taps / taps.sum(), dtype=np.float32)


def _to_int16(samples: _Floats) -> bytes:
    return np.clip(np.rint(samples), -32768, 32767).astype("<i2").tobytes()


class _Decimator:
    """PCM at a multiple of 8 kHz in, PCM at 8 kHz out. Starts and ends on the input's own first and last sample."""

    def __init__(self, rate: int) -> None:
        self._ratio = rate // _PHONE_RATE
        self._taps = low_pass(rate)
        self._half = len(self._taps) // 2
        self._held = self._margin()

    def feed(self, samples: _Floats) -> bytes:
        held = np.concatenate((self._held, samples))
        taps, ratio = self._taps, self._ratio
        count = max(0, (len(held) - len(taps)) // ratio + 1)
        out = []
        for first in range(0, count, _BLOCK):
            n = min(_BLOCK, count - first)
            piece = held[first * ratio : (first + n - 1) * ratio + len(taps)]
            windows = np.lib.stride_tricks.sliding_window_view(piece, len(taps))[::ratio]
            out.append(_to_int16(windows @ taps))
        self._held = held[count * ratio :]
        return b"".join(out)

    def flush(self) -> bytes:
        rest = self.feed(self._margin())
        self._held = self._margin()
        return rest

    def _margin(self) -> _Floats:
        return np.zeros(self._half, dtype=np.float32)


class PhoneConverter:
    """A stream of audio in one format in, telephone audio (`PHONE`) out. Raises UnsupportedAudio."""

    def __init__(self, format: AudioFormat) -> None:  # noqa: A002
        self._format = format
        self._odd = b""
        self._decimator: _Decimator | None = None
        if format.channels != 1:
            raise UnsupportedAudio(f"{format.channels} channels: telephone audio is made from mono only")
        if format.encoding == "pcm16" and format.rate in PCM_RATES:
            if format.rate != _PHONE_RATE:
                self._decimator = _Decimator(format.rate)
        elif format.rate != _PHONE_RATE:
            raise UnsupportedAudio(f"{format.encoding} at {format.rate} Hz: no conversion to 8 kHz mu-law is known")

    def feed(self, data: bytes) -> bytes:
        """As much mu-law as can be made by now. A cut sample waits for its other half."""
        if self._format.encoding == "mulaw":
            return data
        if self._format.encoding == "alaw":
            return alaw_to_mulaw(data)
        if self._odd:
            data = self._odd + data
        whole = len(data) & ~1
        self._odd = data[whole:]
        pcm = data[:whole]
        if self._decimator is not None:
            pcm = self._decimator.feed(np.frombuffer(pcm, dtype="<i2").astype(np.float32))
        return pcm16_to_mulaw(pcm)

    def flush(self) -> bytes:
        """The rest, when the audio is over. The converter is then ready for the next one."""
        self._odd = b""
        return b"" if self._decimator is None else pcm16_to_mulaw(self._decimator.flush())


def to_phone(audio: Audio) -> bytes:
    """`audio` as telephone audio, the same length in time. Raises UnsupportedAudio."""
    converter = PhoneConverter(audio.format)
    return converter.feed(audio.data) + converter.flush()


class PhoneUpsampler:
    """Telephone mu-law in, 16-bit PCM at `rate` out: for recognisers and for listening in.

    Every byte in gives the same number of samples out, at once; the sound comes 1.8 ms late (not at 8 kHz, where
    nothing needs to be filtered). Raises UnsupportedAudio for rates that are not in `PCM_RATES`.
    """

    def __init__(self, rate: int) -> None:
        if rate not in PCM_RATES:
            raise UnsupportedAudio(f"telephone audio at {rate} Hz: possible rates are {PCM_RATES}")
        ratio = rate // _PHONE_RATE
        self.delay = 0
        """How late the sound comes, in samples of the output."""
        self._phases: _Floats | None = None
        if ratio == 1:
            return
        taps = low_pass(rate) * ratio
        self.delay = len(taps) // 2
        per_phase = math.ceil(len(taps) / ratio)
        padded = np.zeros(per_phase * ratio, dtype=np.float32)
        padded[: len(taps)] = taps
        # Column p makes the output samples at n * ratio + p; rows are flipped so that a window of past samples,
        # oldest first, can be multiplied as it lies in memory.
        self._phases = np.ascontiguousarray(padded.reshape(per_phase, ratio)[::-1])
        self._past: _Floats = np.zeros(per_phase - 1, dtype=np.float32)

    def feed(self, mulaw: bytes) -> bytes:
        """PCM for these samples."""
        pcm = mulaw_to_pcm16(mulaw)
        if self._phases is None or not pcm:
            return pcm
        samples = np.concatenate((self._past, np.frombuffer(pcm, dtype="<i2").astype(np.float32)))
        self._past = samples[len(mulaw) :]
        windows = np.lib.stride_tricks.sliding_window_view(samples, len(self._phases))
        return _to_int16((windows @ self._phases).ravel())


def phone_to_pcm16(mulaw: bytes, rate: int) -> bytes:
    """A whole piece of telephone audio as 16-bit PCM at `rate` Hz, not shifted in time. Raises UnsupportedAudio."""
    upsampler = PhoneUpsampler(rate)
    if rate == _PHONE_RATE:
        return upsampler.feed(mulaw)
    skip = 2 * upsampler.delay
    tail = bytes((SILENCE,)) * math.ceil(upsampler.delay * _PHONE_RATE / rate)
    return upsampler.feed(mulaw + tail)[skip : skip + 2 * len(mulaw) * rate // _PHONE_RATE]
