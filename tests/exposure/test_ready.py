"""setup says what the tunnel still needs, without opening it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from engine.check import Check
from engine.config import parse_config
from engine.exposure.ready import tunnel_ready
from tests.cli.conftest import Run, home, run
from tests.exposure.agents import FakeNgrok
from tests.exposure.tailnet import Tailnet

__all__ = ["home", "run"]

TWILIO = (
    "provider: twilio\ntwilio: {account_sid: AC11111111111111111111111111111111, auth_token: t}\n"
    "from_number: '+15550100142'\n"
)


def check(folder: Path, text: str, env: dict[str, str] | None = None) -> Check:
    (found,) = tunnel_ready(parse_config((TWILIO + text).encode(), None, env or {}).config, folder)
    return found


def test_ngroks_needs(tmp_path: Path, fake_ngrok: FakeNgrok, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    missing = check(tmp_path, "tunnel: {provider: ngrok}")
    assert not missing.ok and "not installed" in missing.message and "--install" in missing.fix
    wrong = check(tmp_path, "tunnel: {provider: ngrok, ngrok_path: /nowhere/ngrok}")
    assert not wrong.ok and "/nowhere/ngrok is no program" in wrong.message
    there = f"tunnel: {{provider: ngrok, ngrok_path: {fake_ngrok.program}"
    keyless = check(tmp_path, there + "}")
    assert not keyless.ok and "NGROK_AUTHTOKEN" in keyless.fix
    named = {"NGROK_AUTHTOKEN": "t" * 20}
    changing = check(tmp_path, there + "}", named)
    assert changing.ok and "another one at each start" in changing.message and "ngrok_domain" in changing.fix
    assert check(tmp_path, there + ", ngrok_domain: a.ngrok.app}", named).fix == ""
    assert check(tmp_path, there + ", update_carrier_number: true}", named).fix == ""


@pytest.mark.parametrize(
    ("command", "ok", "words"),
    [
        (f"{sys.executable} x {{port}}", True, sys.executable),
        (f"{sys.executable} x", True, "not told our port, 3334"),
        ("/nowhere/cloudflared {port}", False, "/nowhere/cloudflared is no program"),
        ('x "y', False, "can not be read"),
    ],
)
def test_the_needs_of_a_program_of_ones_own(tmp_path: Path, command: str, ok: bool, words: str) -> None:
    found = check(tmp_path, f"tunnel: {{provider: command, command: '{command}'}}")
    assert found.ok is ok and words in found.message and (found.fix or ok)


def test_tailscales_needs(tmp_path: Path, tailnet: Tailnet, monkeypatch: pytest.MonkeyPatch) -> None:
    good = check(tmp_path, "tailscale: {mode: funnel, port: 8443}")
    assert good.ok and "tailscale-funnel on port 8443" in good.message
    private = check(tmp_path, "tailscale: {mode: serve}")
    assert not private.ok and "tailnet only" in private.message and "funnel" in private.fix
    monkeypatch.setenv("PATH", "/nowhere")
    assert "tailscale.com/download" in check(tmp_path, "tailscale: {mode: funnel}").fix
    assert tailnet.state["asked"] == []


def test_without_a_tunnel_there_is_nothing_to_say(tmp_path: Path) -> None:
    for text in ("", "public_url: https://a.example.com/voice/webhook\ntunnel: {provider: ngrok}"):
        assert list(tunnel_ready(parse_config((TWILIO + text).encode(), None, {}).config, tmp_path)) == []


def test_setup_shows_it(run: Run, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    (home / "config.yaml").write_text(TWILIO + "tunnel: {provider: ngrok}\n")
    found = {check["id"]: check for check in run("setup").json["checks"]}
    assert not found["tunnel"]["ok"] and "--install" in found["tunnel"]["fix"]
