"""Words, days, times and names are found in what a recogniser writes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.speech.brains.matching import Keywords, sounds_like, tokens, within
from engine.speech.brains.names import find_name
from engine.speech.brains.when import TimeOfDay, find_when


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("three o'clock is perfect", TimeOfDay(15)),
        ("at ten in the morning", TimeOfDay(10)),
        ("half past three", TimeOfDay(15, 30)),
        ("quarter to four p.m.", TimeOfDay(15, 45)),
        ("10:30 AM", TimeOfDay(10, 30)),
        ("at 15:20", TimeOfDay(15, 20)),
        ("around eleven", TimeOfDay(11)),
        ("nine thirty would be fine", TimeOfDay(9, 30)),
        ("at noon", TimeOfDay(12)),
        ("seven in the evening", TimeOfDay(19)),
        ("she is six years old", None),
        ("we are two people", None),
        ("nothing at all", None),
        ("at 99 o'clock", None),
    ],
)
def test_times_of_day(text: str, time: TimeOfDay | None) -> None:
    assert find_when(text).time == time


def test_a_bare_number_is_a_time_only_when_one_was_asked_for() -> None:
    assert find_when("four").time is None
    assert find_when("four", asked=True).time == TimeOfDay(16)


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("on Thursday", "Thursday"),
        ("next tuesday", "next Tuesday"),
        ("wensday mourning", "Wednesday"),
        ("on fryday", "Friday"),
        ("Mondays are good", "Monday"),
        ("the day after tomorrow", "the day after tomorrow"),
        ("tomorrow or so", "tomorrow"),
        ("it is on Monday at ten, could I come on Thursday", "Thursday"),
        ("holiday", ""),
        ("what a birthday", ""),
    ],
)
def test_days(text: str, day: str) -> None:
    assert find_when(text).day == day


@pytest.mark.parametrize(("time", "text"), [((9, 0), "9 AM"), ((12, 15), "12:15 PM"), ((0, 5), "12:05 AM")])
def test_times_are_said_as_people_say_them(time: tuple[int, int], text: str) -> None:
    assert str(TimeOfDay(*time)) == text


@pytest.mark.parametrize(
    ("text", "asked", "name"),
    [
        ("My name is Henry Cook.", False, "Henry Cook"),
        ("Yes, this is Daniel speaking.", False, "Daniel"),
        ("Hello, Sarah speaking.", False, "Sarah"),
        ("I'm Anna Miller and I need help", False, "Anna Miller"),
        ("I am afraid I have to cancel", False, ""),
        ("Is it Monday?", False, ""),
        ("Anna Miller.", False, ""),
        ("Anna Miller.", True, "Anna Miller"),
        ("it's anna", True, "Anna"),
        ("Sure. Tom Baker.", True, "Tom Baker"),
        ("Yes, please.", True, ""),
        ("On Thursday", True, ""),
        ("I would rather not tell you that", True, ""),
    ],
)
def test_names(text: str, asked: bool, name: str) -> None:
    assert find_name(text, asked=asked) == name


@pytest.mark.parametrize(
    ("word", "key", "same"),
    [
        ("apointment", "appointment", True),
        ("booking", "book", True),
        ("adress", "address", True),
        ("open", "oven", False),
        ("hours", "house", False),
        ("no", "on", False),
        ("person", "parson", True),
    ],
)
def test_slips_of_the_recogniser_are_forgiven_within_reason(word: str, key: str, same: bool) -> None:
    assert sounds_like(word, key) is same


def test_phrases_are_found_across_word_borders_and_weights_add_up() -> None:
    keywords = Keywords({"toothache": 3, "pain": 2, "no pain": -2})
    assert keywords.score(tokens("A terrible tooth ache, and pain!")) == 5
    assert keywords.score(tokens("No pain.")) == 0


@given(st.text(max_size=12), st.text(max_size=12), st.integers(0, 3))
def test_the_edit_distance_is_symmetric_and_zero_means_equal(one: str, other: str, limit: int) -> None:
    assert within(one, other, limit) == within(other, one, limit)
    assert within(one, other, 0) == (one == other)


@given(st.text(max_size=120), st.booleans())
def test_any_text_is_read_without_an_error(text: str, asked: bool) -> None:
    find_when(text, asked=asked)
    find_name(text, asked=asked)
    Keywords({"opening hours": 2}).score(tokens(text))
