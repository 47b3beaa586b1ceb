"""What the carrier noted about a call that went wrong comes into its record."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from engine.carriers.base import Alert
from tests.engine.fake_carrier import EVERYTHING, sid, table

HANDSHAKE = Alert("NO1", "31920", "Stream - WebSocket - Handshake Error", "https://example.com/31920", True)


async def test_a_call_that_failed_is_explained_in_the_carriers_words(tmp_path: Path) -> None:
    """Trap 1.7/told."""
    async with table(tmp_path, replace(EVERYTHING, alerts=True)) as at:
        at.carrier.noted.append(HANDSHAKE)
        call = await at.call_out("Hello.", "conversation")
        await at.tell("ended", sid(call), reason="failed")
        event = await at.until_event(call, "call.error", carrierCode="31920")
        assert event.data["link"] == HANDSHAKE.link and event.data["code"] == "carrier_error"
        error = at.now(call).error
        assert error is not None and error["message"] == HANDSHAKE.message


async def test_a_carrier_that_notes_nothing_is_not_asked(tmp_path: Path) -> None:
    async with table(tmp_path) as at:
        at.carrier.noted.append(HANDSHAKE)
        call = await at.call_out("Hello.", "conversation")
        await at.tell("ended", sid(call), reason="failed")
        assert "call.error" not in await at.types(call)
