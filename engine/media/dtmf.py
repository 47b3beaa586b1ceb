"""Telephone keys as sound: the two tones of each key (ITU-T Q.23), as mu-law at 8 kHz. Pure.

A key is heard for 100 ms and followed by 100 ms of silence; receivers need 40 ms of each (Q.24). The high tone is
2 dB louder than the low one, as telephones make it, because lines swallow more of it. Pauses in a string of keys:
`w` and `p` are half a second, `W`, `P` and the comma a second, as they are in the documents that carriers get.
"""

from __future__ import annotations

from functools import cache
from math import cos, pi, sin
from struct import pack
from typing import Final

from engine.media.g711 import pcm16_to_mulaw, silence

TONE_MS: Final = 100
GAP_MS: Final = 100
EDGE_MS: Final = 5
"""Over which a tone rises and falls, so that it does not click into other frequencies."""
LOW_DBM0: Final = -11.0
HIGH_DBM0: Final = -9.0
PAUSES_MS: Final = {"w": 500, "p": 500, "W": 1000, "P": 1000, ",": 1000}

_ROWS: Final = (697, 770, 852, 941)
_COLUMNS: Final = (1209, 1336, 1477, 1633)
_KEYPAD: Final = "123A456B789C*0#D"
TONES_HZ: Final = {key: (_ROWS[at // 4], _COLUMNS[at % 4]) for at, key in enumerate(_KEYPAD)}
"""Key -> its low and its high frequency."""
_RATE: Final = 8000
_FULL_DBM0: Final = 3.17
"""The level of the loudest sine that mu-law can carry (ITU-T G.711, table 2)."""
_FULL_PEAK: Final = 32124.0
"""And its peak in 16-bit PCM."""


def tones(digits: str) -> bytes:
    """The sound of `digits`. Raises ValueError for what is neither a key nor a pause."""
    return b"".join(_sound(digit) for digit in digits)


def duration_ms(digits: str) -> int:
    """How long `tones` of them take."""
    return sum(PAUSES_MS.get(digit, TONE_MS + GAP_MS) for digit in digits)


def pressed(digits: str, ms: int) -> str:
    """The beginning of `digits` whose tones were heard whole after `ms`."""
    done = 0
    for at, digit in enumerate(digits):
        pause = PAUSES_MS.get(digit)
        if done + (TONE_MS if pause is None else pause) > ms:
            return digits[:at]
        done += TONE_MS + GAP_MS if pause is None else pause
    return digits


def _sound(digit: str) -> bytes:
    pause = PAUSES_MS.get(digit)
    return silence(pause) if pause is not None else _key(digit)


@cache
def _key(digit: str) -> bytes:
    """One key and the silence after it."""
    pair = TONES_HZ.get(digit)
    if pair is None:
        raise ValueError(f"{digit!r} is no key of a telephone")
    low, high = pair
    count = _RATE * TONE_MS // 1000
    samples = [
        round(
            _edge(at, count)
            * (_peak(LOW_DBM0) * sin(2 * pi * low * at / _RATE) + _peak(HIGH_DBM0) * sin(2 * pi * high * at / _RATE))
        )
        for at in range(count)
    ]
    return pcm16_to_mulaw(pack(f"={count}h", *samples)) + silence(GAP_MS)


def _peak(dbm0: float) -> float:
    return float(_FULL_PEAK * 10 ** ((dbm0 - _FULL_DBM0) / 20))


def _edge(at: int, count: int) -> float:
    """How much of a tone is let through at its sample `at`: a cosine up, then all, then a cosine down."""
    edge = _RATE * EDGE_MS // 1000
    inside = min(at, count - 1 - at)
    return 1.0 if inside >= edge else (1 - cos(pi * inside / edge)) / 2
