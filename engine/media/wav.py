"""Two-channel WAV files that can be read at any time while they are written, whatever kills the writer.

The header is 44 bytes (RIFF, PCM, 16 bit, 8 kHz, left and right) and is written again after the samples that it
counts, so a file is never shorter than its header says. Samples are written by their place: what comes late goes
where it belongs, and what was not heard after all is made silent again. All of this blocks; never call it on a loop.
"""

from __future__ import annotations

import os
import stat
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from engine.media.audio import PHONE
from engine.media.g711 import mulaw_to_pcm16

RATE: Final = PHONE.rate
CHANNELS: Final = 2
HEADER: Final = 44
FRAME: Final = 2 * CHANNELS
"""Bytes of one sample of both channels."""
MAX_SAMPLES: Final = (2**32 - 1 - HEADER) // FRAME
"""The sizes in the header have 32 bits: 37 hours."""
_FLAGS: Final = os.O_CLOEXEC | getattr(os, "O_NOFOLLOW", 0)

Samples: TypeAlias = npt.NDArray[np.int16]
Piece: TypeAlias = tuple[int, int, bytes | None]
"""(place in samples, channel, mu-law); None is silence from there to the end of the channel."""


def header(samples: int) -> bytes:
    """The header of a file with so many samples per channel."""
    size = samples * FRAME
    form = struct.pack("<HHIIHH", 1, CHANNELS, RATE, RATE * FRAME, FRAME, 16)
    return struct.pack("<4sI4s4sI", b"RIFF", HEADER - 8 + size, b"WAVE", b"fmt ", 16) + form + _data(size)


def _data(size: int) -> bytes:
    return struct.pack("<4sI", b"data", size)


class WavWriter:
    """One file on its way. Raises OSError wherever the disk does."""

    def __init__(self, path: Path) -> None:
        """Create `path`, for its owner alone. Never writes over a file that is there."""
        self.path = path
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | _FLAGS, 0o600)
        self.samples = 0
        try:
            os.fchmod(self._file, stat.S_IRUSR | stat.S_IWUSR)
            self._write(header(0), 0)
        except OSError:
            os.close(self._file)
            raise

    def put(self, pieces: Iterable[Piece]) -> None:
        """Write pieces, in their order."""
        wanted = [piece for piece in pieces if 0 <= piece[0] < MAX_SAMPLES]
        if not wanted:
            return
        start = min(at for at, _, _ in wanted)
        end = max(at + len(sound or b"") for at, _, sound in wanted)
        if any(sound is None for _, _, sound in wanted):
            end = max(end, self.samples)
        end = min(end, MAX_SAMPLES)
        block = self._block(start, end)
        for at, channel, sound in wanted:
            if sound is None:
                block[at - start :, channel] = 0
            else:
                samples = np.frombuffer(mulaw_to_pcm16(sound), np.int16)[: end - at]
                block[at - start : at - start + len(samples), channel] = samples
        self._write(block.astype("<i2").tobytes(), HEADER + start * FRAME)
        if end > self.samples:
            self._grow(end)

    def _block(self, start: int, end: int) -> Samples:
        block = np.zeros((end - start, CHANNELS), np.int16)
        there = max(0, min(end, self.samples) - start)
        if there:
            known = os.pread(self._file, there * FRAME, HEADER + start * FRAME)
            read = np.frombuffer(known[: len(known) // FRAME * FRAME], "<i2").reshape(-1, CHANNELS)
            block[: len(read)] = read
        return block

    def _grow(self, samples: int) -> None:
        self.samples = samples
        self._write(header(samples), 0)

    def _write(self, data: bytes, at: int) -> None:
        view = memoryview(data)
        while view:
            done = os.pwrite(self._file, view, at)
            view, at = view[done:], at + done

    def close(self, samples: int) -> None:
        """End the file at `samples`, with silence where nothing was written. It is on the disk then."""
        samples = max(0, min(samples, MAX_SAMPLES))
        try:
            self.samples = samples
            if samples * FRAME + HEADER < os.fstat(self._file).st_size:
                self._write(header(samples), 0)  # before the file is cut: it is never shorter than it says
            os.ftruncate(self._file, HEADER + samples * FRAME)
            self._write(header(samples), 0)
            os.fsync(self._file)
        finally:
            os.close(self._file)


def length_ms(path: Path) -> int:
    """How long a file is by what is in it. Raises OSError."""
    size = path.stat().st_size
    return max(0, size - HEADER) // FRAME * 1000 // RATE


def read(path: Path, from_ms: int, ms: int) -> Samples:
    """A stretch of one of our files: rows of (left, right); shorter at its end. Raises OSError and ValueError."""
    descriptor = os.open(path, os.O_RDONLY | _FLAGS)
    try:
        head = os.pread(descriptor, HEADER, 0)
        if head[:4] != b"RIFF" or head[8:36] != header(0)[8:36]:
            raise ValueError(f"{path.name} is no recording of ours")
        data = os.pread(descriptor, ms * RATE // 1000 * FRAME, HEADER + from_ms * RATE // 1000 * FRAME)
    finally:
        os.close(descriptor)
    return np.frombuffer(data[: len(data) // FRAME * FRAME], "<i2").reshape(-1, CHANNELS).astype(np.int16)
