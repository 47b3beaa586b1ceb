from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.simulator.model import CallState, IllegalMove, Reason, Status, webhook_body

NEW = CallState("CA1", 1, "outbound", "+15550100000", "+15550100151", 1000, client_ref="ours")
RINGING = NEW.moved(Status.RINGING, 1100)
ANSWERED = RINGING.moved(Status.IN_PROGRESS, 1200)


@given(st.lists(st.sampled_from(list(Status)), max_size=8))
def test_a_call_that_is_over_never_moves_again(moves: list[Status]) -> None:
    call = NEW
    for status in moves:
        try:
            moved = call.moved(status, 5000, "hangup-api")
        except IllegalMove:
            continue
        assert not call.status.over
        call = moved
    assert (call.ended_at is not None) == call.status.over


@pytest.mark.parametrize(
    ("call", "reason", "status"),
    [
        (NEW, "hangup-api", Status.CANCELED),
        (RINGING, "hangup-api", Status.CANCELED),
        (RINGING, "busy", Status.BUSY),
        (RINGING, "no-answer", Status.NO_ANSWER),
        (RINGING, "no-document", Status.FAILED),
        (ANSWERED, "hangup-person", Status.COMPLETED),
        (ANSWERED, "time-limit", Status.COMPLETED),
        (ANSWERED, "stream-lost", Status.FAILED),
    ],
)
def test_how_a_call_ends_depends_on_where_it_stands(call: CallState, reason: Reason, status: Status) -> None:
    ending = call.ending(reason)
    assert ending.status is status
    assert call.moved(ending.status, 2000, ending.reason).to_json()["reason"] == reason


def test_a_webhook_body_names_the_call_and_its_own_place() -> None:
    assert webhook_body(ANSWERED, "EV1", "call.answered", 3, 1200, document_wanted=True) == {
        "id": "EV1",
        "type": "call.answered",
        "sequence": 3,
        "at": 1200,
        "call": {
            "id": "CA1",
            "client_ref": "ours",
            "direction": "outbound",
            "from": "+15550100000",
            "to": "+15550100151",
            "status": "in-progress",
        },
        "document_wanted": True,
    }
