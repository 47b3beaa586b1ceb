"""What a brain is told of a call: what was heard, in its order, with keys and silences."""

from __future__ import annotations

from engine.calls import Event, fold
from engine.live.told import conversation, told
from engine.speech.ports import Said
from tests.live.talking import a_call, a_line


def test_lines_are_told_as_they_were_heard() -> None:
    call = a_call(
        transcript=(
            a_line(1, "agent", "Good morning."),
            a_line(3, "caller", "Hi, it is about Thurs"),
            a_line(4, "agent", "Of course. Which day", cut=True, unheard="would suit you?"),
            a_line(6, "agent", "", cut=True, unheard="Nobody heard this."),
            a_line(7, "operator", "Kim here."),
            a_line(9, "caller", "Thursday."),
        )
    )
    assert told(call) == [
        Said("agent", "Good morning."),
        Said("caller", "Hi, it is about Thurs"),
        Said("agent", "Of course. Which day", cut=True),
        Said("operator", "Kim here."),
        Said("caller", "Thursday."),
    ]


def test_keys_stand_where_they_were_pressed_and_belong_together() -> None:
    call = a_call(
        transcript=(a_line(1, "agent", "Press one."), a_line(10, "agent", "Thanks."), a_line(12, "caller", "Okay.")),
        pressed=((4000, "1"), (5000, "2"), (20_000, "#")),
    )
    assert [(line.text, line.kind) for line in told(call)] == [
        ("Press one.", "words"),
        ("12", "keys"),
        ("Thanks.", "words"),
        ("Okay.", "words"),
        ("#", "keys"),
    ]


def test_a_caller_who_says_nothing_between_two_lines_of_ours_was_silent() -> None:
    call = a_call(
        transcript=(
            a_line(0, "agent", "x" * 20),  # 1.3 s long
            a_line(21.3, "agent", "Are you still there?"),
            a_line(24, "agent", "Hello?"),
        )
    )
    assert told(call)[1] == Said("caller", "20", kind="silence")
    assert [line.kind for line in told(call)] == ["words", "silence", "words", "words"]


def test_a_call_is_told_with_who_called_and_why() -> None:
    outbound = a_call(direction="outbound", message="Your parcel is here.", started_at=5)
    talk = conversation(outbound, heard="Who is this?")
    assert (talk.purpose, talk.began_at, talk.our_number) == ("Your parcel is here.", 5, "+15550100142")
    assert talk.lines[-1] == Said("caller", "Who is this?")
    assert conversation(a_call(message="x")).purpose == ""


def test_what_the_record_knows_already_is_not_told_twice() -> None:
    call = a_call(transcript=(a_line(1, "caller", "Hello?"),))
    assert [line.text for line in conversation(call, heard="Hello?").lines] == ["Hello?"]


def test_the_log_keeps_the_times_of_keys() -> None:
    begun = {"provider": "mock", "direction": "inbound", "from": "+15550100142", "to": "+15550100100"}
    events = [Event(1, 10, "c", "call.initiated", begun)]
    events += [Event(2 + n, 20 + n, "c", "dtmf.received", {"digits": digit}) for n, digit in enumerate("12")]
    assert fold(events)["c"].pressed == ((20, "1"), (21, "2"))
