"""`skip_signature_verification`: a program on this machine may try things out, and nobody else comes in by it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping

import pytest

from engine.web.address import Arrival, is_from_here
from tests.web.rig import Front, front, webhook

SKIP = b"skip_signature_verification: true"
PLAIN = {"Content-Type": "application/json"}


@pytest.fixture
async def server() -> AsyncIterator[Front]:
    async with front(config=SKIP) as made:
        yield made


async def test_e3_an_unsigned_webhook_of_this_machine_is_acted_on_and_said_to_be_unverified(server: Front) -> None:
    assert (await server.post(webhook(), PLAIN))[0] == 200
    assert len(server.acts) == 1 and server.notes == [("ok", 200)]
    assert "skip_signature_verification" in server.posted[0].data["why"]


async def test_e3_the_same_bytes_again_are_no_replay(server: Front) -> None:
    for _ in range(3):
        assert (await server.post(webhook(), PLAIN))[0] == 200
    assert len(server.acts) == 3 and server.notes == [("ok", 200)] * 3


@pytest.mark.parametrize(
    "header",
    [
        {"X-Forwarded-For": "203.0.113.7"},
        {"X-Forwarded-Host": "calls.example.com"},
        {"Forwarded": "for=203.0.113.7"},
        {"Via": "1.1 proxy"},
        {"Ngrok-Trace-Id": "x"},
        {"Cf-Ray": "x"},
        {"Tailscale-User-Login": "x"},
        {"Host": "calls.example.com"},
        {"Host": "127.0.0.1.evil.example"},
        {"Origin": "https://evil.example"},
    ],
    ids=str,
)
async def test_e3_what_a_tunnel_or_a_browser_brings_needs_its_signature(
    server: Front, header: Mapping[str, str]
) -> None:
    assert (await server.post(webhook(), {**PLAIN, **header}))[0] == 401
    assert server.acts == []


async def test_e3_a_configuration_without_it_refuses_the_same_request() -> None:
    async with front() as server:
        assert (await server.post(webhook(), PLAIN))[0] == 401


@pytest.mark.parametrize(
    ("peer", "host", "here"),
    [
        ("127.0.0.1", "127.0.0.1:3334", True),
        ("::1", "[::1]:3334", True),
        ("::ffff:127.0.0.1", "localhost:3334", True),
        ("192.168.1.7", "127.0.0.1:3334", False),
        ("", "127.0.0.1:3334", False),
        ("127.0.0.1", "", False),
        ("127.0.0.1", "192.168.1.7:3334", False),
    ],
)
def test_what_is_of_this_machine(peer: str, host: str, here: bool) -> None:
    assert is_from_here(Arrival("/voice/webhook", {"host": host}, peer)) is here
