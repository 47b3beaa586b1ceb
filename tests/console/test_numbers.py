"""A number is found in whatever is pasted, and its digits stay in their order."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.screens.dial import judge_number, pasted_number, tidy_number


@pytest.mark.parametrize(
    ("pasted", "number"),
    [
        ("+15550100142", "+15550100142"),
        ("tel:+1-555-010-0142;ext=5", "+1-555-010-0142"),
        ("Miller\tRoom 12\n+49 (30) 1234567\n+49 30 7654321", "+49 (30) 1234567"),
        ("\x1b[2J+1555\x000100142\x07", "+15550100142"),
        ("\u202e+15550100142", "+15550100142"),
        ("0049/30/1234567", "0049/30/1234567"),
        ("+1555", "+1555"),
        ("nothing to\x07 dial\nhere", "nothing to dial"),
        ("", ""),
    ],
)
def test_the_first_thing_like_a_number_is_taken(pasted: str, number: str) -> None:
    assert pasted_number(pasted) == number


def test_slashes_are_spacing_too() -> None:
    assert tidy_number("0049/30/1234567") == "+49301234567"


@given(st.text(max_size=200))
def test_digits_are_never_put_in_another_order_and_nothing_unprintable_is_kept(pasted: str) -> None:
    found = pasted_number(pasted)
    assert found.isprintable()
    rest = iter(unicodedata.normalize("NFKC", pasted))
    assert all(char in rest for char in found if not char.isspace())


def test_digits_of_other_scripts_are_digits_or_refused_and_never_dropped() -> None:
    assert pasted_number("+1555010015１") == "+15550100151"
    assert tidy_number("+1555０100151") == "+15550100151"
    cut = pasted_number("+1555010015١")
    assert cut != "+1555010015" and judge_number(cut).state == "bad"


def test_a_tel_address_that_is_typed_is_a_number() -> None:
    assert tidy_number("tel:+1-555-010-0152") == "+15550100152"
