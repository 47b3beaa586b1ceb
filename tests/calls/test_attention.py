"""Who needs a person is found from the log alone, with the reason, and stays quiet once somebody has seen it."""

from __future__ import annotations

from typing import Any

import pytest

from engine.calls import fold
from engine.calls.attention import HELD_MS, SILENT_MS, TALKING_MS, UNANSWERED_MS, Need, needs
from tests.console.scripted import Script


def found(script: Script, after: int = 0, call_id: str = "c") -> list[Need]:
    return list(needs(fold(script.events)[call_id], script.at + after))


def kinds(script: Script, after: int = 0) -> list[str]:
    return [need.kind for need in found(script, after)]


@pytest.fixture
def script() -> Script:
    made = Script()
    made.talking("c")
    made.hears("c", "I would like to move my appointment to Thursday morning.")
    made.say("c", "s1", "Of course. Which time suits you?")
    made.turn("c", 1, 200, 90, 140, 40, 110, 20, 60)
    return made


def test_a_call_that_goes_well_needs_nobody(script: Script) -> None:
    assert kinds(script) == []


@pytest.mark.parametrize(
    ("type_", "data", "kind"),
    [
        ("stream.lost", {"why": "the connection was lost"}, "stream-lost"),
        ("speech.failed", {"engine": "local", "error": "it died"}, "deaf"),
        ("reply.failed", {"turn": 2, "error": "the model is out of reach"}, "reply-failed"),
        ("call.error", {"code": "x", "message": "the carrier is unhappy"}, "error"),
        ("call.near_limit", {"secondsLeft": 30}, "near-limit"),
        ("call.returned", {"why": "nobody answered"}, "returned"),
    ],
)
def test_what_the_log_tells_is_a_reason(script: Script, type_: str, data: dict[str, Any], kind: str) -> None:
    script.add(type_, "c", **data)
    assert kinds(script) == [kind]


def test_a_reason_goes_when_its_cause_does(script: Script) -> None:
    script.add("stream.lost", "c", why="gone")
    script.add("speech.failed", "c", engine="local", error="it died")
    script.add("reply.failed", "c", turn=2, error="no")
    script.add("stream.resumed", "c")
    script.add("speech.ready", "c", engine="local")
    script.say("c", "s2", "Here I am again.")
    assert kinds(script) == []


@pytest.mark.parametrize(
    "text",
    [
        "Can I speak to a real person please?",
        "I want to talk to a human.",
        "Operator!",
        "Could you put me through to your manager?",
        "I need a representative.",
        "Am I talking to a machine?",
    ],
)
def test_a_caller_who_asks_for_a_person_is_noticed_until_one_takes_the_call(script: Script, text: str) -> None:
    script.hears("c", text, 2)
    assert "wants-person" in kinds(script)
    script.add("floor.changed", "c", holder="operator", by="console")
    assert "wants-person" not in kinds(script)


@pytest.mark.parametrize(
    "text",
    ["It is for two persons.", "My washing machine is broken.", "The table is for one person at eight."],
)
def test_words_about_persons_and_machines_are_no_such_wish(script: Script, text: str) -> None:
    script.hears("c", text, 2)
    assert "wants-person" not in kinds(script)


def test_a_caller_who_says_the_same_again(script: Script) -> None:
    script.hears("c", "I'd like to move my appointment to Thursday morning.", 2)
    assert kinds(script) == ["repeats"]
    script.hears("c", "Nine o'clock would be very good for me.", 3)
    assert kinds(script) == []
    script.hears("c", "Yes.", 4)
    script.hears("c", "Yes.", 5)
    assert kinds(script) == []


def test_silence_counts_and_a_caller_who_talks_is_not_silent(script: Script) -> None:
    assert kinds(script, SILENT_MS) == [] and kinds(script, SILENT_MS + 1) == ["silent"]
    script.add("speech.started", "c")
    assert kinds(script, SILENT_MS + 1) == []
    assert kinds(script, TALKING_MS + 1) == ["silent"]


def test_an_agent_who_does_not_answer_or_is_slow_again_and_again(script: Script) -> None:
    script.hears("c", "Nine would be good.", 2)
    assert kinds(script, UNANSWERED_MS) == [] and kinds(script, UNANSWERED_MS + 1) == ["unanswered"]
    script.say("c", "s2", "Nine it is.")
    script.turn("c", 2, 900, 90, 2000, 40, 110, 20, 60)
    assert kinds(script) == []
    script.turn("c", 3, 900, 90, 2000, 40, 110, 20, 60)
    assert kinds(script) == ["slow"]


def test_a_hold_that_lasts(script: Script) -> None:
    script.add("floor.changed", "c", holder="held", by="console")
    assert "held" not in kinds(script, HELD_MS) and "held" in kinds(script, HELD_MS + 1)


def test_what_somebody_has_seen_is_quiet_until_it_happens_anew(script: Script) -> None:
    script.add("stream.lost", "c", why="gone")
    script.add("attention.acknowledged", "c", by="console")
    (need,) = found(script)
    assert need.quiet
    script.add("reply.failed", "c", turn=2, error="no")
    assert [(need.kind, need.quiet) for need in found(script)] == [("reply-failed", False), ("stream-lost", True)]
    script.add("stream.lost", "c", why="again")
    assert [need.kind for need in found(script) if not need.quiet] == ["stream-lost", "reply-failed"]


def test_a_stranger_who_waits_comes_before_all_and_a_call_that_is_over_needs_nobody() -> None:
    made = Script()
    made.add("call.initiated", "c", provider="mock", direction="inbound", mode="conversation", from_="+1", to="+2")
    made.add("call.waiting", "c", seconds=30, earlier=0)
    (need,) = found(made)
    assert (need.kind, need.rank) == ("waiting", 0)
    made.ended("c")
    assert found(made) == []
