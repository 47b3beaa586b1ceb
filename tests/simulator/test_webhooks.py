"""Webhooks over real HTTP: signatures, order, retries and faults."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from engine.simulator.signing import signature
from tests.simulator.conftest import SINK, Start
from tests.simulator.office import Answer

ORDER = ["call.initiated", "call.ringing", "call.answered", "call.ended"]


def test_the_signature_covers_time_method_url_and_body() -> None:
    base = signature("s", 1700000000, "POST", "http://h/x", b"{}")
    # printf '1700000000\nPOST\nhttp://h/x\n{}' | openssl dgst -sha256 -hmac s -binary | base64
    assert base == "2+gppatCPyzkX02OT36pOHZeSA6Wmej5KBjR4wVNjg4="
    others = {
        signature("t", 1700000000, "POST", "http://h/x", b"{}"),
        signature("s", 1700000001, "POST", "http://h/x", b"{}"),
        signature("s", 1700000000, "GET", "http://h/x", b"{}"),
        signature("s", 1700000000, "POST", "http://h/y", b"{}"),
        signature("s", 1700000000, "POST", "http://h/x", b"{ }"),
    }
    assert len(others) == 5 and base not in others


async def hang_up_when_answered(webhook: dict[str, Any]) -> Answer:
    return (200, {"document": [{"verb": "hangup"}]}) if webhook.get("document_wanted") else (204, None)


async def test_an_outbound_call_is_reported_in_order_and_numbered(start: Start) -> None:
    line = await start()
    line.office.answer = hang_up_when_answered
    await line.dial(SINK)
    ended = await line.office.webhook("call.ended")
    assert [webhook["type"] for webhook in line.office.webhooks] == ORDER
    assert [webhook["sequence"] for webhook in line.office.webhooks] == [1, 2, 3, 4]
    assert ended["call"]["reason"] == "hangup-document" and ended["call"]["client_ref"] == "ours-1"
    assert set(line.office.urls) == {line.office.webhook_url}
    assert line.office.refused == []


async def test_a_webhook_that_fails_is_sent_again_newly_signed_and_others_do_not_wait(start: Start) -> None:
    line = await start(retry_s=[1.1])
    failures = Counter[str]()

    async def fail_once(webhook: dict[str, Any]) -> Answer:
        failures[webhook["type"]] += 1
        if webhook["type"] == "call.initiated" and failures["call.initiated"] == 1:
            return 503, None
        return await hang_up_when_answered(webhook)

    line.office.answer = fail_once
    call_id = await line.dial(SINK)
    await line.office.until(lambda: failures["call.initiated"] == 2)
    assert [webhook["type"] for webhook in line.office.webhooks] == [*ORDER, "call.initiated"]
    times = [int(time) for time, _, body in line.office.raw if json.loads(body)["type"] == "call.initiated"]
    assert times[1] > times[0]
    assert (await line.report(call_id))["webhooks"][0]["attempts"] == 2


async def test_a_webhook_that_is_refused_is_not_sent_again(start: Start) -> None:
    line = await start()

    async def refuse(webhook: dict[str, Any]) -> Answer:
        return (401, None) if webhook["type"] == "call.initiated" else await hang_up_when_answered(webhook)

    line.office.answer = refuse
    await line.dial(SINK)
    await line.office.webhook("call.ended")
    assert len(line.office.of("call.initiated")) == 1


async def test_retries_end(start: Start) -> None:
    line = await start()

    async def fail(webhook: dict[str, Any]) -> Answer:
        return 500, None

    line.office.answer = fail
    call_id = await line.ring_in("Quick sink")
    ended = await line.office.webhook("call.ended")
    assert (ended["call"]["status"], ended["call"]["reason"]) == ("failed", "no-document")
    assert len(line.office.of("call.incoming")) == 3
    assert (await line.report(call_id))["webhooks"][0]["status"] == 500


async def test_an_answer_that_is_no_document_ends_the_call(start: Start) -> None:
    line = await start()
    answers: list[Any] = [{"document": [{"verb": "dance"}]}, {"document": "x"}, [], None]
    for body in answers:

        async def nonsense(webhook: dict[str, Any], body: Any = body) -> Answer:
            return 200, body

        line.office.answer = nonsense
        line.office.webhooks.clear()
        await line.ring_in("Quick sink")
        assert (await line.office.webhook("call.ended"))["call"]["reason"] == "no-document"


async def test_duplicates_are_the_same_to_the_byte(start: Start) -> None:
    line = await start(faults={"duplicate": 1})
    line.office.answer = hang_up_when_answered
    await line.dial(SINK)
    await line.office.until(lambda: len(line.office.raw) == 8)
    assert sorted(Counter(line.office.raw).values()) == [2, 2, 2, 2]


async def test_statuses_come_out_of_order_on_demand_and_none_is_lost(start: Start) -> None:
    line = await start(faults={"reorder": 1})
    line.office.answer = hang_up_when_answered
    await line.dial(SINK)
    await line.office.until(lambda: len(line.office.webhooks) == 4)
    types = [webhook["type"] for webhook in line.office.webhooks]
    assert sorted(types) == sorted(ORDER) and types != ORDER


async def test_statuses_are_dropped_on_demand_but_never_a_question(start: Start) -> None:
    line = await start(faults={"drop": 1})
    line.office.answer = hang_up_when_answered
    call_id = await line.dial(SINK)
    await line.office.webhook("call.answered")
    await line.until_over(call_id)
    assert [webhook["type"] for webhook in line.office.webhooks] == ["call.answered"]
    assert [entry["faults"] for entry in (await line.report(call_id))["webhooks"]] == [
        ["drop"],
        ["drop"],
        [],
        ["drop"],
    ]


async def test_forged_webhooks_come_with_a_bad_signature(start: Start) -> None:
    line = await start(faults={"forge": 1})
    await line.ring_in("Quick sink")
    await line.office.until(lambda: len(line.office.refused) >= 2)
    forged = line.office.refused[0]
    assert forged["type"] == "call.ended" and forged["call"]["status"] == "completed"
    assert line.office.of("call.ended") == []


async def test_late_webhooks_keep_their_order(start: Start) -> None:
    line = await start(faults={"delay": 1, "delay_ms": 200})
    line.office.answer = hang_up_when_answered
    await line.dial(SINK)
    await line.office.webhook("call.ended")
    assert [webhook["type"] for webhook in line.office.webhooks] == ORDER


async def test_an_inbound_call_follows_its_number_to_a_new_address(start: Start) -> None:
    line, other = await start(), await start()
    call_id = await line.ring_in("Quick sink")
    await line.office.stream()
    await line.ask("PUT", "/v1/numbers/+15550100000", {"webhook_url": other.office.webhook_url})
    await line.ask("POST", f"/v1/calls/{call_id}/hangup")
    assert (await other.office.webhook("call.ended"))["call"]["id"] == call_id
