"""setup, smoke and config: what is checked, what is shown, and what is never done without being asked."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from engine import checks
from engine.carriers.base import CarrierError
from engine.carriers.factory import make_carrier
from engine.config import Config, json_schema
from engine.config.carriers import Plivo, Twilio
from tests.cli.conftest import Ran, Run
from tests.cli.running import Running


@pytest.fixture(autouse=True)
def no_audio_probe(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine's sound card is no part of these tests, and asking for it takes a second."""
    monkeypatch.setattr(checks, "_AUDIO_PROBE", "print('input: a, output: b')")


@pytest.fixture
def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def configure(text: str) -> None:
    Path("config.yaml").write_text(text)


def by_id(ran: Ran) -> dict[str, Any]:
    return {check["id"]: check for check in ran.json["checks"]}


def test_setup_names_each_check_with_what_to_do(run: Run, free_port: int, home: Path) -> None:
    configure(f"serve: {{port: {free_port}}}")
    ran = run("setup")
    found = by_id(ran)
    assert ran.json["ok"] == all(check["ok"] for check in found.values())
    assert ran.code == (0 if ran.json["ok"] else 1)
    assert all(set(check) == {"id", "ok", "message", "fix"} for check in found.values())
    assert {"config", "credentials", "recognition", "voice", "audio-device", "public-url", "port", "state"} <= set(
        found
    )
    assert found["port"]["ok"] and found["state"]["ok"]
    assert not (home / "state").exists(), "checking must not create anything"


