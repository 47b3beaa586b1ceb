"""The ladder names the first rung that is missing, and why that is most likely so."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.calls import Call, Draft, Event, Mode, State, first_missing, fold, ladder
from engine.calls.call import Direction, Media
from engine.calls.ladder import expected
from tests.calls.stories import begun, drafts

START = 1_000_000


def make_call(
    direction: Direction = "outbound", mode: Mode = "conversation", media: Media = "stream", **rungs: int
) -> Call:
    return Call("c1", "mock", direction, mode, "+15550100", "+15550123", START, media=media, rungs=rungs)


def test_a_new_call_waits_for_its_first_rung_and_no_further() -> None:
    rungs = ladder(make_call(), START)
    assert [rung.state for rung in rungs] == ["waiting"] + ["open"] * (len(rungs) - 1)
    assert rungs[0].name == "dialled"
    assert first_missing(make_call(), START) is None


def test_a_rung_past_its_deadline_is_missing_and_says_why() -> None:
    """Pain A1."""
    call = make_call(dialled=START, accepted=START + 20, signed=START + 50)
    assert first_missing(call, START + 50 + 15_000) is None
    rung = first_missing(call, START + 50 + 15_001)
    assert rung is not None
    assert rung.name == "ringing"
    assert "ringing" in rung.why


def test_the_deadline_counts_from_the_last_rung_that_was_reached() -> None:
    call = make_call("inbound", signed=START + 10, document=START + 20, answered=START + 40_000)
    assert first_missing(call, START + 42_999) is None
    rung = first_missing(call, START + 43_001)
    assert rung is not None
    assert (rung.name, "stream path" in rung.why) == ("socket", True)


def test_a_rung_that_was_passed_over_is_not_missing() -> None:
    rungs = {rung.name: rung for rung in ladder(make_call(dialled=START, answered=START + 900), START + 1_000)}
    assert (rungs["ringing"].state, rungs["ringing"].at) == ("done", None)
    assert rungs["document"].state == "waiting"


def test_a_stranger_who_waits_hangs_nowhere_until_time_is_up() -> None:
    waits = make_call("inbound", waiting=START, signed=START + 20)
    assert first_missing(waits, START + 30_000) is None
    rung = first_missing(waits, START + 33_000)
    assert rung is not None and (rung.name, "let the caller in" in rung.why) == ("admitted", True)
    admitted = make_call("inbound", waiting=START, signed=START + 20, admitted=START + 12_000)
    rung = first_missing(admitted, START + 17_001)
    assert rung is not None and rung.name == "document"


@pytest.mark.parametrize(("state", "why"), [(State.BUSY, "ended first (busy)"), (State.COMPLETED, "ended first")])
def test_a_call_that_is_over_waits_for_nothing(state: State, why: str) -> None:
    rung = first_missing(replace(make_call(dialled=START), state=state), START + 1)
    assert rung is not None
    assert why in rung.why


def test_a_finished_ladder_misses_nothing() -> None:
    call = make_call(mode="notify")
    call = replace(call, rungs={name: START + n for n, (name, _) in enumerate(expected(call))}, state=State.COMPLETED)
    assert {rung.state for rung in ladder(call, START + 10**9)} == {"done"}


@pytest.mark.parametrize("direction", get_args(Direction))
@pytest.mark.parametrize("mode", get_args(Mode))
@pytest.mark.parametrize("media", get_args(Media))
def test_every_rung_of_every_kind_of_call_knows_its_likely_cause(
    direction: Direction, mode: Mode, media: Media
) -> None:
    call = make_call(direction, mode, media)
    for name, _ in expected(call):
        rung = first_missing(call, START + 10**9)
        assert rung is not None
        assert rung.name == name
        assert rung.why
        call = replace(call, rungs={**call.rungs, name: START})
    assert first_missing(call, START + 10**9) is None


@given(st.lists(drafts(), max_size=30), st.integers(0, 10**12))
def test_any_ladder_is_climbed_from_below(facts: list[Draft], now: int) -> None:
    # Recognition may be ready before the phone rings; it stands outside of the order.
    rungs = [rung for rung in ladder(fold(begun(facts))["c1"], now) if rung.name != "stt"]
    states = [rung.state for rung in rungs]
    done = states.count("done")
    assert states[:done] == ["done"] * done
    assert all(state in ("waiting", "missing", "open") for state in states[done : done + 1])
    assert states[done + 1 :] == ["open"] * len(states[done + 1 :])
    assert all(bool(rung.why) == (rung.state == "missing") for rung in rungs)


def test_recognition_that_was_ready_early_does_not_hide_where_a_call_hangs() -> None:
    start = Event(1, 0, "a", "call.initiated", {"provider": "mock", "direction": "outbound", "to": "+1555"})
    events = [
        start,
        Event(2, 1, "a", "call.dialing", {}),
        Event(3, 2, "a", "call.accepted", {"providerCallId": "CA1"}),
        Event(4, 3, "a", "speech.ready", {"engine": "local"}),
    ]
    call = fold(events)["a"]
    missing = first_missing(call, 60_000)
    assert missing is not None
    assert missing.name == "signed"
    assert "public URL" in missing.why


@pytest.mark.parametrize("direction", get_args(Direction))
@pytest.mark.parametrize("mode", get_args(Mode))
@pytest.mark.parametrize("media", ["native", "inline"])
def test_a_call_without_a_stream_waits_for_none(direction: Direction, mode: Mode, media: Media) -> None:
    names = {name for name, _ in expected(make_call(direction, mode, media))}
    assert not names & {"socket", "start", "caller", "stt"}
    assert {"answered", "heard"} <= names


def test_a_notice_that_went_with_the_dial_needs_no_document_and_no_words_of_the_caller() -> None:
    names = [name for name, _ in expected(make_call(mode="notify", media="inline"))]
    assert names == ["dialled", "accepted", "signed", "ringing", "answered", "voice", "heard"]


def test_a_conversation_with_the_carriers_voice_is_understood_and_answered() -> None:
    names = [name for name, _ in expected(make_call("inbound", media="native"))]
    assert names == ["signed", "document", "answered", "voice", "heard", "understood", "reply"]


def test_where_the_carrier_speaks_our_voice_engine_is_not_suspected() -> None:
    call = make_call("inbound", media="native", signed=START, document=START, answered=START)
    rung = first_missing(call, START + 5_001)
    assert rung is not None
    assert (rung.name, "engine" in rung.why) == ("voice", False)


def test_who_was_let_in_has_climbed_the_rungs_of_waiting() -> None:
    call = make_call("inbound", media="native", signed=START, waiting=START, admitted=START + 9_000)
    names = [name for name, _ in expected(call)]
    assert names[:5] == ["signed", "waiting", "admitted", "document", "answered"]
    rung = first_missing(call, START + 14_001)
    assert rung is not None and rung.name == "document"


def test_no_reply_is_missed_while_a_person_has_the_floor() -> None:
    call = make_call("inbound", understood=START)
    late = START + 60_000
    missing = first_missing(call, late)
    assert missing is not None and missing.name == "reply"
    assert first_missing(replace(call, floor="operator"), late) is None
    assert first_missing(replace(call, floor="held"), late) is None


def test_a_caller_who_is_put_through_misses_nothing_of_us() -> None:
    call = replace(make_call("inbound", answered=START), transferred_to="+15550100177")
    assert first_missing(call, START + 600_000) is None
    assert {rung.state for rung in ladder(call, START + 600_000)} == {"done"}


def test_a_live_call_that_hears_nothing_hangs_at_its_recognition_again() -> None:
    """Pain A9."""
    call = replace(
        make_call("inbound", signed=START, answered=START, caller=START, stt=START, heard=START), deaf=True
    )
    rung = first_missing(call, START)
    assert rung is not None and rung.name == "stt" and "nobody hears" in rung.why
    assert first_missing(replace(call, deaf=False), START) is None
    assert [rung.state for rung in ladder(replace(call, state=State.ERROR), START) if rung.name == "stt"] == ["done"]


def refused_call(**changes: Any) -> Call:
    call = replace(make_call("inbound", signed=START, waiting=START + 5), state=State.HANGUP_BOT, ended_by="engine")
    return replace(call, end_reason=State.HANGUP_BOT, ended_why="nobody let the caller in within 30 s", **changes)


def test_a_caller_who_was_refused_is_shown_so_and_the_ladder_says_why_in_words() -> None:
    call = refused_call()
    assert (call.shown, call.to_json()["refused"]) == ("refused", "nobody let the caller in within 30 s")
    assert call.to_json()["endReason"] == "hangup-bot", "by contract"
    rung = first_missing(call, START + 40_000)
    assert rung is not None and rung.why == "the caller was refused: nobody let the caller in within 30 s"
    assert refused_call(answered_at=START + 9).shown == "hangup-bot"
    gave_up = replace(call, ended_by="caller", state=State.HANGUP_USER)
    assert gave_up.refused == ""
    rung = first_missing(gave_up, START + 40_000)
    assert rung is not None and "hangup" not in rung.why


def test_a_caller_who_was_put_through_is_shown_so() -> None:
    call = replace(make_call(), state=State.LISTENING, transferred_to="+15550100177")
    assert (call.to_json()["state"], call.to_json()["shown"]) == ("listening", "transferred")
