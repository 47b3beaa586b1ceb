"""Where a call got stuck and why: what the log knows comes before what is usually so."""

from __future__ import annotations

from dataclasses import replace
from functools import reduce
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.calls import Around, Call, Clues, Diagnosis, Event, State, clue, diagnose, surround
from engine.calls.diagnosis import AFTER_MS
from tests.calls.stories import hostile_data

START = 1_000_000
LATER = START + 100_000
BEGUN = {"dialled": START, "accepted": START + 10}
UP = {**BEGUN, "signed": START + 50, "ringing": START + 60, "answered": START + 900, "document": START + 950}
STREAMED = {**UP, "socket": START + 990, "start": START + 995, "caller": START + 999}


def call(rungs: dict[str, int], end: State | None = None, **more: Any) -> Call:
    made = Call("c1", "twilio", "outbound", "conversation", "+15550100", "+15550123", START, rungs=rungs, **more)
    return made if end is None else replace(made, state=end, end_reason=end, ended_at=START + 5_000)


def event(type_: str, at: int = START + 100, **data: Any) -> Event:
    return Event(1, at, None, type_, data)


def found(of: Call, *events: Event) -> Diagnosis:
    return diagnose(of, reduce(clue, events, Clues()), reduce(surround, events, Around()), LATER)


REFUSED = event("webhook.received", verdict="refused", why="signed with another auth token", type="")
SOCKET = event("webhook.received", verdict="refused", why="the signature fits wss://other", type="media socket")
DEAD = event("exposure.probed", START - 50_000, ok=False, error="the certificate has expired", fix="renew it")
ALIVE = event("exposure.probed", START - 40_000, ok=True)
NOTED = event(
    "call.error", code="carrier_error", message="our media socket", carrierCode="31920", link="https://x/31920"
)


@pytest.mark.parametrize(
    ("rungs", "events", "rung", "words", "fix"),
    [
        (BEGUN, (REFUSED,), "signed", "a webhook was refused: signed with another auth token", "webhook desk"),
        (BEGUN, (DEAD,), "signed", "the public address did not work: the certificate has expired", "renew it"),
        (BEGUN, (DEAD, REFUSED), "signed", "a webhook was refused", "webhook desk"),
        (BEGUN, (DEAD, ALIVE), "signed", "no webhook with a valid signature", "setup --online"),
        (BEGUN, (), "signed", "no webhook with a valid signature", "setup --online"),
        (UP, (SOCKET,), "socket", "the media socket was refused: the signature fits wss://other", "webhook desk"),
        (UP, (REFUSED,), "socket", "no media socket was opened", "setup --online"),
        (UP, (NOTED,), "socket", "our media socket (31920)", "see https://x/31920"),
        (
            UP,
            (event("stream.refused", why="the stream token is not valid"),),
            "socket",
            "the media socket was refused: the stream token is not valid",
            "voicecall.log",
        ),
        (
            STREAMED,
            (event("speech.failed", error="no model", hint="pip install it"),),
            "stt",
            "no model. pip install it",
            "voicecall setup",
        ),
        (
            {**STREAMED, "stt": START + 1000},
            (event("say.failed", error="the voice is not there"),),
            "voice",
            "the voice is not there",
            "voicecall setup",
        ),
        (
            {**STREAMED, "stt": START, "voice": START + 1000, "heard": START + 2000, "understood": START + 3000},
            (event("reply.failed", error="the model did not answer"),),
            "reply",
            "the model did not answer",
            "response",
        ),
    ],
)
def test_the_likeliest_cause_of_a_missing_step(
    rungs: dict[str, int], events: tuple[Event, ...], rung: str, words: str, fix: str
) -> None:
    told = found(call(rungs), *events)
    assert told.rung is not None and (told.rung.name, told.ok) == (rung, False)
    assert words in told.why and fix in told.fix


def test_what_else_was_found_is_told_beside_the_cause() -> None:
    told = found(call(BEGUN), REFUSED, DEAD, NOTED)
    assert told.why.startswith("a webhook was refused")
    assert [words for words in told.also if "expired" in words] and [words for words in told.also if "31920" in words]


def test_an_address_that_dies_while_the_call_lasts_counts_and_one_that_died_long_after_does_not() -> None:
    over = call(BEGUN, State.ERROR)
    soon = event("exposure.probed", START + 60_000, ok=False, error="it refuses connections", fix="start it")
    assert "refuses connections" in found(over, ALIVE, soon).why
    late = replace(soon, at=START + 5_000 + AFTER_MS + 1)
    assert "refuses connections" not in found(over, ALIVE, late).why


def test_a_refusal_of_another_time_is_no_clue() -> None:
    assert not found(call(BEGUN), replace(REFUSED, at=START - 60_000)).known


def test_a_recogniser_that_came_back_is_no_reason() -> None:
    failed, back = event("speech.failed", error="gone"), event("speech.ready", engine="local")
    assert not found(call(STREAMED), failed, back).known


@pytest.mark.parametrize(
    ("rungs", "end", "words"),
    [
        ({**BEGUN, "signed": START + 20}, State.BUSY, "the number was busy"),
        ({**BEGUN, "signed": START + 20}, State.NO_ANSWER, "nobody answered"),
        ({**STREAMED, "stt": START, "voice": START, "heard": START + 2000}, State.HANGUP_USER, "nothing failed"),
        (
            {**STREAMED, "stt": START, "voice": START, "heard": START, "understood": START, "reply": START},
            State.COMPLETED,
            "every step was reached",
        ),
    ],
)
def test_a_call_that_ended_well_is_not_called_broken(rungs: dict[str, int], end: State, words: str) -> None:
    told = found(call(rungs, end), DEAD, ALIVE)
    assert told.ok and words in told.why


def test_a_caller_whom_nobody_heard_is_not_a_good_end() -> None:
    assert not found(call(UP, State.HANGUP_USER)).ok


kinds = st.sampled_from(["call.error", "webhook.received", "exposure.probed", "stream.refused", "call.ended"])


@given(st.lists(st.tuples(kinds, hostile_data), max_size=80))
def test_hostile_facts_never_raise_and_stay_bounded(facts: list[tuple[str, dict[str, Any]]]) -> None:
    events = [Event(1, START + 100, None, type_, data) for type_, data in facts]
    told = found(call(BEGUN), *events)
    assert told.to_json()["ok"] is False
    around = reduce(surround, events * 3, Around())
    assert len(around.refused) <= 50 and len(around.outside) <= 50
