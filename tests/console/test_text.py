"""Untrusted text can not leave its row, move the cursor, or turn the reading direction."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from console.text import MAX_CHARS, clean, clock_text, fit, mask, wrap


@pytest.mark.parametrize(
    ("hostile", "wanted"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;new title\x07hello", "hello"),
        ("\x1b]8;;http://evil\x1b\\click\x1b]8;;\x1b\\", "click"),
        ("\x9b2Jgone", "gone"),
        ("\x1bPq#0;2;0;0;0\x1b\\after", "after"),
        ("a\x1b", "a"),
        ("line\r\nbreak\ttab", "line break tab"),
        ("bell\x07back\x08space\x7f", "bellbackspace"),
        ("\u202eevil\u202c \u2066x\u2069", "evil x"),
        ("zero\u200bwidth\u200djoin\ufeff", "zerowidthjoin"),
        ("[/foo] [@click=app.quit]boom[/]", "[/foo] [@click=app.quit]boom[/]"),
        ("مرحبا 👋", "مرحبا 👋"),
        ("z" + "\u0301" * 50, "z" + "\u0301" * 3),
        ("\ud800", ""),
    ],
)
def test_hostile_text_becomes_one_printable_line(hostile: str, wanted: str) -> None:
    assert clean(hostile) == wanted


@given(st.text(max_size=300))
def test_no_text_keeps_a_control_or_format_character(text: str) -> None:
    assert not any(unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp") for char in clean(text))


def test_an_endless_text_is_cut_with_an_ellipsis() -> None:
    assert clean("x" * 10_000_00) == "x" * (MAX_CHARS - 1) + "…"


@given(
    st.text(alphabet=st.characters(codec="utf-8", exclude_categories=["Cc", "Cf", "Cs"]), max_size=60),
    st.integers(1, 40),
)
def test_a_fitted_text_takes_exactly_its_cells(text: str, width: int) -> None:
    assert cell_len(fit(text, width)) == width


@given(st.text(max_size=400), st.integers(2, 60))
def test_wrapped_lines_fit_and_lose_nothing_but_spaces_at_breaks(raw: str, width: int) -> None:
    text = clean(raw)
    parts = [text[start:end] for start, end in wrap(text, width)]
    assert all(cell_len(part) <= width for part in parts)
    assert "".join(parts).replace(" ", "") == text.replace(" ", "")


def test_words_are_kept_whole_where_they_fit() -> None:
    text = "move my appointment to Thursday"
    assert [text[start:end] for start, end in wrap(text, 14)] == ["move my", "appointment to", "Thursday"]


def test_masks_show_the_country_and_two_digits() -> None:
    assert mask("+15550100142") == "+15•••••••42"
    assert mask("911") == "•••"


def test_durations_read_like_a_clock() -> None:
    assert [clock_text(seconds) for seconds in (-3, 7.9, 67, 3599, 3720)] == [
        "00:00",
        "00:07",
        "01:07",
        "59:59",
        "1h02",
    ]
