"""Tailscale serve and funnel, with a `tailscale` program that keeps its state as the real one does."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from engine.exposure import tailscale as module
from engine.exposure.by_hand import take_away
from engine.exposure.port import Address, TunnelError
from engine.exposure.tailscale import TailscaleTunnel
from engine.exposure.tailscale_state import Mode
from tests.exposure.agents import LIMIT_S, LOCAL
from tests.exposure.tailnet import NAME, Tailnet

OURS = {
    "/voice/webhook": "http://127.0.0.1:3334/voice/webhook",
    "/voice/stream": "http://127.0.0.1:3334/voice/stream",
}


def tunnel(mode: Mode = "funnel", port: int = 443, path: str | None = None) -> TailscaleTunnel:
    return TailscaleTunnel(mode, path, port)


async def refused(made: TailscaleTunnel) -> TunnelError:
    with pytest.raises(TunnelError) as caught:
        async with asyncio.timeout(LIMIT_S):
            await made.open(LOCAL)
    await made.close()
    return caught.value


async def test_pain_d1_the_webhook_and_the_stream_are_exposed_as_one_unit(tailnet: Tailnet) -> None:
    made = tunnel()
    address = await made.open(LOCAL)
    assert address == Address(f"https://{NAME}/voice/webhook", f"wss://{NAME}/voice/stream")
    assert tailnet.routes == {"443": OURS} and tailnet.state["funnels"] == ["443"]
    assert tailnet.changes[0] == [
        "funnel",
        "--bg",
        "--yes",
        "--https=443",
        "--set-path",
        "/voice/webhook",
        "http://127.0.0.1:3334/voice/webhook",
    ]
    await made.close()
    assert tailnet.routes == {} and tailnet.state["funnels"] == []


async def test_another_port_and_a_public_path_are_in_the_address(tailnet: Tailnet) -> None:
    made = tunnel("serve", 8443, "/hooks/phone")
    address = await made.open(LOCAL)
    assert address.webhook_url == f"https://{NAME}:8443/hooks/phone"
    assert address.stream_url == f"wss://{NAME}:8443/voice/stream" and "tailnet only" in address.note
    assert tailnet.routes["8443"]["/hooks/phone"] == OURS["/voice/webhook"] and tailnet.state["funnels"] == []
    await made.close()


@pytest.mark.parametrize("trouble", ["second-fails", "silent-second"])
async def test_all_or_nothing(tailnet: Tailnet, monkeypatch: pytest.MonkeyPatch, trouble: str) -> None:
    monkeypatch.setattr(module, "CHANGE_SECONDS", 1.0)
    tailnet.set(trouble=trouble, routes={"443": {"/other": "http://127.0.0.1:8080"}}, funnels=["443"])
    error = await refused(tunnel())
    assert tailnet.routes == {"443": {"/other": "http://127.0.0.1:8080"}}
    assert ("went wrong halfway" in str(error)) is (trouble == "second-fails")


async def test_a_start_that_is_given_up_leaves_nothing(tailnet: Tailnet) -> None:
    tailnet.set(trouble="silent-second")
    made = tunnel()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(2):
            await made.open(LOCAL)
    await made.close()
    assert tailnet.routes == {}


async def test_what_is_there_already_is_not_set_again(tailnet: Tailnet) -> None:
    tailnet.set(routes={"443": OURS}, funnels=["443"])
    made = tunnel()
    await made.open(LOCAL)
    assert tailnet.changes == []
    await made.close()


@pytest.mark.parametrize(
    ("mode", "state", "words", "free"),
    [
        ("funnel", {"routes": {"443": {"/voice/webhook": "http://127.0.0.1:9"}}}, "leads to", 8443),
        ("funnel", {"forwards": {"443": "127.0.0.1:22"}}, "not HTTPS", 8443),
        ("funnel", {"routes": {"443": {"/": "http://127.0.0.1:80"}}}, "would open to the internet", 8443),
        ("serve", {"routes": {"443": {"/": "http://127.0.0.1:80"}}, "funnels": ["443"]}, "would close", 8443),
        ("funnel", {"forwards": {"443": "x:1", "8443": "x:1"}}, "not HTTPS", 10000),
    ],
)
async def test_pain_d8_another_service_on_the_port_is_left_alone_and_a_free_one_proposed(
    tailnet: Tailnet, mode: Mode, state: dict[str, Any], words: str, free: int
) -> None:
    tailnet.set(**state)
    before = tailnet.routes
    error = await refused(tunnel(mode))
    assert words in str(error) and f"tailscale.port to {free}" in error.hint and error.code == "port_taken"
    assert tailnet.routes == before and tailnet.changes == []


async def test_funnel_has_three_ports(tailnet: Tailnet) -> None:
    error = await refused(tunnel("funnel", 3334))
    assert "443, 8443, 10000" in str(error) and tailnet.changes == []


@pytest.mark.parametrize(
    ("state", "words", "fix"),
    [
        ({"backend": "NeedsLogin"}, "not logged in", "tailscale up"),
        ({"backend": "NeedsLogin", "auth_url": "https://login.tailscale.com/a/1"}, "not logged in", "/a/1"),
        ({"backend": "Stopped"}, "not running", "tailscale up"),
        ({"name": ""}, "no name", "MagicDNS"),
        ({"trouble": "no-daemon"}, "service does not run", "tailscaled"),
        ({"trouble": "denied"}, "does not let this user", "--operator=$USER"),
        ({"trouble": "policy"}, "closed to the internet", "attribute funnel"),
    ],
)
async def test_what_is_in_the_way_is_explained(tailnet: Tailnet, state: dict[str, Any], words: str, fix: str) -> None:
    tailnet.set(**state)
    error = await refused(tunnel())
    assert words in str(error) and fix in error.hint
    assert tailnet.routes == {}


async def test_a_feature_that_is_not_enabled_is_not_waited_for(
    tailnet: Tailnet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The program prints where to enable it and waits until somebody has."""
    monkeypatch.setattr(module, "CHANGE_SECONDS", 1.0)
    tailnet.set(trouble="not-enabled")
    error = await refused(tunnel())
    assert error.code == "funnel_not_enabled" and "https://login.tailscale.com/f/funnel?node=nABC123" in error.hint


