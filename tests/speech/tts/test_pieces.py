from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from engine.media.ledger import heard_text
from engine.speech.tts.pieces import pieces, rest_after

TEXTS = st.lists(
    st.sampled_from(["one", "two,", "three.", "Thursday", "10:30,", "yes!", "你好。", ""]), max_size=200
).map(" ".join)


@given(TEXTS, st.integers(4, 300), st.integers(4, 300))
def test_no_word_is_lost_and_no_piece_is_too_long(text: str, first: int, others: int) -> None:
    found = list(pieces(text, first, others))
    assert "".join("".join(found).split()) == "".join(text.split())
    assert all(found)
    assert all(len(piece) <= max(first, others) for piece in found)


def test_a_text_is_cut_after_a_sentence_where_there_is_one() -> None:
    text = "This is one sentence. And this is another one, with a comma. And a last one."
    assert list(pieces(text, 40)) == [
        "This is one sentence.",
        "And this is another one, with a comma.",
        "And a last one.",
    ]


@given(TEXTS, st.integers(0, 60_000))
def test_what_is_said_again_is_the_end_of_the_text_from_before_where_it_broke_off(text: str, ms: int) -> None:
    rest = rest_after(text, ms)
    assert text.endswith(rest)
    assert bool(rest) == bool(text)
    skipped = text[: len(text) - len(rest)]
    certain = heard_text(text, ms, max(1, len(text) * 90))
    assert len(skipped.rstrip()) <= len(certain) + 1, "nothing is left out that was not certainly spoken"


def test_it_begins_again_at_a_sentence_or_comma() -> None:
    text = "We have two free times. One is on Tuesday at ten, the other one on Friday at noon."
    assert rest_after(text, 0) == text
    assert rest_after(text, 1500) == text
    assert rest_after(text, 3500).startswith("One is on Tuesday")
    assert rest_after(text, 6500).startswith("the other one")
