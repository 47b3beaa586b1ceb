"""The demonstration's figures: how they are made, and one short real run from an empty folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from engine.calls import Draft, Event
from engine.config import parse_config
from engine.demo import DemoPlan, demo_config, summarise_demo

FRAMES = {"sent": 100, "late": 2, "p99LateMs": 7, "underruns": 1}
KEYS = {"calls", "ended", "turns", "words", "wordErrorRate", "stages", "frames", "errors"}


def log_of(*drafts: Draft) -> list[Event]:
    return [Event(seq, 1000 + seq, draft.call_id, draft.type, draft.data) for seq, draft in enumerate(drafts, 1)]


def a_call(call_id: str, *heard: str, ended: bool = True) -> list[Draft]:
    """A call in which the engine understood these lines."""
    return [
        Draft("call.initiated", call_id, {"provider": "mock", "direction": "inbound"}),
        Draft("call.accepted", call_id, {"providerCallId": f"CA{call_id}"}),
        *(Draft("speech.final", call_id, {"text": text, "turn": turn}) for turn, text in enumerate(heard)),
        *([Draft("call.ended", call_id, {"reason": "completed", "by": "caller"})] if ended else []),
    ]


def said(call_id: str, *lines: tuple[str, bool]) -> dict[str, Any]:
    return {"id": f"CA{call_id}", "said": [{"text": text, "whole": whole} for text, whole in lines]}


def summary(drafts: list[Draft], *report: dict[str, Any]) -> dict[str, Any]:
    return summarise_demo(log_of(*drafts), {"calls": list(report)}, FRAMES)


def test_nothing_happened_is_said_without_a_rate() -> None:
    result = summary([])
    assert result["wordErrorRate"] is None
    assert (result["calls"], result["ended"], result["turns"], result["words"], result["errors"]) == (0, 0, 0, 0, 0)
    assert result["frames"] == {"sent": 100, "late": 2, "p99LateMs": 7}


def test_words_are_compared_call_by_call() -> None:
    drafts = a_call("a", "book an appointment", "thank you") + a_call("b", "nice", ended=False)
    result = summary(
        drafts,
        said("a", ("Book an appointment.", True), ("Thank you!", True)),
        said("b", ("Good day.", True)),
        said("of somebody else", ("Never mind.", True)),
    )
    assert (result["calls"], result["ended"], result["words"]) == (2, 1, 7)
    # "nice" for "good day": one word wrong, one missing.
    assert result["wordErrorRate"] == pytest.approx(2 / 7, abs=1e-4)


def test_a_line_that_was_cut_off_counts_as_far_as_it_fits() -> None:
    lines = ("I will call you", True), ("again when I know my plans", False)
    for understood in (
        ["I will call you"],
        ["I will call you", "again when"],
        ["I will call you again when I know my plans"],
    ):
        assert summary(a_call("a", *understood), said("a", *lines))["wordErrorRate"] <= 0.5
    assert summary(a_call("a", "I will call you"), said("a", *lines))["wordErrorRate"] == 0


def test_a_caller_who_was_not_understood_at_all_counts_in_full() -> None:
    assert summary(a_call("a"), said("a", ("Do you open on Saturday?", True)))["wordErrorRate"] == 1


def test_stages_are_percentiles_over_the_turns() -> None:
    turns = [
        Draft("turn.completed", "a", {"turn": ms, "stages": {"end": ms, "total": 2 * ms}}) for ms in range(1, 101)
    ]
    result = summary([*a_call("a", ended=False), *turns])
    assert result["turns"] == 100
    assert result["stages"] == {"end": {"p50": 50, "p95": 95}, "total": {"p50": 100, "p95": 190}}


def test_every_trouble_counts_and_the_first_are_told() -> None:
    troubles = [Draft("say.failed", "a", {"sayId": "s", "error": f"no voice {n}"}) for n in range(30)]
    result = summary([*a_call("a", ended=False), *troubles, Draft("call.error", "a", {"message": "lost"})])
    assert result["errors"] == 31
    assert result["errorDetails"][0] == "say.failed: no voice 0"
    assert len(result["errorDetails"]) == 20


def test_the_demonstration_is_closed_to_the_outside_and_open_to_its_callers() -> None:
    base = parse_config(b"public_url: https://example.com/voice/webhook\nmax_concurrent_calls: 1\n", None, {}).config
    config = demo_config(base, DemoPlan(calls=6, seed=7), 0)
    assert (config.provider, config.public_url, config.serve.bind) == ("mock", None, "127.0.0.1")
    assert (config.inbound_policy, config.mock.seed) == ("open", 7)
    assert config.max_concurrent_calls > 6


def test_a_short_run_in_an_empty_folder_prints_the_summary(tmp_path: Path) -> None:
    hidden = {"VOICECALL_CONFIG", "VOICECALL_STATE_DIR", "XDG_STATE_HOME", "XDG_CONFIG_HOME"}
    env = {name: value for name, value in os.environ.items() if name not in hidden}
    # Other tests run demonstrations too, and the usual port is there once.
    config = tmp_path / "any port.yaml"
    config.write_text("serve: {port: 0}\n")
    empty = tmp_path / "empty"
    empty.mkdir()
    ran = subprocess.run(
        [
            sys.executable,
            "-m",
            "console.cli",
            "demo",
            "--headless",
            "--for",
            "12",
            "--calls",
            "3",
            "--config",
            config,
        ],
        cwd=empty,
        env={**env, "HOME": str(tmp_path), "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert list(empty.iterdir()) == []
    result = json.loads(ran.stdout)
    assert set(result) >= KEYS
    assert set(result) - KEYS <= {"errorDetails"}
    assert result["calls"] >= 2
    assert result["ended"] == result["calls"]
    assert result["words"] >= 5
    assert isinstance(result["wordErrorRate"], float)
    # How many turns fit into so short a time depends on the machine.
    assert bool(result["turns"]) is bool(result["stages"])
    assert all(set(stage) == {"p50", "p95"} for stage in result["stages"].values())
    assert set(result["frames"]) == {"sent", "late", "p99LateMs"}
    assert result["frames"]["sent"] > 100
    assert result["errors"] == 0, result["errorDetails"]
