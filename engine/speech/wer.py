"""Word error rate: how far a recogniser's text is from what was really said.

A recogniser writes "It's 3:30, Dr. Smith." where the script says "it is three thirty doctor smith". Both are the
same speech, so both sides are brought to one spelling before they are compared: lower case without punctuation,
contractions written out, and every number as its single digits ("twenty four", "24" and "2 4" are all `2 4`; an
ordinal ends in "th"). Pure and deterministic.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Final

# fmt: off
_UNITS: Final = {word: value for value, word in enumerate((
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
))}
_TENS: Final = {word: 10 * value for value, word in enumerate((
    "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety",
), start=2)}
# fmt: on
_SCALES: Final = {"hundred": 100, "thousand": 1_000, "million": 1_000_000}
_ORDINALS: Final = {
    "first": "one",
    "second": "two",
    "third": "three",
    "fifth": "five",
    "eighth": "eight",
    "ninth": "nine",
    "twelfth": "twelve",
    **{word[:-1] + "ieth": word for word in _TENS},
    **{word + "th": word for word in _UNITS if word not in {"zero", "one", "two", "three", "five", "eight", "nine"}},
    "hundredth": "hundred",
    "thousandth": "thousand",
}
_SPELLINGS: Final = {
    "alright": "all right",
    "bye-bye": "bye bye",
    "cannot": "can not",
    "can't": "can not",
    "dr": "doctor",
    "e-mail": "email",
    "goodbye": "good bye",
    "gonna": "going to",
    "gotta": "got to",
    "let's": "let us",
    "mr": "mister",
    "mrs": "missus",
    "o'clock": "oclock",
    "ok": "okay",
    "shan't": "shall not",
    "wanna": "want to",
    "won't": "will not",
}
_IS_AFTER: Final = {"he", "here", "how", "it", "she", "that", "there", "this", "what", "when", "where", "who"}
"""Words after which 's means "is"; after any other word it is taken as a possessive."""
_ENDINGS: Final = {"n't": " not", "'m": " am", "'re": " are", "'ve": " have", "'ll": " will", "'d": " would"}
_SYMBOLS: Final = {"%": " percent ", "&": " and ", "+": " plus ", "@": " at ", "#": " pound "}
_TOKEN: Final = re.compile(r"\d+|[^\W\d_]+(?:['-][^\W\d_]+)*'?")


def word_error_rate(reference: str, hypothesis: str) -> tuple[int, int]:
    """`(errors, words)`: the fewest words to insert, delete or replace, and the number of words in `reference`.

    Sum both over many lines before dividing; a single line may have more errors than words.
    """
    expected, heard = normalise(reference), normalise(hypothesis)
    return _distance(expected, heard), len(expected)


def normalise(text: str) -> list[str]:
    """The words of `text` in the one spelling in which speech is compared."""
    return _numbers_to_digits(_words(text))


def _words(text: str) -> list[str]:
    text = unicodedata.normalize("NFKC", text).casefold().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")
    text = re.sub(r"\b([ap])\.\s?m\b\.?", r"\1m", text)
    text = re.sub(r"\$(\d[\d,.]*\d|\d)", r"\1 dollars", text)
    text = re.sub(r"(?<=\d),(?=\d{3}\b)", "", text)
    text = re.sub(r"(?<=\d)\.(?=\d)", " point ", text)
    text = re.sub(r"(?<=\d)(?:st|nd|rd|th)\b", " th", text)
    for symbol, word in _SYMBOLS.items():
        text = text.replace(symbol, word)
    return [word for token in _TOKEN.findall(text) for word in _spelled(token)]


def _spelled(token: str) -> list[str]:
    """One token without contractions, hyphens and apostrophes."""
    token = token.strip("'")
    if token in _SPELLINGS:
        return _SPELLINGS[token].split()
    for ending, written in _ENDINGS.items():
        if token.endswith(ending) and token != ending:
            return (token.removesuffix(ending) + written).split()
    stem = token.removesuffix("'s")
    if stem != token and stem in _IS_AFTER:
        return [stem, "is"]
    words = token.replace("'", "").split("-")
    return [spelled for word in words for spelled in _SPELLINGS.get(word, word).split()]


def _numbers_to_digits(words: Sequence[str]) -> list[str]:
    """Replace each run of number words or digits by the digits it is written with."""
    out: list[str] = []
    at = 0
    while at < len(words):
        digits, used = _number_at(words, at)
        if used:
            out += digits
            at += used
        elif words[at] in {"oh", "o"} and out and out[-1].isdigit() and _number_at(words, at + 1)[1]:
            out.append("0")  # "five oh one"
            at += 1
        else:
            out.append(words[at])
            at += 1
    return out


def _number_at(words: Sequence[str], at: int) -> tuple[list[str], int]:
    """The digits of the number that begins at `at`, and how many words it takes (0: there is none)."""
    if at >= len(words):
        return [], 0
    if words[at].isdecimal():
        scale = _SCALES.get(words[at + 1]) if at + 1 < len(words) and len(words[at]) < 10 else None
        return (list(str(int(words[at]) * scale)), 2) if scale else (list(words[at]), 1)
    total, group, used = 0, 0, 0
    previous = ""
    while at + used < len(words):
        word = words[at + used]
        ordinal = word in _ORDINALS and word not in _UNITS
        cardinal = _ORDINALS.get(word, word)
        if word == "and" and previous in _SCALES and _is_number(words, at + used + 1):
            used += 1
            continue
        if not _continues(cardinal, previous):
            break
        if cardinal in _SCALES:
            scale = _SCALES[cardinal]
            group = max(group, 1) * scale
            if scale > 100:
                total, group = total + group, 0
        else:
            group += _UNITS.get(cardinal, _TENS.get(cardinal, 0))
        previous = cardinal
        used += 1
        if ordinal:
            return [*str(total + group), "th"], used
    return (list(str(total + group)), used) if used else ([], 0)


def _is_number(words: Sequence[str], at: int) -> bool:
    return at < len(words) and _ORDINALS.get(words[at], words[at]) in {**_UNITS, **_TENS}


def _continues(word: str, previous: str) -> bool:
    """Whether `word` belongs to the same number as `previous` ("" at its beginning)."""
    if word in _SCALES:
        return previous != ""
    if word in _TENS:
        return previous == "" or previous in _SCALES
    if word in _UNITS:
        return previous == "" or previous in _SCALES or (previous in _TENS and 0 < _UNITS[word] < 10)
    return False


def _distance(expected: Sequence[str], heard: Sequence[str]) -> int:
    """Levenshtein distance in words."""
    row = list(range(len(heard) + 1))
    for i, word in enumerate(expected, start=1):
        row = _next_row(row, i, word, heard)
    return row[-1]


def _next_row(row: Sequence[int], first: int, word: str, heard: Iterable[str]) -> list[int]:
    following = [first]
    for j, other in enumerate(heard, start=1):
        following.append(min(row[j] + 1, following[j - 1] + 1, row[j - 1] + (word != other)))
    return following
