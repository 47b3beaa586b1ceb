"""A transfer as facts: told once, in order, whoever tells it first."""

from __future__ import annotations

import pytest

from engine.calls import Call, State
from engine.carriers.base import CarrierEvent
from engine.live.transfer import Handover, over

CALL = Call("c1", "fake", "inbound", "conversation", "+15550100142", "+15550100000", 1, provider_call_id="CA1")
TO = "+15550100177"


def end(*, reached: bool, detail: str = "") -> CarrierEvent:
    return CarrierEvent("transfer_over", "CA1", reached=reached, detail=detail)


def test_a_caller_is_with_us_until_a_transfer_begins_and_again_after_it() -> None:
    handover = Handover()
    assert not handover.away
    handover.begin(TO, "cli")
    assert handover.away
    handover.end()
    assert not handover.away and handover.facts("c1") == []


def test_a_transfer_is_one_fact() -> None:
    handover = Handover()
    handover.begin(TO, "console")
    (fact,) = handover.facts("c1")
    assert (fact.type, fact.call_id, fact.data) == ("call.transferred", "c1", {"to": TO, "by": "console"})
    assert handover.facts("c1") == []


def test_a_transfer_that_the_log_has_already_is_not_told_again_after_a_restart() -> None:
    handover = Handover(TO)
    assert handover.away and handover.facts("c1") == []


def test_an_end_that_comes_first_brings_the_transfer_with_it() -> None:
    handover = Handover()
    handover.begin(TO, "cli")
    assert [fact.type for fact in over(CALL, end(reached=False, detail="busy"), handover)] == [
        "call.transferred",
        "call.returned",
    ]
    handover = Handover()
    handover.begin(TO, "cli")
    facts = over(CALL, end(reached=True), handover)
    assert [fact.type for fact in facts] == ["call.transferred", "call.ended"]
    assert facts[-1].data == {
        "reason": State.COMPLETED.value,
        "by": "carrier",
        "detail": f"the caller was put through to {TO}",
    }


@pytest.mark.parametrize(("detail", "why"), [("no-answer", "no-answer"), ("", "not reached")])
def test_a_caller_who_comes_back_brings_the_reason(detail: str, why: str) -> None:
    (fact,) = over(CALL, end(reached=False, detail=detail), Handover(TO))
    assert fact.data == {"why": why, "to": TO}


def test_the_end_of_a_transfer_that_nobody_knows_of_is_harmless() -> None:
    (fact,) = over(CALL, end(reached=False, detail="busy"), None)
    assert (fact.type, fact.data["to"]) == ("call.returned", "")
