"""What became of one spoken line: synthesized, sent, heard. Pure.

"Spoken" means heard: a line that was interrupted keeps the words that reached the caller and loses the rest, in the
transcript and in what the brain is told.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from engine.media.audio import FRAME_MS, PHONE

_WORD: Final = re.compile(r"[぀-ヿ㐀-䶿一-鿿豈-﫿]|[^\s぀-ヿ㐀-䶿一-鿿豈-﫿]+")
"""What the voice says in one go: a run without spaces, or one character of scripts that are written without them."""
_DIGIT_WEIGHT: Final = 4
"""A digit is read as a word of about this many letters."""
_PAUSES: Final = {",": 3, ";": 4, ":": 4, ".": 6, "!": 6, "?": 6, "…": 6, "、": 3, "。": 6, "？": 6, "！": 6}
"""The silence after a mark, in letters. Only at the end of a word: "3.5" and "example.com" do not pause."""


def heard_text(text: str, heard_ms: int, total_ms: int) -> str:
    """The part of `text` that was heard whole, when `heard_ms` of the `total_ms` that it takes to say were played.

    Always a prefix of `text` that ends with a word, longer or equal for more `heard_ms`, empty for none and all of
    it at the end. Time is shared out by what a voice needs for letters, digits and pauses; it is an estimate.
    """
    if heard_ms <= 0:
        return ""
    if heard_ms >= total_ms:
        return text
    words = list(_WORD.finditer(text))
    weights = [_weight(word.group()) for word in words]
    reached = sum(sum(weight) for weight in weights) * heard_ms / total_ms
    end = 0
    for word, (spoken, pause) in zip(words, weights, strict=True):
        if spoken > reached:
            break
        end = word.end()
        reached -= spoken + pause
    return text[:end]


def _weight(word: str) -> tuple[int, int]:
    """What saying the word takes and what the pause after it takes, in letters."""
    spoken = sum(_DIGIT_WEIGHT if letter.isdigit() else letter.isalnum() for letter in word) or 1
    return spoken, 1 + _PAUSES.get(word[-1], 0)


@dataclass(slots=True)
class LineLedger:
    """How far the audio of one line has come. Every stage is at most as long as the one before."""

    synthesized_bytes: int = 0
    sent_frames: int = 0
    heard_ms: int = 0

    @property
    def synthesized_ms(self) -> int:
        """Audio that the voice has made so far."""
        return self.synthesized_bytes * 1000 // PHONE.bytes_per_second

    @property
    def sent_ms(self) -> int:
        """Audio that the carrier has. The last frame is filled up with silence, which does not count."""
        return min(self.sent_frames * FRAME_MS, self.synthesized_ms)

    def heard(self, ms: int) -> int:
        """The caller has heard `ms` of it, as far as we know; what was sent is the most. Never goes back."""
        self.heard_ms = max(self.heard_ms, min(ms, self.sent_ms))
        return self.heard_ms
