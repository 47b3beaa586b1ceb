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


def _listed(text: str) -> frozenset[str]:
    return frozenset(text.split())


_BACKCHANNEL: Final = _listed(
    "uh-huh uhhuh mhm mm mmm mm-hmm hm hmm um uh huh ah aha oh ok okay yeah yes yep yup right sure good great fine"
    " nice cool wow really alright all i see got it thanks thank you"
)
_UNFINISHED: Final = _listed(
    "a an the and or but so because if that to of in on at for from with by my your is are was um uh er like"
    " about than then i we i'm it's"
)


def words(text: str) -> tuple[str, ...]:
    """The words of `text` in lower case, without punctuation."""
    return tuple(_WORD.findall(text.lower()))


def sounds_finished(text: str) -> bool:
    """Does `text` end like a sentence? Recognisers like to put a full stop after "and" too; that does not count."""
    stripped = text.rstrip(" \"')\u201d\u2019")
    if not stripped.endswith((".", "?", "!")) or stripped.endswith(".."):
        return False
    spoken = words(stripped)
    return bool(spoken) and spoken[-1] not in _UNFINISHED


def is_backchannel(spoken: Sequence[str]) -> bool:
    """Nothing but "uh-huh", "okay", "I see": words that listeners say without wanting the turn."""
    return len(spoken) <= _BACKCHANNEL_WORDS and all(word in _BACKCHANNEL for word in spoken)


def is_echo(spoken: Sequence[str], ours: Sequence[str]) -> bool:
    """`spoken` repeats two or more words of our own line, in order: most likely our voice coming back."""
    count = len(spoken)
    wanted = tuple(spoken)
    return count >= 2 and any(tuple(ours[i : i + count]) == wanted for i in range(len(ours) - count + 1))
