"""Our own voice coming back from the caller's side: found by its waveform, and then known by its level.

A loudspeaker telephone or a cheap hybrid returns what we say, later and quieter. To the gate that is speech, and to
the recogniser too. What gives it away is that it is the same waveform: the last 0.3 s of the caller's side are
compared with the last 1.3 s that we said, at every delay. An echo at -30 dB over the noise of a line reaches 0.9 of a
perfect match, one from an echoing room 0.7; two different speakers stay at 0.2. Once delay and loss are known, each
frame says by its level whether it can be the echo or must be the caller talking over it.

Only while our voice is out does any of this run: a comparison takes 0.2 ms and is made ten times a second, at first.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable
from typing import Final

import numpy as np
import numpy.typing as npt

from engine.media.audio import FRAME_MS, SILENCE
from engine.media.g711 import mulaw_to_pcm16
from engine.media.levels import FLOOR_DB
from engine.media.levels import level_db as _level_db

_Samples = npt.NDArray[np.float32]

MATCH: Final = 0.55
"""Normalised correlation (0..1) from which sound is our own. Two different speakers: see the module."""
MATCH_TWICE: Final = 0.68
"""The mean of two comparisons in a row, with the same delay, that makes a delay known."""
ABOVE_DB: Final = 6.0
"""How far above its expected level a frame must be to be the caller's and not the echo's."""
WINDOW_FRAMES: Final = 16
"""Caller audio that is compared: 320 ms, about a word."""
HISTORY_FRAMES: Final = WINDOW_FRAMES + 50
"""Our audio that it is compared with: echoes of up to 1 s."""
EVERY_FRAMES: Final = 5
"""Frames with a voice between two comparisons ..."""
SELDOM_FRAMES: Final = 25
"""... and while it was never ours, since our voice began."""
AUDIBLE_DB: Final = -55.0
"""Below this our side is silent."""
SMEAR_FRAMES: Final = 2
"""An echo rings on in its room, and its delay is known to a frame."""
MISSES: Final = 8
"""Comparisons of sound that is not ours after which a delay is not believed any more."""
_WAITING_FRAMES: Final = 15
_DECIMATE: Final = 4
_FRAME_SAMPLES: Final = 160 // _DECIMATE
_SAME_SAMPLES: Final = _FRAME_SAMPLES // 2
_QUIET: Final = bytes((SILENCE,)) * 160


class EchoGuard:
    """The echo of one call. Frames of both sides go in; what is our own comes out. Pure.

    What we send is not what sounds: the carrier holds some of it. It plays 20 ms whenever 20 ms of the caller come,
    so the caller's frames are the clock of both sides.
    """

    def __init__(self) -> None:
        self._waiting: deque[bytes] = deque(maxlen=_WAITING_FRAMES)
        self._ours: deque[bytes] = deque([_QUIET] * HISTORY_FRAMES, HISTORY_FRAMES)
        self._ours_db: deque[float] = deque([FLOOR_DB] * HISTORY_FRAMES, HISTORY_FRAMES)
        self._heard: deque[bytes] = deque([_QUIET] * WINDOW_FRAMES, WINDOW_FRAMES)
        self._loud_left = 0
        self._count = 0
        self._misses = 0
        self._suspected = (0.0, 0)
        self._lag: int | None = None
        self._loss_db = 0.0

    @property
    def lag_ms(self) -> int | None:
        """The delay of the echo; None while there is none."""
        return None if self._lag is None else self._lag * FRAME_MS

    def sent(self, mulaw: bytes) -> None:
        """A frame of ours has gone to the carrier."""
        self._waiting.append(mulaw)

    def cleared(self) -> None:
        """What the carrier held was thrown away."""
        self._waiting.clear()

    def frame(self, mulaw: bytes, level_db: float, voiced: bool) -> tuple[bool, int]:
        """The caller's next 20 ms. Returns whether they can be our echo, and for how many ms back, this frame
        included, all sound has just been recognised as it."""
        ours = self._waiting.popleft() if self._waiting else _QUIET
        self._ours.append(ours)
        self._heard.append(mulaw)
        ours_db = FLOOR_DB if ours is _QUIET else _level_db(ours)
        self._ours_db.append(ours_db)
        if ours_db > AUDIBLE_DB:
            if self._loud_left == 0:
                self._misses = 0
            self._loud_left = HISTORY_FRAMES
        elif self._loud_left == 0:
            return False, 0
        self._loud_left -= 1
        self._count += voiced
        often = self._misses < MISSES
        found_ms = self._compare() if self._count >= (EVERY_FRAMES if often else SELDOM_FRAMES) else 0
        return found_ms > 0 or self._explains(level_db), found_ms

    def _explains(self, level_db: float) -> bool:
        """Is the frame as loud as the echo must be now, and not louder?"""
        if self._lag is None:
            return False
        last = len(self._ours_db) - 1 - self._lag
        near = [self._ours_db[at] for at in range(max(0, last - SMEAR_FRAMES), last + 2) if at < len(self._ours_db)]
        loudest = max(near, default=FLOOR_DB)
        return loudest > AUDIBLE_DB and level_db < loudest + self._loss_db + ABOVE_DB

    def _compare(self) -> int:
        """Look for the last audio of the caller in ours; returns how many ms of it are ours."""
        self._count = 0
        heard, ours = _samples(self._heard), _samples(self._ours)
        match, lag, gain = _best_match(heard, ours)
        before, self._suspected = self._suspected, (match, lag)
        known = self._lag is not None and abs(lag - self._lag * _FRAME_SAMPLES) < _FRAME_SAMPLES
        # Once may be chance: synthetic voices say a syllable with the same waveform each time.
        twice = abs(before[1] - lag) <= _SAME_SAMPLES and before[0] + match >= 2 * MATCH_TWICE
        if match < MATCH or not (known or twice):
            self._misses += 1
            if self._misses >= MISSES:
                self._lag = None
            return 0
        self._misses = 0
        self._lag = round(lag / _FRAME_SAMPLES)
        self._loss_db = 20.0 * math.log10(max(gain, 1e-3))
        return (WINDOW_FRAMES + (EVERY_FRAMES if twice else 0)) * FRAME_MS


def _best_match(heard: _Samples, ours: _Samples) -> tuple[float, int, float]:
    """(correlation 0..1, lag in samples, gain) where `heard` fits best into `ours`."""
    size = 1 << (len(ours) + len(heard)).bit_length()
    spectrum = np.fft.rfft(ours, size) * np.conj(np.fft.rfft(heard, size))
    places = len(ours) - len(heard) + 1
    dots = np.fft.irfft(spectrum, size)[:places]
    sums = np.concatenate([[0.0], np.cumsum(np.square(ours, dtype=np.float64))])
    energies = sums[len(heard) :] - sums[: -len(heard)]
    own = float(np.square(heard, dtype=np.float64).sum())
    # A stretch of ours that is all but silent matches anything.
    floor = max(1.0, 0.02 * float(energies.max()))
    matches = dots / np.sqrt(np.maximum(energies, floor) * max(own, 1.0))
    best = int(np.argmax(matches))
    return float(matches[best]), places - 1 - best, float(dots[best] / max(energies[best], floor))


def _samples(frames: Iterable[bytes]) -> _Samples:
    """Frames at a quarter of the rate: most of what a voice is lies below 1 kHz."""
    pcm = np.frombuffer(mulaw_to_pcm16(b"".join(frames)), np.int16).astype(np.float32)
    averaged: _Samples = pcm.reshape(-1, _DECIMATE).mean(axis=1)
    return averaged
