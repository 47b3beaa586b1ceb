"""The caller's name in what they said. English; pure functions.

Recognisers write names with capital letters, which is most of what there is to go by.
"""

from __future__ import annotations

import re
from typing import Final

from engine.speech.brains.matching import sentences
from engine.speech.brains.when import DAYS, NUMBERS, PARTS

_CAPITAL: Final = r"[A-Z][\w'\u2019-]*(?: +[A-Z][\w'\u2019-]*){0,2}"
_IS: Final = r"(?: is|['\u2019]s)"
_INTRODUCED: Final = re.compile(
    rf"\b(?:[Mm]y name{_IS}|[Tt]he name{_IS}|[Tt]his is|I am|I['\u2019]m|[Ii]t{_IS}) +({_CAPITAL})"
)
_SPEAKING: Final = re.compile(rf"\b({_CAPITAL}) +speaking\b")
_LEAD: Final = re.compile(
    rf"(?:(?:yes|sure|okay|ok|well|of course|certainly|it{_IS}|my name is|this is|i am|i['\u2019]m)\b[\s,.]*)*",
    re.IGNORECASE,
)
_TAIL: Final = re.compile(r"[\s,]*\b(?:please|speaking|here|thank you|thanks)\b[\s.,!?]*\Z", re.IGNORECASE)
_BARE: Final = re.compile(r"[^\W\d_][\w'\u2019-]*(?: +[^\W\d_][\w'\u2019-]*){0,2}")
_COMMON_WORDS: Final = (
    "yes no yeah nope okay ok sure please thanks thank you the a an i it that this these what why how who when"
    " where hello hi hey good fine great right well just not sorry pardon calling busy afraid here there again"
    " later next week today tomorrow now maybe my is are do does can could would want need have of course bye"
    " goodbye all everything nothing speaking perfect we for to and but so"
)
_NOT_NAMES: Final = frozenset((*DAYS, *PARTS, *NUMBERS, *_COMMON_WORDS.split()))


def find_name(text: str, *, asked: bool = False) -> str:
    """The caller's name, or "". When it was `asked` for, a bare "Anna Miller" is one too."""
    for pattern in (_INTRODUCED, _SPEAKING):
        for match in pattern.finditer(text):
            name = _as_name(match.group(1))
            if name:
                return name
    if asked:
        for sentence in sentences(text):
            bare = _TAIL.sub("", sentence[_lead_length(sentence) :]).strip(" .,!?")
            name = _as_name(bare) if _BARE.fullmatch(bare) else ""
            if name and len(name.split()) == len(bare.split()):
                return name
    return ""


def _lead_length(text: str) -> int:
    match = _LEAD.match(text)
    return match.end() if match else 0


def _as_name(text: str) -> str:
    """`text` up to the first word that is no name, with capital letters."""
    kept: list[str] = []
    for word in text.split():
        if word.lower() in _NOT_NAMES:
            break
        kept.append(word[:1].upper() + word[1:])
    name = " ".join(kept)
    return name if len(name) >= 2 else ""
