"""Media sockets on the desk: each upgrade is kept with its verdict and what came of it, and never with its token."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from engine.store import WebhookQuery
from tests.engine.conftest import Running
from tests.web.carrier_side import CarrierSide, closed_with, start_frame
from tests.web.test_media_door import carrier, run

__all__ = ["carrier", "run"]


async def sockets(run: Running) -> list[Mapping[str, Any]]:
    found = await run.engine.webhooks(WebhookQuery(query="media socket"))
    return [await run.engine.webhook(row["id"], secrets=True) for row in found]


async def test_d2_one_that_carries_a_call_is_kept_without_its_token(carrier: CarrierSide, run: Running) -> None:
    ringing = await carrier.ring()
    async with await carrier.dial(f"{ringing.url}/{ringing.token}") as socket:
        await socket.send_str(start_frame(ringing.provider_call_id))
        await run.until_call(ringing.call_id, lambda call: "start" in call.rungs)
        (kept,) = await sockets(run)
    assert (kept["verdict"], kept["status"], kept["callId"]) == ("ok", 101, ringing.call_id)
    assert kept["target"] == "/voice/stream/…" and ringing.token not in json.dumps(kept)


async def test_d2_one_with_a_wrong_token_says_why_it_was_closed(carrier: CarrierSide, run: Running) -> None:
    ringing = await carrier.ring()
    async with await carrier.dial(ringing.url) as socket:
        await socket.send_str(start_frame(ringing.provider_call_id, "a wrong token"))
        await closed_with(socket)
    (kept,) = await sockets(run)
    assert "the stream token is not valid" in kept["effect"] and kept["callId"] == ringing.call_id
    assert "a wrong token" not in json.dumps(kept) and "not kept" in kept["unfit"]


async def test_a_refused_one_keeps_a_token_that_is_still_good_to_itself(carrier: CarrierSide, run: Running) -> None:
    ringing = await carrier.ring()
    assert await carrier.refusal(f"{ringing.url}/{ringing.token}", secret="another secret") == 401
    (kept,) = await sockets(run)
    assert (kept["verdict"], kept["status"]) == ("refused", 401) and kept["tried"]
    assert ringing.token not in json.dumps(kept)
