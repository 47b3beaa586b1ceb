"""Text that arrives in pieces, cut into lines for the voice, the first one as early as possible.

Pieces may end anywhere, in the middle of a word, a tag or a number. What must not be said (reasoning, code, markup)
is removed on the way: `engine.speech.visible`, `engine.speech.hygiene`. Where pieces end makes no difference, and
what is held back is bounded.
"""

from __future__ import annotations

import re
from typing import Final

from engine.speech.hygiene import speakable
from engine.speech.visible import VisibleText

LONG_CHARS: Final = 200
"""A sentence longer than this is cut at a comma or between two words: nobody waits that long for a voice."""
EARLIEST_COMMA: Final = 60
"""A long sentence is not cut at a comma that comes sooner than this."""

_ENDING: Final = re.compile(r"[.!?\u2026]+[\"'\u201d\u2019)\]*_]*(?=\s)|[\u3002\uff01\uff1f]|\n")
_LAST_WORD: Final = re.compile(r"[^\s(\[\"'*_]+\Z")
_LIST_NUMBER: Final = re.compile(r"\s*\d{1,3}\.\Z")
_SOFT_BREAK: Final = re.compile(r"[,;:\u2014\u2013](?=\s)")
_NEVER_LAST: Final = frozenset(
    ["dr", "mr", "mrs", "ms", "prof", "st", "mt", "rev", "gen", "vs", "e.g", "i.e", "approx", "dept", "tel", "ext"]
)
"""Abbreviations that something always follows."""
_MAYBE_LAST: Final = frozenset(["a.m", "p.m", "etc", "inc", "ltd", "co", "jr", "sr", "u.s", "u.k"])
"""Abbreviations that end a sentence when a capital letter follows."""
_BEFORE_NUMBER: Final = frozenset(["no", "nr", "fig", "p", "pp", "art"])
"""Abbreviations only before a number: "No. 5" is one, "No. We are closed." is not."""


class SentenceCutter:
    """Cuts one reply. `feed` returns the sentences that are complete, `flush` what is left at the end."""

    def __init__(self) -> None:
        self._visible = VisibleText()
        self._text = ""

    def feed(self, text: str) -> list[str]:
        """Take the next piece."""
        self._add(self._visible.feed(text))
        return self._cut(final=False)

    def flush(self) -> list[str]:
        """The reply is complete. The cutter can be used for another one afterwards."""
        self._add(self._visible.flush())
        sentences = self._cut(final=True)
        rest = speakable(self._text)
        self._text = ""
        return [*sentences, rest] if rest else sentences

    def _add(self, text: str) -> None:
        self._text = (self._text + text).lstrip(" \t")

    def _cut(self, *, final: bool) -> list[str]:
        sentences: list[str] = []
        while (end := self._next_end(final)) > 0:
            sentence = speakable(self._text[:end])
            self._text = self._text[end:].lstrip(" \t")
            if sentence:
                sentences.append(sentence)
        return sentences

    def _next_end(self, final: bool) -> int:
        """Where the first sentence of the buffer ends; 0 while that is not known."""
        for match in _ENDING.finditer(self._text, 0, LONG_CHARS + 1):
            verdict = self._ends(match, final)
            if verdict is None:
                return 0
            if verdict:
                return match.end()
        return _soft_end(self._text) if len(self._text) > LONG_CHARS else 0

    def _ends(self, match: re.Match[str], final: bool) -> bool | None:
        """Does the sentence end at this mark? None: more text has to come first."""
        mark = match.group()
        word = _last_word(self._text[: match.start()])
        if not mark.startswith((".", "\u2026")):
            return True
        follows = self._text[match.end() :].lstrip()[:1]
        if not word or _LIST_NUMBER.match(self._text[: match.start() + 1]):
            return False
        if word in _NEVER_LAST or (len(word) == 1 and word.isalpha() and word != "i"):
            return False
        doubtful = word in _MAYBE_LAST or word in _BEFORE_NUMBER or mark.startswith(("..", "\u2026"))
        if doubtful and not follows:
            return True if final else None
        return not follows.isdecimal() if word in _BEFORE_NUMBER else not (doubtful and follows.islower())


def _last_word(text: str) -> str:
    match = _LAST_WORD.search(text.rstrip("\"'\u201d\u2019)]*_"))
    return match.group().lower() if match else ""


def _soft_end(text: str) -> int:
    """Where to cut a sentence that is too long: after a comma, else between words, else anywhere."""
    head = text[:LONG_CHARS]
    commas = [match.end() for match in _SOFT_BREAK.finditer(text, 0, LONG_CHARS) if match.end() >= EARLIEST_COMMA]
    if commas:
        return commas[-1]
    space = head.rfind(" ")
    return space if space > 0 else LONG_CHARS
