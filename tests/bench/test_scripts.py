"""Every figure of the README has a command that works. What it measures is not judged here: machines differ."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]


def figures(script: str, *options: str) -> Any:
    """What a benchmark prints with --json."""
    command = [sys.executable, str(ROOT / "bench" / script), *options, "--json"]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, cwd=ROOT)
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


@pytest.fixture
def terminals() -> None:
    """Skips where the system gives out no pty."""
    try:
        for end in os.openpty():
            os.close(end)
    except OSError as error:
        pytest.skip(f"no pty: {error}")


@pytest.mark.usefixtures("terminals")
def test_startup_times_help_and_first_paints() -> None:
    result = figures("startup.py", "--rounds", "1", "--paints", "1")["medianMs"]
    assert set(result) == {
        "python -c pass",
        "voicecall --help",
        "first paint: empty Textual",
        "first paint: voicecall",
        "first paint: voicecall demo",
    }
    assert all(value > 0 for value in result.values())


def test_store_counts_events_of_both_sides(tmp_path: Path) -> None:
    result = figures("store.py", "--appenders", "1", "5", "--seconds", "0.2", "--dir", str(tmp_path))
    assert result["plainPerSecond"] > 0
    assert result["1"]["perSecond"] > 0 and result["5"]["p99Ms"] > 0
    assert not any(tmp_path.iterdir())


def test_calls_measures_a_headless_engine() -> None:
    (result,) = figures("calls.py", "--calls", "2", "--seconds", "1", "--settle", "0.2")["calls"]
    assert (result["view"], result["calls"], result["live"]) == ("headless", 2, 2)
    assert result["frames"] >= 50
    assert result["silencePercent"] < 50


@pytest.mark.usefixtures("terminals")
def test_calls_measures_with_a_screen_that_stalls() -> None:
    (result,) = figures("calls.py", "--calls", "1", "--seconds", "1", "--settle", "0.2", "--view", "stalled")["calls"]
    assert (result["view"], result["live"]) == ("stalled", 1)


@pytest.mark.usefixtures("terminals")
def test_keys_times_both_kinds() -> None:
    result = figures("keys.py", "--calls", "2", "--presses", "3", "--settle", "0.2")
    assert result["next call"]["presses"] == result["letter"]["presses"] == 3
    assert result["letter"]["p50Ms"] > 0


def test_media_load_drives_the_media_server() -> None:
    ran = subprocess.run(
        [sys.executable, str(ROOT / "bench" / "media_load.py"), "--calls", "2", "--seconds", "1", "--settle", "0.5"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        cwd=ROOT,
    )
    assert json.loads(ran.stdout)["lost"] == 0
