"""What was heard of a line that was cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.media.ledger import LineLedger, heard_text

LINE = "Good morning, your number is 555 0142. Which day would suit you?"


def test_nothing_and_everything() -> None:
    assert heard_text(LINE, 0, 4000) == ""
    assert heard_text(LINE, 4000, 4000) == LINE
    assert heard_text(LINE, 1, 0) == LINE, "a line without length was heard with its first moment"
    assert heard_text("", 10, 20) == ""


def test_a_cut_falls_between_words() -> None:
    words = ["one", "two", "three", "four"]
    prefixes = {" ".join(words[:n]) for n in range(5)}
    assert {heard_text("one two three four", ms, 1000) for ms in range(0, 1001, 10)} == prefixes


def test_digits_take_longer_than_letters() -> None:
    assert heard_text("abcd 5555", 250, 1000) == "abcd"
    assert heard_text("abcd efgh", 250, 1000) == ""


def test_a_pause_belongs_to_no_word() -> None:
    assert heard_text("Yes. No", 500, 1000) == heard_text("Yes. No", 750, 1000) == "Yes."


def test_scripts_without_spaces_are_cut_between_characters() -> None:
    assert heard_text("今日はいい天気です", 500, 1000) == "今日はいい"


@given(st.text(max_size=60), st.integers(-5, 5000), st.integers(-5, 5000), st.integers(0, 4000))
def test_what_was_heard_is_a_prefix_that_grows(text: str, ms: int, later: int, total: int) -> None:
    ms, later = sorted((ms, later))
    heard, more = heard_text(text, ms, total), heard_text(text, later, total)
    assert text.startswith(more)
    assert more.startswith(heard)


@pytest.mark.parametrize("total", [999, 10_000])
def test_words_appear_in_proportion_to_time(total: int) -> None:
    assert len(heard_text("word " * 100, total // 2, total)) == pytest.approx(250, abs=10)


def test_a_stage_is_never_longer_than_the_one_before() -> None:
    ledger = LineLedger()
    ledger.synthesized_bytes = 8 * 30
    ledger.sent_frames = 2
    assert ledger.synthesized_ms == 30
    assert ledger.sent_ms == 30, "the second frame is half silence"
    assert ledger.heard(20) == 20
    assert ledger.heard(500) == 30
    assert ledger.heard(10) == 30
