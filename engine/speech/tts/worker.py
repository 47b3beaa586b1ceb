"""The process in which ttspico speaks.

Requests are answered one after the other in the order in which they came: pico needs about 4 ms for a second of
speech, so a queue is short, and the engine asks piece by piece, so a long text does not hold up the others. A request
that was cancelled while it waited is skipped.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Final

import numpy as np

from engine.speech.tts.level import Samples, normalise, trim
from engine.speech.tts.voices import VOICES, PicoVoice
from engine.speech.worker_child import EngineLink, run, start_thread
from engine.speech.worker_wire import Frame, Kind

RATE: Final = 16_000
_VOLUME: Final = 45
"""Percent. At pico's normal volume its own output clips."""
_LEAD: Final = RATE * 20 // 1000
_TRAIL: Final = RATE * 80 // 1000
_CHUNK_BYTES: Final = 2 * RATE * 320 // 1000


class Speaker:
    """Pico engines by language, and the queue of requests."""

    def __init__(self, link: EngineLink) -> None:
        from ttspico import TtsEngine

        self._link = link
        self._engines: dict[str, Any] = {
            language: TtsEngine(language) for language in {voice.language for voice in VOICES.values()}
        }
        self._waiting: OrderedDict[int, str] = OrderedDict()
        self._changed = threading.Condition()
        start_thread("speaker", self._work)

    def handle(self, frame: Frame) -> None:
        """Take a frame from the engine. A SPEAK payload is `voice NUL text`."""
        with self._changed:
            if frame.kind is Kind.SPEAK:
                self._waiting[frame.id] = frame.payload.decode()
                self._changed.notify()
            elif frame.kind is Kind.CANCEL:
                self._waiting.pop(frame.id, None)

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: bool(self._waiting))
                id_, request = self._waiting.popitem(last=False)
            name, _, text = request.partition("\0")
            try:
                audio = self._synthesize(VOICES[name], text)
            except RuntimeError as error:  # pico refuses this text; the next one may do
                self._link.send(Frame(Kind.FAILED, id_, str(error).encode()))
                continue
            for at in range(0, len(audio), _CHUNK_BYTES):
                self._link.send(Frame(Kind.AUDIO, id_, audio[at : at + _CHUNK_BYTES]))
            self._link.send(Frame(Kind.DONE, id_))

    def _synthesize(self, voice: PicoVoice, text: str) -> bytes:
        """Signed 16-bit samples at 16 kHz. Empty when there is nothing to pronounce."""
        parts: list[bytes] = []

        def collect(_format: object, audio: bytes, _last: object) -> bool:
            parts.append(audio)
            return True

        marked = (
            f'<volume level="{_VOLUME}"><pitch level="{voice.pitch}"><speed level="{voice.speed}">'
            f"{text}</speed></pitch></volume>"
        )
        self._engines[voice.language].speak(marked, collect)
        samples: Samples = np.frombuffer(b"".join(parts), np.int16).astype(np.float32) / np.float32(32768)
        spoken = normalise(trim(samples, _LEAD, _TRAIL))
        return (spoken * 32767).astype(np.int16).tobytes()


def load(link: EngineLink) -> Callable[[Frame], None]:
    return Speaker(link).handle


if __name__ == "__main__":
    run(load)
