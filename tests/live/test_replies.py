"""Replies in virtual time: holding phrases, answers that come late, farewells that are heard before the line goes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from engine.live.manners import Manners
from engine.live.replies import APOLOGY, BROKE_OFF, GAVE_UP, GRACE_SECONDS, HERE_IT_IS, OVERDUE
from engine.speech.ports import BrainOutput, Conversation, EndCall, SpeechUnavailable, Words
from tests.live.talking import Desk, Script, talk
from tests.virtual_time import virtual_time

MANNERS = Manners(timeout_s=30, late_s=30, holding=("One moment.", "Still on it."))


def after(seconds: float, *outputs: BrainOutput) -> Script:
    async def script(conversation: Conversation) -> AsyncGenerator[BrainOutput, None]:
        await asyncio.sleep(seconds)
        for output in outputs:
            yield output

    return script


async def run(script: Script, seconds: float, manners: Manners = MANNERS) -> Desk:
    async def test(desk: Desk) -> None:
        desk.say("What is it?")
        await asyncio.sleep(seconds)

    return await talk(script, manners, test)


@virtual_time
async def test_a_quick_answer_needs_no_holding_phrase() -> None:
    desk = await run(after(1.4, Words("Yes. It is.")), 10)
    assert [text for _, text in desk.mouth.log] == ["Yes.", "It is."]


@virtual_time
async def test_a_slow_answer_is_announced_after_a_second_and_a_half_and_again_later() -> None:
    desk = await run(after(13, Words("Yes.")), 20)
    first = 1.5 + len("One moment.") * 0.065
    assert desk.mouth.log == [(1.5, "One moment."), (round(first + 8, 2), "Still on it."), (13.0, "Yes.")]


@virtual_time
async def test_a_holding_phrase_is_cut_at_once_when_the_answer_is_there() -> None:
    desk = await run(after(1.6, Words("Yes.")), 10)
    assert desk.mouth.log == [(1.5, "One moment."), (1.6, "Yes.")]
    assert desk.mouth.endings[0] == ("One moment.", "cut")


@virtual_time
async def test_no_holding_phrase_over_another_line_or_over_the_caller() -> None:
    async def test(desk: Desk) -> None:
        desk.mouth.say("A long line of the operator's that takes its time to be said.", speaker="operator")
        desk.say("Hello?")
        await asyncio.sleep(4.2)
        desk.replies.caller_began()
        await asyncio.sleep(2)
        assert len(desk.mouth.log) == 1 or desk.mouth.log[1][0] >= 3.9
        desk.replies.caller_quiet()
        await asyncio.sleep(30)

    desk = await talk(after(60), MANNERS, test)
    starts = [at for at, _ in desk.mouth.log]
    assert starts == sorted(starts) and not any(4.2 <= at < 6.2 for at in starts)
    assert all(ending == "heard" for _, ending in desk.mouth.endings[:2])


@virtual_time
async def test_none_when_somebody_else_takes_the_call_or_where_none_are_wanted() -> None:
    async def test(desk: Desk) -> None:
        desk.say("Hello?")
        await asyncio.sleep(1)
        desk.replies.revoke("the floor went to operator")
        await asyncio.sleep(20)

    assert (await talk(after(10, Words("Yes.")), MANNERS, test)).mouth.log == []
    silent = await run(after(10, Words("Yes.")), 20, Manners())
    assert [text for _, text in silent.mouth.log] == ["Yes."]


@virtual_time
async def test_a_reply_that_pauses_for_long_in_its_middle_is_bridged_too() -> None:
    async def script(conversation: Conversation) -> AsyncGenerator[BrainOutput, None]:
        yield Words("Let me look that up.\n")
        await asyncio.sleep(10)
        yield Words("It is on Monday.\n")

    desk = await run(script, 30)
    assert [text for _, text in desk.mouth.log] == ["Let me look that up.", "One moment.", "It is on Monday."]
    assert desk.mouth.log[1][0] == 8.0


@virtual_time
async def test_the_time_to_a_holding_phrase_begins_when_it_is_silent() -> None:
    long = "This is a sentence that takes more than eight seconds to be said by anybody, however quick they may be, "
    long += "because it goes on and on."

    async def script(conversation: Conversation) -> AsyncGenerator[BrainOutput, None]:
        yield Words(long + "\n")
        await asyncio.sleep(len(long) * 0.065 + 1)
        yield Words("And that is all.\n")

    desk = await run(script, 30)
    assert [text for _, text in desk.mouth.log] == [long, "And that is all."]


@virtual_time
async def test_a_late_answer_is_apologised_for_and_then_offered() -> None:
    desk = await run(after(40, Words("It is ready on Monday.")), 60)
    said = [text for _, text in desk.mouth.log]
    assert said[-3:] == [OVERDUE, HERE_IT_IS, "It is ready on Monday."]
    assert desk.of("reply.failed") == [{"turn": 1, "error": "no reply within 30 s; it may still come", "late": True}]
    assert desk.of("reply.late") == [{"turn": 1, "text": "It is ready on Monday.", "spoken": True}]
    assert OVERDUE not in said[:2] and said[0] == "One moment."


@virtual_time
async def test_a_late_answer_to_an_older_question_is_for_the_operator_and_not_spoken() -> None:
    async def script(conversation: Conversation) -> AsyncGenerator[BrainOutput, None]:
        if conversation.lines[-1].text == "Is it ready?":
            await asyncio.sleep(40)
            yield Words("It is ready on Monday. Early.")
        else:
            yield Words("We close at six.")

    async def test(desk: Desk) -> None:
        desk.say("Is it ready?")
        await asyncio.sleep(36)
        desk.say("And when do you close?", turn=2)
        await asyncio.sleep(30)

    desk = await talk(script, MANNERS, test)
    said = [text for _, text in desk.mouth.log]
    assert said[-1] == "We close at six." and not any("Monday" in text for text in said)
    assert desk.of("reply.late") == [{"turn": 1, "text": "It is ready on Monday. Early.", "spoken": False}]


@virtual_time
async def test_an_answer_that_never_comes_ends_with_an_honest_word() -> None:
    desk = await run(after(500), 100)
    assert [text for _, text in desk.mouth.log][-1] == GAVE_UP
    assert [fact.get("late") for fact in desk.of("reply.failed")] == [True, None]
    assert desk.brain.closed == 1


@virtual_time
async def test_an_answer_before_its_time_is_revoked_by_a_newer_turn_and_its_work_is_stopped() -> None:
    async def script(conversation: Conversation) -> AsyncGenerator[BrainOutput, None]:
        if conversation.lines[-1].text == "One":
            await asyncio.sleep(5)
        yield Words(f"To {conversation.lines[-1].text}.")

    async def test(desk: Desk) -> None:
        desk.say("One")
        await asyncio.sleep(1)
        desk.say("Two", turn=2)
        await asyncio.sleep(20)

    desk = await talk(script, MANNERS, test)
    assert [text for _, text in desk.mouth.log] == ["To Two."] and desk.brain.closed == 2


@virtual_time
async def test_what_breaks_off_is_said_and_what_fails_at_once_too() -> None:
    async def broken(conversation: Conversation) -> AsyncGenerator[BrainOutput, None]:
        yield Words("It is ready. On Mon")
        raise SpeechUnavailable("the model's answer broke off")

    async def failed(conversation: Conversation) -> AsyncGenerator[BrainOutput, None]:
        raise SpeechUnavailable("no key")
        yield Words("")

    assert [text for _, text in (await run(broken, 20)).mouth.log] == ["It is ready.", BROKE_OFF]
    assert [text for _, text in (await run(failed, 20)).mouth.log] == [APOLOGY]


@virtual_time
async def test_a_reply_of_nothing_speakable_is_a_failure_and_not_silence() -> None:
    desk = await run(after(0, Words("<think>They ask.</think> \U0001f600")), 20)
    assert [text for _, text in desk.mouth.log] == [APOLOGY]
    assert desk.of("reply.failed")[0]["error"] == "the reply held nothing that can be said"


@virtual_time
async def test_silence_on_purpose_is_no_failure() -> None:
    desk = await run(after(0), 20)
    assert desk.mouth.log == [] and not desk.of("reply.failed")


@virtual_time
async def test_the_line_goes_when_the_farewell_was_heard() -> None:
    desk = await run(after(0, Words("Goodbye."), EndCall(farewell="Unused.")), 10)
    assert desk.mouth.log == [(0.0, "Goodbye.")]
    ((at, _),) = desk.hung_up
    assert at == round(len("Goodbye.") * 0.065 + GRACE_SECONDS, 2)


@virtual_time
async def test_a_farewell_is_said_when_only_reasoning_was_written_before() -> None:
    desk = await run(after(0, Words("<think>Done.</think>"), EndCall(farewell="So **long**.")), 10)
    assert [text for _, text in desk.mouth.log] == ["So long."] and desk.hung_up


@virtual_time
async def test_who_speaks_during_or_just_after_the_farewell_keeps_the_call() -> None:
    async def interrupts(desk: Desk) -> None:
        desk.say("Bye")
        await asyncio.sleep(0.3)
        desk.mouth.interrupted("the caller interrupted")
        await asyncio.sleep(20)

    async def speaks_after(desk: Desk) -> None:
        desk.say("Bye")
        await asyncio.sleep(len("Goodbye.") * 0.065 + 0.1)
        desk.replies.caller_began()
        await asyncio.sleep(3)
        assert not desk.hung_up
        desk.say("Wait!", turn=2)
        await asyncio.sleep(0.1)
        assert not desk.hung_up
        desk.replies.revoke("enough")

    async def coughs(desk: Desk) -> None:
        desk.say("Bye")
        await asyncio.sleep(0.6)
        desk.replies.caller_began()
        await asyncio.sleep(3)
        desk.replies.caller_quiet()
        await asyncio.sleep(1)

    script = after(0, Words("Goodbye."), EndCall())
    assert not (await talk(script, MANNERS, interrupts)).hung_up
    assert not (await talk(script, MANNERS, speaks_after)).hung_up
    assert (await talk(script, MANNERS, coughs)).hung_up


@virtual_time
async def test_waiting_for_the_listener_is_not_the_brains_time() -> None:
    async def script(conversation: Conversation) -> AsyncGenerator[BrainOutput, None]:
        for number in range(12):
            await asyncio.sleep(0.1)
            yield Words(f"This is sentence number {number} of a long and patient answer to a short question. ")

    desk = await run(script, 100, Manners(timeout_s=1.0, late_s=0))
    assert len(desk.mouth.log) == 12 and not desk.of("reply.failed")


@virtual_time
async def test_the_brain_hears_of_the_call_before_and_after() -> None:
    desk = await run(after(0), 1)
    assert (desk.brain.began, desk.brain.ended) == (["call-0001"], ["call-0001"])
