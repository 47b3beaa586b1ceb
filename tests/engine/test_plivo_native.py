"""Conversations in Plivo's own voice and ears: Speak and GetInput, instructions that are fetched, and machines."""

from __future__ import annotations

from pathlib import Path

from engine.calls import State
from tests.engine.native_talk import (
    HELLO,
    a_question_waits,
    agent,
    hears,
    said,
    silence_keeps_the_line,
    speaking_over_stops_a_line,
)
from tests.engine.plivo_rig import BUSY, COLLEAGUE, MACHINE, SINK, STRANGER, native, ring_in


async def test_a_conversation_in_plivos_own_voice(tmp_path: Path) -> None:
    async with native(tmp_path) as at:
        call, far = await at.dial(SINK, HELLO)
        await said(far, HELLO)
        await at.until(call, lambda call: "heard" in call.rungs)
        now = await hears(far, at, call, "yes", "yes that", "Yes, that is fine.")
        assert [line.text for line in now.transcript[:2]] == [HELLO, "Yes, that is fine."]
        await said(far, agent(now)[1])
        assert now.live and set(now.turns[0]) == {"agent", "sentence", "send", "total"}
        assert far.of("partial") and far.streams == []
        types = await at.types(call)
        assert not {"stream.opened", "say.failed", "call.error"} & set(types)


async def test_somebody_who_says_nothing_keeps_the_line_and_each_question_is_a_request_of_its_own(
    tmp_path: Path,
) -> None:
    async with native(tmp_path) as at:
        await silence_keeps_the_line(at, "redirect")


async def test_a_line_of_ours_is_fetched_from_the_address_that_the_call_was_sent_to(tmp_path: Path) -> None:
    async with native(tmp_path) as at:
        call, far = await at.dial(SINK, HELLO)
        await at.until(call, lambda call: "heard" in call.rungs)
        await at.engine.speak(call.call_id, "Thursday is free as well.", "cli")
        assert [spoken.text for spoken in far.spoken] == [HELLO, "Thursday is free as well."]
        (order,) = at.far.asked("transfer")
        assert order["legs"] == "aleg" and far.of("transfer")[0].url == order["aleg_url"]


async def test_a_line_that_is_fetched_before_the_command_is_answered_is_said_once(tmp_path: Path) -> None:
    async with native(tmp_path) as at:
        call, far = await at.dial(SINK, HELLO)
        await at.until(call, lambda call: "heard" in call.rungs)
        at.far.answer_late_s["transfer"] = 0.3
        for text in ("Thursday is free as well.", "So is Friday."):
            await at.engine.speak(call.call_id, text, "cli")
        assert [spoken.text for spoken in far.spoken] == [HELLO, "Thursday is free as well.", "So is Friday."]
        assert all(spoken.whole for spoken in far.spoken)
        assert "say.failed" not in await at.types(call)


async def test_a_line_whose_command_has_no_answer_but_took_effect_is_said(tmp_path: Path) -> None:
    async with native(tmp_path) as at:
        call, far = await at.dial(SINK, HELLO)
        await at.until(call, lambda call: "heard" in call.rungs)
        at.far.fail("transfer", "html-502-after")
        at.far.answer_late_s["transfer"] = 0.3
        await at.engine.speak(call.call_id, "Thursday is free as well.", "cli")
        assert far.spoken[-1].text == "Thursday is free as well." and len(at.far.asked("transfer")) == 1


async def test_a_question_waits_through_silence_for_its_answer(tmp_path: Path) -> None:
    async with native(tmp_path) as at:
        await a_question_waits(at, "redirect")


async def test_an_answer_that_is_delivered_twice_is_answered_once(tmp_path: Path) -> None:
    """Plivo repeats a callback with a nonce of its own: these are other bytes, and the same callback."""
    async with native(tmp_path) as at:
        call, far = await at.dial(SINK, HELLO)
        await at.until(call, lambda call: "heard" in call.rungs)
        at.far.webhook_faults.repeat.add("input")
        now = await hears(far, at, call, "Yes, that is fine.")
        assert [line.text for line in now.transcript if line.speaker == "caller"] == ["Yes, that is fine."]
        verdicts = [event.data["verdict"] for event in await at.events(call) if event.type == "webhook.received"]
        assert verdicts.count("replay") == 1


