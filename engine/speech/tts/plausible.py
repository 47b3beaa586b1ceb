"""Whether bytes that a service calls speech can be speech.

Compressed audio taken for samples, or PCM for mu-law, is a loud noise in somebody's ear: many of its samples are
near full scale, and each has little to do with the one before. Of speech hardly any are that large, and loud
speech is vowels, which are smooth. Both have to be so: a line that is refused for nothing is bad too.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from engine.media.audio import FRAME_BYTES, PHONE
from engine.media.g711 import mulaw_to_pcm16

CHECKED_BYTES: Final = PHONE.bytes_for(400)
"""So much of the beginning is looked at."""
LOUD_SHARE: Final = 0.1
"""Of speech at -10 dBFS, which is far too loud already, 11 % of the samples are that large; of noise 12 to 50 %."""
LIKENESS: Final = 0.65
"""Of loud speech it is 0.85 and more, of PCM taken for mu-law 0.1, of mu-law taken for PCM 0.4 to 0.6."""
FASTEST_MS: Final = 18
"""Nobody says a letter in less."""
_SHORT_CHARS: Final = 40
_LOUD: Final = bytes(1 if (code & 0x7F) < 0x10 else 0 for code in range(256))
"""Mu-law codes of samples of at least half of full scale."""


class NoiseCheck:
    """Looks at the beginning of a line's telephone audio."""

    def __init__(self) -> None:
        self._seen = b""

    def is_noise(self, payload: bytes) -> bool:
        """Take the next piece; True when the line is noise."""
        if len(self._seen) >= CHECKED_BYTES:
            return False
        self._seen += payload[: CHECKED_BYTES - len(self._seen)]
        if len(self._seen) < FRAME_BYTES:
            return False
        loud = self._seen.translate(_LOUD).count(1)
        return loud > LOUD_SHARE * len(self._seen) and _likeness(self._seen) < LIKENESS


def _likeness(payload: bytes) -> float:
    """How much each sample resembles the one before it, -1 to 1."""
    samples = np.frombuffer(mulaw_to_pcm16(payload), np.int16).astype(np.float64)
    power = float(np.mean(np.square(samples)))
    return float(np.mean(samples[1:] * samples[:-1])) / power if power else 1.0


def too_short(text: str, ms: int) -> bool:
    """Whether so little audio can not be all of the text."""
    letters = sum(char.isalpha() for char in text)
    return letters >= _SHORT_CHARS and ms < letters * FASTEST_MS
