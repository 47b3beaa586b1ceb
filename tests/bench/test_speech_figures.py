"""The figures about talking can be measured, and what must not get worse has a bound. Skipped without recordings."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]


def figures(script: str, *options: str) -> Any:
    """What a benchmark prints with --json."""
    command = [sys.executable, str(ROOT / "bench" / script), *options, "--json"]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=180, check=False, cwd=ROOT)
    if ran.returncode == 1 and "can not run" in ran.stderr:
        pytest.skip(ran.stderr.strip())
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


def test_noise_without_words_neither_stops_our_voice_nor_is_answered() -> None:
    """Pains C1 and C2. The same sounds give the same counts, so these are bounds and no chance."""
    found = figures("turn_taking.py", "--kind", "room tone", "cough", "keys", "music")
    assert found["situations"] >= 15
    assert (found["false barge-in"], found["no turn"]) == (0, 0)


def test_our_own_echo_does_not_stop_us_and_the_caller_over_it_does() -> None:
    found = figures("turn_taking.py", "--kind", "echo", "menu")
    assert (found["interruptions"], found["turns"]) == (2, 6)
    assert {name: found[name] for name in ("false barge-in", "missed", "cut", "no end", "no turn")} == {
        "false barge-in": 0,
        "missed": 0,
        "cut": 0,
        "no end": 0,
        "no turn": 0,
    }


def test_the_media_path_loses_no_words() -> None:
    for found in figures("recognition.py", "--prompts", "8").values():
        if isinstance(found, dict) and "recordings" in found:
            assert found["recordings"] == 8 and found["words"] > 60
            assert found["differencePoints"] <= 3  # of so few words one is a point


def test_the_engine_adds_little_to_an_answer() -> None:
    found = figures("reply_latency.py", "--calls", "2", "--seconds", "14")
    assert found["turns"] >= 1
    assert set(found["addedMs"]) == {"p50", "p95", "max"}
