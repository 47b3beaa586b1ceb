"""One loudness for all local voices: speech at about -20 dBFS, as telephone networks expect, and no clipping."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

TARGET_DBFS: Final = -20.0
_FLOOR: Final = 10 ** (-40 / 20)
"""Samples below this are pauses and do not count for the level."""
_KNEE: Final = 10 ** (-6 / 20)
_MAX_GAIN_DB: Final = 6.0
"""Something much softer than speech is not speech and is not made loud."""
_SILENT: Final = 10 ** (-50 / 20)

Samples = npt.NDArray[np.float32]


def level_dbfs(samples: Samples) -> float:
    """RMS of the speech in `samples` (-1..1), pauses left out; -inf for silence."""
    loud = samples[np.abs(samples) > _FLOOR]
    return 10 * float(np.log10(np.mean(np.square(loud, dtype=np.float64)))) if len(loud) else float("-inf")


def normalise(samples: Samples) -> Samples:
    """Bring speech to TARGET_DBFS; peaks above -6 dBFS are bent softly and never reach full scale."""
    level = level_dbfs(samples)
    if level == float("-inf"):
        return samples
    scaled = samples * np.float32(10 ** (min(TARGET_DBFS - level, _MAX_GAIN_DB) / 20))
    over = np.abs(scaled) - _KNEE
    bent = np.sign(scaled) * (_KNEE + (1 - _KNEE) * np.tanh(over / (1 - _KNEE)))
    return np.where(over > 0, bent, scaled).astype(np.float32)


def trim(samples: Samples, lead: int, trail: int) -> Samples:
    """Leave at most `lead` and `trail` samples of silence at the ends; pure silence becomes empty."""
    loud = np.flatnonzero(np.abs(samples) > _SILENT)
    if not len(loud):
        return samples[:0]
    return samples[max(0, int(loud[0]) - lead) : int(loud[-1]) + trail]
