"""The cheap first ear: does this 20 ms frame hold a voice?

Two questions per frame. Is it clearly louder than the line's own noise, and does webrtcvad take its spectrum for
speech? Neither is enough alone: webrtcvad calls white noise and hum speech, and a fixed loudness threshold takes
room tone (often -30 dBFS) for a caller. The floor is the quietest moment of about the last second: speech has gaps
and dips far below its own level that often, noise and tones do not, so a steady sound becomes the floor and closes
the gate whatever its loudness. A second opinion (a neural detector) is worth its price only while the gate is open.
"""

from __future__ import annotations

import audioop
import math
from collections import deque
from typing import Final, NamedTuple

import webrtcvad

from engine.media.audio import FRAME_BYTES, FRAME_MS, PHONE

SILENT_DB: Final = -90.0
"""The level reported for digital silence, dBFS."""
NOTHING_DB: Final = -75.0
"""Below this a mu-law frame holds no line noise, only digital silence: it says nothing about the floor."""
QUIET_FLOOR_DB: Final = -65.0
"""The floor never sinks below this, so that faint noise on a very clean line does not open the gate."""
UNKNOWN_FLOOR_DB: Final = -50.0
"""The floor assumed before a line has been heard long enough, chosen so that a first word is not missed."""
OPEN_MARGIN_DB: Final = 10.0
"""How far above the floor a frame must be to count while the gate is shut ..."""
STAY_MARGIN_DB: Final = 7.0
"""... and while it is open: the quiet end of a word belongs to the word."""

_BLOCK_FRAMES: Final = 12
_BLOCKS: Final = 5
_FORGET_FRAMES: Final = 500 // FRAME_MS
_SMOOTHING: Final = 0.4
_FULL_SCALE: Final = 32768.0


class GateFrame(NamedTuple):
    """What the gate makes of one frame. A tuple because there are fifty a second per call.

    `open`: the caller is probably speaking (with hysteresis and hangover); `voiced`: this very frame holds speech.
    Levels in dBFS.
    """

    open: bool
    voiced: bool
    level_db: float
    floor_db: float


class NoiseFloor:
    """The level of the line's own noise: the quietest of the last 1.2 s, smoothed over a few frames.

    Falls at once, rises only when everything in the window was louder. Digital silence is left out: a carrier that
    sends nothing between words says nothing about the noise under them. After half a second of it the floor is
    forgotten, because what follows may be another party on another line (a menu, then a person).
    """

    __slots__ = ("_block", "_blocks", "_filled", "_silent_frames", "_smooth")

    def __init__(self) -> None:
        self._blocks: deque[float] = deque(maxlen=_BLOCKS)
        self._silent_frames = 0
        self._forget()

    def _forget(self) -> None:
        self._blocks.clear()
        self._block = 0.0
        self._filled = 0
        self._smooth: float | None = None

    def update(self, level_db: float) -> float:
        """Take one frame's level; returns the floor in dBFS."""
        if level_db < NOTHING_DB:
            self._silent_frames += 1
            if self._silent_frames == _FORGET_FRAMES:
                self._forget()
            return self.value
        self._silent_frames = 0
        previous = level_db if self._smooth is None else self._smooth
        self._smooth = smooth = previous + (level_db - previous) * _SMOOTHING
        self._block = min(self._block, smooth)
        self._filled += 1
        if self._filled == _BLOCK_FRAMES:
            self._blocks.append(self._block)
            self._block = 0.0
            self._filled = 0
        return self.value

    @property
    def value(self) -> float:
        """The floor in dBFS."""
        lowest = min(self._blocks) if self._blocks else UNKNOWN_FLOOR_DB
        return max(QUIET_FLOOR_DB, min(lowest, self._block))


class Gate:
    """The gate of one caller. Pure: the same frames give the same answers.

    `aggressiveness` is webrtcvad's, 0 (lets most through) to 3; `hangover_ms` is how long the gate stays open after
    the last voiced frame; `open_db` is how far above the floor a voice must be.
    """

    def __init__(self, aggressiveness: int = 2, hangover_ms: int = 200, open_db: float = OPEN_MARGIN_DB) -> None:
        self._is_speech = webrtcvad.Vad(aggressiveness).is_speech
        self._floor = NoiseFloor()
        self.open_db = open_db
        """How far above the floor a voice must be."""
        self._stay_db = open_db - OPEN_MARGIN_DB + STAY_MARGIN_DB
        self._hangover_frames = max(1, hangover_ms // FRAME_MS)
        self._unvoiced = self._hangover_frames
        self._recent = 0
        self._open = False

    def frame(self, mulaw: bytes) -> GateFrame:
        """Judge the next 20 ms (160 bytes of mu-law, 8 kHz). Raises ValueError for any other length."""
        if len(mulaw) != FRAME_BYTES:
            raise ValueError(f"a gate frame is {FRAME_BYTES} bytes of mu-law ({FRAME_MS} ms), not {len(mulaw)}")
        pcm = audioop.ulaw2lin(mulaw, 2)
        rms = audioop.rms(pcm, 2)
        level_db = max(SILENT_DB, 20.0 * math.log10(rms / _FULL_SCALE)) if rms else SILENT_DB
        floor_db = self._floor.update(level_db)
        margin = self._stay_db if self._open else self.open_db
        # webrtcvad is asked about every frame, loud or not: it keeps a noise model of its own.
        voiced = self._is_speech(pcm, PHONE.rate) and level_db >= floor_db + margin
        self._move(voiced)
        return GateFrame(self._open, voiced, level_db, floor_db)

    def _move(self, voiced: bool) -> None:
        """Open on two voiced frames of three (a click has one), shut when the hangover has passed."""
        self._recent = (self._recent << 1 | voiced) & 0b111
        self._unvoiced = 0 if voiced else self._unvoiced + 1
        if self._open:
            self._open = self._unvoiced < self._hangover_frames
        else:
            self._open = self._recent.bit_count() >= 2
