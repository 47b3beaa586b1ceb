"""Whether a model that reads aloud reads what it was given.

A conversational model may answer a text instead of reading it. Its own transcript comes along with the audio, so that
can be noticed after a few words. Numbers, dates and abbreviations are spoken in other words than they are written in,
so only a reading that has hardly anything to do with the text counts as something else, and a text with more digits
than words is not judged.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

JUDGED_WORDS: Final = 12
"""So many words have to be said before they are judged while it goes on."""
SHARE: Final = 0.25
"""So many of them have to be words of the text."""
SHORTEST: Final = 3
"""A text of fewer words is not judged."""
_TOKEN: Final = re.compile(r"[^\W\d_]+|\d+", re.UNICODE)
_WITHOUT_SPACES: Final = ((0x0E00, 0x0EFF), (0x1000, 0x109F), (0x1780, 0x17FF), (0x2E80, 0xFAFF))
"""Thai, Lao, Burmese, Khmer, and the scripts of East Asia: a character counts as a word."""


class Reading:
    """The reading of one text, as far as it has come."""

    def __init__(self, text: str) -> None:
        self.said = ""
        tokens = _tokens(text)
        words = [token for token in tokens if not token.isdigit()]
        digits = sum(len(token) for token in tokens if token.isdigit())
        self._words = frozenset(words)
        self._judged = len(words) >= SHORTEST and digits <= len(words)
        self._most = 2 * len(words) + 4 * digits + JUDGED_WORDS

    def goes_on(self, more: str) -> bool:
        """Take more of the transcript; False when it is something else than the text."""
        self.said += more
        said = _tokens(self.said)[:-1]  # the last one may not be complete
        return not self._judged or len(said) < JUDGED_WORDS or self._fits(said)

    def ends(self) -> bool:
        """It was read; False when all of it was something else."""
        said = _tokens(self.said)
        return not self._judged or not said or self._fits(said)

    def _fits(self, said: list[str]) -> bool:
        alike = sum(word in self._words for word in said)
        return alike >= SHARE * len(said) and len(said) <= self._most


def _tokens(text: str) -> list[str]:
    found: list[str] = []
    for token in _TOKEN.findall(unicodedata.normalize("NFKC", text).casefold()):
        found += list(token) if _has_no_spaces(token) else [token]
    return found


def _has_no_spaces(token: str) -> bool:
    return any(first <= ord(char) <= last for char in token for first, last in _WITHOUT_SPACES)
