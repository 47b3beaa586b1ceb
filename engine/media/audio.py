"""Audio values that say what they are.

Bytes never travel alone: a value names its encoding, sample rate and channels, and a conversion refuses what it
does not know. Misread formats are loud noise in a caller's ear.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Encoding = Literal["mulaw", "alaw", "pcm16"]
"""G.711 mu-law or A-law (one byte a sample), or signed 16-bit little-endian PCM."""


class UnsupportedAudio(ValueError):
    """The conversion between these two formats is not known."""


@dataclass(frozen=True, slots=True)
class AudioFormat:
    """How samples are laid out. `rate` in Hz."""

    encoding: Encoding
    rate: int
    channels: int = 1

    @property
    def bytes_per_second(self) -> int:
        return self.rate * self.channels * (2 if self.encoding == "pcm16" else 1)

    def bytes_for(self, ms: int) -> int:
        """How many bytes `ms` milliseconds take."""
        return self.bytes_per_second * ms // 1000


@dataclass(frozen=True, slots=True)
class Audio:
    """Samples with their format."""

    format: AudioFormat
    data: bytes

    @property
    def ms(self) -> int:
        """Duration in whole milliseconds."""
        return len(self.data) * 1000 // self.format.bytes_per_second


PHONE: Final = AudioFormat("mulaw", 8000)
"""What telephone lines carry: G.711 mu-law, 8 kHz, mono. 160 bytes are 20 ms."""
FRAME_MS: Final = 20
FRAME_BYTES: Final = PHONE.bytes_for(FRAME_MS)
SILENCE: Final = 0xFF
"""The mu-law byte of digital silence."""
