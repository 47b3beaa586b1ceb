"""The scripted assistant holds a sensible conversation, also when it is not heard well."""

from __future__ import annotations

import functools
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.speech.brains import script_file
from engine.speech.brains.script import ScriptBrain, reply_to
from engine.speech.brains.script_file import Script, load_script
from engine.speech.ports import EndCall, Said, SpeechUnavailable, Words
from tests.speech.brains.talk import Talk, agent, caller, conversation, ends, replies, text_of

BUILT_IN = Path(script_file.__file__).with_name("assistant.yaml")
GREETING = "Riverside Dental, good morning. How can I help you?"
PURPOSE = "Your appointment is tomorrow at ten. Does that still suit you?"


@pytest.fixture(scope="module")
def script() -> Script:
    return load_script()


@pytest.fixture
def talk(script: Script) -> Talk:
    return Talk(script, greeting=GREETING)


@pytest.fixture
def called(script: Script) -> Talk:
    return Talk(script, purpose=PURPOSE, greeting=PURPOSE)


def test_an_appointment_is_booked_step_by_step(talk: Talk) -> None:
    assert "day" in talk.say("Good morning. I would like to book an appointment for a check-up.")
    assert "next Tuesday" in talk.say("Would next Tuesday in the afternoon be possible?")
    booked = talk.say("Three o'clock is perfect. My name is Anna Miller.")
    assert "next Tuesday at 3 PM" in booked
    assert "Anna Miller" in booked
    assert not talk.ended
    assert "Goodbye" in talk.say("No, that is everything.")
    assert talk.ended


def test_an_appointment_is_booked_through_recognition_errors(talk: Talk) -> None:
    assert "day" in talk.say("good mourning i would like to booking an apointment for a chek up")
    assert "Wednesday" in talk.say("on wensday mourning")
    assert "name" in talk.say("yeah that's find")
    assert "Henry Cook" in talk.say("Henry Cook.")


def test_everything_said_at_once_needs_no_question_but_more(talk: Talk) -> None:
    reply = talk.say("Please book me in for Friday at 10:30 a.m. My name is Lucy Green.")
    assert "Friday at 10:30 AM" in reply
    assert "Lucy Green" in reply


def test_an_appointment_is_moved_to_the_day_wished_for_not_the_old_one(talk: Talk) -> None:
    talk.say("Hi, I need to move my appointment to another day.")
    assert "Thursday" in talk.say("It is on Monday at ten in the morning. Could I come on Thursday?")
    assert "Thursday at 10 AM" in talk.say("Yes, that works for me.")


def test_an_appointment_is_cancelled_with_day_and_name(talk: Talk) -> None:
    assert "name" in talk.say("I am afraid I have to cancel my appointment on Friday morning.")
    reply = talk.say("My name is Henry Cook.")
    assert "cancelled" in reply
    assert "Friday" in reply
    assert "Henry Cook" in reply


def test_an_offer_can_be_declined(talk: Talk) -> None:
    talk.say("I want to book an appointment on Monday.")
    assert "time" in talk.say("No, that does not work.")
    assert "name" in talk.say("At four.")
    assert "Monday at 4 PM" in talk.say("Anna Miller.")


def test_an_accepted_offer_is_not_asked_about_again(talk: Talk) -> None:
    talk.say("I need to make an appointment on Monday.")
    assert "name" in talk.say("Yes, please.")


def test_a_week_gets_a_proposal(talk: Talk) -> None:
    assert "next week" in talk.say("Do you have time for me next week?")


def test_a_closed_day_and_a_time_outside_hours_are_refused_kindly(talk: Talk) -> None:
    assert "closed on Sunday" in talk.say("Can I book an appointment on Sunday?")
    talk.say("Then Monday.")
    assert "outside our hours" in talk.say("At nine in the evening.")


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("Hello, what are your opening hours?", "eight to six"),
        ("when do you opening", "eight to six"),
        ("Are you open on Saturday as well?", "Saturday"),
        ("how much does a check up coast", "sixty dollars"),
        ("Is the cleaning included in the price?", "included"),
        ("Can I pay with a credit card?", "card"),
        ("And where are you? I will come by car.", "River Street"),
        ("whats your adress", "River Street"),
        ("Do you have parking at the practice?", "parking"),
        ("How long does a normal visit take?", "half an hour"),
        ("I have had a bad tooth ache since yesterday.", "come"),
        ("Can I please speak to a person?", "colleague"),
        ("can i talk to a reel person please", "colleague"),
        ("I would like to leave a message.", "pass it on"),
        ("Are you a robot?", "assistant"),
        ("Hello? Are you there?", "help"),
    ],
)
def test_questions_are_answered(talk: Talk, question: str, answer: str) -> None:
    assert answer.lower() in talk.say(question).lower()
    assert not talk.ended