async def test_tailscale_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    error = await refused(tunnel())
    assert error.code == "not_installed" and "tailscale.com/download" in error.hint


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"name": "other.tail1234.ts.net"}, "is called other.tail1234.ts.net"),
        ({"routes": {"443": {"/voice/webhook": OURS["/voice/webhook"]}}}, "route of /voice/stream was taken away"),
        ({"funnels": []}, "was closed to the internet"),
        ({"backend": "Stopped"}, "not running"),
    ],
)
async def test_pain_d4_routes_that_are_gone_are_noticed(
    tailnet: Tailnet, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any], words: str
) -> None:
    monkeypatch.setattr(module, "LOOK_SECONDS", 0.05)
    made = tunnel()
    await made.open(LOCAL)
    tailnet.set(**change)
    with pytest.raises(TunnelError, match=words):
        async with asyncio.timeout(LIMIT_S):
            await made.watch()
    await made.close()


async def test_off_takes_away_what_leads_to_us_and_nothing_else(tailnet: Tailnet) -> None:
    elsewhere = {"/voice/webhook": "http://127.0.0.1:9/voice/webhook", "/": "http://127.0.0.1:80"}
    tailnet.set(routes={"443": OURS, "8443": elsewhere}, funnels=["443"])
    removed = await take_away(None, LOCAL)
    assert sorted(removed.paths) == sorted(OURS) and removed.left == ["/voice/webhook on port 8443"]
    assert tailnet.routes == {"8443": elsewhere}
