"""What a person or a program asks to be said is said, or refused with the reason that is true."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from engine.api import Refusal
from engine.live.turn_clock import TurnClock
from tests.engine.fake_carrier import sid, table

LONG = "This is a very long line of the agent that somebody talks over before it has come to its end. " * 3


async def test_a_line_asked_for_is_said_although_keys_interrupt_the_one_before_it(tmp_path: Path) -> None:
    async with table(tmp_path, ms_per_character=30) as at:
        call = await at.call_out(LONG)
        await at.answer(call)
        await at.until_event(call, "say.started")
        speaking = asyncio.create_task(at.engine.speak(call.call_id, "Your parcel waits.", "cli"))
        await at.until(call, lambda call: bool(call.queued))
        at.engine._calls.connected(call.call_id).caller_pressed("1")
        await speaking
        first, second = [line for line in at.now(call).transcript if line.speaker == "agent"][:2]
        assert first.cut and (second.text, second.cut) == ("Your parcel waits.", False)


@pytest.mark.parametrize("act", ["speak", "ask"])
async def test_a_line_that_the_end_of_the_call_cut_off_is_refused_as_ended(tmp_path: Path, act: str) -> None:
    async with table(tmp_path, ms_per_character=30) as at:
        call = await at.call_out(LONG)
        await at.answer(call)
        await at.until_event(call, "say.started")
        asked = at.engine.speak if act == "speak" else at.engine.continue_call
        speaking = asyncio.ensure_future(asked(call.call_id, "Your parcel waits.", "cli"))
        await at.until(call, lambda call: bool(call.queued))
        await at.tell("ended", sid(call), reason="completed")
        with pytest.raises(Refusal) as refused:
            await speaking
        assert refused.value.code == "call_ended"


async def test_keys_that_the_end_of_the_call_cut_off_are_refused_as_ended(tmp_path: Path) -> None:
    async with table(tmp_path, ms_per_character=30) as at:
        call = await at.call_out("Hi.")
        stream = await at.answer(call)
        await at.until_event(call, "say.heard")
        pressing = asyncio.create_task(at.engine.send_dtmf(call.call_id, "1234567890", "cli"))
        await stream.until_audio(len(stream.audio) + 8 * 4 * 200)
        await at.tell("ended", sid(call), reason="completed")
        with pytest.raises(Refusal) as refused:
            await pressing
        assert refused.value.code == "call_ended" and "send the rest" not in refused.value.hint


async def test_a_line_that_the_floor_takes_away_is_dropped_and_not_called_the_end_of_the_call(tmp_path: Path) -> None:
    async with table(tmp_path, ms_per_character=30) as at:
        call = await at.call_out(LONG)
        await at.answer(call)
        await at.until_event(call, "say.started")
        speaking = asyncio.create_task(at.engine.speak(call.call_id, "Your parcel waits.", "cli"))
        await at.until(call, lambda call: bool(call.queued))
        await at.engine.set_floor(call.call_id, "operator", "console")
        with pytest.raises(Refusal) as refused:
            await speaking
        assert refused.value.code == "line_dropped" and refused.value.hint
        assert at.now(call).live


async def test_a_question_is_not_put_into_what_the_caller_says_and_gets_the_answer_that_comes_after(
    tmp_path: Path,
) -> None:
    async with table(tmp_path, ms_per_character=5) as at:
        call = await at.call_out("Hi.")
        await at.answer(call)
        await at.until_event(call, "say.heard")
        live = at.engine._calls.connected(call.call_id)
        live.caller_began()
        asking = asyncio.create_task(at.engine.continue_call(call.call_id, "Which day suits you?", "cli"))
        await at.until(call, lambda call: bool(call.queued))
        await asyncio.sleep(0.3)  # in which it would begin
        assert [line.text for line in at.now(call).transcript] == ["Hi."], "put before the caller had finished"
        live.caller_said("I would like to come in.", TurnClock(1))
        await at.until(call, lambda call: not call.queued and not call.transcript[-1].playing)
        live.caller_said("Thursday.", TurnClock(2))
        assert await asking == "Thursday."
        assert [line.text for line in at.now(call).transcript] == ["Hi.", "Which day suits you?"]
