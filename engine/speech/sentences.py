"""Text that arrives in pieces, cut into lines for the voice, the first one as early as possible.

Pieces may end anywhere, in the middle of a word, a tag or a number. What must not be said (reasoning, code, markup)
is removed on the way: `engine.speech.hygiene`. Everything held back is bounded.
"""

from __future__ import annotations

import re
from typing import Final

from engine.speech.hygiene import REASONING_TAGS, spoken, unwrap

__all__ = ["SentenceCutter", "spoken"]

LONG_CHARS: Final = 200
"""A sentence longer than this is cut at a comma or between two words: nobody waits that long for a voice."""
EARLIEST_COMMA: Final = 60
"""A long sentence is not cut at a comma that comes sooner than this."""
MAX_WRAPPED_CHARS: Final = 65_536
"""A JSON answer longer than this is taken for plain text."""

_ENDING: Final = re.compile(r"[.!?\u2026]+[\"'\u201d\u2019)\]*_]*(?=\s)|[!?]+$|[\u3002\uff01\uff1f]|\n")
_LAST_WORD: Final = re.compile(r"[^\s(\[\"'*_]+\Z")
_LIST_NUMBER: Final = re.compile(r"\s*\d{1,3}\.\Z")
_SOFT_BREAK: Final = re.compile(r"[,;:\u2014\u2013](?=\s)")
_HIDDEN: Final = re.compile(rf"<(?:{'|'.join(REASONING_TAGS)})\b[^>\n]{{0,80}}>|```|~~~", re.IGNORECASE)
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
        self._hidden = _HiddenParts()
        self._text = ""
        self._wrapped: str | None = ""

    def feed(self, text: str) -> list[str]:
        """Take the next piece."""
        visible = self._unwrapped(text)
        self._text += self._hidden.feed(visible)
        return self._cut(final=False)

    def flush(self) -> list[str]:
        """The reply is complete. The cutter can be used for another one afterwards."""
        held, self._wrapped = self._wrapped or "", ""
        inner = unwrap(held) if held else None
        self._text += self._hidden.feed(held if inner is None else inner) + self._hidden.flush()
        sentences = self._cut(final=True)
        rest = spoken(self._text)
        self._text = ""
        return [*sentences, rest] if rest else sentences

    def _unwrapped(self, text: str) -> str:
        """Hold back an answer that begins like a JSON object until it is known to be a wrapper or not."""
        if self._wrapped is None:
            return text
        self._wrapped += text
        start = self._wrapped.lstrip()[:8].lower()
        wrapping = not start or start[0] == "{" or "```json".startswith(start) or start.startswith("```json")
        if wrapping and len(self._wrapped) <= MAX_WRAPPED_CHARS:
            return ""
        held, self._wrapped = self._wrapped, None
        return held

    def _cut(self, *, final: bool) -> list[str]:
        sentences: list[str] = []
        while (end := self._next_end(final)) > 0:
            sentence = spoken(self._text[:end])
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
            at_edge = match.end() == len(self._text) and mark != "\n"
            return None if at_edge and "/" in word and not final else True  # "...?" may be the query of a link
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
    match = _LAST_WORD.search(text)
    return match.group().lower() if match else ""


def _soft_end(text: str) -> int:
    """Where to cut a sentence that is too long: after a comma, else between words, else anywhere."""
    head = text[:LONG_CHARS]
    commas = [match.end() for match in _SOFT_BREAK.finditer(text, 0, LONG_CHARS) if match.end() >= EARLIEST_COMMA]
    if commas:
        return commas[-1]
    space = head.rfind(" ")
    return space if space > 0 else LONG_CHARS


class _HiddenParts:
    """Removes reasoning and code from a stream as it passes; nothing of it is kept."""

    def __init__(self) -> None:
        self._held = ""
        self._closing = ""

    def feed(self, text: str) -> str:
        """What of `text`, and of what was held back before, can be passed on."""
        self._held += text
        passed: list[str] = []
        while True:
            if self._closing:
                at = self._held.lower().find(self._closing)
                if at < 0:
                    self._held = self._held[-len(self._closing) :]
                    return "".join(passed)
                self._held = self._held[at + len(self._closing) :]
                self._closing = ""
                continue
            match = _HIDDEN.search(self._held)
            if match is None:
                keep = _maybe_opening(self._held)
                passed.append(self._held[:keep])
                self._held = self._held[keep:]
                return "".join(passed)
            passed.append(self._held[: match.start()])
            self._held = self._held[match.end() :]
            opening = match.group()
            self._closing = opening if opening[0] != "<" else f"</{re.split(r'[^a-z]', opening[1:].lower())[0]}>"

    def flush(self) -> str:
        """The end: an opening that was never completed is text; an open part stays hidden."""
        held, self._held = ("" if self._closing else self._held), ""
        self._closing = ""
        return held


def _maybe_opening(text: str) -> int:
    """Where the end of `text` may be the beginning of a hidden part; its length when it can not."""
    tag = text.rfind("<", max(0, len(text) - 96))
    if tag >= 0 and ">" not in text[tag:] and _could_be_tag(text[tag + 1 :].lower()):
        return tag
    for fence in ("```", "~~~"):
        for length in (2, 1):
            if text.endswith(fence[:length]):
                return len(text) - length
    return len(text)


def _could_be_tag(text: str) -> bool:
    name = re.match(r"[a-z]*", text)
    found = name.group() if name else ""
    if found == text:
        return any(tag.startswith(found) for tag in REASONING_TAGS)
    return found in REASONING_TAGS
