"""One utterance on its way to text: what was fed since the last `finish`, and where in it somebody spoke.

Only speech is handed to the model. On silence or noise it invents words ("You", "Oh"), so an utterance in which the
voice detector never rose has no text, and what surrounds the speech is cut to a short margin. A long utterance is
cut at its quietest point, because the model was trained on short ones and its cost per partial grows with length.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from engine.speech.stt.samples import RATE, Samples

CHUNK: Final = 512
"""Samples that the voice detector judges at once: 32 ms."""
CHUNK_MS: Final = CHUNK * 1000 // RATE
VOICED: Final = 0.5
"""Above this a chunk holds a voice. Noise, tones and keys stay below 0.3; the shortest recorded words reach 0.9."""
_QUIET: Final = 0.3
_MIN_VOICED: Final = 2
"""Fewer voiced chunks than this are no word."""
_WORTH_SHOWING: Final = 10
"""Voiced chunks (320 ms) before which a text is a guess: the model makes "You" and "I" of most beginnings."""
_MARGIN: Final = 10
"""Chunks kept on either side of the speech (320 ms): soft beginnings and ends of words."""
_PAUSE: Final = 6
"""Quiet chunks (about 190 ms) after which a pause is taken for the end of a phrase."""
_CUT_FROM, _CUT_MUST, _CUT_MIN, _CUT_END = (s * RATE // CHUNK for s in (8, 14, 4, 1))
"""An utterance is cut from 8 s on if there is a pause, at 14 s anyhow; never in its first 4 s or its last second."""
_SETTLE: Final = 3 * RATE // CHUNK
"""After a pause of 3 s what was said before it is settled."""
_MAX_CHUNKS: Final = 60 * RATE // CHUNK
"""More than a minute that nobody had time to transcribe is not kept."""
_PADDING: Final = (np.zeros(RATE * 300 // 1000, np.float32), np.zeros(RATE * 500 // 1000, np.float32))
"""Silence before and after, without which the model loses words at the edges (measured, see `local`)."""


class Utterance:
    """Chunks with their voice probabilities. Not thread-safe; its owner holds a lock."""

    def __init__(self) -> None:
        self._chunks: list[Samples] = []
        self._probabilities: list[float] = []
        self._voiced_chunks = 0
        self._last_voiced = -1
        self._heard_until = -1
        self._settled: list[str] = []
        self._open_text = ""
        self.lost_chunks = 0
        """Speech that was dropped because nobody had time for it."""

    @property
    def text(self) -> str:
        """What is known so far."""
        return " ".join(part for part in (*self._settled, self._open_text) if part)

    @property
    def has_news(self) -> bool:
        """Whether there is speech that no transcription has covered."""
        return self._voiced_chunks >= _MIN_VOICED and self._last_voiced > self._heard_until

    @property
    def is_more_than_a_guess(self) -> bool:
        """Whether there is speech enough for words."""
        return bool(self._settled) or self._voiced_chunks >= _WORTH_SHOWING

    @property
    def pausing(self) -> bool:
        """Whether the speaker has been quiet for a moment."""
        return len(self._chunks) - 1 - self._last_voiced >= _PAUSE

    @property
    def seconds(self) -> float:
        """How much audio is kept."""
        return len(self._chunks) * CHUNK / RATE

    def add(self, chunk: Samples, probability: float) -> None:
        """The next CHUNK samples."""
        self._chunks.append(chunk)
        self._probabilities.append(probability)
        if probability >= VOICED:
            self._voiced_chunks += 1
            self._last_voiced = len(self._chunks) - 1
        quiet = len(self._chunks) - 1 - self._last_voiced
        if self._voiced_chunks < _MIN_VOICED:
            if quiet > 2 * _MARGIN:
                self._drop(len(self._chunks) - 2 * _MARGIN)  # before anybody speaks only a margin is kept
        elif quiet > _SETTLE and not self.has_news:
            self.transcribed(self._open_text, len(self._chunks) - 2 * _MARGIN, cut=True)
        elif len(self._chunks) > _MAX_CHUNKS:
            self.lost_chunks += 1
            self._drop(1)

    def next_audio(self) -> tuple[Samples, int, bool]:
        """What to transcribe next: samples, a mark for `transcribed`, and whether this part is cut off for good."""
        if cut := self._cut_point():
            return self._padded(cut), cut, True
        return self._padded(min(len(self._chunks), self._last_voiced + 1 + _MARGIN)), self._last_voiced, False

    def transcribed(self, text: str, mark: int, cut: bool) -> None:
        """The text of what `next_audio` gave."""
        if cut:
            self._settled.append(text)
            self._open_text = ""
            self._drop(mark)
            self._heard_until = -1
        else:
            self._open_text = text
            self._heard_until = mark

    def _padded(self, end: int) -> Samples:
        first = next((i for i, p in enumerate(self._probabilities) if p >= VOICED), 0)
        return np.concatenate([_PADDING[0], *self._chunks[max(0, first - _MARGIN) : end], _PADDING[1]])

    def _cut_point(self) -> int:
        """Where to cut a long utterance; 0 while it need not be."""
        length = len(self._chunks)
        if length < _CUT_FROM:
            return 0
        begin, end = _CUT_MIN, min(length - _CUT_END, _CUT_MUST)
        if pause := self._longest_pause(begin, end):
            return pause
        if length < _CUT_MUST:
            return 0
        spans = np.convolve(self._probabilities[begin:end], np.ones(5), "valid")
        return begin + 2 + int(np.argmin(spans))

    def _longest_pause(self, begin: int, end: int) -> int:
        """The middle of the longest pause between two chunks; 0 when there is none."""
        best_length, best_middle, run = _PAUSE - 1, 0, 0
        for i in range(begin, end):
            run = run + 1 if self._probabilities[i] < _QUIET else 0
            if run > best_length:
                best_length, best_middle = run, i - run // 2
        return best_middle

    def _drop(self, count: int) -> None:
        """Forget the first chunks."""
        del self._chunks[:count], self._probabilities[:count]
        self._voiced_chunks = sum(p >= VOICED for p in self._probabilities)
        self._last_voiced = max((i for i, p in enumerate(self._probabilities) if p >= VOICED), default=-1)
        self._heard_until = max(-1, self._heard_until - count)
