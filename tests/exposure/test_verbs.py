"""`setup --online`, `smoke` and `doctor` as they are typed, before a real proxy and on a real log."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import pytest

from console.verbs.unverified import warn_unverified
from engine import checks
from engine.calls import Draft
from engine.config import parse_config
from engine.store import DATABASE_NAME, EventLog
from tests.carriers.twilio_far import OUR_NUMBER, Settings, TwilioFar
from tests.cli.conftest import Ran, Run, home, run
from tests.cli.far_thread import running_far
from tests.exposure.proxy import PASS, Ports, free_ports, needs_nginx, proxy

__all__ = ["home", "run"]
SKIP = b"skip_signature_verification: true\n"


@pytest.fixture(autouse=True)
def only_the_address_matters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "_AUDIO_PROBE", "print('input: a, output: b')")
    monkeypatch.setattr("engine.speech.local_extra.find_spec", lambda name: object())
    monkeypatch.setattr("engine.checks.require_moonshine_platform", lambda: None)


def failed(ran: Ran) -> dict[str, str]:
    return {check["id"]: f"{check['message']} {check['fix']}" for check in ran.json["checks"] if not check["ok"]}


def set_up(run: Run, ports: Ports, public_url: str) -> Ran:
    """`setup --online` of a configuration in order but for what the proxy does, without an engine."""
    status = f"{public_url}?type=status"
    with running_far(lambda: TwilioFar(Settings(voice_url=public_url, status_callback=status))) as far:
        account = f'{{account_sid: {far.settings.account_sid}, auth_token: "{far.settings.auth_token}", '
        Path("config.yaml").write_text(
            f'provider: twilio\nfrom_number: "{OUR_NUMBER}"\nresponse: {{provider: operator}}\n'
            f"serve: {{port: {ports.engine}}}\npublic_url: {public_url}\n"
            f'twilio: {account}api_base_url: "{far.base_url}"}}\n'
        )
        return run("setup", "--online")


@needs_nginx
def test_without_an_engine_the_public_server_is_opened_for_the_look_and_closed_again(
    run: Run, front_folder: Path, home: Path
) -> None:
    ports = free_ports()
    with proxy(front_folder, ports):
        ran = set_up(run, ports, f"{ports.https}/voice/webhook")
    assert (ran.code, failed(ran)) == (0, {})
    found = [check["id"] for check in ran.json["checks"] if check["id"].startswith("exposure-")]
    assert found == [f"exposure-{name}" for name in ("name", "connection", "tls", "webhook", "stream", "frame")]
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", ports.engine)) != 0, "the port is free again"
    assert not (home / "state").exists(), "looking makes nothing"


@needs_nginx
@pytest.mark.parametrize(
    ("path", "rules", "check", "words"),
    [
        ("/voice/hook", PASS, "exposure-webhook", "wrong path"),
        ("/voice/webhook", "return 444;", "exposure-webhook", "nothing reached the engine"),
        ("/voice/webhook", "location / { proxy_pass http://engine; }", "exposure-stream", "WebSocket upgrades"),
    ],
)
def test_what_is_broken_is_named_without_an_engine_too(
    run: Run, front_folder: Path, path: str, rules: str, check: str, words: str
) -> None:
    ports = free_ports()
    with proxy(front_folder, ports, rules):
        ran = set_up(run, ports, f"{ports.https}{path}")
    assert ran.code == 1 and list(failed(ran)) == [check] and words in failed(ran)[check]


@needs_nginx
def test_a_port_that_somebody_has_is_said_instead(run: Run, front_folder: Path) -> None:
    ports = free_ports()
    with socket.socket() as other, proxy(front_folder, ports):
        other.bind(("127.0.0.1", ports.engine))
        other.listen()
        ran = set_up(run, ports, f"{ports.https}/voice/webhook")
    assert ran.code == 1 and "held by" in failed(ran)["exposure"]


async def _store(state_dir: Path, drafts: Sequence[Draft]) -> None:
    async with await EventLog.open(state_dir / DATABASE_NAME) as log:
        for draft in drafts:
            await log.append([draft])


def store(home: Path, *drafts: Draft) -> None:
    (home / "state").mkdir(mode=0o700, exist_ok=True)
    asyncio.run(_store(home / "state", drafts))


def begun(call_id: str, carrier_id: str) -> list[Draft]:
    ends: dict[str, Any] = {"from": "+15550100", "to": "+15550123"}
    facts = {"provider": "twilio", "direction": "outbound", "mode": "conversation", **ends}
    return [
        Draft("call.initiated", call_id, facts),
        Draft("call.dialing", call_id),
        Draft("call.accepted", call_id, {"providerCallId": carrier_id}),
    ]


def test_doctor_reads_a_call_that_is_over_from_the_log(run: Run, home: Path) -> None:
    dead = {"ok": False, "error": "localhost:9 refuses connections", "fix": "is the tunnel up?", "step": "tcp"}
    store(
        home,
        Draft("exposure.probed", None, dead),
        *begun("c1", "CA1"),
        Draft("call.error", "c1", {"code": "webhook_unreachable", "message": "no way", "carrierCode": "11205"}),
        Draft("call.ended", "c1", {"reason": "error", "by": "carrier"}),
    )
    for argument in (["c1"], ["CA1"], []):
        ran = run("doctor", *argument)
        assert ran.code == 1
        told = ran.json
        assert (told["callId"], told["ok"], told["missing"]) == ("c1", False, "signed")
        assert "refuses connections" in told["why"] and told["fix"] == "is the tunnel up?"
        assert told["also"] == ["no way (11205)"]
        assert [rung["state"] for rung in told["ladder"]][:3] == ["done", "done", "missing"]


def test_doctor_of_a_call_that_nobody_answered_finds_nothing_wrong(run: Run, home: Path) -> None:
    ringing = [Draft("webhook.received", "c1", {"verdict": "ok", "effect": "ringing"}), Draft("call.ringing", "c1")]
    store(home, *begun("c1", "CA1"), *ringing, Draft("call.ended", "c1", {"reason": "no-answer"}))
    ran = run("doctor", "c1")
    assert (ran.code, ran.json["ok"], ran.json["why"]) == (0, True, "nobody answered")


def test_doctor_of_no_call(run: Run, home: Path) -> None:
    ran = run("doctor", "nobody")
    assert (ran.code, ran.json["code"]) == (1, "call_not_found")
    assert run("doctor").json["code"] == "call_not_found"


def test_doctor_for_people_says_it_in_lines(run: Run, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store(
        home, *begun("c1", "CA1"), Draft("call.ended", "c1", {"reason": "failed", "detail": "\x1b[31mno such number"})
    )
    monkeypatch.setattr("console.verbs.runner.to_terminal", lambda stream: True)
    out = run("doctor", "c1").out
    assert "missing: signed" in out and "why: " in out and "no such number" in out and "\x1b" not in out


@pytest.mark.parametrize("more", ["public_url: https://calls.example.com/voice/webhook", "tunnel: {provider: ngrok}"])
def test_unsigned_webhooks_and_a_public_address_exclude_each_other(run: Run, home: Path, more: str) -> None:
    Path("config.yaml").write_text(f"skip_signature_verification: true\n{more}\n")
    for verb in (["config", "check"], ["setup"], ["serve"]):
        ran = run(*verb)
        assert ran.code == 2 and "skip_signature_verification" in ran.out + ran.err
    assert "unsigned webhooks are accepted only from this machine" in run("setup").out


@pytest.mark.parametrize("verb", ["setup", "status", "smoke"])
def test_commands_warn_while_nothing_is_verified(run: Run, home: Path, verb: str) -> None:
    Path("config.yaml").write_text("skip_signature_verification: true\n")
    assert "SIGNATURES ARE NOT CHECKED" in run(verb).err
    Path("config.yaml").write_text("")
    assert "SIGNATURES" not in run(verb).err


def test_the_warning_is_red_where_a_person_reads_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config = parse_config(SKIP, None, {}).config
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    warn_unverified(config)
    assert capsys.readouterr().err.startswith("\x1b[1;37;41mvoicecall: SIGNATURES")


def test_an_engine_without_a_screen_warns_when_it_starts(home: Path) -> None:
    (home / "config.yaml").write_text("skip_signature_verification: true\nserve: {port: 0}\n")
    with serving(home) as stderr:
        assert "SIGNATURES ARE NOT CHECKED" in stderr.readline()


def test_an_engine_without_a_screen_says_that_nobody_reaches_it(home: Path) -> None:
    (home / "config.yaml").write_text(
        "provider: twilio\nserve: {port: 0}\nstreaming: {enabled: false}\nresponse: {provider: operator}\n"
        f'from_number: "{OUR_NUMBER}"\npublic_url: http://127.0.0.1:9/voice/webhook\n'
        'twilio: {account_sid: AC00000000000000000000000000000000, auth_token: t, api_base_url: "http://127.0.0.1:9"}\n'
    )
    with serving(home) as stderr:
        said = next(line for line in stderr if "public address" in line)
        assert "the public address does not work: 127.0.0.1:9 refuses connections" in said and "tunnel up" in said


@contextmanager
def serving(home: Path) -> Iterator[IO[str]]:
    """What a headless engine says on stderr."""
    config = home / "config.yaml"
    line = [sys.executable, "-m", "console.cli", "serve", "--config", str(config), "--state-dir", str(home / "state")]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    with subprocess.Popen(line, stderr=subprocess.PIPE, text=True, env=environment) as engine:
        assert engine.stderr is not None
        try:
            yield engine.stderr
        finally:
            engine.terminate()
            engine.wait(30)
