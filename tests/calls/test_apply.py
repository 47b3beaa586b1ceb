"""What single facts do to the record of a call."""

from __future__ import annotations

from typing import Any

import pytest

from engine.calls import Call, Cursor, Draft, Event, State, apply, fold
from tests.calls.stories import begun, numbered


def fact(kind: str, /, **data: Any) -> Draft:
    return Draft(kind, "c1", data)


def call_after(*facts: Draft) -> Call:
    return fold(begun(facts))["c1"]


def queued(say_id: str, text: str) -> Draft:
    return fact("say.queued", sayId=say_id, speaker="agent", kind="reply", text=text)


def test_a_call_from_dial_to_end() -> None:
    call = call_after(
        fact("call.dialing"),
        fact("call.accepted", providerCallId="CA1"),
        fact("call.ringing"),
        fact("call.answered"),
        fact("stream.opened", streamId="s"),
        fact("stream.started", streamId="s"),
        queued("g", "Good morning"),
        fact("say.started", sayId="g"),
        fact("say.heard", sayId="g", ms=900),
        fact("speech.started"),
        fact("speech.final", text="Hi there", turn=1),
        fact("turn.completed", turn=1, stages={"stt": 90.7, "bad": "x", "nan": float("nan"), "yes": True}),
        fact("dtmf.received", digits="1"),
        fact("dtmf.received", digits="#"),
        fact("floor.changed", holder="operator", by="console"),
        fact("call.ended", reason="hangup-user", by="caller"),
    )
    record = call.to_json()
    assert (record["state"], record["endReason"], record["endedBy"]) == ("hangup-user", "hangup-user", "caller")
    assert (record["providerCallId"], record["floor"], record["dtmf"]) == ("CA1", "operator", "1#")
    assert record["turns"] == [{"stt": 90}]
    assert [(line["speaker"], line["text"], line["cut"]) for line in record["transcript"]] == [
        ("agent", "Good morning", False),
        ("caller", "Hi there", False),
    ]
    assert [rung["rung"] for rung in record["ladder"]] == [
        *("dialled", "accepted", "ringing", "answered", "socket", "start", "voice", "heard", "understood", "reply")
    ]
    assert record["startedAt"] < record["answeredAt"] < record["endedAt"]


def test_nothing_is_known_of_a_call_that_did_not_begin() -> None:
    assert fold(numbered([fact("call.ringing"), fact("call.ended", reason="busy")])) == {}
    assert apply(None, Event(1, 1, None, "call.initiated", {})) is None


def test_a_cut_line_keeps_what_was_heard_and_what_was_not() -> None:
    call = call_after(
        queued("s", "Which day would suit you?"),
        fact("say.started", sayId="s"),
        fact("say.cut", sayId="s", heardMs=600, heardText="Which day would"),
    )
    (line,) = call.transcript
    assert (line.text, line.unheard, line.cut, line.playing) == ("Which day would", "suit you?", True, False)
    assert call.state is State.LISTENING


def test_a_queued_line_is_no_part_of_the_transcript_until_it_plays() -> None:
    call = call_after(queued("a", "one"), queued("b", "two"), queued("a", "again"))
    assert (len(call.queued), call.transcript, call.state) == (2, (), State.INITIATED)
    call = call_after(queued("a", "one"), queued("b", "two"), fact("say.skipped", sayId="a", why="revoked"))
    assert list(call.queued) == ["b"]


@pytest.mark.parametrize("end", ["say.heard", "say.cut", "say.failed", "say.skipped"])
def test_tones_of_keys_are_no_words_of_the_transcript(end: str) -> None:
    keys = (fact("say.queued", sayId="k", speaker="agent", kind="keys", text="12#"), fact("say.started", sayId="k"))
    for call in (call_after(*keys), call_after(*keys, fact(end, sayId="k", heardText="1"))):
        assert (call.transcript, call.queued, call.state, call.rungs) == ((), {}, State.INITIATED, {})


