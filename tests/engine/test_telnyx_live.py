"""A whole engine against a far end that behaves like Telnyx: calls over its media streams."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from engine.calls import State
from engine.calls.ladder import first_missing
from engine.config import parse_config
from tests.carriers.telnyx_far import OUR_NUMBER
from tests.engine.telnyx_rig import BUSY, COLLEAGUE, LATE, LIMIT_S, MACHINE, SINK, live

CODECS = [
    pytest.param({"leg_codec": "PCMU"}, {}, id="PCMU"),
    pytest.param({"leg_codec": "PCMA", "transcodes": False}, {"stream_codec": "PCMA"}, id="PCMA"),
    pytest.param({"leg_codec": "PCMA", "transcodes": False}, {}, id="PCMA in, PCMU out"),
]


@pytest.mark.parametrize(("settings", "telnyx"), CODECS)
async def test_a_conversation_is_heard_both_ways(tmp_path: Path, settings: Any, telnyx: Any) -> None:
    async with live(tmp_path, settings=settings, telnyx=telnyx) as at:
        call, far = await at.dial(SINK, "Hello there.")
        heard = await at.until(call, lambda call: "heard" in call.rungs and "caller" in call.rungs)
        assert far.leg is not None and far.leg.heard.loud_ms > 100, "our voice is loud at their ear, and no noise"
        assert heard.transcript[0].text == "Hello there."
        assert first_missing(heard, heard.last_at) is None
        await at.engine.end(call.call_id, "cli")
        await far.until_over()
        assert far.streams[0].errors == [] and len(far.streams) == 1
        ended = at.call(call.call_id)
        assert (ended.end_reason, ended.ended_by) == (State.HANGUP_BOT, "cli")
        assert not {"call.error", "stream.lost", "say.failed"} & set(await at.types(call))


@pytest.mark.parametrize(("settings", "telnyx"), CODECS)
async def test_an_inbound_call_is_answered_and_greeted(tmp_path: Path, settings: Any, telnyx: Any) -> None:
    """Pains T1 and T2."""
    async with live(tmp_path, settings=settings, telnyx=telnyx) as at:
        call, far = await at.ring_in()
        answered = await at.until(call, lambda call: "heard" in call.rungs)
        assert answered.direction == "inbound" and answered.answered_at is not None
        assert [action for action, _ in far.commands] == ["answer"]
        assert far.leg is not None and far.leg.heard.loud_ms > 100
        far.hang_up_person()
        ended = await at.until(call, lambda call: not call.live)
        assert (ended.end_reason, ended.ended_by) == (State.HANGUP_USER, "caller")


async def test_an_inbound_call_that_nobody_wants_is_rejected_unanswered(tmp_path: Path) -> None:
    async with live(tmp_path, changes={"inbound_policy": "disabled"}) as at:
        call, far = await at.ring_in()
        await far.until_over()
        assert (far.hangup_cause, far.answered_at) == ("call_rejected", None)
        assert at.call(call.call_id).answered_at is None and not at.call(call.call_id).live


async def test_a_stranger_rings_until_somebody_lets_them_in(tmp_path: Path) -> None:
    async with live(tmp_path, changes={"inbound_policy": "pairing"}) as at:
        call, far = await at.ring_in()
        await at.until(call, lambda call: call.waiting)
        assert far.commands == []
        await at.engine.admit(call.call_id, "once", "console")
        await at.until(call, lambda call: "heard" in call.rungs)
        assert [action for action, _ in far.commands] == ["answer"]


async def test_a_stranger_whom_nobody_lets_in_is_rejected(tmp_path: Path) -> None:
    async with live(tmp_path, changes={"inbound_policy": "pairing"}) as at:
        call, far = await at.ring_in()
        await at.until(call, lambda call: call.waiting)
        await at.engine.admit(call.call_id, "no", "console")
        await far.until_over()
        assert far.hangup_cause == "call_rejected"


async def test_a_notice_is_said_and_the_call_is_over(tmp_path: Path) -> None:
    async with live(tmp_path, notify_hangup_delay_sec=0) as at:
        call, far = await at.dial(SINK, "Your table is ready.", "notify")
        ended = await at.until(call, lambda call: not call.live)
        assert ended.end_reason is State.COMPLETED and not ended.transcript[0].cut
        await far.until_over()
        assert far.hangup_source == "caller"


async def test_a_busy_line_is_busy(tmp_path: Path) -> None:
    async with live(tmp_path) as at:
        call, _ = await at.dial(BUSY, "Hello.")
        assert (await at.until(call, lambda call: not call.live)).end_reason is State.BUSY


async def test_the_socket_is_there_before_the_answer_and_waits_for_its_start(tmp_path: Path) -> None:
    hasty = parse_config(b"", None, {}).config.streaming.model_copy(update={"pre_start_timeout_ms": 300})
    async with live(tmp_path, 1, changes={"streaming": hasty}) as at:
        call, far = await at.dial(LATE, "Hello there.")
        await at.until(call, lambda call: "heard" in call.rungs)
        (record,) = far.streams
        assert record.started_at - record.connected_at > 1.0, "longer than a stranger would be given"


@pytest.mark.parametrize("settings", [{"early_socket": False}, {"shuffle": True}], ids=["late", "out of order"])
async def test_a_socket_may_come_late_and_its_frames_out_of_order(tmp_path: Path, settings: Any) -> None:
    async with live(tmp_path, settings=settings) as at:
        call, _ = await at.dial(SINK, "Hello there.")
        await at.until(call, lambda call: "heard" in call.rungs and "caller" in call.rungs)
        assert at.engine.health()["exposure"]["streams"] == 1


async def test_audio_that_is_not_telephone_audio_is_refused_and_says_why(tmp_path: Path) -> None:
    async with live(tmp_path, settings={"leg_codec": "G722"}) as at:
        call, far = await at.dial(SINK, "Hello there.")
        await far.until(lambda: far.streams and far.streams[0].close_code)
        refused: list[str] = []
        async with asyncio.timeout(LIMIT_S):
            async for _ in at.engine.watch(None, 100):
                refused = [data["why"] for type_, data in await at.facts(call) if type_ == "stream.refused"]
                if refused:
                    break
        assert len(refused) == 1 and "G722" in refused[0] and "PCMU" in refused[0]


async def test_a_lost_socket_is_opened_again_in_the_same_call(tmp_path: Path) -> None:
    async with live(tmp_path) as at:
        call, far = await at.dial(SINK, "Hello there.")
        await at.until(call, lambda call: "heard" in call.rungs)
        (await far.until_stream()).lose()
        await far.until_stream(2)
        await at.engine.speak(call.call_id, "I am back.", "cli")
        assert [action for action, _ in far.commands] == ["streaming_start"] and at.call(call.call_id).live
        types = await at.types(call)
        assert types.index("stream.lost") < types.index("stream.resumed")


async def test_what_telnyx_does_not_like_about_our_frames_is_in_the_record_once(tmp_path: Path) -> None:
    async with live(tmp_path) as at:
        call, far = await at.dial(SINK, "Hello there.")
        socket = await far.until_stream()
        for _ in range(3):
            socket.inject('{"event":"error","payload":{"code":100005,"title":"rate_limit_reached","detail":""}}')
        await at.until(call, lambda call: call.error is not None)
        await at.until(call, lambda call: "heard" in call.rungs)
        errors = [data for type_, data in await at.facts(call) if type_ == "call.error"]
        assert len(errors) == 1 and "100005 rate_limit_reached" in errors[0]["message"]


async def test_keys_go_by_rest_and_come_once(tmp_path: Path) -> None:
    async with live(tmp_path) as at:
        call, far = await at.dial(SINK, "Hello there.")
        await at.until(call, lambda call: "heard" in call.rungs)
        await at.engine.send_dtmf(call.call_id, "42#", "cli")
        assert far.keys == "42#" and len(far.streams) == 1
        await far.press("19")
        await at.until(call, lambda call: call.dtmf == "19")
        await far.until(lambda: all(hook.statuses for hook in far.of("call.dtmf.received")))
        assert at.call(call.call_id).dtmf == "19", "told by the stream and by webhook, recorded once"


async def test_a_caller_is_put_through_talks_and_the_call_is_over(tmp_path: Path) -> None:
    async with live(tmp_path) as at:
        call, far = await at.dial(SINK, "Hello there.")
        await at.until(call, lambda call: "heard" in call.rungs)
        await at.engine.transfer(call.call_id, COLLEAGUE, "cli")
        ended = await at.until(call, lambda call: not call.live)
        assert (ended.end_reason, ended.transferred_to) == (State.COMPLETED, COLLEAGUE)
        (leg,) = far.transfers
        assert (leg.to_number, leg.from_number) == (COLLEAGUE, OUR_NUMBER) and leg.answered_at is not None
        await far.until_over()
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
        now = at.call(call.call_id)
        assert now.live and now.transferred_to == "" and len(far.streams) == 2
        types = await at.types(call)
        assert types.index("call.transferred") < types.index("call.returned") < types.index("stream.resumed")
        assert "stream.lost" not in types


@pytest.mark.parametrize("detection", ["standard", "premium"])
async def test_a_message_is_left_over_the_stream_after_the_beep(tmp_path: Path, detection: str) -> None:
    telnyx = {"machine_detection": detection}
    async with live(tmp_path, telnyx=telnyx, answering_machine="leave_message") as at:
        call, far = await at.dial(MACHINE, "Please call us back about Tuesday.")
        ended = await at.until(call, lambda call: not call.live)
        assert (ended.end_reason, ended.answered_by) == (State.VOICEMAIL, "machine")
        left = [line for line in ended.transcript if line.speaker == "agent"][-1]
        assert (left.text, left.cut) == ("Please call us back about Tuesday.", False)
        await far.until_over()


async def test_what_a_call_cost_stands_in_its_record(tmp_path: Path) -> None:
    async with live(tmp_path, settings={"call_cost": True}, notify_hangup_delay_sec=0) as at:
        call, far = await at.dial(SINK, "Your table is ready.", "notify")
        await far.until_over()
        costs = [data for type_, data in await at.facts(call) if type_ == "call.cost"]
        assert costs == [{"total": "0.0018 USD", "billedSeconds": far.duration_s}]
