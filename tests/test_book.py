"""The engine's calls are the fold of the log, and found by either id."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.book import CallBook
from engine.calls import Draft, Event, fold
from tests.calls.stories import drafts, numbered


def begin(call_id: str, provider_call_id: str = "") -> list[Draft]:
    facts = [Draft("call.initiated", call_id, {"provider": "mock", "direction": "outbound"})]
    if provider_call_id:
        facts.append(Draft("call.accepted", call_id, {"providerCallId": provider_call_id}))
    return facts


def end(call_id: str) -> Draft:
    return Draft("call.ended", call_id, {"reason": "completed"})


def test_a_call_is_found_by_our_id_and_by_the_carriers() -> None:
    book = CallBook()
    book.take(numbered(begin("a", "CA1") + begin("b")))
    found = book.get("a")
    assert found is not None
    assert book.get("CA1") is found is book.by_carrier("CA1")
    assert book.by_carrier("a") is None
    assert book.by_carrier("") is None
    assert book.get("nobody") is None


def test_changes_are_told_with_what_was_before() -> None:
    book = CallBook()
    changes = book.take(numbered([*begin("a", "CA1"), end("a"), Draft("call.ringing", "a")]))
    assert [(before and before.state.value, after.state.value) for before, after in changes] == [
        (None, "initiated"),
        ("initiated", "initiated"),
        ("initiated", "completed"),
    ]


def test_facts_of_no_call_or_of_an_unknown_one_change_nothing() -> None:
    book = CallBook()
    assert book.take(numbered([Draft("engine.started", None), Draft("call.ringing", "nobody")])) == []
    assert book.all() == []


def test_live_calls_come_in_the_order_in_which_they_began() -> None:
    book = CallBook()
    book.take(numbered([*begin("a"), *begin("b"), *begin("c"), end("b"), Draft("call.ringing", "a")]))
    assert [call.call_id for call in book.live()] == ["a", "c"]


def test_the_oldest_ended_calls_are_forgotten_and_live_ones_never(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pain F12."""
    monkeypatch.setattr("engine.book.KEEP_ENDED", 3)
    book = CallBook()
    book.take(numbered(begin("live", "CAlive")))
    for number in range(10):
        book.take(numbered([*begin(f"c{number}", f"CA{number}"), end(f"c{number}")]))
    assert [call.call_id for call in book.all()] == ["live", "c7", "c8", "c9"]
    assert book.by_carrier("CA0") is None
    assert book.by_carrier("CA9") is not None
    assert book.get("CAlive") is not None


@given(
    st.lists(st.sampled_from(["c1", "c2"]).flatmap(lambda call_id: drafts(call_id=call_id)), max_size=40), st.data()
)
def test_however_the_log_is_cut_into_batches_the_book_is_its_fold(facts: list[Draft], data: st.DataObject) -> None:
    events: list[Event] = numbered([*begin("c1"), *begin("c2"), *facts])
    book = CallBook()
    at = 0
    while at < len(events):
        size = data.draw(st.integers(1, 10))
        book.take(events[at : at + size])
        at += size
    assert {call.call_id: call for call in book.all()} == fold(events)