async def test_who_speaks_over_a_line_stops_it_and_is_heard_to_their_end(tmp_path: Path) -> None:
    async with native(tmp_path) as at:
        await speaking_over_stops_a_line(at)


async def test_keys_go_both_ways_and_the_conversation_goes_on(tmp_path: Path) -> None:
    async with native(tmp_path) as at:
        call, far = await at.dial(SINK, HELLO)
        await at.until(call, lambda call: "heard" in call.rungs)
        await at.engine.send_dtmf(call.call_id, "42#", "cli")
        assert far.leg is not None and far.leg.heard.digits == "42#"
        await far.press("7#")
        await at.until(call, lambda call: bool(call.dtmf))
        await at.engine.speak(call.call_id, "Are you still there?", "cli")
        assert far.spoken[-1].text == "Are you still there?"


async def test_a_caller_is_put_through_or_told_that_it_did_not_work(tmp_path: Path) -> None:
    async with native(tmp_path) as at:
        call, far = await at.dial(SINK, HELLO)
        await at.until(call, lambda call: "heard" in call.rungs)
        await at.engine.transfer(call.call_id, BUSY, "cli")
        await at.until(call, lambda call: any("put you through" in text for text in agent(call)))
        await at.until(call, lambda call: not any(line.playing for line in call.transcript))
        await at.engine.transfer(call.call_id, COLLEAGUE, "cli")
        ended = await at.until(call, lambda call: not call.live)
        assert ended.transferred_to == COLLEAGUE and [leg.status for leg in far.transfers] == ["busy", "completed"]


async def test_a_notice_is_said_whole_and_plivo_hangs_up(tmp_path: Path) -> None:
    async with native(tmp_path, settings={"say_speed": 1}) as at:
        call, far = await at.dial(SINK, "Your parcel is here.", "notify")
        ended = await at.until(call, lambda call: not call.live)
        await far.until_over()
        assert [(spoken.text, spoken.whole) for spoken in far.spoken] == [("Your parcel is here.", True)]
        assert ended.end_reason is State.COMPLETED and ended.transcript[0].text == "Your parcel is here."
        assert not ended.transcript[0].cut and far.state.source == "Answer XML"


async def test_a_caller_who_may_call_is_greeted_and_heard_and_another_is_refused(tmp_path: Path) -> None:
    async with native(tmp_path, changes={"inbound_policy": "allowlist", "allow_from": [SINK]}) as at:
        call, far = await ring_in(at)
        await at.until(call, lambda call: "heard" in call.rungs)
        now = await hears(far, at, call, "I need an appointment.")
        assert any(line.text == "I need an appointment." for line in now.transcript)
        far.hang_up_person()
        assert (await at.until(call, lambda call: not call.live)).end_reason is State.HANGUP_USER
        refused, theirs = await ring_in(at, from_number=STRANGER)
        await theirs.until_over()
        assert (await at.until(refused, lambda call: not call.live)).answered_at is None
        assert theirs.spoken == []


async def test_a_message_is_left_in_plivos_own_voice_once_the_greeting_is_over(tmp_path: Path) -> None:
    """The machine talks at its own pace, so Plivo has to listen at its own pace too."""
    outbound = {"answering_machine": "leave_message"}
    async with native(tmp_path, wait_speed=1, **outbound) as at:
        call, far = await at.dial(MACHINE, "Please call us back about Tuesday.")
        ended = await at.until(call, lambda call: not call.live)
        await far.until_over()
        assert (ended.end_reason, ended.answered_by) == (State.VOICEMAIL, "machine")
        assert (far.spoken[-1].text, far.spoken[-1].whole) == ("Please call us back about Tuesday.", True)
