"""Conversations in Twilio's own voice and ears, over real HTTP: what is said, heard, and left alone."""

from __future__ import annotations

from pathlib import Path

from engine.calls import State
from tests.engine.carrier_rig import STRANGER
from tests.engine.native_talk import (
    HELLO,
    a_question_waits,
    agent,
    hears,
    said,
    silence_keeps_the_line,
    speaking_over_stops_a_line,
)
from tests.engine.twilio_rig import BUSY, SINK, native, ring_in


async def test_a_conversation_in_twilios_own_voice(tmp_path: Path) -> None:
    async with native(tmp_path) as at:
        call, far = await at.dial(SINK, HELLO)
        await said(far, HELLO)
        await at.until(call, lambda call: "heard" in call.rungs)
        now = await hears(far, at, call, "yes", "yes that", "Yes, that is fine.")
        assert [line.text for line in now.transcript[:2]] == [HELLO, "Yes, that is fine."]
        await said(far, agent(now)[1])
        await far.until(lambda: len(far.of("gather")) >= 3)
        assert now.live and set(now.turns[0]) == {"agent", "sentence", "send", "total"}
        assert far.of("partial") and far.streams == []
        assert far.codes() == [], "nothing that Twilio minds"
        types = await at.types(call)
        assert not {"stream.opened", "say.failed", "call.error"} & set(types)


async def test_somebody_who_says_nothing_keeps_the_line_and_each_question_is_a_request_of_its_own(
    tmp_path: Path,
) -> None:
    async with native(tmp_path) as at:
        await silence_keeps_the_line(at, "gather")
        assert at.far.call().codes() == []


async def test_a_question_waits_through_silence_for_its_answer(tmp_path: Path) -> None:
    async with native(tmp_path) as at:
        await a_question_waits(at, "gather")
        assert at.far.call().codes() == []


async def test_who_speaks_over_a_line_stops_it_and_is_heard_to_their_end(tmp_path: Path) -> None:
    async with native(tmp_path) as at:
        await speaking_over_stops_a_line(at)


async def test_keys_are_played_and_the_conversation_goes_on(tmp_path: Path) -> None:
    async with native(tmp_path) as at:
        call, far = await at.dial(SINK, HELLO)
        await at.until(call, lambda call: "heard" in call.rungs)
        await at.engine.send_dtmf(call.call_id, "42#", "cli")
        assert far.leg is not None and far.leg.heard.digits == "42#"
        await at.engine.speak(call.call_id, "Are you still there?", "cli")
        await far.press("7#")
        await at.until(call, lambda call: bool(call.dtmf))
        assert far.codes() == []


async def test_who_could_not_be_put_through_is_told_so(tmp_path: Path) -> None:
    async with native(tmp_path) as at:
        call, far = await at.dial(SINK, HELLO)
        await at.until(call, lambda call: "heard" in call.rungs)
        await at.engine.transfer(call.call_id, BUSY, "cli")
        await at.until(call, lambda call: any("put you through" in text for text in agent(call)))
        await at.engine.speak(call.call_id, "Can I help you?", "cli")
        await said(far, "Can I help you?")
        assert far.codes() == []


async def test_an_end_of_ours_and_one_of_theirs(tmp_path: Path) -> None:
    async with native(tmp_path, max_concurrent_calls=2) as at:
        ours, far_ours = await at.dial(SINK, HELLO)
        theirs, far_theirs = await at.dial(SINK, HELLO)
        for call in (ours, theirs):
            await at.until(call, lambda call: "heard" in call.rungs)
        await at.engine.end(ours.call_id, "cli")
        far_theirs.hang_up_person()
        ended = await at.until(theirs, lambda call: not call.live)
        assert ended.end_reason is State.COMPLETED
        assert (await at.until(ours, lambda call: not call.live)).end_reason is State.HANGUP_BOT
        for far in (far_ours, far_theirs):
            await far.until_over()
            assert far.codes() == []


async def test_a_caller_is_greeted_understood_and_answered(tmp_path: Path) -> None:
    async with native(tmp_path, inbound_policy="open") as at:
        call, far = await ring_in(at)
        await at.until(call, lambda call: "heard" in call.rungs)
        now = await hears(far, at, call, "What are", "What are your opening hours?")
        assert now.answered_at is not None and now.media == "native"
        await said(far, agent(now)[0])
        await said(far, agent(now)[1])
        assert far.streams == [] and far.codes() == []


async def test_a_stranger_hears_nothing_and_is_not_billed_until_somebody_lets_them_in(tmp_path: Path) -> None:
    async with native(tmp_path, inbound_policy="pairing") as at:
        call, far = await ring_in(at, from_number=STRANGER)
        waiting = await at.until(call, lambda call: call.waiting)
        assert waiting.answered_at is None and far.spoken == []
        await at.engine.admit(call.call_id, "once", "console")
        now = await at.until(call, lambda call: "heard" in call.rungs)
        await said(far, agent(now)[0])
        assert now.answered_at is not None and far.codes() == []
