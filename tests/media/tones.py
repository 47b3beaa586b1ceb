"""Test tones."""

from __future__ import annotations

import numpy as np

from engine.media.g711 import pcm16_to_mulaw


def pcm_tone(hz: float, ms: int, peak: float = 16_000, rate: int = 8000) -> bytes:
    """A sine in 16-bit PCM."""
    at = np.arange(rate * ms // 1000) / rate
    return (peak * np.sin(2 * np.pi * hz * at)).astype("<i2").tobytes()


def tone(hz: float, ms: int, peak: float = 16_000) -> bytes:
    """A sine in mu-law at 8 kHz."""
    return pcm16_to_mulaw(pcm_tone(hz, ms, peak))
