"""setup --online: what is asked of the carrier, and that nothing is written without a person's word."""

from __future__ import annotations

import asyncio
import io
import json
import os
import pty
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from engine import checks, online
from engine.carriers.twilio_account import Access
from engine.check import Check
from engine.config import Config, Mock
from engine.simulator.launch import STATE_FILE, ensure_simulator
from tests.carriers.twilio_far import OUR_NUMBER, Settings, TwilioFar
from tests.cli.conftest import Ran, Run
from tests.cli.far_thread import running_far

URL = "https://calls.example.com/voice/webhook"
STATUS = f"{URL}?type=status"
FAR = Settings(voice_url=URL, status_callback=STATUS)
SECOND = "+15550100001"
IDS = {f"twilio-{name}" for name in ("credentials", "number", "voice-url", "status-callback", "geo", "clock")}


@pytest.fixture(autouse=True)
def only_the_account_matters(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything on this machine is fine: no test here is about the sound card or offline speech."""
    monkeypatch.setattr(checks, "_AUDIO_PROBE", "print('input: a, output: b')")
    monkeypatch.setattr("engine.speech.local_extra.find_spec", lambda name: object())
    monkeypatch.setattr("engine.checks.require_moonshine_platform", lambda: None)
    monkeypatch.setattr("engine.online_exposure.exposure", nothing_to_look_at)


async def nothing_to_look_at(config: Config, state_dir: Path) -> list[Check]:
    """Our own address is looked at in tests/exposure."""
    return []


@pytest.fixture
def far() -> Iterator[TwilioFar]:
    with running_far(lambda: TwilioFar(FAR)) as running:
        yield running


def configure(base_url: str, more: str = "", *, token: str = FAR.auth_token, public_url: str | None = URL) -> None:
    Path("config.yaml").write_text(
        "provider: twilio\n"
        f'from_number: "{OUR_NUMBER}"\n'
        "serve: {port: 0}\n"
        "response: {provider: operator}\n"
        f'twilio: {{account_sid: {FAR.account_sid}, auth_token: "{token}", api_base_url: "{base_url}"}}\n'
        + (f"public_url: {public_url}\n" if public_url else "")
        + more
    )


def found(ran: Ran, check: str) -> list[dict[str, Any]]:
    return [item for item in ran.json["checks"] if item["id"] == check]


def one(ran: Ran, check: str) -> dict[str, Any]:
    (item,) = found(ran, check)
    return item


def failed(ran: Ran) -> list[str]:
    return [item["id"] for item in ran.json["checks"] if not item["ok"]]


def written(far: TwilioFar) -> int:
    return len([request for request in far.requests if request.method != "GET"])


def detour(far: TwilioFar, number: str = OUR_NUMBER) -> None:
    """Somebody else has the number's calls."""
    far.numbers[number] = replace(
        far.numbers[number],
        voice_url="https://old.example.com/twiml?token=hunter2",
        voice_method="GET",
        status_callback="",
    )


def test_an_account_in_order_passes_every_check_and_exits_0(run: Run, far: TwilioFar) -> None:
    configure(far.base_url, "to_number: '+493012345678'\n")
    ran = run("setup", "--online")
    assert (ran.code, ran.json["ok"], failed(ran)) == (0, True, [])
    assert {item["id"] for item in ran.json["checks"]} >= IDS | {"config", "port"}
    assert all(set(item) == {"id", "ok", "message", "fix"} for item in ran.json["checks"])
    assert [item["message"][:2] for item in found(ran, "twilio-geo")] == ["DE", "US"]
    assert written(far) == 0


def test_without_online_nothing_is_asked_and_the_sdk_is_not_imported(run: Run, far: TwilioFar) -> None:
    configure(far.base_url)
    code = (
        "import sys; from console.cli import main; main(['setup']); "
        "print([name for name in sys.modules if name.split('.')[0] == 'twilio'], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, env=environment())
    assert done.stderr.strip() == "[]" and '"config"' in done.stdout
    assert run("setup").code == 0
    assert far.requests == []


def test_wrong_credentials_name_twilios_code_and_link_and_every_check_still_runs(run: Run, far: TwilioFar) -> None:
    configure(far.base_url, token="not the token")
    ran = run("setup", "--online")
    assert ran.code == 1
    check = one(ran, "twilio-credentials")
    assert "20003" in check["message"] and "Authenticate" in check["message"]
    assert "twilio.auth_token" in check["fix"] and "https://" in check["fix"]
    assert set(failed(ran)) == {"twilio-credentials", "twilio-number", "twilio-clock"}
    assert one(ran, "twilio-geo")["ok"], "a permission that can not be read is only remarked"
    assert "not the token" not in ran.out + ran.err


def test_one_check_that_fails_keeps_none_of_the_others(run: Run, far: TwilioFar) -> None:
    configure(far.base_url)
    far.fail("numbers", "500-before")
    ran = run("setup", "--online")
    assert failed(ran) == ["twilio-number"]
    far.fail("account", "html-502-before")
    assert failed(run("setup", "--online")) == ["twilio-credentials"]


@pytest.mark.parametrize(
    ("account", "ok", "word"),
    [({"account_type": "Trial"}, True, "trial account"), ({"account_status": "suspended"}, False, "suspended")],
)
def test_the_state_of_the_account_is_told(run: Run, account: dict[str, str], ok: bool, word: str) -> None:
    with running_far(lambda: TwilioFar(replace(FAR, **account))) as far:  # type: ignore[arg-type]
        configure(far.base_url)
        check = one(run("setup", "--online"), "twilio-credentials")
    assert check["ok"] == ok and word in check["message"]


def test_every_configured_number_is_looked_at(run: Run, far: TwilioFar) -> None:
    far.add_number(SECOND, URL)
    configure(far.base_url, f"numbers: {{'{SECOND}': {{}}, '+15550100009': {{}}}}\n")
    ran = run("setup", "--online")
    assert [item["ok"] for item in found(ran, "twilio-number")] == [True, True, False]
    assert [item["ok"] for item in found(ran, "twilio-voice-url")] == [True, True]
    assert [item["ok"] for item in found(ran, "twilio-status-callback")] == [True, False]
    assert "+15550100009" in found(ran, "twilio-number")[2]["message"]


def test_calls_that_go_elsewhere_are_shown_as_ours_and_theirs(run: Run, far: TwilioFar) -> None:
    configure(far.base_url)
    detour(far)
    ran = run("setup", "--online")
    assert failed(ran) == ["twilio-voice-url", "twilio-status-callback"]
    assert one(ran, "twilio-voice-url")["message"].splitlines()[1:] == [
        f"ours: POST {URL}",
        "theirs: GET https://old.example.com/twiml?token=…",
    ]
    assert one(ran, "twilio-status-callback")["message"].endswith("theirs: nothing")
    assert "hunter2" not in ran.out


def test_without_an_address_of_ours_the_comparison_is_skipped_with_a_failure(run: Run, far: TwilioFar) -> None:
    configure(far.base_url, public_url=None)
    ran = run("setup", "--online", "--fix", "--yes")
    check = one(ran, "twilio-voice-url")
    assert (ran.code, check["ok"]) == (1, False) and "public_url" in check["fix"]
    assert written(far) == 0


def test_a_country_that_may_not_be_called_fails(run: Run, far: TwilioFar) -> None:
    configure(far.base_url, "to_number: '+5371234567'\n")
    ran = run("setup", "--online")
    assert failed(ran) == ["twilio-geo"]
    assert "CU" in found(ran, "twilio-geo")[0]["message"]


def test_a_country_that_twilio_says_nothing_about_is_only_remarked(run: Run, far: TwilioFar) -> None:
    configure(far.base_url, "to_number: '+442079460000'\n")
    ran = run("setup", "--online")
    assert ran.code == 0 and "does not say" in found(ran, "twilio-geo")[0]["message"]


def test_a_clock_that_is_off_fails_with_the_way_to_set_it(run: Run, far: TwilioFar) -> None:
    configure(far.base_url)
    far.ahead_s = 20
    assert one(run("setup", "--online"), "twilio-clock")["ok"]
    far.ahead_s = -90
    ran = run("setup", "--online")
    assert failed(ran) == ["twilio-clock"]
    check = one(ran, "twilio-clock")
    assert "ahead of Twilio's" in check["message"] and "timedatectl" in check["fix"]


def test_without_a_network_one_check_says_so(run: Run) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        configure(f"http://127.0.0.1:{unused.getsockname()[1]}")
        ran = run("setup", "--online")
    assert (ran.code, failed(ran)) == (1, ["twilio-credentials"])
    assert "can not be reached" in one(ran, "twilio-credentials")["message"]
    assert len([item for item in ran.json["checks"] if item["id"].startswith("twilio-")]) == 1


def test_without_credentials_nothing_is_asked(run: Run) -> None:
    Path("config.yaml").write_text("provider: twilio\nserve: {port: 0}\n")
    ran = run("setup", "--online")
    assert ran.code == 1 and "not set" in one(ran, "twilio-credentials")["message"]


def test_an_answer_that_never_comes_is_given_up(run: Run, far: TwilioFar, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.carriers.twilio_account.Access", partial(Access, timeout_s=0.3))
    configure(far.base_url)
    far.fail("numbers", "timeout-before")
    ran = run("setup", "--online")
    assert failed(ran) == ["twilio-number"]
    assert "did not answer in time" in one(ran, "twilio-number")["message"]


# --fix


def test_fix_writes_what_was_confirmed_and_reads_it_back(run: Run, far: TwilioFar) -> None:
    configure(far.base_url)
    detour(far)
    ran = run("setup", "--online", "--fix", "--yes")
    assert (ran.code, ran.json["ok"]) == (0, True)
    assert ran.json["changes"] == [
        {
            "number": OUR_NUMBER,
            "voiceUrl": {"from": "GET https://old.example.com/twiml?token=…", "to": f"POST {URL}"},
            "statusCallback": {"from": "nothing", "to": f"POST {STATUS}"},
            "written": True,
            "error": "",
        }
    ]
    number = far.numbers[OUR_NUMBER]
    assert (number.voice_url, number.voice_method) == (URL, "POST")
    assert (number.status_callback, number.status_callback_method) == (STATUS, "POST")
    (request,) = [request for request in far.requests if request.method != "GET"]
    assert request.operation == "number"
    assert set(request.form) == {"VoiceUrl", "VoiceMethod", "StatusCallback", "StatusCallbackMethod"}


def test_fix_touches_only_numbers_that_differ(run: Run, far: TwilioFar) -> None:
    far.add_number(SECOND, "https://old.example.com/")
    far.add_number("+15550100007", "https://not.ours.example.com/")
    configure(far.base_url, f"numbers: {{'{SECOND}': {{}}}}\n")
    ran = run("setup", "--online", "--fix", "--yes")
    assert (ran.code, [change["number"] for change in ran.json["changes"]]) == (0, [SECOND])
    assert written(far) == 1
    assert far.numbers["+15550100007"].voice_url == "https://not.ours.example.com/"


def test_fix_without_a_terminal_and_without_a_word_writes_nothing(
    run: Run, far: TwilioFar, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(far.base_url)
    detour(far)
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    ran = run("setup", "--online", "--fix")
    assert (ran.code, written(far)) == (1, 0)
    assert [(change["written"], "--yes" in change["error"]) for change in ran.json["changes"]] == [(False, True)]
    assert f"-> POST {URL}" in ran.err
    *_, last = ran.err.splitlines()
    assert last.startswith("voicecall: nothing was written: there is no terminal") and "--yes" in last


@pytest.mark.usefixtures("terminal")
@pytest.mark.parametrize("answer", ["n\n", "\n", "", "yess\n"])
def test_fix_writes_nothing_unless_the_answer_is_yes(
    run: Run, far: TwilioFar, monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    configure(far.base_url)
    detour(far)
    monkeypatch.setattr("sys.stdin", io.StringIO(answer))
    ran = run("setup", "--online", "--fix")
    assert (ran.code, written(far)) == (1, 0)
    assert "[y/N]" in ran.err and "nothing was written" in ran.out


def test_fix_asks_at_a_real_terminal_after_showing_what_it_would_write(home: Path, far: TwilioFar) -> None:
    configure(far.base_url)
    detour(far)
    code, seen = at_a_terminal(["setup", "--online", "--fix"], "[y/N]", b"y\n")
    before, _, after = seen.partition("[y/N]")
    assert "GET https://old.example.com/twiml?token=…" in before and f"-> POST {URL}" in before
    assert "theirs: nothing" in before
    assert "written, and read back" in after and "hunter2" not in seen and FAR.auth_token not in seen
    assert far.numbers[OUR_NUMBER].voice_url == URL
    assert written(far) == 1
    assert code in (0, 1)  # offline speech need not be installed in that process


def test_fix_with_nothing_to_write_says_so(run: Run, far: TwilioFar) -> None:
    configure(far.base_url)
    ran = run("setup", "--online", "--fix")
    assert (ran.code, ran.json["changes"], written(far)) == (0, [], 0)


def test_a_write_that_twilio_refuses_is_told_and_not_called_done(run: Run, far: TwilioFar) -> None:
    configure(far.base_url)
    detour(far)
    far.fail("number", "20404")
    ran = run("setup", "--online", "--fix", "--yes")
    assert (ran.code, ran.json["ok"]) == (1, False)
    (change,) = ran.json["changes"]
    assert change["written"] is False and "would not set the number's addresses" in change["error"]
    assert "twilio-voice-url" in failed(ran)


def test_a_write_whose_answer_was_lost_is_told_as_it_is_there(run: Run, far: TwilioFar) -> None:
    configure(far.base_url)
    detour(far)
    far.fail("number", "lost-after")
    ran = run("setup", "--online", "--fix", "--yes")
    assert ran.code == 1 and ran.json["changes"][0]["error"]
    assert one(ran, "twilio-voice-url")["ok"], "it was written all the same"


def test_an_address_that_twilio_can_not_reach_is_not_written(
    run: Run, far: TwilioFar, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only Twilio itself is on the internet for sure, so the reason is handed in here."""
    private = Config(provider="twilio", public_url="http://192.168.1.5/voice/webhook")
    why = online.unwritable(private)
    assert "can not be reached from the internet" in why
    assert online.unwritable(private.model_copy(update={"public_url": URL})) == ""
    configure(far.base_url)
    detour(far)
    monkeypatch.setattr(online, "unwritable", lambda config: why)
    ran = run("setup", "--online", "--fix", "--yes")
    assert (ran.code, written(far)) == (1, 0)
    assert why in ran.json["changes"][0]["error"]


@pytest.mark.parametrize("line", ["setup --fix", "setup --yes", "setup --online --yes", "setup --fix --yes"])
def test_options_that_mean_nothing_alone_are_refused(run: Run, far: TwilioFar, line: str) -> None:
    configure(far.base_url)
    ran = run(*line.split())
    assert (ran.code, ran.json["code"]) == (2, "invalid_params")
    assert far.requests == []


# other carriers


def test_the_simulated_carrier_that_does_not_run_has_nothing_to_say(run: Run, home: Path) -> None:
    Path("config.yaml").write_text("serve: {port: 0}\nresponse: {provider: operator}\n")
    ran = run("setup", "--online")
    assert ran.code == 0 and "nothing to ask" in one(ran, "simulator")["message"]
    assert not (home / "state").exists(), "checking must not start anything"


def test_a_simulator_that_runs_answers_by_its_folder_and_by_its_address(run: Run, home: Path) -> None:
    (home / "state").mkdir()
    address = asyncio.run(ensure_simulator(home / "state", Mock()))
    pid = int(json.loads((home / "state" / STATE_FILE).read_text())["pid"])
    try:
        Path("config.yaml").write_text("serve: {port: 0}\nresponse: {provider: operator}\n")
        assert "of this state folder answers" in one(run("setup", "--online"), "simulator")["message"]
        mock = {
            "api_base_url": address.base_url,
            "api_key": address.api_key,
            "signing_secret": address.signing_secret,
        }
        Path("config.yaml").write_text(json.dumps({"serve": {"port": 0}, "mock": mock}))
        assert one(run("setup", "--online"), "simulator")["ok"]
        Path("config.yaml").write_text(json.dumps({"serve": {"port": 0}, "mock": {**mock, "api_key": "wrong"}}))
        assert not one(run("setup", "--online"), "simulator")["ok"]
    finally:
        os.kill(pid, signal.SIGTERM)


def test_a_simulator_elsewhere_must_answer(run: Run) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        Path("config.yaml").write_text(
            "serve: {port: 0}\nmock: {api_key: k, signing_secret: hunter2, "
            f"api_base_url: 'http://127.0.0.1:{unused.getsockname()[1]}'}}\n"
        )
        ran = run("setup", "--online")
    check = one(ran, "simulator")
    assert (ran.code, check["ok"]) == (1, False) and "can not be reached" in check["message"]
    assert "hunter2" not in ran.out


@pytest.mark.usefixtures("terminal")
def test_it_reads_well_on_a_terminal(run: Run, far: TwilioFar) -> None:
    configure(far.base_url)
    detour(far)
    lines = run("setup", "--online").out.splitlines()
    at = next(index for index, line in enumerate(lines) if "twilio-voice-url" in line)
    assert lines[at].startswith("FAIL  twilio-voice-url ")
    assert lines[at + 1].strip() == f"ours: POST {URL}"
    assert lines[at + 2].strip().startswith("theirs: GET")
    assert lines[at + 3].strip().startswith("-> voicecall setup --online --fix")


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}


def at_a_terminal(argv: list[str], prompt: str, answer: bytes) -> tuple[int, str]:
    """A command line on a pseudo terminal: what it showed, and how it ended when the prompt was answered."""
    ours, theirs = pty.openpty()
    child = subprocess.Popen(
        [sys.executable, "-m", "console.cli", *argv], stdin=theirs, stdout=theirs, stderr=theirs, env=environment()
    )
    os.close(theirs)
    seen = b""
    answered = False
    try:
        while piece := _read(ours):
            seen += piece
            if not answered and prompt.encode() in seen:
                os.write(ours, answer)
                answered = True
        return child.wait(30), seen.decode()
    finally:
        os.close(ours)
        child.kill()
        child.wait()


def _read(terminal: int) -> bytes:
    ready, _, _ = select.select([terminal], [], [], 30)
    if not ready:
        return b""
    try:
        return os.read(terminal, 4096)
    except OSError:  # the other side is closed
        return b""
