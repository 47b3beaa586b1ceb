"""A key receiver as telephone exchanges have it: Goertzel's algorithm over eight frequencies (ITU-T Q.24)."""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence

from engine.media.g711 import mulaw_to_pcm16

_LOW = (697.0, 770.0, 852.0, 941.0)
_HIGH = (1209.0, 1336.0, 1477.0, 1633.0)
_KEYS = ("123A", "456B", "789C", "*0#D")
_RATE = 8000
BLOCK = 205
"""Samples: 25.6 ms, which tells the frequencies apart."""
_QUIET = 200.0
"""Peak of a tone below which there is silence, in 16-bit PCM."""


def peak(samples: Sequence[int], hz: float) -> float:
    """The peak of the sine of `hz` in `samples`."""
    turn = 2 * math.cos(2 * math.pi * hz / _RATE)
    last = before = 0.0
    for sample in samples:
        last, before = sample + turn * last - before, last
    return math.sqrt(max(0.0, last * last + before * before - turn * last * before)) * 2 / len(samples)


def key_in(samples: Sequence[int]) -> str:
    """The key that sounds in a block, if exactly one does; empty for silence and for anything else."""
    low = [peak(samples, hz) for hz in _LOW]
    high = [peak(samples, hz) for hz in _HIGH]
    row, column = low.index(max(low)), high.index(max(high))
    if low[row] < _QUIET or high[column] < _QUIET:
        return ""
    alone = all(level * 4 < low[row] for at, level in enumerate(low) if at != row) and all(
        level * 4 < high[column] for at, level in enumerate(high) if at != column
    )
    power = sum(sample * sample for sample in samples) / len(samples)
    tones = (low[row] ** 2 + high[column] ** 2) / 2
    twist_db = 20 * math.log10(high[column] / low[row])
    return _KEYS[row][column] if alone and tones > 0.8 * power and -8 < twist_db < 4 else ""


def keys_in(mulaw: bytes) -> str:
    """The keys that a receiver takes out of a sound: tones of at least two blocks, with silence between them."""
    pcm = array("h", mulaw_to_pcm16(mulaw))
    found, run, last, taken = "", 0, "", False
    for start in range(0, len(pcm) - BLOCK + 1, BLOCK):
        key = key_in(pcm[start : start + BLOCK])
        run = run + 1 if key == last else 1
        last = key
        if not key:
            taken = False
        elif run >= 2 and not taken:
            found, taken = found + key, True
    return found
