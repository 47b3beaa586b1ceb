"""A question of our side gets the answer to it, and nothing else."""

from __future__ import annotations

import asyncio

import pytest

from engine.api import Refusal
from engine.live.lines import Ending, Utterance
from engine.live.questions import Questions
from engine.live.turn_clock import TurnClock
from tests.virtual_time import virtual_time


def question(say_id: str = "q1") -> Utterance:
    return Utterance(say_id, "agent", "speak", "Which day?", asyncio.get_running_loop().create_future())


async def asked(questions: Questions, line: Utterance, timeout_ms: int = 10_000) -> asyncio.Task[str]:
    """A question that was put and is being said."""
    asking = asyncio.create_task(questions.ask(lambda: line, timeout_ms))
    await asyncio.sleep(0)
    assert questions.waiting
    return asking


@pytest.mark.parametrize("ending", ["heard", "cut"])
async def test_on_a_stream_what_is_said_once_the_question_was_heard_is_the_answer(ending: Ending) -> None:
    questions, line = Questions(), question()
    asking = await asked(questions, line)
    questions.offer("too early", None)
    line.done.set_result(ending)
    questions.offer("Thursday", None)
    questions.offer("or Friday", None)
    assert await asking == "Thursday"
    assert not questions.waiting


@pytest.mark.parametrize(
    ("ending", "began_ms", "voiced_ms", "counts"),
    [
        ("heard", 900, 1500, False),  # it was over before our question was
        ("cut", 900, 3500, False),  # it cut our question off without having heard it
        ("heard", 900, 3500, True),  # they spoke on after the whole question
        ("heard", 1200, 1500, True),
        ("cut", 1200, 3500, True),  # an answer that does not wait for the end of the question
    ],
)
async def test_a_turn_that_was_under_way_when_the_question_came_is_no_answer_to_it(
    ending: Ending, began_ms: float, voiced_ms: float, counts: bool
) -> None:
    questions, line = Questions(), question()
    asking = await asked(questions, line)
    line.since_ms, line.over_ms = 1000, 2000
    line.done.set_result(ending)
    turn = TurnClock(1, began_ms=began_ms)
    turn.reach("voiced", voiced_ms)
    questions.offer("my cat is ill", None, turn)
    questions.offer("Thursday", None, TurnClock(2, began_ms=4000))
    assert await asking == ("my cat is ill" if counts else "Thursday")


@virtual_time
async def test_where_the_carrier_tells_what_was_heard_before_only_that_counts() -> None:
    questions, line = Questions(), question()
    asking = await asked(questions, line)
    questions.offer("about something else", "another line")
    questions.offer("from another life", "")
    questions.offer("Thursday", "q1")
    assert not asking.done()
    line.done.set_result("cut")
    assert await asking == "Thursday"


@pytest.mark.parametrize("ending", ["failed", "skipped"])
async def test_a_question_that_was_not_said_is_refused(ending: Ending) -> None:
    questions, line = Questions(), question()
    asking = await asked(questions, line)
    line.error = "no voice"
    line.done.set_result(ending)
    with pytest.raises(Refusal, match="no voice") as refused:
        await asking
    assert refused.value.code == "speech_unavailable"


@virtual_time
async def test_one_question_at_a_time() -> None:
    """Pain C9."""
    questions, line = Questions(), question()
    asking = await asked(questions, line)
    with pytest.raises(Refusal) as refused:
        await questions.ask(question, 1000)
    assert refused.value.code == "turn_in_progress"
    line.done.set_result("heard")
    questions.offer("Yes", None)
    await asking
    second = question("q2")
    again = await asked(questions, second)
    second.done.set_result("heard")
    questions.offer("No", "q2")
    assert await again == "No"


@virtual_time
async def test_nobody_waits_for_ever_for_an_answer() -> None:
    questions, line = Questions(), question()
    asking = await asked(questions, line, 10_000)
    line.done.set_result("heard")
    with pytest.raises(Refusal, match="10000 ms") as refused:
        await asking
    assert refused.value.code == "timeout"
    assert asyncio.get_running_loop().time() == 10
    assert not questions.waiting


@virtual_time
async def test_there_is_no_answer_when_the_caller_is_away_but_to_a_later_question() -> None:
    questions, line = Questions(), question()
    asking = await asked(questions, line)
    questions.refuse(Refusal("call_not_connected", "put through"))
    line.done.set_result("cut")
    with pytest.raises(Refusal, match="put through"):
        await asking
    later = question("q2")
    again = await asked(questions, later)
    later.done.set_result("heard")
    questions.offer("Here I am", None)
    assert await again == "Here I am"


@virtual_time
async def test_a_question_that_is_still_being_said_ends_with_its_call() -> None:
    questions, line = Questions(), question()
    asking = await asked(questions, line)
    line.done.set_result("cut")
    questions.refuse(Refusal("call_ended", "over"), for_good=True)
    with pytest.raises(Refusal, match="over"):
        await asking
    with pytest.raises(Refusal, match="over"):
        late = question("q2")
        late.done.set_result("heard")
        await questions.ask(lambda: late, 1000)
