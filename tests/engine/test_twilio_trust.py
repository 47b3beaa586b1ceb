"""Whose webhooks are believed while whole calls run: shared keys, tokens in rotation, and a public address."""

from __future__ import annotations

import json
import logging
import re
from pathlib import Path
from typing import Any, get_args

import pytest

from engine.config.base import reveal
from tests.carriers.twilio_far.settings import WebhookKind
from tests.carriers.twilio_far.twiml import Connect, read_twiml
from tests.engine.twilio_rig import SINK, Live, live, ring_in

ALL_KINDS = frozenset(get_args(WebhookKind))
PUBLIC = "https://calls.example.com"
SHARED_KEY = ("WK0123", "a secret that the account shares with us")
URL = re.compile(r"(?:https?|wss?)://[^\s\"'<>]+")


async def whole_call(at: Live) -> None:
    """Dial, be heard, hang up; nobody's webhook is refused."""
    call, far = await at.dial(SINK, "Hello there.")
    await at.until(call, lambda call: "heard" in call.rungs or not call.live)
    await at.engine.end(call.call_id, "cli")
    await far.until_over()
    ended = await at.until(call, lambda call: not call.live)
    assert [(line.text, line.cut) for line in ended.transcript] == [("Hello there.", False)], far.notifications
    assert len(far.streams) == 1 and far.codes() == []
    assert at.engine.health()["exposure"]["webhooks"]["refused"] == 0


async def test_a_call_whose_webhooks_and_stream_are_signed_with_a_shared_sha_256_key(tmp_path: Path) -> None:
    """Trap 1.6/shared-key."""
    keys = {"webhook_signing_keys": dict([SHARED_KEY])}
    async with live(tmp_path, settings={"signing_key": SHARED_KEY}, twilio=keys) as at:
        await whole_call(at)


async def test_a_shared_key_that_is_not_configured_is_named_and_nothing_is_believed(tmp_path: Path) -> None:
    """Trap 1.6/shared-key: the way out is told with the refusal."""
    async with live(tmp_path, settings={"signing_key": SHARED_KEY}) as at:
        call, far = await at.dial(SINK, "Hello there.")
        await far.until_over()
        found = at.engine.call(call.call_id)
        assert found is not None and found.answered_at is None and far.streams == []
        seen = at.engine.health()["exposure"]
        assert seen["webhooks"]["ok"] == 0 and seen["webhooks"]["refused"] > 0
        assert "WK0123" in seen["lastWebhook"]["why"] and "twilio.webhook_signing_keys" in seen["lastWebhook"]["why"]
        assert SHARED_KEY[1] not in json.dumps(seen)


@pytest.mark.parametrize("kinds", [ALL_KINDS, frozenset({"ringing", "answered"})])
async def test_the_secondary_token_is_good_while_tokens_are_rotated(
    tmp_path: Path, kinds: frozenset[WebhookKind]
) -> None:
    """Trap 1.6/rotation: some of a call's webhooks are signed with one token, some with the other."""
    async with live(tmp_path, twilio={"secondary_auth_token": "somebody else's token"}) as at:
        at.far.webhook_faults.wrong_token.update(kinds)
        await whole_call(at)


async def test_a_token_of_another_account_is_refused_and_the_call_is_not_told_by_it(tmp_path: Path) -> None:
    """Pain E3; trap 1.6/whose-token: each subaccount has a token of its own, and an API key signs nothing."""
    async with live(tmp_path) as at:
        at.far.webhook_faults.wrong_token.add("ringing")
        call, far = await at.dial(SINK, "Hello there.")
        await at.until(call, lambda call: "heard" in call.rungs)
        assert "call.ringing" not in await at.types(call)
        refused = [delivery for delivery in far.deliveries if delivery.statuses == [401]]
        assert [delivery.kind for delivery in refused] == ["ringing"]
        assert b"each subaccount has its own" in refused[0].replies[0]


async def behind_a_tunnel(at: Live, routes: dict[str, str]) -> None:
    """From now on the public address leads to the engine."""
    routes[PUBLIC] = f"http://127.0.0.1:{at.engine.health()['exposure']['port']}"


def addresses(at: Live) -> set[str]:
    """Every address that we gave Twilio: in the requests, and in the documents."""
    sent = [value for request in at.far.requests for values in request.form.values() for value in values]
    documents = [text.decode() for call in at.far.calls.values() for text in call.documents]
    return {found for text in (*sent, *documents) for found in URL.findall(text)}


@pytest.mark.parametrize("inbound", [False, True])
async def test_every_address_that_twilio_is_given_lies_under_the_public_one(tmp_path: Path, inbound: bool) -> None:
    """Pains D1, D9, E2; traps 1.4/wss-only and 1.5/upgrade-signature: what a tunnel does not pass is never asked for,
    and webhooks and the socket are verified in their public form."""
    routes: dict[str, str] = {}
    changes: dict[str, Any] = {"public_url": f"{PUBLIC}/voice/webhook", "inbound_policy": "open"}
    async with live(tmp_path, changes=changes, settings={"routes": routes, "plain_ws": False}) as at:
        await behind_a_tunnel(at, routes)
        if inbound:
            call, far = await ring_in(at)
        else:
            call, far = await at.dial(SINK, "Hello there.")
        await at.until(call, lambda call: "heard" in call.rungs)
        given = addresses(at)
        assert given and all(
            url.startswith(f"{PUBLIC}/voice/webhook") or url == "wss://calls.example.com/voice/stream"
            for url in given
        )
        assert far.codes() == [] and at.engine.health()["exposure"]["webhooks"]["refused"] == 0


async def test_no_secret_gets_into_a_log_or_into_the_record(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Pain E7: not the account's token, not a stream's, not a signature."""
    caplog.set_level(logging.DEBUG)
    async with live(tmp_path) as at:
        at.far.webhook_faults.wrong_token.add("ringing")
        at.far.webhook_faults.duplicate.add("answer")
        call, far = await at.dial(SINK, "Hello there.")
        await at.until(call, lambda call: "heard" in call.rungs)
        await at.engine.end(call.call_id, "cli")
        await far.until_over()
        cursor = at.engine.cursor()
        page = await at.engine.events(type(cursor)(cursor.generation, 0), None, limit=5000)
        tokens = [
            verb.parameters["token"]
            for document in far.documents
            for verb in read_twiml(document).verbs
            if isinstance(verb, Connect)
        ]
        assert tokens and reveal(at.engine.config.twilio.auth_token) == at.far.settings.auth_token
        told = caplog.text + json.dumps([event.to_json() for event in page.events]) + json.dumps(at.engine.health())
        for secret in (*tokens, at.far.settings.auth_token, "somebody else's token"):
            assert secret not in told
        assert "X-Twilio-Signature:" not in told
