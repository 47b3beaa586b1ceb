"""Telnyx's signature: the standard's vectors, Telnyx's form, every spelling of a key, and all that must fail."""

from __future__ import annotations

import json
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nacl.signing import SigningKey, VerifyKey

from engine.carriers import telnyx_signature
from engine.carriers.base import WebhookRequest
from engine.carriers.telnyx_signature import SIGNATURE, TIMESTAMP, read_key, verify, verify_upgrade

VECTORS: Any = json.loads((Path(__file__).parents[1] / "fixtures/telnyx_signature_vectors.json").read_text())
DERIVED = VECTORS["derived"]
KEY = SigningKey(b"a signing key of these tests ...")
PUBLIC = bytes(KEY.verify_key)
DER = bytes.fromhex("302a300506032b6570032100") + PUBLIC
NOW_S = 1_795_000_000
BODY = b'{"data": {"id": "e1", "event_type": "call.answered", "payload": {"digit": "\xc3\xa9"}}}'


def request(body: bytes = BODY, stamp: str = str(NOW_S), changes: Mapping[str, str] | None = None) -> WebhookRequest:
    signature = b64encode(KEY.sign(stamp.encode() + b"|" + body).signature).decode()
    headers = {SIGNATURE: signature, TIMESTAMP: stamp, **(changes or {})}
    return WebhookRequest("POST", "https://calls.example.com/hook", headers, body)


def judged(asked: WebhookRequest, late_s: int = 0) -> Any:
    return verify(asked, KEY.verify_key, (NOW_S + late_s) * 1000)


@pytest.mark.parametrize("vector", VECTORS["rfc8032"], ids=["test 1", "test 2"])
def test_the_primitive_is_that_of_the_standard(vector: Any) -> None:
    key = read_key(b64encode(bytes.fromhex(vector["public_key_hex"])).decode())
    key.verify(bytes.fromhex(vector["message_hex"]), bytes.fromhex(vector["signature_hex"]))


def test_a_payload_of_telnyx_own_tests_verifies() -> None:
    headers = {SIGNATURE: DERIVED["signature_base64"], TIMESTAMP: DERIVED["timestamp"]}
    asked = WebhookRequest("POST", "https://x", headers, DERIVED["body"].encode())
    assert verify(asked, read_key(DERIVED["public_key_base64"]), int(DERIVED["timestamp"]) * 1000).ok
    compact = json.dumps(json.loads(DERIVED["body"])).encode()
    again = WebhookRequest("POST", "https://x", headers, compact)
    assert not verify(again, read_key(DERIVED["public_key_base64"]), int(DERIVED["timestamp"]) * 1000).ok


PEM = "-----BEGIN PUBLIC KEY-----\n" + b64encode(DER).decode() + "\n-----END PUBLIC KEY-----\n"


@pytest.mark.parametrize(
    "text",
    [
        b64encode(PUBLIC).decode(),
        urlsafe_b64encode(PUBLIC).decode(),
        b64encode(PUBLIC).decode().rstrip("="),
        f"  {b64encode(PUBLIC).decode()}\n",
        b64encode(DER).decode(),
        urlsafe_b64encode(DER).decode().rstrip("="),
        PEM,
    ],
    ids=["raw", "raw url-safe", "raw unpadded", "with spaces", "DER", "DER url-safe", "PEM"],
)
def test_every_spelling_of_the_key_is_the_key(text: str) -> None:
    assert read_key(text) == VerifyKey(PUBLIC)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "not base64!",
        b64encode(PUBLIC[:31]).decode(),
        b64encode(PUBLIC + b"x").decode(),
        b64encode(DER[1:]).decode(),
    ],
)
def test_what_is_no_key_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        read_key(text)


def test_a_signature_may_be_spelled_either_way() -> None:
    signature = KEY.sign(str(NOW_S).encode() + b"|" + BODY).signature
    for spelled in (b64encode(signature), urlsafe_b64encode(signature), urlsafe_b64encode(signature).rstrip(b"=")):
        assert judged(request(changes={SIGNATURE: spelled.decode()})).ok


