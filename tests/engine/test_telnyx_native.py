"""Conversations in Telnyx's own voice and ears, over real HTTP: what is said, heard, stopped, and left."""

from __future__ import annotations

from pathlib import Path

from engine.calls import State
from tests.engine.native_talk import agent, playing, said
from tests.engine.telnyx_rig import BUSY, COLLEAGUE, MACHINE, SINK, native

HELLO = "Hello, this is the practice."


async def test_a_conversation_in_telnyx_own_voice(tmp_path: Path) -> None:
    async with native(tmp_path) as at:
        call, far = await at.dial(SINK, HELLO)
        await said(far, HELLO, 20)
        await at.until(call, lambda call: "heard" in call.rungs)
        await far.hear("yes", "yes that", "Yes, that is fine.")
        now = await at.until(call, lambda call: len(agent(call)) == 2)
        assert [line.text for line in now.transcript[:2]] == [HELLO, "Yes, that is fine."]
        await said(far, agent(now)[1], 20)
        assert now.live and set(now.turns[0]) == {"agent", "sentence", "send", "total"}
        assert far.streams == [] and len(far.sent("transcription_start")) == 1
        types = await at.types(call)
        assert not {"stream.opened", "say.failed", "call.error"} & set(types)
        await at.engine.end(call.call_id, "cli")
        await far.until_over()


async def test_an_inbound_call_is_greeted_and_understood(tmp_path: Path) -> None:
    """Pains T1 and T2."""
    async with native(tmp_path) as at:
        call, far = await at.ring_in()
        await at.until(call, lambda call: "heard" in call.rungs)
        assert [action for action, _ in far.commands[:3]] == ["answer", "speak", "transcription_start"]
        await far.hear("What are your opening hours?")
        answered = await at.until(call, lambda call: len(agent(call)) == 2)
        assert answered.transcript[1].text == "What are your opening hours?"


async def test_a_caller_who_interrupts_is_not_talked_over(tmp_path: Path) -> None:
    async with native(tmp_path) as at:
        call, far = await at.dial(SINK, "This is a long line. " * 20)
        await at.until(call, playing)
        await far.until(lambda: far.of("call.speak.started"))
        await far.until(lambda: far.transcription)
        assert far.transcription is not None
        far.transcription.tell("wait", final=False)
        await far.until(lambda: far.sent("playback_stop"))
        assert far.spoken[0].stopped and not far.spoken[0].whole, "stopped while they still speak"
        far.transcription.tell("Wait, please.", final=True)
        now = await at.until(call, lambda call: len(agent(call)) == 2)
        assert now.transcript[0].cut and now.transcript[0].unheard
        assert [line.text for line in now.transcript if line.speaker == "caller"] == ["Wait, please."]


async def test_keys_are_heard_and_stop_the_voice(tmp_path: Path) -> None:
    async with native(tmp_path) as at:
        call, far = await at.dial(SINK, "Press one. " * 30)
        await at.until(call, playing)
        await far.press("1")
        await at.until(call, lambda call: call.dtmf == "1")
        await far.until(lambda: far.spoken[0].stopped)
        await at.engine.send_dtmf(call.call_id, "99", "cli")
        assert far.keys == "99"


async def test_a_notice_is_said_and_the_call_is_over(tmp_path: Path) -> None:
    async with native(tmp_path, notify_hangup_delay_sec=0) as at:
        call, far = await at.dial(SINK, "Your table is ready.", "notify")
        ended = await at.until(call, lambda call: not call.live)
        assert ended.end_reason is State.COMPLETED and not ended.transcript[0].cut
        assert far.spoken[0].whole
        await far.until_over()


async def test_a_message_is_left_after_the_beep(tmp_path: Path) -> None:
    async with native(tmp_path, answering_machine="leave_message", notify_hangup_delay_sec=0) as at:
        call, far = await at.dial(MACHINE, "Your table is ready.", "notify")
        ended = await at.until(call, lambda call: not call.live)
        assert (ended.end_reason, ended.answered_by) == (State.VOICEMAIL, "machine")
        await far.until_over()
        assert (far.spoken[-1].text, far.spoken[-1].whole) == ("Your table is ready.", True)


async def test_a_caller_whom_nobody_took_is_back_and_is_heard_again(tmp_path: Path) -> None:
    async with native(tmp_path) as at:
        call, far = await at.dial(SINK, HELLO)
        await at.until(call, lambda call: "heard" in call.rungs)
        await at.engine.transfer(call.call_id, BUSY, "cli")
        await at.until(call, lambda call: any("put you through" in line.text for line in call.transcript))
        await far.until(lambda: far.transcription is not None)
        assert len(far.sent("transcription_start")) == 2 and len(far.sent("transcription_stop")) == 1
        await at.until(call, lambda call: not playing(call))
        await far.hear("Never mind.")
        await at.until(call, lambda call: any(line.speaker == "caller" for line in call.transcript))


async def test_a_caller_is_put_through_and_nothing_of_it_is_written_down(tmp_path: Path) -> None:
    async with native(tmp_path) as at:
        call, far = await at.dial(SINK, HELLO)
        await at.until(call, lambda call: "heard" in call.rungs)
        await at.engine.transfer(call.call_id, COLLEAGUE, "cli")
        assert far.transcription is None
        ended = await at.until(call, lambda call: not call.live)
        assert (ended.end_reason, ended.transferred_to) == (State.COMPLETED, COLLEAGUE)
        await far.until_over()
