"""setup --online with a Plivo account: what is asked, and that nothing is written without a person's word."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine import checks
from engine.check import Check
from engine.config import Config
from tests.carriers.plivo_far import OUR_NUMBER, PlivoFar, Settings
from tests.cli.conftest import Ran, Run
from tests.cli.far_thread import running_far

URL = "https://calls.example.com/voice/webhook"
FAR = Settings(answer_url=URL, hangup_url=f"{URL}?type=status")
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
def far() -> Iterator[PlivoFar]:
    with running_far(lambda: PlivoFar(FAR)) as running:
        yield running


def configure(base_url: str, more: str = "", *, token: str = FAR.auth_token, public_url: str | None = URL) -> None:
    Path("config.yaml").write_text(
        "provider: plivo\n"
        f'from_number: "{OUR_NUMBER}"\n'
        "serve: {port: 0}\n"
        "response: {provider: operator}\n"
        f'plivo: {{auth_id: {FAR.auth_id}, auth_token: "{token}", api_base_url: "{base_url}"}}\n'
        + (f"public_url: {public_url}\n" if public_url else "")
        + more
    )


def found(ran: Ran, check: str) -> list[dict[str, Any]]:
    return [item for item in ran.json["checks"] if item["id"] == check]


def failed(ran: Ran) -> list[str]:
    return [item["id"] for item in ran.json["checks"] if not item["ok"]]


def written(far: PlivoFar) -> int:
    return len([request for request in far.requests if request.method != "GET"])


def application(far: PlivoFar) -> Any:
    return next(iter(far.applications.values()))


def test_an_account_in_order_passes_every_check(run: Run, far: PlivoFar) -> None:
    configure(far.base_url)
    ran = run("setup", "--online")
    assert (ran.code, failed(ran), written(far)) == (0, [], 0)
    ids = {item["id"] for item in ran.json["checks"]}
    assert ids >= {f"plivo-{name}" for name in ("credentials", "number", "answer-url", "hangup-url", "clock")}
    assert "12.50000" in found(ran, "plivo-credentials")[0]["message"]


def test_wrong_credentials_say_which_and_the_token_is_nowhere(run: Run, far: PlivoFar) -> None:
    configure(far.base_url, token="hunter2")
    ran = run("setup", "--online")
    check = found(ran, "plivo-credentials")[0]
    assert ran.code == 1 and "401" in check["message"] and "plivo.auth_token" in check["fix"]
    assert set(failed(ran)) == {"plivo-credentials", "plivo-number", "plivo-clock"}
    assert "hunter2" not in ran.out + ran.err


def test_a_carrier_out_of_reach_is_asked_once(run: Run) -> None:
    configure("http://127.0.0.1:9")
    ran = run("setup", "--online")
    assert failed(ran) == ["plivo-credentials"]
    assert "nothing was asked" in found(ran, "plivo-credentials")[0]["message"]


def test_without_credit_without_the_number_and_with_a_wrong_clock(run: Run) -> None:
    with running_far(
        lambda: PlivoFar(Settings(answer_url=URL, hangup_url=f"{URL}?type=status", credits="0.00000"))
    ) as far:
        far.ahead_s = 300
        configure(far.base_url, f'numbers: {{"{SECOND}": {{}}}}\n')
        ran = run("setup", "--online")
        assert set(failed(ran)) == {"plivo-credentials", "plivo-number", "plivo-clock"}
        assert SECOND in [item for item in found(ran, "plivo-number") if not item["ok"]][0]["message"]


def test_a_number_that_reports_elsewhere_is_shown_and_written_only_on_a_persons_word(run: Run, far: PlivoFar) -> None:
    app = application(far)
    app.answer_url, app.answer_method, app.hangup_url = "https://old.example.com/xml?token=hunter2", "GET", ""
    configure(far.base_url)
    ran = run("setup", "--online", "--fix")
    assert ran.code == 1 and written(far) == 0
    assert set(failed(ran)) == {"plivo-answer-url", "plivo-hangup-url"}
    shown = ran.json["changes"][0]
    assert shown["application"] == "far-end" and shown["hangupUrl"]["from"] == "nothing"
    assert "hunter2" not in ran.out + ran.err
    ran = run("setup", "--online", "--fix", "--yes")
    assert (ran.code, failed(ran), ran.json["changes"][0]["written"]) == (0, [], True)
    assert (app.answer_url, app.answer_method) == (URL, "POST")
    assert (app.hangup_url, app.hangup_method) == (f"{URL}?type=status", "POST")
    assert written(far) == 1 and app.name == "far-end"


def test_an_application_of_several_numbers_says_so(run: Run, far: PlivoFar) -> None:
    app = application(far)
    app.answer_url = ""
    for last in range(2, 30):
        far.add_number(f"+155501000{last:02}", app.app_id)
    configure(far.base_url)
    ran = run("setup", "--online", "--fix")
    assert "28 other numbers belong to it too" in ran.out + ran.err and written(far) == 0


def test_a_number_without_an_application_gets_one_of_its_own(run: Run, far: PlivoFar) -> None:
    far.numbers[OUR_NUMBER].app_id = ""
    configure(far.base_url)
    ran = run("setup", "--online", "--fix", "--yes")
    assert (ran.code, failed(ran)) == (0, [])
    made = far.applications[far.numbers[OUR_NUMBER].app_id]
    assert made.name == f"voicecall-{OUR_NUMBER[1:]}" and made.answer_url == URL


def test_an_application_that_can_not_be_read_is_not_written(run: Run, far: PlivoFar) -> None:
    application(far).answer_url = "https://old.example.com/"
    configure(far.base_url)
    far.fail("application", "500-before", times=9)
    ran = run("setup", "--online", "--fix", "--yes")
    assert ran.code == 1 and written(far) == 0


def test_weak_signatures_are_named_where_they_are_allowed(run: Run, far: PlivoFar) -> None:
    configure(far.base_url)
    text = Path("config.yaml").read_text().replace("plivo: {", "plivo: {allow_signature_v2: true, ")
    Path("config.yaml").write_text(text)
    check = found(run("setup"), "signatures")[0]
    assert "weakly" in check["message"] and "allow_signature_v2" in check["fix"]
