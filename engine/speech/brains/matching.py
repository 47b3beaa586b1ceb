"""Words as a recogniser writes them, compared with words as a script expects them.

Telephone recognition gets words slightly wrong ("apointment", "fryday", "tooth ache"), so words are compared with a
small edit distance and phrases also without their spaces. Pure functions.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

_DOTTED_MERIDIEM: Final = re.compile(r"\b([ap])\.\s?m\b\.?", re.IGNORECASE)
_TOKEN: Final = re.compile(r"\d{1,2}:\d{2}|\d+|[^\W\d_]+(?:['\u2019][^\W\d_]+)*")
_SENTENCE_END: Final = re.compile(r"(?<=[.!?])\s+")
_JOINED_CHARS: Final = 7
"""Phrases shorter than this are not looked for across word borders: "at one" would be found in "that one"."""


def tokens(text: str) -> list[str]:
    """Words and numbers in lower case, apostrophes removed ("o'clock" is `oclock`, "4 p.m." is `4 pm`)."""
    plain = _DOTTED_MERIDIEM.sub(r"\1m", text).lower()
    return [word.replace("'", "").replace("\u2019", "") for word in _TOKEN.findall(plain)]


def sentences(text: str) -> list[str]:
    """The sentences of a short text."""
    return _SENTENCE_END.split(text.strip())


def within(one: str, other: str, limit: int) -> bool:
    """Is the edit distance (insert, delete, replace) of the two at most `limit`?"""
    if abs(len(one) - len(other)) > limit:
        return False
    row = list(range(len(other) + 1))
    for i, left in enumerate(one, 1):
        diagonal, row[0] = row[0], i
        for j, right in enumerate(other, 1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (left != right))
        if min(row) > limit:
            return False
    return row[-1] <= limit


def sounds_like(word: str, key: str) -> bool:
    """Is `word` most likely `key`, a form of it (book, booking), or a slip of the recogniser?"""
    if word == key:
        return True
    if len(key) < 4 or len(word) < 4:
        return False
    if word.startswith(key) and len(word) - len(key) <= 3:
        return True
    if len(key) < 6 or (word[0] != key[0] and word[-3:] != key[-3:]):
        return False
    return within(word, key, 2 if len(key) >= 9 else 1)


class Keywords:
    """Phrases with weights; the score of a text is the sum of the weights of those that it holds."""

    def __init__(self, weights: Mapping[str, float]) -> None:
        self._phrases = [(tokens(phrase), weight) for phrase, weight in weights.items()]

    def score(self, heard: Sequence[str]) -> float:
        """`heard` is what `tokens` made of the caller's text."""
        joined = "".join(heard)
        return sum(weight for phrase, weight in self._phrases if _holds(heard, joined, phrase))


def _holds(heard: Sequence[str], joined: str, phrase: Sequence[str]) -> bool:
    size = len(phrase)
    for start in range(len(heard) - size + 1):
        if all(sounds_like(heard[start + i], phrase[i]) for i in range(size)):
            return True
    together = "".join(phrase)
    return len(together) >= _JOINED_CHARS and together in joined
