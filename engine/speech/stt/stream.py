"""One call inside the recogniser's process: what was fed, what is being understood, what is waiting for an answer."""

from __future__ import annotations

import time
from collections import deque
from typing import Any, Final

import numpy as np

from engine.media.audio import AudioFormat
from engine.speech.stt.samples import SampleReader, Samples
from engine.speech.stt.utterance import Utterance

INBOX_SECONDS: Final = 10
TURN_SECONDS: Final = 0.1
LATE_SECONDS: Final = 0.5
PARTIAL_SECONDS: Final = 0.45
PARTIAL_COSTS: Final = 5
"""The next partial waits this many times what the last one took."""
IDLE_SECONDS: Final = 0.15
"""A call that sends nothing for this long is pausing: the gate before us is closed."""


class Stream:
    """One call. `inbox` holds audio and, as integers, the numbers of finished utterances."""

    def __init__(self, id_: int, format_: AudioFormat, vad: Any) -> None:
        self.id = id_
        self.format = format_
        self.reader = SampleReader(format_)
        self.vad = vad
        self.inbox: deque[bytes | int] = deque()
        self.inbox_bytes = 0
        self.dropped_bytes = 0
        self.fed_at = 0.0
        self.rest: Samples = np.zeros(0, np.float32)
        self.opinions: list[float] = []
        self.probability = 0.0
        self.utterance = Utterance()
        self.finals: deque[tuple[Utterance, int, int]] = deque()
        self.partial = ""
        self.heard_at = 0.0
        self.cost = 0.0
        self.open = True

    def take_in(self, audio: bytes) -> None:
        """Queue audio; what does not fit pushes out the oldest."""
        self.inbox.append(audio)
        self.inbox_bytes += len(audio)
        self.fed_at = time.monotonic()
        limit = INBOX_SECONDS * self.format.bytes_per_second
        while self.inbox_bytes > limit:
            at, oldest = next((i, item) for i, item in enumerate(self.inbox) if isinstance(item, bytes))
            del self.inbox[at]
            self.inbox_bytes -= len(oldest)
            self.dropped_bytes += len(oldest)

    @property
    def is_late(self) -> bool:
        """Whether so much audio waits that not all of it can be judged."""
        return self.inbox_bytes > LATE_SECONDS * self.format.bytes_per_second

    def next_audio(self) -> bytes:
        """The next tenth of a second, at most up to the end of the utterance."""
        audio = bytearray()
        while self.inbox and len(audio) < TURN_SECONDS * self.format.bytes_per_second:
            item = self.inbox[0]
            if isinstance(item, int):
                break
            audio += item
            self.inbox_bytes -= len(item)
            self.inbox.popleft()
        return bytes(audio)

    def next_end(self) -> int | None:
        """The number of the utterance that ends here, if one does."""
        if self.inbox and isinstance(item := self.inbox[0], int):
            self.inbox.popleft()
            return item
        return None

    def is_pausing(self, now: float) -> bool:
        """Whether the caller is quiet: what is fed holds no voice, or nothing is fed."""
        return self.utterance.pausing or (now - self.fed_at >= IDLE_SECONDS and not self.inbox)

    def partial_due(self, now: float) -> bool:
        """Whether there is speech that should be shown by now."""
        if not (self.utterance.has_news and self.utterance.is_more_than_a_guess):
            return False
        return now - self.heard_at >= max(PARTIAL_SECONDS, PARTIAL_COSTS * self.cost)

    def dropped_ms(self) -> int:
        """Audio lost since the last call of this."""
        ms = self.dropped_bytes * 1000 // self.format.bytes_per_second
        self.dropped_bytes = 0
        return ms
