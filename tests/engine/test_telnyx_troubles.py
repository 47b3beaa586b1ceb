"""What goes wrong between us and Telnyx in whole calls: lost, doubled and late webhooks, refusals, version 1."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from engine.api import Refusal
from engine.calls import State
from tests.carriers.telnyx_far.spec import VECTORS
from tests.carriers.telnyx_far.webhooks import signed
from tests.engine.telnyx_rig import BUSY, SINK, Live, live

EXAMPLES = VECTORS / "webhook_examples_from_openapi.json"


async def post(at: Live, body: bytes, **headers: str) -> int:
    url = at.engine.health()["exposure"]["publicUrl"]
    async with aiohttp.ClientSession() as http:
        proof = {**signed(at.far.settings.signing_key, body), **headers}
        async with http.post(url, data=body, headers=proof) as reply:
            return reply.status


async def hooks(at: Live) -> list[dict[str, Any]]:
    """What was recorded of webhooks, for any call or none."""
    cursor = type(at.engine.cursor())(at.engine.cursor().generation, 0)
    page = await at.engine.events(cursor, limit=5000)
    return [dict(event.data) for event in page.events if event.type == "webhook.received"]


EVERY = {"call.initiated", "call.answered", "call.hangup", "streaming.started"}


async def test_doubled_events_happen_once(tmp_path: Path) -> None:
    async with live(tmp_path) as at:
        at.far.webhook_faults.duplicate = set(EVERY)
        call, far = await at.ring_in()
        await at.until(call, lambda call: "heard" in call.rungs)
        await at.engine.end(call.call_id, "cli")
        await far.until_over()
        assert [action for action, _ in far.commands] == ["answer", "hangup"]
        types = await at.types(call)
        assert types.count("call.answered") == types.count("call.ended") == 1
        assert {hook["verdict"] for hook in await hooks(at)} == {"ok", "replay"}


@pytest.mark.parametrize("held", ["call.initiated", "call.answered", "streaming.started"])
async def test_events_may_come_in_any_order(tmp_path: Path, held: str) -> None:
    async with live(tmp_path) as at:
        at.far.webhook_faults.hold = {held}
        call, far = await at.dial(SINK, "Hello there.")
        await at.until(call, lambda call: "heard" in call.rungs)
        far.hang_up_person()
        ended = await at.until(call, lambda call: not call.live)
        assert ended.end_reason is State.HANGUP_USER
        await far.until_over()
        assert at.call(call.call_id).end_reason is State.HANGUP_USER


async def test_a_webhook_that_was_not_stored_comes_again(tmp_path: Path) -> None:
    """What we do not acknowledge is delivered again, signed anew, and then counts."""
    async with live(tmp_path) as at:
        at.far.webhook_faults.wrong_key = {"call.initiated"}
        call, far = await at.dial(SINK, "Hello there.")
        await at.until(call, lambda call: "heard" in call.rungs)
        await far.until(lambda: len(far.of("call.initiated")[0].statuses) == 3)
        refused = [hook for hook in await hooks(at) if hook["verdict"] == "refused"]
        assert len(refused) == 3 and "public_key" in refused[0]["why"]


async def test_a_dial_whose_answer_is_lost_is_not_dialled_again(tmp_path: Path) -> None:
    async with live(tmp_path) as at:
        at.far.fail("dial", "503-after")
        with pytest.raises(Refusal) as caught:
            await at.dial(SINK, "Hello there.")
        assert caught.value.code == "outcome_unknown"
        call = at.call(caught.value.call_id)
        await at.until(call, lambda call: "heard" in call.rungs)
        assert len(at.far.calls) == 1


@pytest.mark.parametrize(("fault", "word"), [("429", "too many"), ("401", "api_key"), ("403", "may not")])
async def test_a_dial_that_is_refused_says_why(tmp_path: Path, fault: Any, word: str) -> None:
    async with live(tmp_path) as at:
        at.far.fail("dial", fault)
        with pytest.raises(Refusal) as caught:
            await at.dial(SINK, "Hello there.")
        assert caught.value.code == "carrier_refused" and word in f"{caught.value.error} {caught.value.hint}"
        assert at.far.calls == {}


async def test_an_answer_that_is_not_taken_at_first_is_tried_again(tmp_path: Path) -> None:
    async with live(tmp_path) as at:
        at.far.fail("answer", "429", 2)
        call, far = await at.ring_in()
        await at.until(call, lambda call: "heard" in call.rungs)
        ids = {asked.body["command_id"] for asked in at.far.requests if asked.operation == "answer"}
        assert len(ids) == 1 and len(far.sent("answer")) == 1


async def test_an_answer_that_is_refused_ends_the_call_and_says_why(tmp_path: Path) -> None:
    async with live(tmp_path) as at:
        at.far.fail("answer", "403")
        call, far = await at.ring_in()
        ended = await at.until(call, lambda call: not call.live)
        assert ended.end_reason is State.ERROR and ended.error is not None
        assert ended.error["carrierCode"] == "10010"
        await far.until_over()


async def test_a_call_that_was_over_before_it_was_answered_is_left_alone(tmp_path: Path) -> None:
    async with live(tmp_path) as at:
        at.far.fail("answer", "90018")
        call, far = await at.ring_in()
        far.hang_up_person()
        ended = await at.until(call, lambda call: not call.live)
        assert ended.end_reason is State.HANGUP_USER and ended.error is None


async def test_a_hang_up_is_repeated_until_telnyx_takes_it(tmp_path: Path) -> None:
    async with live(tmp_path) as at:
        call, far = await at.dial(SINK, "Hello there.")
        await at.until(call, lambda call: "heard" in call.rungs)
        at.far.fail("hangup", "503-before", 3)
        await at.engine.end(call.call_id, "cli")
        await far.until_over()
        assert at.call(call.call_id).end_reason is State.HANGUP_BOT


async def test_a_socket_that_does_not_come_back_ends_the_call(tmp_path: Path) -> None:
    async with live(tmp_path) as at:
        call, far = await at.dial(SINK, "Hello there.")
        await at.until(call, lambda call: "heard" in call.rungs)
        at.far.fail("streaming_start", "403", 5)
        (await far.until_stream()).lose()
        ended = await at.until(call, lambda call: not call.live)
        (end,) = [data for type_, data in await at.facts(call) if type_ == "call.ended"]
        assert ended.end_reason is State.ERROR and "stream was lost" in end["detail"]
        await far.until_over()


async def test_version_1_is_named_as_the_problem(tmp_path: Path) -> None:
    async with live(tmp_path, settings={"api_version": "1"}) as at:
        call, _ = await at.dial(BUSY, "Hello there.")
        found = await at.until(call, lambda call: call.error is not None)
        assert found.error is not None and found.error["code"] == "carrier_setup"
        assert "API version 1" in found.error["message"] and "--fix" in found.error["message"]
        at.far.ring_in("Sink")
        async with asyncio.timeout(10):
            async for _ in at.engine.watch(None, 100):
                unmatched = [hook["effect"] for hook in await hooks(at) if hook["matched"] is None]
                if unmatched:
                    break
        assert "API version 1" in unmatched[0]


@pytest.mark.skipif(not EXAMPLES.is_file(), reason="the shared vectors are not there")
async def test_each_of_telnyx_own_examples_is_harmless_and_a_call_lives_on(tmp_path: Path) -> None:
    async with live(tmp_path) as at:
        call, far = await at.dial(SINK, "Hello there.")
        await at.until(call, lambda call: "heard" in call.rungs)
        examples = json.loads(EXAMPLES.read_text())["events"]
        assert len(examples) == 40
        for number, (name, example) in enumerate(examples.items()):
            inner = example.get("data", example)
            inner["id"] = f"example-{number}"
            assert await post(at, json.dumps(example).encode()) == 200, name
            if name not in ("callHangup", "callInitiated"):
                ours = json.loads(json.dumps(example))
                inner = ours.get("data", ours)
                inner["id"] = f"ours-{number}"
                inner.setdefault("payload", {})["call_control_id"] = far.id
                inner["payload"]["client_state"] = None
                assert await post(at, json.dumps(ours).encode()) == 200, name
        now = at.call(call.call_id)
        assert now.live and now.answered_by == "human"
        await at.engine.speak(call.call_id, "Are you still there?", "cli")
        assert len(far.streams) == 1


async def test_nothing_secret_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    async with live(tmp_path) as at:
        at.far.fail("streaming_start", "401")
        call, far = await at.dial(SINK, "Hello there.")
        await at.until(call, lambda call: "heard" in call.rungs)
        token = far.streams[0].url.rpartition("/")[2]
        (await far.until_stream()).lose()
        await at.until(call, lambda call: not call.live)
        said = caplog.text + json.dumps([[type_, dict(data)] for type_, data in await at.facts(call)])
        assert at.far.settings.api_key not in said and token not in said
