"""Plivo's causes, statuses, records and REST failures in our words."""

from __future__ import annotations

from typing import Any

import pytest

from engine.calls import State
from engine.carriers.base import LostDial
from engine.carriers.plivo_account import (
    Account,
    Application,
    OwnNumber,
    PlivoCall,
    application_id,
    ended_call,
    epoch_of,
    live_call,
    lost_call,
    request_id,
    to_status,
)
from engine.carriers.plivo_errors import end_of, explain, from_status, is_end
from engine.carriers.plivo_setup import change, clock, credentials, ours

NOW = 1_795_000_000_000


@pytest.mark.parametrize(
    ("code", "status", "answered", "reason"),
    [
        ("4000", "completed", True, State.COMPLETED),
        ("4010", "completed", True, State.COMPLETED),
        ("6000", "completed", True, State.TIMEOUT),
        ("3010", "busy", False, State.BUSY),
        ("3100", "failed", False, State.BUSY),
        ("3000", "no-answer", False, State.NO_ANSWER),
        ("6010", "timeout", False, State.NO_ANSWER),
        ("1000", "cancel", False, State.HANGUP_BOT),
        ("9100", "machine", True, State.VOICEMAIL),
        ("3020", "failed", False, State.FAILED),
        ("7011", "completed", True, State.FAILED),
        ("8011", "completed", True, State.FAILED),
        ("1010", "failed", False, State.FAILED),
        ("2345", "failed", False, State.FAILED),
        ("", "busy", False, State.BUSY),
        ("", "timeout", False, State.NO_ANSWER),
        ("x", "unheard of", True, State.COMPLETED),
        ("x", "unheard of", False, State.FAILED),
    ],
)
def test_every_cause_is_an_end_of_ours(code: str, status: str, answered: bool, reason: State) -> None:
    assert end_of(code, status, answered=answered) is reason


def test_what_is_out_of_the_ordinary_is_explained() -> None:
    assert "public_url" in explain("7011") and "credit" in explain("1010") and explain("4000") == explain("") == ""
    assert is_end("no-answer") and is_end("COMPLETED") and not is_end("ringing")


@pytest.mark.parametrize(
    ("status", "intent", "kind"),
    [
        (400, "dial", "refused"),
        (401, "dial", "refused"),
        (403, "dial", "refused"),
        (404, "dial", "refused"),
        (404, "again", "gone"),
        (429, "dial", "retry"),
        (500, "dial", "unknown"),
        (503, "once", "unknown"),
        (503, "again", "retry"),
        (302, "dial", "refused"),
    ],
)
def test_a_failed_request_means_what_its_purpose_makes_of_it(status: int, intent: Any, kind: str) -> None:
    for body in (b'{"api_id": "1", "error": "no"}', b"<html>", b"", b'{"error": {"error": "no"}}'):
        error = from_status(status, body, "place the call", intent)
        assert error.kind == kind and error.code == str(status) and "place the call" in str(error)


def record(**more: Any) -> dict[str, Any]:
    base = {
        "call_uuid": "u1",
        "call_direction": "outbound",
        "from_number": "+15550100000",
        "to_number": "15550100100",
    }
    times = {"initiation_time": "2026-11-25 14:13:20+05:30", "answer_time": None, "call_duration": 0}
    return {**base, **times, "hangup_cause_code": 3010, **more}


def test_a_call_is_read_from_each_of_its_three_places() -> None:
    live = live_call({"call_uuid": "u1", "call_status": "in-progress", "from": "+15550100000", "to": "15550100100"})
    assert live is not None and live.live and live.answered and live.to_number == "+15550100100"
    queued = live_call({"request_uuid": "r1", "direction": "outbound"}, queued=True)
    assert queued is not None and (queued.call_uuid, queued.status) == ("r1", "queued")
    over = ended_call(record())
    assert over is not None and to_status(over).reason is State.BUSY and not to_status(over).live
    assert over.made_at == epoch_of("2026-11-25 08:43:20"), "what has no zone is UTC"
    assert live_call({}) is None and ended_call({}) is None and epoch_of("never") is None


def test_a_lost_dial_is_the_nearest_call_between_its_numbers_that_is_nobody_elses() -> None:
    lost = LostDial("c1", "+15550100000", "+15550100100", NOW, frozenset({"owned", "owned-request"}))

    def call(uuid: str, at: int | None, **more: Any) -> PlivoCall:
        base = {"direction": "outbound", "from_number": "+15550100000", "to_number": "+15550100100"}
        return PlivoCall(uuid, True, made_at=at, **{**base, **more})

    others = [
        call("owned", NOW),
        call("x", NOW, request_uuid="owned-request"),
        call("inbound", NOW, direction="inbound"),
        call("elsewhere", NOW, to_number="+15550100101"),
        call("old", NOW - 60_000),
        call("late", NOW + 120_000),
    ]
    assert lost_call(others, lost, 0) is None
    assert lost_call([*others, call("far", NOW + 9000), call("near", NOW + 900)], lost, 0) == "near"
    assert lost_call([call("ahead", NOW + 300_000)], lost, 300_000) == "ahead"


def test_ids_come_single_in_lists_and_at_the_end_of_paths() -> None:
    assert request_id("r1") == request_id(["r1", "r2"]) == "r1" and request_id([]) == request_id(None) == ""
    assert application_id("/v1/Account/MA1/Application/123/") == "123" and application_id(None) == ""


def test_an_application_is_changed_only_where_it_says_something_else() -> None:
    url = "https://calls.example.com/voice/webhook"
    right = Application("1", "mine", url, "POST", f"{url}?type=status", "POST")
    assert change(OwnNumber("+15550100000", True, "1", right), url) is None
    assert ours(f"{url}?a=b").hangup.url == f"{url}?a=b&type=status"
    new = change(OwnNumber("+15550100000", True), url)
    assert (
        new is not None and new.app_id == "" and "a new application voicecall-15550100000" in "\n".join(new.lines())
    )


def test_the_account_and_the_clock_are_judged() -> None:
    assert credentials(Account("MA1", "me", "standard", "")).ok
    assert not credentials(Account("MA1", "me", "standard", "-1.0")).ok
    assert clock(2000).ok and not clock(-40_000).ok and "ahead" in clock(-40_000).message
