"""Whether a model that reads aloud reads what it was given.

A conversational model may answer a text instead of reading it. Its own transcript comes along with the audio, so that
can be noticed after a few words. Numbers, dates and abbreviations are spoken in other words than they are written in,
so only a reading that has hardly anything to do with the text counts as something else.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

JUDGED_WORDS: Final = 6
"""So many words have to be said before they are judged."""
SHARE: Final = 0.34
"""So many of them have to be words of the text."""
_WORD: Final = re.compile(r"[^\W\d_]+", re.UNICODE)


class Reading:
    """The reading of one text, as far as it has come."""

    def __init__(self, text: str) -> None:
        self.said = ""
        self._words = _words(text)
        self._judged = any(char.isalpha() for char in text) and len(self._words) >= JUDGED_WORDS

    def goes_on(self, more: str) -> bool:
        """Take more of the transcript; False when it is something else than the text."""
        self.said += more
        said = _WORD.findall(_plain(self.said))[:-1]  # the last one may not be complete
        if not self._judged or len(said) < JUDGED_WORDS:
            return True
        return sum(word in self._words for word in said) >= SHARE * len(said)


def _words(text: str) -> frozenset[str]:
    return frozenset(_WORD.findall(_plain(text)))


def _plain(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold()
