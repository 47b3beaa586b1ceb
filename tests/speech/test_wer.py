from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.speech.wer import normalise, word_error_rate


@pytest.mark.parametrize(
    ("written", "spoken"),
    [
        ("It's 3:30 p.m.", "it is three thirty PM"),
        ("Dr. Smith won't, can't and shan't.", "doctor smith will not cannot and shall not"),
        (
            "\N{LEFT SINGLE QUOTATION MARK}Let\N{RIGHT SINGLE QUOTATION MARK}s go,\N{RIGHT SINGLE QUOTATION MARK}",
            "let us go",
        ),
        ("In 1984, or 2024", "in nineteen eighty-four or twenty twenty four"),
        ("$1,250 and 50%", "one thousand two hundred and fifty dollars and fifty percent"),
        ("555-0142", "five five five oh one four two"),
        ("May 21st, the 3rd", "may twenty first the third"),
        ("the doctor's e-mail", "the doctors email"),
        ("Okay, OK?", "ok okay"),
        ("5.5 million", "five point five million"),
    ],
)
def test_two_spellings_of_the_same_speech_do_not_differ(written: str, spoken: str) -> None:
    assert normalise(written) == normalise(spoken)


def test_insertions_deletions_and_replacements_count_once_each() -> None:
    assert word_error_rate("move my appointment to friday", "move appointment to the monday") == (3, 5)


def test_nothing_heard_is_an_error_per_word() -> None:
    assert word_error_rate("good morning to you", "") == (4, 4)


def test_invented_words_count_against_an_empty_reference() -> None:
    assert word_error_rate("", "you") == (1, 0)


@given(st.text(), st.text())
def test_any_text_can_be_compared_within_the_bounds_of_a_distance(reference: str, hypothesis: str) -> None:
    errors, words = word_error_rate(reference, hypothesis)
    assert words == len(normalise(reference))
    assert abs(words - len(normalise(hypothesis))) <= errors <= max(words, len(normalise(hypothesis)))


@given(st.text())
def test_a_text_equals_itself(text: str) -> None:
    assert word_error_rate(text, text)[0] == 0
