"""A public_url that leads nowhere, or to something else, at Twilio: the call says so within seconds."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.calls import State
from engine.live import unreached
from tests.carriers.twilio_far.desk import Answer, Desk, Webhook
from tests.engine.twilio_rig import SINK, live

NOWHERE = "http://127.0.0.1:9/voice/webhook"


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is proved here is what happens, not after how long: that is proved in tests/live/test_unreached.py."""
    monkeypatch.setattr(unreached, "FIRST_SECONDS", 0.3)
    monkeypatch.setattr(unreached, "AGAIN_SECONDS", 0.3)


async def _ends(state_dir: Path, public_url: str, code: str) -> None:
    async with live(state_dir, changes={"public_url": public_url, "ring_timeout_ms": 60_000}) as at:
        call, far = await at.dial(SINK, "Hello there.")
        ended = await at.until(call, lambda call: not call.live)
        assert ended.end_reason is State.ERROR and ended.answered_at is not None
        error = dict(ended.error or {})
        assert (error["code"], error["carrierCode"]) == ("webhook_unreachable", code)
        assert str(error["message"]).startswith(f"webhook not reachable at {public_url}: ")
        assert str(error["link"]).startswith("https://")
        assert far.state.over


@pytest.mark.parametrize("status", [404, 503])
async def test_a_public_url_of_somebody_else(tmp_path: Path, status: int) -> None:
    async def refuse(_: Webhook) -> Answer:
        return status, "text/plain", b"not here"

    async with Desk("another token") as desk:
        desk.answer = refuse
        await _ends(tmp_path, desk.url("/voice/webhook"), "11200")


async def test_a_public_url_where_nobody_listens(tmp_path: Path) -> None:
    await _ends(tmp_path, NOWHERE, "11205")
