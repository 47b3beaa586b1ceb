"""setup --online on Telnyx: the key, the application, its API version and address, its numbers; what --fix does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine import checks
from engine.check import Check
from engine.config import Config
from tests.carriers.telnyx_far import OUR_NUMBER, Settings, TelnyxFar
from tests.cli.conftest import Ran, Run
from tests.cli.far_thread import running_far

URL = "https://calls.example.com/voice/webhook"
FAR = Settings(webhook_url=URL)
IDS = {f"telnyx-{name}" for name in ("key", "connection", "api-version", "webhook-url", "number", "clock")}
SECOND = "+15550100001"


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
def far() -> Iterator[TelnyxFar]:
    with running_far(lambda: TelnyxFar(FAR)) as running:
        yield running


def configure(far: TelnyxFar, more: str = "", **changes: str) -> None:
    account = {"api_key": FAR.api_key, "connection_id": FAR.connection_id, "public_key": far.public_key, **changes}
    lines = "".join(f'  {key}: "{value}"\n' for key, value in account.items())
    Path("config.yaml").write_text(
        "provider: telnyx\n"
        f'from_number: "{OUR_NUMBER}"\n'
        "serve: {port: 0}\n"
        "response: {provider: operator}\n"
        f"public_url: {URL}\n"
        f'telnyx:\n{lines}  api_base_url: "{far.base_url}"\n' + more
    )


def one(ran: Ran, check: str) -> dict[str, Any]:
    (item,) = [item for item in ran.json["checks"] if item["id"] == check]
    return dict(item)


def failed(ran: Ran) -> list[str]:
    return [item["id"] for item in ran.json["checks"] if not item["ok"]]


def written(far: TelnyxFar) -> list[str]:
    return [request.operation for request in far.requests if request.operation.startswith("set_")]


def test_an_account_in_order_passes_every_check_and_exits_0(run: Run, far: TelnyxFar) -> None:
    configure(far)
    ran = run("setup", "--online")
    assert (ran.code, failed(ran)) == (0, [])
    assert {item["id"] for item in ran.json["checks"]} >= IDS
    assert written(far) == []


def test_a_wrong_key_is_named_and_shown_nowhere(run: Run, far: TelnyxFar) -> None:
    configure(far, api_key="KEYwrong_secret")
    ran = run("setup", "--online")
    assert failed(ran) == ["telnyx-key"]
    assert "10009" in one(ran, "telnyx-key")["message"] and "telnyx.api_key" in one(ran, "telnyx-key")["fix"]
    assert "KEYwrong_secret" not in ran.out + ran.err


def test_a_connection_that_is_none_is_told_from_a_wrong_key(run: Run, far: TelnyxFar) -> None:
    configure(far, connection_id="42")
    ran = run("setup", "--online")
    assert failed(ran) == ["telnyx-connection"] and one(ran, "telnyx-key")["ok"]


def test_a_public_key_that_is_none_is_refused_at_once(run: Run, far: TelnyxFar) -> None:
    configure(far, public_key="not a key")
    ran = run("setup", "--online")
    assert "telnyx-key" in failed(ran) and "public_key" in one(ran, "telnyx-key")["message"]
    assert far.requests == []


@pytest.mark.parametrize(
    ("changes", "word"), [({"active": False}, "switched off"), ({"outbound_profile": ""}, "profile")]
)
def test_an_application_that_can_not_call_says_what_is_missing(
    run: Run, far: TelnyxFar, changes: dict[str, Any], word: str
) -> None:
    configure(far)
    vars(far.app).update(changes)
    ran = run("setup", "--online")
    assert failed(ran) == ["telnyx-connection"] and word in one(ran, "telnyx-connection")["message"]


def test_fix_writes_version_address_and_number_and_reads_them_back(run: Run, far: TelnyxFar) -> None:
    configure(far, f"numbers: {{'{SECOND}': {{}}}}\n")
    far.app.api_version, far.app.webhook_url = "1", "https://old.example.com/hook?token=hunter2"
    far.add_number(SECOND)
    ran = run("setup", "--online")
    assert failed(ran) == ["telnyx-api-version", "telnyx-webhook-url", "telnyx-number"]
    assert "hunter2" not in ran.out + ran.err and written(far) == []
    ran = run("setup", "--online", "--fix", "--yes")
    assert (ran.code, failed(ran)) == (0, [])
    assert [change["written"] for change in ran.json["changes"]] == [True, True]
    assert "hunter2" not in ran.out + ran.err
    assert (far.app.api_version, far.app.webhook_url) == ("2", URL)
    assert far.numbers[SECOND].connection_id == FAR.connection_id


def test_fix_takes_a_number_from_nobody(run: Run, far: TelnyxFar) -> None:
    configure(far)
    far.numbers[OUR_NUMBER].connection_id = "77"
    far.numbers[OUR_NUMBER].connection_name = "the other product"
    ran = run("setup", "--online", "--fix", "--yes")
    assert failed(ran) == ["telnyx-number"] and "the other product" in one(ran, "telnyx-number")["message"]
    assert written(far) == []


def test_nothing_is_written_without_a_word(run: Run, far: TelnyxFar) -> None:
    configure(far)
    far.app.api_version = "1"
    ran = run("setup", "--online", "--fix")
    assert ran.code == 1 and written(far) == []


def test_a_clock_that_is_off_is_told_before_webhooks_are_refused(run: Run, far: TelnyxFar) -> None:
    configure(far)
    far.ahead_s = 200
    ran = run("setup", "--online")
    assert failed(ran) == ["telnyx-clock"] and "behind" in one(ran, "telnyx-clock")["message"]


def test_a_number_of_somebody_else_is_named(run: Run, far: TelnyxFar) -> None:
    configure(far, f"numbers: {{'{SECOND}': {{}}}}\n")
    ran = run("setup", "--online")
    assert failed(ran) == ["telnyx-number"]
