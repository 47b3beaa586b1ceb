"""What happened is said in words that a person would use."""

from __future__ import annotations

import pytest

from console.words import STATE_LOOKS, by_text, ended_text
from engine.calls import State
from engine.calls.state import END_REASONS


@pytest.mark.parametrize(
    ("reason", "by", "detail", "words"),
    [
        (State.HANGUP_USER, "caller", "hangup-person", "the caller hung up"),
        (State.HANGUP_BOT, "console", "", "ended by the console"),
        (State.HANGUP_BOT, "cli", "", "ended by the command line"),
        (State.HANGUP_BOT, "", "", "ended"),
        (State.VOICEMAIL, "carrier", "", "an answering machine took the call"),
        (State.NO_ANSWER, "carrier", "no-answer", "nobody answered"),
        (State.FAILED, "carrier", "the number is not in service", "the call failed: the number is not in service"),
    ],
)
def test_an_end_is_said_in_words(reason: State, by: str, detail: str, words: str) -> None:
    assert ended_text(reason, by, detail) == words


def test_every_end_has_words_of_its_own_without_its_code() -> None:
    said = {ended_text(reason, "", "") for reason in END_REASONS}
    assert len(said) == len(END_REASONS)
    assert not any("hangup" in words or "-" in words for words in said)


def test_hostile_names_stay_one_short_line() -> None:
    assert by_text("\x1b[2Jevil\n" + "x" * 100) == " by evil " + "x" * 34 + "…"


def test_states_are_spelt_out_where_there_is_room() -> None:
    assert STATE_LOOKS[State.VOICEMAIL].full == "answering machine"
    assert STATE_LOOKS[State.NO_ANSWER].full == "nobody answered"
    assert STATE_LOOKS[State.BUSY].full == "busy"
