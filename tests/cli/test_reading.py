"""status, tail and latency: from the running engine, else from the stored log."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from engine.calls import Draft
from engine.store import DATABASE_NAME, EventLog
from tests.cli.conftest import Run
from tests.cli.running import Running

CALL = "11111111-1111-4111-8111-111111111111"


def store(state: Path, drafts: Sequence[Draft]) -> None:
    async def write() -> None:
        log = await EventLog.open(state / DATABASE_NAME)
        await log.append(drafts)
        await log.close()

    state.mkdir(exist_ok=True)
    asyncio.run(write())


@pytest.fixture
def stored(home: Path) -> Path:
    """A log of one finished call, and no engine."""
    store(
        home / "state",
        [
            Draft("engine.started", None, {"version": "1"}),
            Draft("call.initiated", CALL, {"direction": "inbound", "from": "+15550100142", "to": "+15550100100"}),
            Draft("call.accepted", CALL, {"providerCallId": "CA1"}),
            Draft("call.answered", CALL),
            Draft("speech.final", CALL, {"text": "Hi \x1b[31mthere\u202e", "turn": 1}),
            Draft("turn.completed", CALL, {"turn": 1, "stages": {"stt": 90, "brain": 200}}),
            Draft("call.ended", CALL, {"reason": "hangup-user", "by": "caller"}),
        ],
    )
    return home / "state"


def test_status_reads_the_stored_log_when_no_engine_runs(run: Run, stored: Path) -> None:
    ran = run("status")
    assert [call["callId"] for call in ran.json["calls"]] == [CALL]
    assert "no engine runs" in ran.err
    one = run("status", "--call-id", CALL).json
    assert (one["state"], one["endReason"], one["transcript"][0]["text"][:2]) == ("hangup-user", "hangup-user", "Hi")
    assert run("status", "--call-id", "CA1").json == one
    missing = run("status", "--call-id", "nobody")
    assert (missing.code, missing.json) == (0, {"found": False})


def test_status_without_an_engine_says_which_calls_are_as_they_were_last_known(run: Run, home: Path) -> None:
    numbers = {"direction": "inbound", "from": "+15550100142", "to": "+15550100100"}
    facts = [Draft("call.initiated", CALL, numbers), Draft("call.answered", CALL)]
    over = [Draft("call.initiated", "c2", numbers), Draft("call.ended", "c2", {"reason": "busy"})]
    store(home / "state", [*facts, *over])
    known = {call["callId"]: (call["state"], call["lastKnown"]) for call in run("status").json["calls"]}
    assert known == {CALL: ("answered", True), "c2": ("busy", False)}


def test_tail_reads_the_stored_log_when_no_engine_runs(run: Run, stored: Path) -> None:
    events = run("tail", "--no-follow").lines
    assert [event["seq"] for event in events] == [1, 2, 3, 4, 5, 6, 7]
    assert set(events[0]) == {"seq", "at", "callId", "type", "data"}
    assert [event["seq"] for event in run("tail", "--no-follow", "--since", "2").lines] == [6, 7]
    assert len(run("tail", "--no-follow", "--call-id", CALL).lines) == 6
    assert run("tail", "--no-follow", "--since", "0").out == ""


def test_latency_reads_the_stored_log_when_no_engine_runs(run: Run, stored: Path) -> None:
    found = run("latency").json
    assert found["turns"] == 1
    assert found["stages"]["stt"] == {
        "count": 1, "minMs": 90, "maxMs": 90, "avgMs": 90, "p50Ms": 90, "p95Ms": 90
    }  # fmt: skip


def test_reading_changes_nothing_in_the_state_folder(run: Run, stored: Path) -> None:
    before = {path.name: path.stat().st_mtime_ns for path in stored.iterdir()}
    for line in ("status", "tail --no-follow", "latency"):
        assert run(*line.split()).code == 0
    assert {path.name: path.stat().st_mtime_ns for path in stored.iterdir()} == before


def test_reading_an_empty_state_folder_finds_nothing_and_creates_nothing(run: Run, home: Path) -> None:
    assert run("status").json == {"calls": []}
    assert run("status", "--call-id", "x").json == {"found": False}
    assert run("tail", "--no-follow").out == ""
    assert run("latency").json == {"turns": 0, "stages": {}, "over": []}
    assert list(home.iterdir()) == []


def test_a_file_that_is_no_log_is_refused_with_advice(run: Run, home: Path) -> None:
    (home / "state").mkdir()
    (home / "state" / DATABASE_NAME).write_bytes(b"not a database, not a database, not a database, no" * 20)
    ran = run("status")
    assert (ran.code, ran.json["code"]) == (1, "store_failed")
    assert ran.json["hint"]


@pytest.mark.usefixtures("terminal")
def test_what_callers_said_can_not_steer_the_terminal(run: Run, stored: Path) -> None:
    for line in (f"status --call-id {CALL}", "status", "tail --no-follow", "tail --no-follow --json"):
        out = run(*line.split()).out
        assert "\x1b" not in out and "\u202e" not in out
    shown = run("status", "--call-id", CALL).out
    assert "caller    Hi there" in shown
    assert "hangup-user (by caller)" in shown
    assert "stt" in run("latency").out


def test_the_engine_answers_when_it_runs(run: Run, engine: Running) -> None:
    call_id = run("call", "-t", "+15550100142", "-m", "Hi").json["callId"]
    ran = run("status")
    assert [call["callId"] for call in ran.json["calls"]] == [call_id]
    assert ran.err == ""
    assert run("status", "--call-id", call_id).json["callId"] == call_id
    assert run("status", "--call-id", "nobody").json == {"found": False}
    assert [event["type"] for event in run("tail", "--no-follow").lines] == ["call.initiated"]
    assert run("latency").code == 0


def test_tail_begins_with_the_last_events_of_one_call_or_of_all(run: Run, engine: Running) -> None:
    first = run("call", "-t", "+15550100142", "-m", "Hi").json["callId"]
    for number in range(30):
        engine.do(engine.engine.record("exposure.probed", None, n=number))
    events = run("tail", "--no-follow").lines
    assert [event["data"]["n"] for event in events] == list(range(5, 30))
    assert len(run("tail", "--no-follow", "--since", "1000").lines) == 31
    assert [event["type"] for event in run("tail", "--no-follow", "--call-id", first).lines] == ["call.initiated"]


def test_tail_follows_until_it_is_interrupted(home: Path, engine: Running) -> None:
    engine.do(engine.engine.record("engine.started"))
    code = "import sys; from console.cli import main; sys.exit(main(['tail', '--since', '1']))"
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert process.stdout is not None and process.stderr is not None
    try:
        assert json.loads(process.stdout.readline())["type"] == "engine.started"
        engine.engine.level("x", -30.0)
        engine.do(engine.engine.record("exposure.changed", None, provider="ngrok"))
        event = json.loads(process.stdout.readline())
        assert (event["type"], event["seq"]) == ("exposure.changed", 2)
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 130
        assert process.stderr.read() == ""
    finally:
        process.kill()
        process.communicate()


@pytest.mark.usefixtures("terminal")
def test_a_live_call_lasts_so_far_and_one_that_was_not_answered_lasts_nothing(run: Run, engine: Running) -> None:
    call_id = run("call", "-t", "+15550100142", "-m", "Hi", "--json").json["callId"]
    (started,) = [line for line in run("status", "--call-id", call_id).out.splitlines() if line.startswith("started")]
    assert "lasted" not in started and not started.endswith("-")
    engine.do(engine.engine.record("call.answered", call_id))
    (started,) = [line for line in run("status", "--call-id", call_id).out.splitlines() if line.startswith("started")]
    assert started.endswith("so far") and ", lasted 0:0" in started.replace("lasted 00:0", "lasted 0:0")
    engine.do(engine.engine.end(call_id))
    (started,) = [line for line in run("status", "--call-id", call_id).out.splitlines() if line.startswith("started")]
    assert ", lasted " in started and "so far" not in started


@pytest.mark.usefixtures("terminal")
def test_a_call_whose_end_nobody_wrote_down_has_no_length(run: Run, home: Path) -> None:
    facts = {"direction": "inbound", "from": "+15550100142", "to": "+15550100100"}
    store(home / "state", [Draft("call.initiated", CALL, facts), Draft("call.answered", CALL)])
    assert "lasted" not in run("status", "--call-id", CALL).out