@pytest.mark.parametrize("late_s", [-300, -1, 0, 299, 300])
def test_within_five_minutes_either_way_it_is_good(late_s: int) -> None:
    assert judged(request(), late_s).ok


@pytest.mark.parametrize("late_s", [-301, 301, 100_000])
def test_outside_of_them_it_is_refused_as_what_it_is(late_s: int) -> None:
    verdict = judged(request(), late_s)
    assert not verdict.ok and "clock" in verdict.why and not verdict.replay_key


@pytest.mark.parametrize(
    "changes",
    [
        {SIGNATURE: ""},
        {TIMESTAMP: ""},
        {TIMESTAMP: "soon"},
        {TIMESTAMP: "-1"},
        {TIMESTAMP: f" {NOW_S}"},
        {TIMESTAMP: str(NOW_S + 1)},
        {TIMESTAMP: "9" * 30},
        {TIMESTAMP: "١٧٩٥٠٠٠٠٠٠"},
        {SIGNATURE: "%%%"},
        {SIGNATURE: "é"},
        {SIGNATURE: b64encode(b"x" * 63).decode()},
        {SIGNATURE: b64encode(b"x" * 65).decode()},
        {SIGNATURE: b64encode(b"x" * 64).decode()},
        {SIGNATURE: "A" * 100_000},
    ],
)
def test_nothing_else_passes(changes: dict[str, str]) -> None:
    verdict = judged(request(changes=changes))
    assert not verdict.ok and verdict.why and not verdict.replay_key


def test_without_a_key_nothing_passes() -> None:
    verdict = verify(request(), None, NOW_S * 1000)
    assert not verdict.ok and "public_key" in verdict.why


def test_a_key_of_somebody_else_fits_nothing() -> None:
    assert not verify(request(), SigningKey.generate().verify_key, NOW_S * 1000).ok


def test_a_delivery_that_is_tried_again_is_a_replay_however_it_is_signed() -> None:
    first = judged(request())
    again = judged(request(BODY[:-1] + b', "meta": {"attempt": 2}}', str(NOW_S + 7)))
    other = judged(request(BODY.replace(b"e1", b"e2")))
    assert first.replay_key == again.replay_key != other.replay_key


def test_bytes_that_are_no_event_have_a_key_of_their_own() -> None:
    keys = [judged(request(body)).replay_key for body in (b"", b"[]", b"\xff", b"{}", b'{"data": {"id": 7}}')]
    assert all(keys) and len(set(keys)) == len(keys)


@given(st.binary(max_size=200), st.binary(max_size=200))
def test_a_body_verifies_with_its_own_signature_only(one: bytes, other: bytes) -> None:
    assert judged(request(one)).ok
    if one != other:
        moved = WebhookRequest("POST", "https://x", request(one).headers, other)
        assert not judged(moved).ok


TOKEN = "t0k-en_0123456789abcdefghijklmnop"


def upgrade(path: str, **headers: str) -> WebhookRequest:
    return WebhookRequest("GET", f"wss://calls.example.com{path}", headers, b"")


@pytest.mark.parametrize(
    ("asked", "ok"),
    [
        (upgrade(f"/voice/stream/{TOKEN}"), True),
        (upgrade(f"/voice/stream/{TOKEN}?x=1"), True),
        (upgrade(f"/voice/stream/{TOKEN}", authorization=f"Bearer {TOKEN}"), True),
        (upgrade(f"/voice/stream/{TOKEN}", authorization="Basic Zm9v"), True),
        (upgrade(f"/voice/stream/{TOKEN}", authorization="Bearer another"), False),
        (upgrade("/voice/stream"), False),
        (upgrade(f"/voice/stream?token={TOKEN}"), False),
        (upgrade("/voice/stream/short"), False),
    ],
)
def test_a_socket_needs_a_token_in_its_path(asked: WebhookRequest, ok: bool) -> None:
    verdict = verify_upgrade(asked)
    assert verdict.ok is ok and verdict.why and TOKEN not in verdict.why


def test_the_sdk_is_not_asked() -> None:
    """Its `unwrap` becomes a coroutine, and one that is not awaited raises nothing."""
    assert "import telnyx" not in Path(telnyx_signature.__file__).read_text()
