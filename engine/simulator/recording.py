"""Writes a call as a two-channel WAV: left what the person said, right what they heard."""

from __future__ import annotations

import audioop
import wave
from pathlib import Path
from typing import Final

from engine.media.audio import PHONE
from engine.media.g711 import SILENT_FRAME, mulaw_to_pcm16

_FLUSH_FRAMES: Final = 50


class Recording:
    """One file, written a second at a time so that the clock is never held up for long."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = wave.open(str(path), "wb")  # noqa: SIM115 - lives as long as the call
        self._file.setnchannels(2)
        self._file.setsampwidth(2)
        self._file.setframerate(PHONE.rate)
        self._said: list[bytes] = []
        self._heard: list[bytes] = []

    def write(self, said: bytes, heard: bytes | None) -> None:
        """The next 20 ms, in mu-law; None is silence."""
        self._said.append(said)
        self._heard.append(heard or SILENT_FRAME)
        if len(self._said) >= _FLUSH_FRAMES:
            self._flush()

    def close(self) -> None:
        self._flush()
        self._file.close()

    def _flush(self) -> None:
        left = audioop.tostereo(mulaw_to_pcm16(b"".join(self._said)), 2, 1, 0)
        right = audioop.tostereo(mulaw_to_pcm16(b"".join(self._heard)), 2, 0, 1)
        self._file.writeframes(audioop.add(left, right, 2))
        self._said.clear()
        self._heard.clear()
