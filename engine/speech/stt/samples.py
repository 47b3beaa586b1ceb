"""Call audio as the models want it: 16 kHz, 32-bit floats from -1 to 1."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from engine.media.audio import AudioFormat
from engine.media.convert import PhoneConverter, PhoneUpsampler

Samples = npt.NDArray[np.float32]
RATE: Final = 16_000


class SampleReader:
    """Turns the bytes of one call into samples. Keeps state: one per call, fed in order."""

    def __init__(self, format: AudioFormat) -> None:  # noqa: A002
        """Any format that can be telephone audio. Raises UnsupportedAudio."""
        self._converter = PhoneConverter(format)
        self._upsampler = PhoneUpsampler(RATE)

    def feed(self, data: bytes) -> Samples:
        """The samples of the next bytes."""
        pcm = self._upsampler.feed(self._converter.feed(data))
        return np.frombuffer(pcm, "<i2").astype(np.float32) / np.float32(32768)
