"""Addresses that a carrier can not reach are refused, with the sentence that fixes it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.config import Config, ConfigError, ignored, parse_config
from engine.exposure.reach import carrier_is_near, refused, tunnel_kind, unreachable, wrong_address
from engine.exposure.repoint import may_repoint
from engine.host import open_engine

TWILIO = (
    "provider: twilio\ntwilio: {account_sid: AC11111111111111111111111111111111, auth_token: t}\n"
    "from_number: '+15550100142'\n"
)
LOCAL_HOSTS = [
    "127.0.0.1",
    "127.8.8.8",
    "localhost",
    "calls.localhost",
    "0.0.0.0",
    "10.1.2.3",
    "192.168.1.5",
    "172.16.0.9",
    "169.254.169.254",
    "100.64.1.2",
    "[::1]",
    "[::]",
    "[fd00::1]",
    "[fe80::1]",
    "[::ffff:192.168.1.5]",
    "desk.local",
    "DESK.LOCAL",
    "desk.local.",
    "desk",
    "nas.lan",
    "host.docker.internal",
]


def config(text: str) -> Config:
    return parse_config(text.encode(), None, {}).config


@pytest.mark.parametrize("host", LOCAL_HOSTS)
def test_local_hosts_are_told_from_others(host: str) -> None:
    assert unreachable(f"https://{host}:8443/voice/webhook")


@pytest.mark.parametrize(
    "host", ["calls.example.com", "8.8.8.8", "[2606:4700::1111]", "a.ngrok-free.app", "xn--d1.de"]
)
def test_hosts_of_the_internet_may_be_tried(host: str) -> None:
    assert unreachable(f"https://{host}/voice/webhook") == ""


@given(st.text(max_size=60))
def test_whatever_an_address_is_it_is_judged(text: str) -> None:
    assert isinstance(unreachable(f"https://{text}/x"), str) and isinstance(unreachable(text), str)


@pytest.mark.parametrize(
    ("more", "key"),
    [
        ("", "public_url"),
        ("public_url: http://192.168.1.5/voice/webhook", "public_url"),
        ("public_url: https://desk.local/voice/webhook", "public_url"),
        ("public_url: http://127.0.0.1:3334/voice/webhook\ntunnel: {provider: ngrok}", "public_url"),
        ("tunnel: {provider: tailscale-serve}", "tunnel.provider"),
        ("tailscale: {mode: serve}", "tailscale.mode"),
    ],
)
async def test_an_engine_does_not_start_with_an_address_that_its_carrier_can_not_reach(
    tmp_path: Path, more: str, key: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        async with open_engine(config(TWILIO + more), tmp_path):
            pass
    (problem,) = caught.value.problems
    assert problem.key == key and problem.hint
    if key == "public_url":
        assert "tunnel.provider ngrok" in problem.hint


@pytest.mark.parametrize(
    "more",
    [
        "public_url: https://calls.example.com/voice/webhook",
        "tunnel: {provider: ngrok}",
        "tailscale: {mode: funnel}",
        "tunnel: {provider: command, command: x}",
    ],
)
def test_what_may_be_reached_is_not_refused(more: str) -> None:
    assert list(refused(config(TWILIO + more))) == []


@pytest.mark.parametrize("base", ["http://127.0.0.1:4010", "http://twilio.local", "http://10.0.0.9:4010"])
def test_a_stand_in_for_the_carrier_on_this_network_reaches_local_addresses(base: str) -> None:
    """The documented way to try a real carrier's code without the carrier."""
    text = f"{TWILIO.replace('auth_token: t', f'auth_token: t, api_base_url: {base!r}')}"
    local = config(f"{text}public_url: http://127.0.0.1:3334/voice/webhook")
    assert carrier_is_near(local) and list(refused(local)) == [] and list(refused(config(text))) == []


def test_a_proxy_of_the_carriers_interface_elsewhere_is_no_stand_in() -> None:
    text = TWILIO.replace("auth_token: t", "auth_token: t, api_base_url: 'https://twilio.proxy.example.com'")
    assert [finding.key for finding in refused(config(text))] == ["public_url"]


def test_a_tunnel_that_leads_to_a_local_address_is_wrong_for_a_real_carrier_and_right_for_a_simulated_one() -> None:
    url = "http://127.0.0.1:9/voice/webhook"
    wrong = wrong_address(config(TWILIO), url)
    assert wrong is not None and "127.0.0.1 is this machine itself" in wrong[0] and "api_base_url" in wrong[1]
    assert wrong_address(Config(), url) is None


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("", "loopback"),
        ("tunnel: {provider: ngrok}\ntailscale: {mode: serve}", "ngrok"),
        ("tailscale: {mode: funnel}", "tailscale-funnel"),
        ("tailscale: {mode: funnel}\npublic_url: https://a.example/x", "public_url"),
    ],
)
def test_one_way_of_being_reached_is_chosen(text: str, kind: Any) -> None:
    assert tunnel_kind(config(text)) == kind


@pytest.mark.parametrize(
    ("text", "key", "why"),
    [
        ("public_url: https://a.example/x\ntunnel: {provider: ngrok}", "tunnel.provider", "public_url is set"),
        ("tunnel: {provider: ngrok}\ntailscale: {mode: serve}", "tailscale.mode", "tunnel.provider is ngrok"),
        ("tailscale: {port: 8443}", "tailscale.port", "tailscale.mode is off"),
        ("tunnel: {update_carrier_number: true}", "tunnel.update_carrier_number", "there is no tunnel"),
        ("tunnel: {command_url_pattern: x}", "tunnel.command_url_pattern", "tunnel.provider is none"),
        ("tunnel: {provider: tailscale-funnel}\ntailscale: {port: 8443}", "tailscale.port", ""),
        ("tailscale: {mode: funnel, port: 8443}", "tailscale.port", ""),
        ("tunnel: {provider: ngrok, update_carrier_number: true}", "tunnel.update_carrier_number", ""),
    ],
)
def test_settings_that_no_tunnel_reads_are_told(text: str, key: str, why: str) -> None:
    found = [finding.message for finding in ignored(config(text), [key])]
    assert (len(found), why in "".join(found)) == ((1, True) if why else (0, True))


@pytest.mark.parametrize("port", [3334, 80])
@pytest.mark.parametrize("form", ["tunnel: {provider: tailscale-funnel}\n", "tailscale: {mode: funnel, "])
def test_ports_that_funnel_does_not_have_are_refused_in_either_spelling(form: str, port: int) -> None:
    text = f"{form}port: {port}}}" if form.endswith(" ") else f"{form}tailscale: {{port: {port}}}"
    with pytest.raises(ConfigError) as caught:
        config(text)
    assert caught.value.problems[0].key == "tailscale.port"


@pytest.mark.parametrize(
    ("text", "may"),
    [
        ("", True),
        (f"{TWILIO}tunnel: {{provider: ngrok}}", False),
        (f"{TWILIO}tunnel: {{provider: ngrok, update_carrier_number: true}}", True),
        (f"{TWILIO}tunnel: {{update_carrier_number: true}}\npublic_url: https://a.example.com/x", False),
    ],
)
def test_a_number_at_a_real_carrier_is_written_only_when_that_is_allowed(text: str, may: bool) -> None:
    assert may_repoint(config(text)) is may
