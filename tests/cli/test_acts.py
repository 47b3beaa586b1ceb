"""The verbs that act: one request to the running engine, the contract's shapes and exit codes."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.api import Refusal
from tests.cli.conftest import Run
from tests.cli.running import Running

ID = ("--call-id", "nobody")


def dial(run: Run, *more: str) -> str:
    call_id: str = run("call", "-t", "+15550100142", "-m", "Hello", *more).json["callId"]
    return call_id


def test_a_call_is_placed_spoken_to_continued_and_ended(run: Run, engine: Running) -> None:
    call_id = dial(run, "--mode", "conversation")
    assert run("speak", "--call-id", call_id, "--message", "One moment").json == {"success": True}
    answer = run("continue", "--call-id", call_id, "-m", "Which day?")
    assert answer.json == {"success": True, "transcript": "Which day?"}
    assert run("dtmf", "--call-id", call_id, "--digits", "12#").json == {"success": True}
    assert run("transfer", "--call-id", call_id, "--to", "+15550100177").json == {"success": True}
    assert run("status", "--call-id", call_id).json["transferredTo"] == "+15550100177"
    assert run("end", "--call-id", call_id).json == {"success": True}
    again = run("end", "--call-id", call_id)
    assert (again.code, again.json) == (0, {"success": True})
    assert ("initiate", "cli") in engine.engine.acts


@pytest.mark.parametrize("verdict", ["once", "always", "no"])
def test_a_caller_who_waits_is_let_in_or_not_and_only_once(run: Run, engine: Running, verdict: str) -> None:
    call_id = dial(run)
    engine.do(engine.engine.record("call.waiting", call_id, seconds=30))
    assert run("status").json["calls"][0]["waiting"] is True
    admitted = run("admit", "--call-id", call_id, f"--{verdict}")
    assert (admitted.code, admitted.json) == (0, {"success": True})
    event = next(event for event in run("tail", "--no-follow").lines if event["type"] == "call.admitted")
    assert event["data"] == {"verdict": verdict, "by": "cli"}
    again = run("admit", "--call-id", call_id, f"--{verdict}")
    assert (again.code, again.json["code"]) == (1, "not_waiting")


def test_who_was_let_in_always_is_listed_and_can_be_forgotten(run: Run, engine: Running) -> None:
    number = "+15550100142"
    engine.engine.always.append(number)
    assert run("admit", "--list").json == {"numbers": [number]}
    assert run("admit", "--forget", number).json == {"success": True}
    assert run("admit", "--list").json == {"numbers": []}
    again = run("admit", "--forget", number)
    assert (again.code, again.json["code"]) == (1, "invalid_number")


@pytest.mark.usefixtures("terminal")
def test_people_read_one_number_a_line(run: Run, engine: Running) -> None:
    assert run("admit", "--list").out == "nobody was let in always\n"
    engine.engine.always += ["+15550100142", "+15550100143"]
    assert run("admit", "--list").out == "+15550100142\n+15550100143\n"


@pytest.mark.parametrize(
    "line",
    [
        "admit --once",
        "admit --call-id x",
        "admit --call-id x --once --no",
        "admit --call-id x --list",
        "admit --list --forget +15550100142",
        "admit --call-id x --forget +15550100142",
        "admit --forget",
    ],
)
def test_a_decision_needs_a_call_and_one_verdict(run: Run, line: str) -> None:
    assert run(*line.split()).code == 2


def test_start_is_another_name_for_call(run: Run, engine: Running) -> None:
    assert set(run("start", "--to", "+15550100142", "--message", "Hi").json) == {"callId"}


def test_a_refusal_exits_1_with_code_error_and_hint(run: Run, engine: Running) -> None:
    ran = run("call", "-t", "12345", "-m", "Hi")
    assert ran.code == 1
    assert ran.json == {
        "success": False,
        "code": "invalid_number",
        "error": "12345 is not a number.",
        "hint": "Write it as +15550100.",
    }
    assert "12345 is not a number" in ran.err


@pytest.mark.usefixtures("terminal")
def test_people_get_words_and_refusals_on_stderr(run: Run, engine: Running) -> None:
    ran = run("speak", *ID, "-m", "Hi")
    assert (ran.code, ran.out) == (1, "")
    assert "There is no call nobody." in ran.err
    assert run("call", "-t", "+15550100142", "-m", "Hi").out.startswith("dialling: call ")
    assert run("call", "-t", "+15550100142", "-m", "Hi", "--json").json["callId"]


def test_an_engine_that_waited_in_vain_exits_4(run: Run, engine: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    async def silence(*_: object) -> str:
        raise Refusal("timeout", "The caller said nothing.")

    monkeypatch.setattr(engine.engine, "continue_call", silence)
    ran = run("continue", *ID, "-m", "Hello?")
    assert (ran.code, ran.json["code"]) == (4, "timeout")


def test_a_dial_with_an_unknown_outcome_names_its_call(
    run: Run, engine: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def lost(*_: object, **__: object) -> str:
        raise Refusal("outcome_unknown", "The carrier may have placed it.", "Look it up.", call_id="c-1")

    monkeypatch.setattr(engine.engine, "initiate", lost)
    ran = run("call", "-t", "+15550100142", "-m", "Hi")
    assert (ran.code, ran.json["code"], ran.json["callId"]) == (1, "outcome_unknown", "c-1")


@pytest.mark.parametrize(
    "line",
    [
        "call -m hi",
        "continue --call-id x -m hi",
        "speak --call-id x -m hi",
        "dtmf --call-id x --digits 1",
        "transfer --call-id x -t +15550100177",
        "admit --call-id x --once",
        "tail",
    ],
)
def test_without_an_engine_acting_exits_3_and_says_how_to_start_one(run: Run, home: Path, line: str) -> None:
    ran = run(*line.split())
    assert (ran.code, ran.json["code"]) == (3, "no_engine")
    assert "voicecall serve" in ran.err
    assert list(home.iterdir()) == [], "asking must not create anything"


def test_a_lock_that_a_dead_engine_left_behind_is_no_engine(run: Run, home: Path) -> None:
    (home / "state").mkdir()
    (home / "state" / "engine.lock").write_text('{"pid": 1, "version": "0", "started": 0, "control": "x"}')
    assert run("end", *ID).code == 3


def test_a_broken_configuration_exits_2_with_its_place(run: Run) -> None:
    Path("config.yaml").write_text("provider: mock\nserve:\n  prt: 1\n")
    ran = run("status")
    assert ran.code == 2
    assert "config.yaml:3:3: serve.prt: unknown key (did you mean port?)" in ran.err
    assert ran.json["code"] == "invalid_config"
    assert ran.json["problems"][0]["line"] == 3
