"""Redirects over real HTTP: the next document is asked for at the very address that was given."""

from __future__ import annotations

import time
from typing import Any

import pytest

from engine.simulator.call import MAX_REDIRECTS
from tests.simulator.conftest import CALLERS, SINK, Line, Start
from tests.simulator.office import Answer

GIVES_UP: dict[str, Any] = {
    "number": "+15550100204",
    "name": "Quick to leave",
    "manners": {"deaf_and_mute": True, "rings_for_ms": 300},
}
REDIRECT = {"verb": "redirect"}
HANG_UP = {"verb": "hangup"}


def documents(line: Line, *documents: list[dict[str, Any]], path: str = "&callId=1%202&flow=hold") -> str:
    """Have the office answer with one document after the other, the last one again and again. Returns the address
    that its redirects lead to."""
    url = line.office.webhook_url + path
    given = iter(documents)
    latest: list[dict[str, Any]] = []

    async def answer(webhook: dict[str, Any]) -> Answer:
        nonlocal latest
        if not webhook.get("document_wanted"):
            return 204, None
        latest = next(given, latest)
        return 200, {
            "document": [{**verb, **({"url": url} if verb["verb"] == "redirect" else {})} for verb in latest]
        }

    line.office.answer = answer
    return url


def types(line: Line) -> list[str]:
    return [webhook["type"] for webhook in line.office.webhooks]


async def test_the_next_document_is_asked_for_at_that_very_address_signed_and_followed(start: Start) -> None:
    line = await start()
    url = documents(line, [{"verb": "pause", "seconds": 0}, REDIRECT], [HANG_UP])
    call_id = await line.dial(SINK)
    ended = await line.office.webhook("call.ended")
    assert types(line) == ["call.initiated", "call.ringing", "call.answered", "call.asks", "call.ended"]
    assert line.office.urls == [line.office.webhook_url] * 3 + [url, line.office.webhook_url]
    assert line.office.refused == []
    asked = await line.office.webhook("call.asks")
    assert asked["document_wanted"] is True and asked["call"]["id"] == call_id
    assert asked["sequence"] == 4 and ended["call"]["reason"] == "hangup-document"


async def test_a_caller_hears_ringing_while_the_document_begins_with_pauses_and_redirects(start: Start) -> None:
    line = await start()
    pause = {"verb": "pause", "seconds": 0.15}
    documents(line, [pause, REDIRECT], [REDIRECT], [pause, pause, HANG_UP])
    began = time.monotonic()
    await line.ring_in("Quick sink")
    await line.office.webhook("call.ended")
    waited = time.monotonic() - began
    # Answered after everything that keeps it ringing, and not before: whoever asks asks for a call that rings.
    assert types(line) == ["call.incoming", "call.asks", "call.asks", "call.answered", "call.ended"]
    assert [webhook["call"]["status"] for webhook in line.office.webhooks[:3]] == ["ringing"] * 3
    assert waited >= 0.45


@pytest.mark.parametrize(("reason", "status"), [("busy", "busy"), ("rejected", "canceled")])
async def test_a_caller_who_was_kept_ringing_can_still_be_rejected(start: Start, reason: str, status: str) -> None:
    line = await start()
    documents(line, [{"verb": "pause", "seconds": 0.05}, REDIRECT], [{"verb": "reject", "reason": reason}])
    await line.ring_in("Quick sink")
    ended = await line.office.webhook("call.ended")
    assert (ended["call"]["reason"], ended["call"]["status"]) == (reason, status)
    assert "call.answered" not in types(line)


async def test_somebody_who_is_kept_ringing_for_too_long_gives_up(start: Start) -> None:
    line = await start(callers=[*CALLERS, GIVES_UP])
    documents(line, [{"verb": "pause", "seconds": 0.05}, REDIRECT])
    await line.ring_in("Quick to leave")
    ended = await line.office.webhook("call.ended")
    assert (ended["call"]["reason"], ended["call"]["status"]) == ("hangup-person", "canceled")
    assert "call.answered" not in types(line)


async def test_somebody_who_is_answered_gives_up_no_more(start: Start) -> None:
    line = await start(callers=[*CALLERS, GIVES_UP])
    documents(line, [{"verb": "say", "text": "One moment please, this takes longer than that."}, HANG_UP])
    await line.ring_in("Quick to leave")
    ended = await line.office.webhook("call.ended")
    assert ended["call"]["reason"] == "hangup-document"
    call = line.exchange.calls[ended["call"]["id"]].state
    assert (call.ended_at or 0) - (call.answered_at or 0) > 300


async def test_a_loop_of_redirects_ends(start: Start) -> None:
    line = await start()
    documents(line, [REDIRECT])
    await line.ring_in("Quick sink")
    ended = await line.office.webhook("call.ended")
    assert (ended["call"]["reason"], ended["call"]["status"]) == ("too-many-redirects", "failed")
    assert len(line.office.of("call.asks")) == MAX_REDIRECTS


async def test_a_redirect_that_is_not_answered_ends_the_call(start: Start) -> None:
    line = await start()
    documents(line, [REDIRECT], path="x")

    async def fail(webhook: dict[str, Any], then: Any = line.office.answer) -> Answer:
        answer: Answer = (500, None) if webhook["type"] == "call.asks" else await then(webhook)
        return answer

    line.office.answer = fail
    await line.ring_in("Quick sink")
    ended = await line.office.webhook("call.ended")
    assert (ended["call"]["reason"], ended["call"]["status"]) == ("no-document", "failed")
    assert len(line.office.of("call.asks")) == 3
