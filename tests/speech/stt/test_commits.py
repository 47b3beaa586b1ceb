"""Items of a vendor become utterances of ours, whatever order their texts come in."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.speech.ports import Final
from engine.speech.stt.commits import (
    GRACE_SECONDS,
    MAX_ITEMS,
    ORDER_SECONDS,
    QUIET_SECONDS,
    Commits,
    TooManyItems,
)


@dataclass(frozen=True)
class Piece:
    """One item: its text, or None for one whose transcription fails."""

    text: str | None


PIECES = st.builds(Piece, st.none() | st.sampled_from(["yes", "no", "", " thursday "]))
WORDS = st.lists(st.lists(PIECES, max_size=3), min_size=1, max_size=5)
"""Utterances, each as its pieces. The last one our commit made, the others the vendor's detector; none: refused."""


@given(WORDS, st.randoms(use_true_random=False), st.booleans())
def test_every_utterance_has_all_its_pieces_in_order_whatever_comes_when(
    utterances: list[list[Piece]], chance: Random, doubled: bool
) -> None:
    commits = Commits(vendor_commits=True)
    finals: list[Final] = []
    settling: list[tuple[str, Piece]] = []
    before = None

    def settle(everything: bool) -> None:
        """Some of the texts come, in any order."""
        chance.shuffle(settling)
        while settling and (everything or chance.random() < 0.5):
            item, piece = settling.pop()
            if piece.text is None:
                commits.failed(item, "no words")
            else:
                commits.completed(item, piece.text)
            finals.extend(commits.released())

    for number, pieces in enumerate(utterances, 1):
        for index, piece in enumerate(pieces):
            ours = index == len(pieces) - 1
            if ours:
                commits.asked(number, 0, 0.0)
            item = f"{number}.{index}"
            for _ in range(1 + doubled):
                commits.committed(item, before, 0.0, by_vendor=not ours)
            before = item
            settling.append((item, piece))
            settle(False)
        if not pieces:
            commits.asked(number, 0, 0.0)
            commits.refused(number)
        settle(False)
        finals.extend(commits.released())
    settle(True)
    finals.extend(commits.released())
    assert [final.utterance for final in finals] == list(range(1, len(utterances) + 1))
    assert [final.text for final in finals] == [
        " ".join(piece.text.strip() for piece in pieces if piece.text and piece.text.strip()) for pieces in utterances
    ]
    failed = [any(piece.text is None for piece in pieces) for pieces in utterances]
    assert [bool(final.error) for final in finals] == failed
    assert commits.idle


def test_items_are_chained_by_the_one_before_when_their_commits_are_told_out_of_order() -> None:
    commits = Commits()
    for number in (1, 2, 3):
        commits.asked(number, 0, 0.0)
    commits.committed("a", None, 0.0)
    commits.committed("c", "b", 0.0)
    commits.committed("b", "a", 0.0)
    for item in "cab":
        commits.completed(item, item.upper())
    assert [final.text for final in commits.released()] == ["A", "B", "C"]


def test_an_item_whose_forerunner_never_comes_is_taken_all_the_same() -> None:
    commits = Commits()
    commits.asked(1, 0, 0.0)
    commits.committed("a", None, 0.0)
    commits.completed("a", "one")
    assert [final.text for final in commits.released()] == ["one"]
    commits.asked(2, 0, 1.0)
    commits.committed("c", "lost", 1.0)
    commits.completed("c", "two")
    commits.tick(1.0 + ORDER_SECONDS / 2)
    assert list(commits.released()) == []
    commits.tick(1.0 + ORDER_SECONDS)
    assert [final.text for final in commits.released()] == ["two"]


def test_a_commit_of_the_vendors_that_crosses_ours_waits_for_ours_for_a_moment() -> None:
    commits = Commits(vendor_commits=True)
    commits.asked(1, 0, 0.0)
    commits.committed("a", None, 0.1, by_vendor=True)
    commits.completed("a", "one")
    commits.tick(0.1 + GRACE_SECONDS / 2)
    assert list(commits.released()) == []
    commits.tick(0.1 + GRACE_SECONDS)
    assert list(commits.released()) == [Final("one", 1)]


def test_a_commit_that_is_never_answered_ends_its_utterance_where_nothing_was_found() -> None:
    commits = Commits(vendor_commits=True)
    commits.asked(1, 40, 0.0)
    commits.tick(QUIET_SECONDS)
    assert list(commits.released()) == [Final("", 1, 40)]


def test_words_that_are_not_committed_yet_are_waited_for() -> None:
    commits = Commits(vendor_commits=True)
    commits.delta("a", "so")
    commits.asked(1, 0, 0.0)
    commits.tick(10 * QUIET_SECONDS)
    assert list(commits.released()) == [] and commits.waiting_since == 0.0
    assert not commits.complete and not commits.idle


def test_partials_are_of_what_is_being_said_and_not_of_what_is_over() -> None:
    commits = Commits()
    commits.delta("a", "good ")
    commits.delta("a", "morning")
    assert commits.partial() == "good morning"
    commits.asked(1, 0, 0.0)
    assert commits.partial() == ""
    commits.committed("a", None, 0.0)
    commits.delta("b", "and")
    assert commits.partial() == "and"
    commits.completed("a", "Good morning.")
    assert [final.text for final in commits.released()] == ["Good morning."]
    commits.delta("a", "late")
    commits.completed("a", "later")
    assert commits.partial() == "and"


def test_a_vendor_that_stops_transcribing_does_not_fill_the_memory() -> None:
    commits = Commits()
    for index in range(MAX_ITEMS):
        commits.committed(f"{index}", None, 0.0)
    with pytest.raises(TooManyItems):
        commits.delta("one more", "x")


def test_an_error_about_a_commit_ends_that_utterance_and_says_why() -> None:
    commits = Commits()
    commits.asked(1, 0, 0.0)
    commits.asked(2, 0, 0.0)
    commits.refused(2, "odd")
    assert list(commits.released()) == []
    commits.refused(None)
    assert list(commits.released()) == [Final("", 1), Final("", 2, error="odd")]
    commits.refused(None)  # nobody waits