def test_a_question_in_between_does_not_lose_the_booking(talk: Talk) -> None:
    talk.say("I would like to book an appointment.")
    reply = talk.say("How much does it cost?")
    assert "sixty" in reply
    assert "day" in reply
    assert "Thursday" in talk.say("Okay, then on Thursday.")


def test_what_is_not_understood_is_asked_again_twice_and_then_given_up(talk: Talk) -> None:
    first, second, third = (talk.say("flurb the wobbling gadoosh") for _ in range(3))
    assert first != second
    assert "sorry" in first.lower()
    assert "sorry" in second.lower()
    assert "colleague" in third
    assert not talk.ended
    talk.say("flurb the wobbling gadoosh")
    assert talk.ended


def test_being_understood_once_renews_the_patience(talk: Talk) -> None:
    for _ in range(3):
        talk.say("gadoosh wobble")
        assert "River Street" in talk.say("Where are you?")
    assert not talk.ended


def test_a_missing_name_does_not_hold_up_a_booking(talk: Talk) -> None:
    talk.say("Book me in for Monday at ten in the morning, please.")
    assert "name" in talk.say("Yes.")
    assert "name" in talk.say("Yes, please.")
    assert "You are booked for Monday at 10 AM." in talk.say("Mumble mumble of the thing.")


def test_wording_varies_but_is_the_same_for_the_same_call(script: Script) -> None:
    def three_questions() -> list[str]:
        talk = Talk(script, greeting=GREETING)
        return [talk.say("What are your opening hours?") for _ in range(3)]

    assert three_questions() == three_questions()
    assert len(set(three_questions())) > 1


@pytest.mark.parametrize("text", ["Goodbye.", "Thank you very much. Good bye.", "okay bye bye", "thanks good buy"])
def test_goodbye_ends_the_call(talk: Talk, text: str) -> None:
    assert "Goodbye" in talk.say(text)
    assert talk.ended


def test_goodbye_in_the_middle_of_a_booking_keeps_what_was_agreed(talk: Talk) -> None:
    talk.say("Book me in for Wednesday morning.")
    talk.say("Nine o'clock is fine.")
    assert "Wednesday at 9 AM" in talk.say("Thank you very much. Goodbye.")
    assert talk.ended


def test_a_line_that_was_not_caught_is_repeated(talk: Talk) -> None:
    asked = talk.say("I want to book an appointment.")
    assert talk.say("Pardon? What did you say?") == asked


def test_a_reply_that_was_never_said_asked_nothing(script: Script) -> None:
    """The caller went on before we answered: the "no" belongs to the question that was heard."""
    lines = [agent("Is there anything else I can do for you?"), caller("Where are you?"), caller("No.")]
    assert not reply_to(script, conversation(*lines)).ends


def test_what_follows_an_operators_line_does_not_answer_our_question(script: Script) -> None:
    talk = Talk(script, greeting=GREETING)
    talk.say("What are your opening hours?")
    talk.lines.append(Said("operator", "Hello, this is Kim. Is it urgent?"))
    talk.say("No.")
    assert not talk.ended


def test_nothing_is_said_when_the_last_line_is_ours(script: Script) -> None:
    assert reply_to(script, conversation(caller("Hello"), agent("Hello"))).text == ""
    assert reply_to(script, conversation()).text == ""


def test_a_called_person_agrees_and_is_let_go(called: Talk) -> None:
    assert "thank you" in called.say("Yes, that time is fine with me.").lower()
    assert not called.ended
    assert "Goodbye" in called.say("No, I have no more questions.")
    assert called.ended


def test_a_called_person_asks_for_another_day(called: Talk) -> None:
    assert "Friday" in called.say("I am sorry, I can not come on that day. Is Friday possible?")
    assert "Friday at 11 AM" in called.say("Friday at eleven is good.")


