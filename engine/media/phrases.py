"""What words say about a turn: finished or not, an answer or only an "uh-huh", the caller or our own echo.

Small English heuristics on recogniser text. In another language they stay silent: a sentence still ends at its
full stop, and turn taking falls back to times.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

_WORD: Final = re.compile(r"[^\W_]+(?:['\u2019-][^\W_]+)*")
_BACKCHANNEL_WORDS: Final = 3
_ECHO_WORDS: Final = 4
_REST_WORDS: Final = 4


def _listed(text: str) -> frozenset[str]:
    return frozenset(text.split())


_BACKCHANNEL: Final = _listed(
    "uh-huh uhhuh mhm mm mmm mm-hmm m-hm hm hmm um uh huh ah aha oh ok okay yeah yes yep yup yah right sure good"
    " great fine nice cool wow really alright thanks exactly yay you"
)
"""With what recognisers make of an "uh-huh" or a cough: "you" alone is nobody's whole answer."""
_BACKCHANNEL_PHRASES: Final = ("all right", "i see", "got it", "thank you", "i know", "of course", "mm hmm", "uh huh")
_BACKCHANNEL_BEGINNINGS: Final = frozenset(phrase.split()[0] for phrase in _BACKCHANNEL_PHRASES)
_NEVER_LAST: Final = _listed("a an the and or but so because if my your")
"""Words that end nothing, not even with a question mark."""
_UNFINISHED: Final = _listed(
    "a an the and or but so because if to of in on at for from with by my your is are was um uh er like"
    " about than i we i'm it's he she they you're we're maybe until between"
)
_NUMBER_CUES: Final = _listed("number phone telephone mobile cell reach call digits")
"""A word after which digits are a telephone number ..."""
_NUMBER_DIGITS: Final = 7
"""... which has at least this many of them."""
_CODE_CUES: Final = _listed("code pin zip postcode card account extension birth")
_CODE_DIGITS: Final = 3
_DIGITS: Final = {
    **dict.fromkeys(_listed("zero oh one two three four five six seven eight nine"), 1),
    **dict.fromkeys(_listed("ten eleven twelve twenty thirty forty fifty sixty seventy eighty ninety"), 2),
}
"""How many digits a number word stands for, about."""


def words(text: str) -> tuple[str, ...]:
    """The words of `text` in lower case, without punctuation."""
    return tuple(_WORD.findall(text.lower()))


def sounds_finished(text: str) -> bool:
    """Does `text` end like a sentence? Recognisers like to put a full stop after "and" too; that does not count."""
    stripped = text.rstrip(" \"')\u201d\u2019")
    if not stripped.endswith((".", "?", "!")) or stripped.endswith(".."):
        return False
    return bool(words(stripped)) and not breaks_off(stripped)


def breaks_off(text: str) -> bool:
    """Does `text` end where nobody ends: on "and", in the middle of a number, on a comma or three dots?"""
    spoken = words(text)
    if not spoken:
        return False
    stripped = text.rstrip(" \"')\u201d\u2019")
    if stripped.endswith((",", "..", "\u2026", "-", ":")):
        return True
    if spoken[-1] in _NEVER_LAST:
        return True
    return _is_open_number(spoken) or (spoken[-1] in _UNFINISHED and not stripped.endswith(("?", "!")))


def _is_open_number(spoken: Sequence[str]) -> bool:
    """Digits at the end that are fewer than the number they belong to has."""
    digits = 0
    for at in range(len(spoken) - 1, -1, -1):
        count = sum(map(str.isdigit, spoken[at])) or _DIGITS.get(spoken[at], 0)
        if count == 0:
            if digits == 0:
                return False
            before = spoken[max(0, at - 3) : at + 1]
            return (digits < _NUMBER_DIGITS and not _NUMBER_CUES.isdisjoint(before)) or (
                digits < _CODE_DIGITS and not _CODE_CUES.isdisjoint(before)
            )
        digits += count
    return False


def is_backchannel(spoken: Sequence[str]) -> bool:
    """Nothing but "uh-huh", "okay", "I see": words that listeners say without wanting the turn."""
    if len(spoken) > _BACKCHANNEL_WORDS:
        return False
    text = f" {' '.join(spoken)} "
    for phrase in _BACKCHANNEL_PHRASES:
        text = text.replace(f" {phrase} ", " ")
    left = text.split()
    # The last word may be the first of such a phrase that is still being said.
    return all(word in _BACKCHANNEL for word in left[:-1]) and (
        not left or left[-1] in _BACKCHANNEL or left[-1] in _BACKCHANNEL_BEGINNINGS
    )


def is_nod(text: str, heard: str, rest: str) -> bool:
    """Is `text`, said over a line of ours of which `heard` was heard and `rest` was not, no more than a nod?

    After a question "yes" is an answer, and so it is where our line was all but over.
    """
    return "?" not in heard and len(words(rest)) >= _REST_WORDS and is_backchannel(words(text))


def is_echo(spoken: Sequence[str], ours: Sequence[str]) -> bool:
    """`spoken` repeats two or more words of our own line, in order: most likely our voice coming back.

    An echo is misheard here and there: of four words and more one in four may differ.
    """
    count = len(spoken)
    wanted = tuple(spoken)
    if count >= 2 and any(tuple(ours[i : i + count]) == wanted for i in range(len(ours) - count + 1)):
        return True
    return count >= _ECHO_WORDS and 4 * _common(spoken, ours) >= 3 * count


def _common(spoken: Sequence[str], ours: Sequence[str]) -> int:
    """Words of `spoken` that occur in `ours` in the same order (longest common subsequence)."""
    row = [0] * (len(ours) + 1)
    for word in spoken:
        before = row
        row = [0]
        for at, other in enumerate(ours, start=1):
            row.append(before[at - 1] + 1 if word == other else max(before[at], row[-1]))
    return row[-1]
