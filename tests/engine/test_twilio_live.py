"""A whole engine against a far end that behaves like Twilio: transfers, keys, and messages on machines."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from engine.api import Refusal
from engine.calls import Cursor, State
from tests.carriers.twilio_far import OUR_NUMBER
from tests.engine.twilio_rig import BUSY, COLLEAGUE, LIMIT_S, MACHINE, SINK, live
from tests.media.dtmf_ear import keys_in


async def test_a_caller_is_put_through_talks_and_the_call_is_over(tmp_path: Path) -> None:
    async with live(tmp_path) as at:
        call, far = await at.dial(SINK, "Hello there.")
        await at.until(call, lambda call: "heard" in call.rungs)
        await at.engine.transfer(call.call_id, COLLEAGUE, "cli")
        ended = await at.until(call, lambda call: not call.live)
        assert (ended.end_reason, ended.transferred_to) == (State.COMPLETED, COLLEAGUE)
        (leg,) = far.transfers
        assert (leg.to_number, leg.from_number, leg.status) == (COLLEAGUE, OUR_NUMBER, "completed")
        await far.until_over()
        assert far.codes() == []
        assert len(far.streams) == 1
        types = await at.types(call)
        assert "stream.lost" not in types and "call.error" not in types


async def test_a_caller_whom_nobody_took_is_back_on_a_stream_and_hears_us(tmp_path: Path) -> None:
    async with live(tmp_path) as at:
        call, far = await at.dial(SINK, "Hello there.")
        await at.until(call, lambda call: "heard" in call.rungs)
        await at.engine.transfer(call.call_id, BUSY, "cli")
        await at.until(call, lambda call: any("put you through" in line.text for line in call.transcript))
        await at.engine.speak(call.call_id, "The line is busy. Can I help you?", "cli")
        now = at.engine.call(call.call_id)
        assert now is not None and now.live and now.transferred_to == ""
        assert far.transfers[0].status == "busy"
        assert len(far.streams) == 2
        types = await at.types(call)
        assert types.index("call.transferred") < types.index("call.returned") < types.index("stream.resumed")
        assert "stream.lost" not in types
        assert far.codes() == []


async def test_keys_arrive_as_tones_and_the_stream_lives_on(tmp_path: Path) -> None:
    """Trap 1.5/keys-out."""
    async with live(tmp_path) as at:
        call, far = await at.dial(SINK, "Hello there.")
        await at.until(call, lambda call: "heard" in call.rungs)
        heard = len(far.streams[0].audio)
        await at.engine.send_dtmf(call.call_id, "42w#", "cli")
        assert keys_in(bytes(far.streams[0].audio[heard:])) == "42#"
        await at.engine.speak(call.call_id, "Are you still there?", "cli")
        assert len(far.streams) == 1 and far.streams[0].close_code is None
        assert far.codes() == []


async def test_a_message_is_left_over_the_stream_after_the_beep(tmp_path: Path) -> None:
    async with live(tmp_path, answering_machine="leave_message") as at:
        call, far = await at.dial(MACHINE, "Please call us back about Tuesday.")
        ended = await at.until(call, lambda call: not call.live)
        assert (ended.end_reason, ended.answered_by) == (State.VOICEMAIL, "machine")
        left = [line for line in ended.transcript if line.speaker == "agent"][-1]
        assert (left.text, left.cut) == ("Please call us back about Tuesday.", False)
        await far.until_over()
        assert far.state.answered_by == "machine_end_beep"
        assert far.codes() == []


async def test_a_notice_is_left_by_the_carriers_own_voice_after_the_beep(tmp_path: Path) -> None:
    # The machine talks at its own pace, so the carrier has to wait at its own pace too.
    async with live(tmp_path, 1, answering_machine="leave_message", notify_hangup_delay_sec=0) as at:
        call, far = await at.dial(MACHINE, "Your table is ready.", "notify")
        ended = await at.until(call, lambda call: not call.live)
        assert (ended.end_reason, ended.answered_by) == (State.VOICEMAIL, "machine")
        await far.until_over()
        said = [(spoken.text, spoken.whole) for spoken in far.spoken]
        assert said[-1] == ("Your table is ready.", True) and len(said) == 2
        assert far.streams == [] and far.codes() == []


async def test_a_machine_is_hung_up_on(tmp_path: Path) -> None:
    async with live(tmp_path, answering_machine="hang_up") as at:
        call, far = await at.dial(MACHINE, "Hello there.")
        ended = await at.until(call, lambda call: not call.live)
        assert ended.end_reason is State.VOICEMAIL
        await far.until_over()
        assert far.state.over_because == "api"


async def test_a_notice_goes_with_the_dial_and_is_heard_whole(tmp_path: Path) -> None:
    async with live(tmp_path, notify_hangup_delay_sec=0) as at:
        call, far = await at.dial(SINK, "Your parcel is here.", "notify")
        ended = await at.until(call, lambda call: not call.live)
        assert ended.end_reason is State.COMPLETED
        assert [(spoken.text, spoken.whole) for spoken in far.spoken] == [("Your parcel is here.", True)]
        assert not [delivery for delivery in far.deliveries if delivery.kind == "answer"]
        assert far.codes() == []


async def test_reports_of_a_stream_belong_to_its_call(tmp_path: Path) -> None:
    async with live(tmp_path) as at:
        call, far = await at.dial(SINK, "Hello there.")
        await at.until(call, lambda call: "heard" in call.rungs)
        await at.engine.end(call.call_id, "cli")
        matched: dict[str, str | None] = {}
        async with asyncio.timeout(LIMIT_S):
            async for batch in at.engine.watch(Cursor(at.engine.cursor().generation, 0)):
                webhooks = (event.data for event in batch if event.type == "webhook.received")
                matched |= {str(data["type"]): data["matched"] for data in webhooks}
                if "stream-stopped" in matched:
                    break
        assert matched["stream-started"] == matched["stream-stopped"] == call.call_id


async def test_a_transfer_that_twilio_did_not_answer_is_looked_up_told_and_the_agent_goes_on(tmp_path: Path) -> None:
    async with live(tmp_path) as at:
        call, far = await at.dial(SINK, "Hello there.")
        await at.until(call, lambda call: "heard" in call.rungs)
        at.far.fail("update", "lost-before")
        with pytest.raises(Refusal) as refused:
            await at.engine.transfer(call.call_id, COLLEAGUE, "cli")
        assert refused.value.code == "outcome_unknown"
        assert f"no call to {COLLEAGUE}" in refused.value.error and "twice" in refused.value.hint
        now = at.engine.call(call.call_id)
        assert now is not None and now.error is not None and now.error["code"] == "outcome_unknown"
        assert not now.transferred_to and not far.transfers
        await at.engine.speak(call.call_id, "I am still here.", "cli")


async def test_a_transfer_whose_answer_was_lost_is_known_by_the_leg_that_twilio_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with live(tmp_path) as at:
        call, far = await at.dial(SINK, "Hello there.")

        async def no_sign(live: object, call: object) -> bool:
            await far.until(lambda: far.transfers)
            return False

        monkeypatch.setattr("engine.live.transfer.Transfers._has_gone", staticmethod(no_sign))
        await at.until(call, lambda call: "heard" in call.rungs)
        at.far.fail("update", "lost-after")
        await at.engine.transfer(call.call_id, COLLEAGUE, "cli")
        now = at.engine.call(call.call_id)
        assert now is not None and (now.transferred_to == COLLEAGUE or not now.live) and len(far.transfers) == 1