@pytest.mark.parametrize("end", ["say.heard", "say.cut", "say.failed", "say.skipped"])
def test_the_first_end_of_a_line_is_its_only_one(end: str) -> None:
    begin = (queued("s", "Good day"), fact("say.started", sayId="s"), fact(end, sayId="s", heardText="Good"))
    once = call_after(*begin)
    for late in ("say.heard", "say.cut", "say.failed", "say.started", "say.queued"):
        assert call_after(*begin, fact(late, sayId="s", heardText="")).transcript == once.transcript


def test_the_caller_over_our_voice_does_not_end_our_speaking() -> None:
    playing = (queued("s", "Good day"), fact("say.started", sayId="s"))
    assert call_after(*playing, fact("speech.started")).state is State.SPEAKING
    assert call_after(*playing, fact("speech.final", text="wait")).state is State.SPEAKING
    assert call_after(*playing, fact("say.heard", sayId="s")).state is State.LISTENING


def test_a_line_that_plays_when_the_call_ends_stops_playing() -> None:
    call = call_after(queued("s", "Good day"), fact("say.started", sayId="s"), fact("call.ended", reason="completed"))
    assert [line.playing for line in call.transcript] == [False]


def test_a_deaf_call_hears_again_when_recognition_is_back() -> None:
    assert call_after(fact("speech.failed", engine="local", error="x")).deaf
    assert not call_after(fact("speech.failed", engine="local", error="x"), fact("speech.ready")).deaf


@pytest.mark.parametrize("reason", ["nonsense", None, 5, [], "ringing"])
def test_an_unknown_end_is_an_error_and_no_open_call(reason: object) -> None:
    assert call_after(fact("call.ended", reason=reason)).end_reason is State.ERROR


@pytest.mark.parametrize("text", ["g:0", "a:b:17", f"g:{10**17}"])
def test_a_cursor_reads_what_it_writes(text: str) -> None:
    assert str(Cursor.parse(text)) == text


@pytest.mark.parametrize("text", ["", ":", "g:", ":5", "g:-1", "g:1.5", "g:²", "g:٣", "g:" + "9" * 19, "g: 5"])
def test_what_is_no_cursor_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a cursor"):
        Cursor.parse(text)


@pytest.mark.parametrize(
    ("facts", "waiting", "rungs"),
    [
        ([fact("call.waiting", seconds=30)], True, {"waiting"}),
        ([fact("call.waiting", seconds=30), fact("call.admitted", verdict="once")], False, {"waiting", "admitted"}),
        ([fact("call.waiting", seconds=30), fact("call.admitted", verdict="no")], False, {"waiting"}),
        ([fact("call.waiting", seconds=30), fact("call.ended", reason="hangup-user")], False, {"waiting"}),
    ],
)
def test_a_stranger_waits_until_somebody_decides_or_it_is_over(
    facts: list[Draft], waiting: bool, rungs: set[str]
) -> None:
    call = call_after(*facts)
    assert (call.waiting, set(call.rungs)) == (waiting, rungs)


def test_the_record_shows_lines_by_when_they_began_and_keeps_them_as_they_became_known() -> None:
    events = [
        Event(1, 1000, "c", "call.initiated", {"direction": "inbound"}),
        Event(2, 1500, "c", "say.queued", {"sayId": "s", "speaker": "operator", "text": "One moment."}),
        Event(3, 2000, "c", "say.started", {"sayId": "s"}),
        Event(4, 2500, "c", "say.heard", {"sayId": "s"}),
        Event(5, 3000, "c", "speech.final", {"text": "I would like to move it.", "startedAt": 1800}),
    ]
    call = fold(events)["c"]
    assert [line.speaker for line in call.transcript] == ["operator", "caller"], "what is to be answered is last"
    assert [line["speaker"] for line in call.to_json()["transcript"]] == ["caller", "operator"]
