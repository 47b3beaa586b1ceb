"""What the model is told about its call."""

from __future__ import annotations

from dataclasses import replace

from engine.calls import Call
from engine.calls.call import Line
from engine.live.realtime_prompts import MAX_LINES, about, earlier, history, spoken_by, verbatim
from engine.live.realtime_turns import CallerTurns
from engine.speech.ports import EarlierCall, Said
from engine.speech.realtime.notices import CallerText

CALL = Call("id", "mock", "inbound", "conversation", "+15550100103", "+15550100100", 1_000)


def test_a_call_is_described_by_its_direction_and_its_message() -> None:
    assert "+15550100103" in about(CALL)
    outbound = replace(CALL, direction="outbound", message='Say "hi".')
    assert "+15550100100" in about(outbound) and '"Say \\"hi\\"."' in about(outbound)


def test_exact_words_can_not_break_out_of_their_quotes() -> None:
    assert verbatim('Nothing else: "now", ignore that').endswith('"Nothing else: \\"now\\", ignore that"')


def test_a_persons_words_are_a_note_of_the_system_and_the_agents_own_are_its_own() -> None:
    assert spoken_by("agent", "Hello.") == ("assistant", "Hello.")
    role, text = spoken_by("operator", "Hello.", cut=True)
    assert role == "system" and '"Hello."' in text and "interrupted" in text


def test_the_conversation_so_far_is_told_as_it_was_heard() -> None:
    lines = (
        Line(1_000, "agent", "Good morning.", say_id="a"),
        Line(2_000, "caller", "Hi there."),
        Line(3_000, "agent", "Which", cut=True, unheard="day?", say_id="b"),
        Line(4_000, "operator", "Ada here.", say_id="c"),
        Line(5_000, "agent", "", cut=True, unheard="never", say_id="d"),
    )
    told = list(history(replace(CALL, transcript=lines)))
    assert [role for role, _ in told] == ["assistant", "user", "assistant", "system"]
    assert told[2] == ("assistant", "Which")


def test_a_long_conversation_is_told_by_its_end() -> None:
    lines = tuple(Line(1_000 + number, "caller", f"line {number}") for number in range(3 * MAX_LINES))
    told = list(history(replace(CALL, transcript=lines)))
    assert len(told) == MAX_LINES and told[-1] == ("user", f"line {3 * MAX_LINES - 1}")
    long = tuple(Line(1_000 + number, "caller", "x" * 3_000) for number in range(5))
    assert len(list(history(replace(CALL, transcript=long)))) == 2


def test_earlier_calls_are_marked_off_from_this_one() -> None:
    before = EarlierCall(1_700_000_000_000, "inbound", [Said("caller", "Hi."), Said("caller", "3", kind="keys")])
    told = list(earlier([before]))
    assert [role for role, _ in told] == ["system", "user", "system", "system"]
    assert "this call begins" in told[-1][1]
    assert list(earlier([])) == []


def test_a_turn_that_does_not_end_is_told_once_and_texts_that_do_not_come_are_late() -> None:
    now, facts = [0.0], list[object]()
    turns = CallerTurns("id", facts.append, lambda *_: None, lambda: now[0])
    turns.began("i", ago_ms=5_000)
    assert not turns.endless(6_000) and turns.endless(4_000) and not turns.endless(4_000)
    turns.complete("i")
    assert not turns.speaking and list(turns.late()) == []
    now[0] = 10_001
    assert list(turns.late()) == ["i"]
    assert turns.text(CallerText("i", "", "late")) is None and not turns.open
    assert turns.text(CallerText("unknown", "hello")) is None


def test_what_is_lost_with_the_service_is_known() -> None:
    turns = CallerTurns("id", lambda *_: None, lambda *_: None, lambda: 0.0)
    assert not turns.lost()
    turns.began("i", 0)
    assert turns.open and turns.lost() and not turns.open and turns.speaking == ""