def test_a_called_person_who_refuses_is_understood(called: Talk) -> None:
    reply = called.say("No, I can't come.").lower()
    assert "pass that on" in reply or "no problem" in reply
    assert not called.ended


def test_picking_up_is_not_answered_because_the_message_comes_by_itself(script: Script) -> None:
    assert reply_to(script, conversation(caller("Hello, Sarah speaking."), purpose=PURPOSE)).text == ""


def test_a_greeting_that_cut_the_message_off_gets_it_again(script: Script) -> None:
    talk = conversation(agent("Your appointment is", cut=True), caller("Hello?"), purpose=PURPOSE)
    assert PURPOSE in reply_to(script, talk).text


def test_who_is_calling_is_told_with_the_message(called: Talk) -> None:
    assert PURPOSE in called.say("Wait, who is calling, please?")


def test_a_busy_person_is_let_go_at_once(called: Talk) -> None:
    called.say("I am busy at the moment, could you call me again?")
    assert called.ended


def test_an_answering_machine_gets_the_message(called: Talk) -> None:
    reply = called.say("I can not come to the phone right now. Please leave a message after the tone.")
    assert PURPOSE in reply
    assert called.ended


def test_a_talker_is_let_go_after_three_times(called: Talk) -> None:
    for _ in range(3):
        called.say("My neighbour has a new dog, and it barks whenever somebody walks past.")
    assert called.ended


@given(st.lists(st.builds(Said, st.sampled_from(["caller", "agent", "operator"]), st.text(max_size=80)), max_size=12))
def test_any_conversation_gets_an_answer_or_silence(lines: list[Said]) -> None:
    for purpose in ("", "The {weather} is {0} fine"):
        reply = reply_to(load_once(), conversation(*lines, purpose=purpose))
        assert reply.text == reply.text.strip()
        if not lines or lines[-1].speaker != "caller":
            assert reply.text == ""


@functools.cache
def load_once() -> Script:
    """Hypothesis does not go with fixtures of a function's scope."""
    return load_script()


async def test_the_brain_streams_words_and_then_the_end() -> None:
    brain = ScriptBrain()
    await brain.start()
    outputs = await replies(brain, conversation(agent(GREETING), caller("Goodbye.")))
    await brain.close()
    assert [type(output) for output in outputs] == [Words, EndCall]
    assert ends(outputs)
    assert "Goodbye" in text_of(outputs)


async def test_a_brain_that_was_not_started_says_so() -> None:
    with pytest.raises(SpeechUnavailable, match="not been started"):
        await replies(ScriptBrain(), conversation(caller("Hello")))


async def test_a_script_of_the_users_own_is_used(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(BUILT_IN.read_text().replace("Riverside Dental", "Moonlight Bakery"))
    brain = ScriptBrain(path)
    await brain.start()
    assert "Moonlight Bakery" in text_of(await replies(brain, conversation(caller("Are you a robot?"))))


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("topics: [", "not valid YAML: line 1"),
        ("- a list", "Input should be"),
        ("", "Input should be"),
        ("topics: []\nunknown: 1", "unknown: Extra inputs"),
    ],
)
def test_a_broken_script_is_refused_with_the_place(tmp_path: Path, content: str, complaint: str) -> None:
    path = tmp_path / "broken.yaml"
    path.write_text(content)
    with pytest.raises(SpeechUnavailable, match=complaint):
        load_script(path)


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("{check_up_price}", "{chekup_price}", "chekup_price"),
        ("name: parking", "name: address", "two topics are called address"),
        ("opens: 8", "opens: 99", "hours.opens"),
        ("Which day would suit you?", "Which {day would suit you?", "texts.ask_day"),
    ],
)
def test_a_mistake_in_a_script_is_named(tmp_path: Path, old: str, new: str, complaint: str) -> None:
    path = tmp_path / "mistake.yaml"
    path.write_text(BUILT_IN.read_text().replace(old, new, 1))
    with pytest.raises(SpeechUnavailable, match=complaint):
        load_script(path)


def test_a_missing_script_is_named(tmp_path: Path) -> None:
    with pytest.raises(SpeechUnavailable, match="nowhere.yaml can not be read"):
        load_script(tmp_path / "nowhere.yaml")


def test_an_enormous_script_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "big.yaml"
    path.write_text("#" * 300_000)
    with pytest.raises(SpeechUnavailable, match="larger than"):
        load_script(path)
