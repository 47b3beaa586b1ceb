"""Calls that come in through Twilio: let in, refused, made to wait, two at once, ended by the number's callback."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine import admission
from engine.calls import Cursor, State
from engine.config import NumberRoute
from tests.engine.carrier_rig import STRANGER
from tests.engine.twilio_rig import SINK, live, ring_in

OTHER_NUMBER = "+15550100900"


async def test_a_caller_who_may_call_is_greeted_heard_and_said_goodbye_to(tmp_path: Path) -> None:
    """Pain A3."""
    async with live(tmp_path, changes={"inbound_policy": "allowlist", "allow_from": [SINK]}) as at:
        call, far = await ring_in(at)
        await at.until(call, lambda call: "heard" in call.rungs)
        await at.engine.speak(call.call_id, "One moment.", "cli")
        await at.engine.end(call.call_id, "cli")
        await far.until_over()
        ended = await at.until(call, lambda call: not call.live)
        assert (ended.direction, ended.end_reason) == ("inbound", State.HANGUP_BOT)
        assert [line.speaker for line in ended.transcript] == ["agent", "agent"]
        assert len(far.streams) == 1 and far.codes() == []


async def test_the_number_that_was_called_decides_the_greeting(tmp_path: Path) -> None:
    route = NumberRoute(inbound_greeting="Riverside Dental, good morning.")
    async with live(tmp_path, changes={"inbound_policy": "open", "numbers": {OTHER_NUMBER: route}}) as at:
        call, _ = await ring_in(at, to_number=OTHER_NUMBER)
        greeted = await at.until(call, lambda call: "heard" in call.rungs)
        assert greeted.transcript[0].text == "Riverside Dental, good morning."


@pytest.mark.parametrize("number", [STRANGER, "anonymous", "", SINK[:-1], "1" + SINK[1:]])
async def test_i1_who_may_not_call_is_rejected_before_any_stream_exists(tmp_path: Path, number: str) -> None:
    """Pain F7."""
    async with live(tmp_path, changes={"inbound_policy": "allowlist", "allow_from": [SINK]}) as at:
        call, far = await ring_in(at, from_number=number or "anonymous")
        await far.until_over()
        ended = await at.until(call, lambda call: not call.live)
        assert ended.end_reason is State.HANGUP_BOT and ended.answered_at is None
        assert far.streams == [] and far.codes() == []


async def test_a_stranger_waits_ringing_until_somebody_lets_them_in(tmp_path: Path) -> None:
    async with live(tmp_path, changes={"inbound_policy": "pairing"}) as at:
        call, far = await ring_in(at, from_number=STRANGER)
        waiting = await at.until(call, lambda call: call.waiting)
        assert waiting.answered_at is None and far.streams == []
        await at.engine.admit(call.call_id, "always", "console")
        await at.until(call, lambda call: "heard" in call.rungs)
        again, _ = await ring_in(at, from_number=STRANGER)
        assert "waiting" not in (await at.until(again, lambda call: "heard" in call.rungs)).rungs


async def test_a_stranger_who_is_not_wanted_is_rejected_unbilled(tmp_path: Path) -> None:
    async with live(tmp_path, changes={"inbound_policy": "pairing"}) as at:
        call, far = await ring_in(at, from_number=STRANGER)
        await at.until(call, lambda call: call.waiting)
        await at.engine.admit(call.call_id, "no", "console")
        await far.until_over()
        assert far.streams == [] and far.state.status in ("no-answer", "busy")


async def test_a_stranger_about_whom_nobody_decides_in_time_is_rejected_unbilled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """How long that is (30 s) is proved in tests/engine/test_admission.py; here it is what Twilio is told then."""
    monkeypatch.setattr(admission, "WAIT_SECONDS", 0.5)
    async with live(tmp_path, changes={"inbound_policy": "pairing"}) as at:
        call, far = await ring_in(at, from_number=STRANGER)
        await at.until(call, lambda call: call.waiting or not call.live)
        await far.until_over()
        ended = await at.until(call, lambda call: not call.live)
        assert ended.end_reason is State.HANGUP_BOT and ended.answered_at is None
        assert ended.error is not None and "nobody let the caller in" in ended.error["message"]
        assert far.state.answered_at is None and far.streams == [] and far.codes() == []
        assert b"<Reject" in far.documents[-1] and len(far.of("redirect")) >= 1


async def test_f5_a_second_caller_is_served_while_one_is_live(tmp_path: Path) -> None:
    async with live(tmp_path, changes={"inbound_policy": "open"}) as at:
        first, _ = await ring_in(at)
        await at.until(first, lambda call: "heard" in call.rungs)
        second, _ = await ring_in(at, from_number=STRANGER)
        await at.until(second, lambda call: "heard" in call.rungs)
        assert {call.call_id for call in at.engine.live_calls()} == {first.call_id, second.call_id}


async def test_j4_a_caller_who_hangs_up_is_told_by_the_numbers_status_callback(tmp_path: Path) -> None:
    """Trap 1.3/number-status."""
    async with live(tmp_path, changes={"inbound_policy": "open"}) as at:
        call, far = await ring_in(at)
        await at.until(call, lambda call: "heard" in call.rungs)
        far.hang_up_person()
        ended = await at.until(call, lambda call: not call.live)
        assert ended.end_reason is State.COMPLETED
        assert "call.error" not in await at.types(call)


async def test_a_call_for_a_number_that_the_configuration_does_not_name_is_told_to_be_so(tmp_path: Path) -> None:
    async with live(tmp_path, changes={"inbound_policy": "open"}) as at:
        call, _ = await ring_in(at, to_number=OTHER_NUMBER)
        await at.until(call, lambda call: "signed" in call.rungs)
        ours, _ = await ring_in(at)
        await at.until(ours, lambda call: "signed" in call.rungs)
        page = await at.engine.events(Cursor(at.engine.cursor().generation, 0), None, limit=5000)
        effects = {
            event.data["matched"]: event.data["effect"]
            for event in page.events
            if event.type == "webhook.received" and event.data["type"] == "voice ringing"
        }
        assert effects[call.call_id].endswith(f"; not our number: {OTHER_NUMBER}")
        assert "not our number" not in effects[ours.call_id]
