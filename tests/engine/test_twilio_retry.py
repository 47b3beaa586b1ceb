"""A webhook that Twilio sends again, with a whole engine: the call must not suffer from it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.engine.twilio_rig import SINK, live


@pytest.mark.parametrize("fault", ["retry", "duplicate"])
async def test_e8_a_repeated_request_for_instructions_costs_no_call(tmp_path: Path, fault: str) -> None:
    """Trap 1.3/retry. retry: our first answer is lost on the way, so the second must open the stream. duplicate: it
    must not hurt."""
    async with live(tmp_path) as at:
        getattr(at.far.webhook_faults, fault).add("answer")
        call, far = await at.dial(SINK, "Hello there.")
        after = await at.until(call, lambda call: "heard" in call.rungs or not call.live)
        assert after.live and after.error is None
        assert len(far.streams) == 1 and far.codes() == []
        verdicts = at.engine.health()["exposure"]["webhooks"]
        assert verdicts["replay"] == 1 and verdicts["refused"] == 0


async def test_a_progress_report_that_comes_twice_happens_once(tmp_path: Path) -> None:
    """Trap 1.3/retry."""
    async with live(tmp_path) as at:
        at.far.webhook_faults.duplicate.update({"ringing", "completed"})
        call, far = await at.dial(SINK, "Hello there.")
        await at.until(call, lambda call: "heard" in call.rungs)
        await at.engine.end(call.call_id, "cli")
        await far.until_over()
        types = await at.types(call)
        assert types.count("call.ringing") == 1 and types.count("call.ended") == 1
