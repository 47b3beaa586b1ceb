"""The webhook desk over real sockets: what Twilio's far end sent is kept, shown without secrets, and comes again."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from engine.api import Refusal
from engine.config import parse_config
from engine.store import WebhookQuery
from tests.engine.twilio_rig import SINK, Live, live, ring_in

OPEN = {"inbound_policy": "open"}


async def greeted(at: Live) -> str:
    """An inbound call that hears our greeting; its id."""
    call, _ = await ring_in(at)
    await at.until(call, lambda call: "heard" in call.rungs)
    return call.call_id


async def rows(at: Live, **wanted: Any) -> list[Mapping[str, Any]]:
    return list(await at.engine.webhooks(WebhookQuery(**wanted)))


async def announced(at: Live, call_id: str) -> Mapping[str, Any]:
    """The request with which a call came in, once it has been answered."""
    async with asyncio.timeout(20):
        async for _ in at.engine.watch(None, 100):
            if found := await rows(at, call_id=call_id):
                return found[-1]
    raise AssertionError("the watch ended")


async def row_of(at: Live, kind: str, **wanted: Any) -> Mapping[str, Any]:
    """The newest kept request of a type."""
    return next(row for row in await rows(at, **wanted) if row["type"] == kind)


async def test_h1_each_request_of_a_call_is_kept_with_its_verdict_call_and_effect(tmp_path: Path) -> None:
    async with live(tmp_path, changes=OPEN) as at:
        call_id = await greeted(at)
        found = await rows(at, call_id=call_id)
        assert {row["verdict"] for row in found} == {"ok"} and {row["callId"] for row in found} == {call_id}
        first, socket = found[-1], await row_of(at, "media socket")
        assert (first["method"], first["status"], first["effect"]) == (
            "POST",
            200,
            "document: connect, after voice ringing",
        )
        assert (socket["status"], socket["effect"]) == (101, "stream: it carries the call")
        assert [row["id"] for row in found] == sorted((row["id"] for row in found), reverse=True)


async def test_the_event_in_the_log_names_the_request_that_was_kept(tmp_path: Path) -> None:
    async with live(tmp_path, changes=OPEN) as at:
        call_id = await greeted(at)
        page = await at.engine.backlog(5)
        named = [event.data["record"] for event in page.events if event.type == "webhook.received"]
        kept = {row["id"] for row in await rows(at, call_id=call_id) if row["kind"] == "webhook"}
        assert named and set(named) >= kept


async def test_what_was_signed_and_answered_is_shown_and_no_token_of_a_stream_is(tmp_path: Path) -> None:
    async with live(tmp_path, changes=OPEN) as at:
        call_id = await greeted(at)
        shown = await at.engine.webhook((await rows(at, call_id=call_id))[-1]["id"])
        assert shown["signed"].startswith(shown["form"]) and "CallSid" in shown["signed"]
        assert shown["tried"][0] == {"url": shown["form"], "fits": True}
        assert "<Connect>" in shown["answer"]["body"] and 'value="…"' in shown["answer"]["body"]
        text = json.dumps(shown, ensure_ascii=False)
        assert at.far.settings.auth_token not in text
        signature = next(value for name, value in shown["headers"] if name.lower() == "x-twilio-signature")
        assert signature.endswith("… (28 characters)")


async def test_a_refused_request_says_which_forms_were_tried(tmp_path: Path) -> None:
    async with live(tmp_path) as at:
        at.far.webhook_faults.wrong_token.add("ringing")
        call, _ = await at.dial(SINK, "Hello there.")
        await at.until(call, lambda call: "heard" in call.rungs)
        (row,) = await rows(at, verdict="refused")
        shown = await at.engine.webhook(row["id"])
        assert row["status"] == 401 and row["callId"] is None and row["effect"] == "refused with 401"
        assert shown["tried"] and not any(tried["fits"] for tried in shown["tried"])
        assert "each subaccount has its own" in shown["why"] and "CallSid" in shown["body"]


async def test_a_list_can_be_filtered_and_turned_over(tmp_path: Path) -> None:
    async with live(tmp_path, changes=OPEN) as at:
        call_id = await greeted(at)
        every = await rows(at)
        assert await rows(at, verdict="refused") == [] and await rows(at, query="no such word") == []
        assert await rows(at, query=f"POST {call_id}") and await rows(at, query="CONNECT, after")
        assert await rows(at, last=1) == every[:1]
        assert await rows(at, before=every[0]["id"]) == every[1:]
        assert await rows(at, after=every[-1]["id"]) == every[:-1]


async def test_a_sandbox_replay_tells_what_it_would_do_and_does_nothing(tmp_path: Path) -> None:
    async with live(tmp_path, changes=OPEN) as at:
        call_id = await greeted(at)
        first = (await rows(at, call_id=call_id))[-1]
        before, cursor, requests = at.engine.call(call_id), at.engine.cursor(), len(at.far.requests)
        result = await at.engine.replay_webhook(first["id"], "sandbox", "cli")
        assert (result["verdict"], result["effect"]) == ("ok", "document: connect, after voice ringing")
        assert [event["type"] for event in result["events"]] == ["call.initiated", "call.accepted", "call.ringing"]
        assert result["before"] is None and result["state"] == "ringing"
        assert "<Connect>" in result["document"]["body"] and 'value="…"' in result["document"]["body"]
        assert "replay" in result["live"] and result["instructions"] == ["connect"]
        assert {"field": "state", "before": None, "after": "ringing"} in result["changes"]
        assert at.engine.call(call_id) is before and len(at.far.requests) == requests
        assert len(at.engine.live_calls()) == 1
        assert (await at.engine.events(cursor)).events == []


async def test_a_sandbox_replay_is_against_the_call_as_it_was_then(tmp_path: Path) -> None:
    async with live(tmp_path) as at:
        call, far = await at.dial(SINK, "Hello there.")
        await at.until(call, lambda call: "heard" in call.rungs)
        await at.engine.end(call.call_id, "cli")
        await far.until_over()
        await at.until(call, lambda call: not call.live)
        found = await rows(at, call_id=call.call_id)
        answered = next(row for row in found if row["effect"].startswith("document: connect"))
        result = await at.engine.replay_webhook(answered["id"], "sandbox", "cli")
        assert result["before"] in ("initiated", "ringing", "answered", "active") and result["verdict"] == "ok"
        assert "over" not in result["effect"]


async def test_a_stranger_who_has_to_be_let_in_waits_in_the_sandbox_for_nobody(tmp_path: Path) -> None:
    async with live(tmp_path, changes={"inbound_policy": "pairing"}) as at:
        call, _ = await ring_in(at)
        first = await announced(at, call.call_id)
        result = await at.engine.replay_webhook(first["id"], "sandbox", "cli")
        assert result["effect"] == "hold: the caller waits" and result["instructions"] == ["pause", "redirect"]
        assert [event["type"] for event in result["events"]][-1] == "call.waiting"
        assert [each.call_id for each in at.engine.live_calls()] == [call.call_id]


async def test_a_call_without_a_stream_is_told_to_listen_and_no_voice_is_needed_for_it(tmp_path: Path) -> None:
    streaming = parse_config(b"streaming: {enabled: false}", None, {}).config.streaming
    async with live(tmp_path, changes={**OPEN, "streaming": streaming}) as at:
        call, _ = await ring_in(at)
        await at.until(call, lambda call: call.answered_at is not None)
        first = await announced(at, call.call_id)
        result = await at.engine.replay_webhook(first["id"], "sandbox", "cli")
        assert result["instructions"] == ["listen"] and "<Gather" in result["document"]["body"]
        assert result["effect"].startswith("document: listen")


async def test_a_refused_request_is_refused_in_the_sandbox_too_and_explained(tmp_path: Path) -> None:
    async with live(tmp_path) as at:
        at.far.webhook_faults.wrong_token.add("ringing")
        call, _ = await at.dial(SINK, "Hello there.")
        await at.until(call, lambda call: "heard" in call.rungs)
        (row,) = await rows(at, verdict="refused")
        result = await at.engine.replay_webhook(row["id"], "sandbox", "cli")
        assert result["verdict"] == "refused" and "401" in result["live"]
        assert [event["type"] for event in result["events"]][-1:] == ["call.ringing"]
        again = await at.engine.replay_webhook(row["id"], "live", "cli")
        assert again["verdict"] == "refused" and again["document"]["status"] == 401
        assert "no way around" in again["note"]


async def test_e3_a_live_replay_of_the_same_bytes_meets_the_replay_protection_and_is_marked(tmp_path: Path) -> None:
    async with live(tmp_path, changes=OPEN) as at:
        call_id = await greeted(at)
        first = (await rows(at, call_id=call_id))[-1]
        result = await at.engine.replay_webhook(first["id"], "live", "console")
        assert (result["verdict"], result["callId"]) == ("replay", call_id)
        assert "ten minutes" in result["note"] and "<Connect>" not in result["document"]["body"]
        newest = (await rows(at))[0]
        assert newest["id"] == result["record"] and newest["replayed"] == {"of": first["id"], "by": "console"}
        assert len(at.engine.live_calls()) == 1
        types = await at.types(at.engine.live_calls()[0])
        assert types.count("operator.acted") == 1


async def test_what_can_not_come_again_is_refused_with_a_slug(tmp_path: Path) -> None:
    async with live(tmp_path, changes=OPEN) as at:
        await greeted(at)
        socket = await row_of(at, "media socket")
        with pytest.raises(Refusal) as refusal:
            await at.engine.replay_webhook(socket["id"], "live", "cli")
        assert refusal.value.code == "not_supported" and "token" in refusal.value.error
        for ask in (at.engine.webhook(10_000), at.engine.replay_webhook(10_000, "sandbox", "cli")):
            with pytest.raises(Refusal) as refusal:
                await ask
            assert refusal.value.code == "webhook_not_found"


async def test_the_curl_command_with_secrets_is_the_same_request_again(tmp_path: Path) -> None:
    """It verifies, and is taken for the replay that it is."""
    async with live(tmp_path, changes=OPEN) as at:
        call_id = await greeted(at)
        first = (await rows(at, call_id=call_id))[-1]
        whole = await at.engine.webhook(first["id"], secrets=True)
        masked = await at.engine.webhook(first["id"])
        said = await asyncio.to_thread(
            subprocess.run, ["sh", "-c", whole["curl"]], capture_output=True, check=True, timeout=20
        )
        assert said.stdout.startswith(b"HTTP/1.1 200") and (await rows(at))[0]["verdict"] == "replay"
        await asyncio.to_thread(
            subprocess.run, ["sh", "-c", masked["curl"]], capture_output=True, check=True, timeout=20
        )
        assert (await rows(at))[0]["verdict"] == "refused"


async def test_requests_outlive_the_engine(tmp_path: Path) -> None:
    async with live(tmp_path, changes=OPEN) as at:
        call_id = await greeted(at)
        before = await rows(at, call_id=call_id)
    async with live(tmp_path, changes=OPEN, settings={"seed": 2}) as at:
        assert [row["id"] for row in await rows(at, call_id=call_id)][-len(before) :] == [row["id"] for row in before]
        newest = max(row["id"] for row in await rows(at))
        other = await greeted(at)
        assert min(row["id"] for row in await rows(at, call_id=other)) > newest
