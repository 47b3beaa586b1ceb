"""A line of ours that was interrupted for nothing goes on where it was cut, in a whole call."""

from __future__ import annotations

from pathlib import Path

from engine.calls import Call, State
from engine.config.turn_taking import TurnTaking
from engine.live.call import LiveCall
from engine.live.turn_clock import TurnClock
from tests.engine.fake_carrier import Table, table

MESSAGE = "Your table for four people is ready from eight o'clock on, and the kitchen is open until midnight."


async def interrupted(at: Table) -> tuple[Call, LiveCall]:
    """A conversation whose first line was just cut."""
    call = await at.call_out(MESSAGE, "conversation")
    await at.answer(call)
    await at.until(call, lambda call: call.state is State.SPEAKING)
    live = at.engine._calls.get(call.call_id)
    assert live is not None
    live.caller_began()
    live.caller_interrupts()
    await at.until(call, lambda call: call.transcript[0].cut)
    return call, live


async def test_a_cough_that_stopped_us_lets_us_go_on(tmp_path: Path) -> None:
    async with table(tmp_path, ms_per_character=20) as at:
        call, live = await interrupted(at)
        live.caller_said_nothing()
        heard = await at.until(call, lambda call: len(call.transcript) > 1 and not live.mouth.busy)
        first, rest = heard.transcript[:2]
        assert first.cut and not rest.cut
        assert f"{first.text} {rest.text}".split() == MESSAGE.split()


async def test_an_okay_in_the_middle_of_a_line_lets_us_go_on_and_is_not_answered(tmp_path: Path) -> None:
    async with table(tmp_path, ms_per_character=20) as at:
        call, live = await interrupted(at)
        live.caller_said("Okay.", TurnClock(1))
        assert not live.replies.pending
        await at.until(call, lambda call: len(call.transcript) > 1 and not live.mouth.busy)


async def test_words_that_mean_something_are_answered_and_the_line_stays_cut(tmp_path: Path) -> None:
    async with table(tmp_path, ms_per_character=20) as at:
        call, live = await interrupted(at)
        live.caller_said("No, I need to cancel it.", TurnClock(1))
        assert not live.mouth.broken_off
        told = await at.until(call, lambda call: len(call.transcript) > 1)
        assert told.transcript[1].text not in MESSAGE


async def test_without_the_setting_an_interrupted_line_stays_cut(tmp_path: Path) -> None:
    async with table(tmp_path, ms_per_character=20, turn_taking=TurnTaking(resume=False)) as at:
        call, live = await interrupted(at)
        live.caller_said_nothing()
        assert not live.mouth.busy and len(at.now(call).transcript) == 1
