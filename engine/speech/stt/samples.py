"""Call audio as a recogniser wants it: 16 kHz, 32-bit floats from -1 to 1, without the images of plain upsampling."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from engine.media.audio import AudioFormat
from engine.speech.stt.formats import check_format

Samples = npt.NDArray[np.float32]
RATE: Final = 16_000
_HALF: Final = 24
"""Input samples on either side of a new one: -60 dB of images, and (1.5 ms at 8 kHz) half of it as delay."""


def _mulaw_table() -> Samples:
    """ITU-T G.711: the value of each of the 256 codes."""
    code = ~np.arange(256, dtype=np.int32) & 0xFF
    magnitude = (((code & 0x0F) << 3) + 0x84 << ((code & 0x70) >> 4)) - 0x84
    return _signed(np.where(code & 0x80, -magnitude, magnitude))


def _alaw_table() -> Samples:
    code = np.arange(256, dtype=np.int32) ^ 0x55
    segment = (code & 0x70) >> 4
    base = ((code & 0x0F) << 4) + 8
    magnitude = np.where(segment == 0, base, base + 0x100 << np.maximum(segment - 1, 0))
    return _signed(np.where(code & 0x80, magnitude, -magnitude))


def _signed(values: npt.NDArray[np.int32]) -> Samples:
    return (values / 32768).astype(np.float32)


def _between_taps() -> Samples:
    """A windowed sinc that gives the value halfway between two samples."""
    offsets = np.arange(-_HALF // 2, _HALF // 2) + 0.5
    taps = np.sinc(offsets) * np.kaiser(_HALF, 7.0)
    normalised: Samples = (taps / taps.sum()).astype(np.float32)
    return normalised


class SampleReader:
    """Turns the bytes of one call into samples at 16 kHz. Keeps state: one per call, fed in order."""

    def __init__(self, format: AudioFormat) -> None:  # noqa: A002
        """Raises UnsupportedAudio, see `check_format`."""
        check_format(format)
        self._table = {"mulaw": _mulaw_table(), "alaw": _alaw_table()}.get(format.encoding)
        self._doubles = format.rate == 8_000
        self._past = np.zeros(_HALF, np.float32)
        self._taps = _between_taps()
        self._odd_byte = b""

    def feed(self, data: bytes) -> Samples:
        """The samples of the next bytes; two for one when the call has 8 kHz."""
        samples = self._decode(data)
        return self._double(samples) if self._doubles else samples

    def _decode(self, data: bytes) -> Samples:
        if self._table is not None:
            return np.take(self._table, np.frombuffer(data, np.uint8))
        data = self._odd_byte + data
        whole = len(data) & ~1
        self._odd_byte = data[whole:]
        return np.frombuffer(data[:whole], "<i2").astype(np.float32) / np.float32(32768)

    def _double(self, samples: Samples) -> Samples:
        if not len(samples):
            return samples
        line = np.concatenate([self._past, samples])
        self._past = line[-_HALF:]
        out = np.empty(2 * len(samples), np.float32)
        out[0::2] = line[_HALF // 2 : _HALF // 2 + len(samples)]
        out[1::2] = np.convolve(line[1:], self._taps, "valid")[: len(samples)]
        return out
