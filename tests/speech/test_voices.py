from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from engine.speech.tts.pieces import PIECE_CHARS, pieces
from engine.speech.tts.voices import speakable

LONG = " ".join(f"This is sentence number {number} of a long announcement." for number in range(20))


def test_what_pico_can_not_take_is_removed() -> None:
    assert speakable('a\0b <pitch level="9"> \u202ec & d\\x \ud800') == 'a b pitch level="9" c and d x'


def test_a_long_text_is_cut_at_sentences_and_nothing_is_lost() -> None:
    cut = list(pieces(LONG))
    assert all(len(piece) <= PIECE_CHARS and piece.endswith(".") for piece in cut)
    assert " ".join(cut) == LONG
    assert "".join(pieces("x" * 1000)) == "x" * 1000


@given(st.text(max_size=1000))
def test_any_text_becomes_printable_pieces_of_bounded_length(text: str) -> None:
    clean = speakable(text)
    assert clean.isprintable() and not set("<>&\\\0") & set(clean)
    assert "".join(pieces(clean)).replace(" ", "") == clean.replace(" ", "")
    assert all(0 < len(piece) <= PIECE_CHARS for piece in pieces(clean))