def test_setup_says_what_to_install_for_offline_speech(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    configure("serve: {port: 0}")
    monkeypatch.setattr("engine.speech.local_extra.find_spec", lambda name: None)
    found = by_id(run("setup"))
    for check in ("recognition", "voice"):
        assert not found[check]["ok"]
        assert found[check]["fix"] == "pip install 'voicecall-console[local]'"


def test_setup_names_missing_credentials_and_address_of_a_real_carrier(run: Run) -> None:
    configure("provider: twilio\nserve: {port: 0}\nmock: {seed: 5}\ntelnyx: {api_key: k}\nenabled: true\n")
    ran = run("setup")
    found = by_id(ran)
    assert (ran.code, ran.json["ok"]) == (1, False)
    assert "twilio.account_sid is not set" in found["credentials"]["message"]
    assert "TWILIO_AUTH_TOKEN" in found["credentials"]["fix"]
    assert not found["public-url"]["ok"]
    assert "mock.seed" in found["settings"]["message"]
    assert "telnyx.api_key" in found["settings"]["message"]
    assert "enabled" in found["settings"]["message"]


@pytest.mark.parametrize("host", ["localhost", "192.168.1.5", "[::1]", "box.local", "box"])
def test_a_private_public_url_can_not_work(run: Run, host: str) -> None:
    configure(f"provider: plivo\nserve: {{port: 0}}\npublic_url: http://{host}/voice/webhook")
    assert not by_id(run("setup"))["public-url"]["ok"]


def test_setup_says_who_has_the_port(run: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        configure(f"serve: {{port: {server.getsockname()[1]}}}")
        check = by_id(run("setup"))["port"]
    assert not check["ok"]
    assert "is taken by" in check["message"]


def test_setup_names_a_state_folder_that_can_not_be_used(run: Run, home: Path) -> None:
    configure("serve: {port: 0}")
    (home / "state").write_text("a file")
    check = by_id(run("setup"))["state"]
    assert (check["ok"], "is a file" in check["message"]) == (False, True)


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="there is no such folder here")
@pytest.mark.parametrize("folder", ["/proc/x", "/proc/x/y", "/proc"])
def test_setup_does_not_believe_a_folder_in_which_nothing_can_be_made(run: Run, home: Path, folder: str) -> None:
    configure("serve: {port: 0}")
    check = by_id(run("setup", "--state-dir", folder))["state"]
    assert (check["ok"], "/proc" in check["message"]) == (False, True)
    assert "--state-dir" in check["fix"]


def test_setup_leaves_nothing_behind_in_a_state_folder(run: Run, home: Path) -> None:
    configure("serve: {port: 0}")
    (home / "state").mkdir()
    assert by_id(run("setup"))["state"]["ok"]
    assert list((home / "state").iterdir()) == []


def test_setup_with_a_broken_configuration_lists_its_problems(run: Run) -> None:
    configure("servr: 1\nprovider: x\n")
    ran = run("setup")
    assert (ran.code, ran.json["ok"], len(ran.json["checks"])) == (2, False, 2)


async def test_available_carriers_are_those_that_the_factory_makes(tmp_path: Path) -> None:
    twilio = Twilio(account_sid="AC" + "0" * 32, auth_token=SecretStr("token"))
    plivo = Plivo(auth_id="MA" + "0" * 18, auth_token=SecretStr("token"))
    for config in (Config(provider="twilio", twilio=twilio), Config(provider="plivo", plivo=plivo)):
        assert (await make_carrier(config, tmp_path)).name in checks.CARRIERS
    providers = {"twilio", "telnyx", "plivo"}
    assert providers | {"mock"} == checks.CARRIERS
    for provider in providers:
        with pytest.raises(CarrierError) as caught:
            await make_carrier(Config.model_validate({"provider": provider}), tmp_path)
        assert "not available" not in str(caught.value)


def test_smoke_is_a_dry_run_unless_told(run: Run, engine: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.speech.local_extra.find_spec", lambda name: object())
    monkeypatch.setattr("engine.checks.require_moonshine_platform", lambda: None)
    configure("serve: {port: 0}\nto_number: +15550100199")
    dry = run("smoke")
    assert (dry.code, dry.json["dryRun"], dry.json["call"]["to"]) == (0, True, "+15550100199")
    assert run("smoke", "--to", "+15550100142").json["dryRun"] is True
    assert engine.engine.calls == {}
    real = run("smoke", "--to", "+15550100142", "--yes", "--message", "Testing")
    assert real.json["dryRun"] is False
    assert engine.engine.calls[real.json["callId"]].message == "Testing"


def test_smoke_dials_nobody_by_accident(run: Run, engine: Running) -> None:
    configure("serve: {port: 0}\nto_number: +15550100199")
    assert run("smoke", "--yes").code == 2
    wrong = run("smoke", "--yes", "--to", "911")
    assert (wrong.code, wrong.json["ok"]) == (1, False)
    assert engine.engine.calls == {}


def test_config_check_names_every_problem_with_its_place(run: Run) -> None:
    configure("provider: mock\nfrom_numbr: x\nserve: {port: x}\n")
    ran = run("config", "check")
    assert (ran.code, ran.json["ok"]) == (2, False)
    assert [(p["line"], p["key"]) for p in ran.json["problems"]] == [(2, "from_numbr"), (3, "serve.port")]
    configure("provider: twilio")
    fine = run("config", "check")
    assert (fine.code, fine.json["ok"]) == (0, True)
    assert any("twilio.account_sid" in need for need in fine.json["missing"])


def test_config_check_names_keys_and_themes_that_the_console_can_not_use(run: Run) -> None:
    configure("console: {theme: paper, keys: {dial: ctrl+n}}")
    assert run("config", "check").json["screen"] == []
    configure("console: {theme: papper, keys: {dail: ctrl+n, end: s}}")
    ran = run("config", "check")
    assert (ran.code, ran.json["ok"]) == (0, True)
    text = "; ".join(ran.json["screen"])
    assert "'dail', did you mean 'dial'" in text and "s is both speak and end" in text
    assert "no theme 'papper', only harbour, paper" in text


def test_config_show_masks_secrets(run: Run) -> None:
    configure("provider: plivo\nplivo: {auth_id: MA1, auth_token: hunter2}\n")
    ran = run("config", "show")
    assert ran.json["values"]["plivo.auth_token"]["value"] == "********"
    assert ran.json["values"]["plivo.auth_id"] == {"value": "MA1", "origin": "config.yaml:2"}
    assert "hunter2" not in ran.out + ran.err


@pytest.mark.usefixtures("terminal")
def test_config_and_setup_read_well_on_a_terminal(run: Run) -> None:
    configure("serve: {port: 0}")
    assert "config.yaml:1" in run("config", "show").out
    assert run("config", "check").out == "config.yaml: valid\n"
    assert json.loads(run("config", "schema").out) == json_schema()
    assert "ok    config" in run("setup").out


SID = "AC" + "1" * 32
TWILIO = f"provider: twilio\nfrom_number: '+15550100100'\ntwilio: {{account_sid: {SID}, auth_token: t%s}}\n"


def test_smoke_on_a_stand_in_of_this_machine_needs_no_public_address(run: Run) -> None:
    configure(TWILIO % ", api_base_url: 'http://127.0.0.1:9'" + "serve: {port: 0}\n")
    ran = run("smoke", "--to", "+15550100142")
    (found,) = [check for check in ran.json["checks"] if check["id"] == "public-url"]
    assert found["ok"] and "http://127.0.0.1:9 reaches us on this machine" in found["message"]


def test_smoke_says_why_it_did_not_call_although_it_was_told_to(run: Run) -> None:
    configure(TWILIO % "" + "serve: {port: 0}\n")
    ran = run("smoke", "--to", "+15550100142", "--yes")
    assert (ran.code, ran.json["dryRun"]) == (1, True)
    assert ran.json["why"].startswith("not called: ") and "public-url" in ran.json["why"]


def test_config_check_warns_of_a_path_that_only_a_proxy_makes_right(run: Run) -> None:
    configure(TWILIO % "" + "public_url: https://calls.example.com/hooks/twilio\n")
    ran = run("config", "check")
    assert ran.json["ok"] and "public_url: its path /hooks/twilio is not serve.path" in ran.json["warnings"][0]
    configure(TWILIO % "" + "public_url: https://calls.example.com/voice/webhook\n")
    assert run("config", "check").json["warnings"] == []


def test_setup_and_config_check_refuse_an_address_without_tls_for_a_carrier_that_streams(run: Run) -> None:
    """Error 31922 of Twilio's: it opens wss:// only."""
    configure(TWILIO % "" + "public_url: http://calls.example.com/voice/webhook\n")
    ran = run("config", "check")
    assert ran.code == 2 and [problem["key"] for problem in ran.json["problems"]] == ["public_url"]
    setup = run("setup")
    assert not setup.json["ok"] and "http://" in setup.json["checks"][0]["message"]
    assert run("serve").code == 2
