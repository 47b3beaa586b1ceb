"""What holds the terminal gets the right settings, and its failures have the shape of all others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from console.verbs import screen
from engine.api import EngineFailed
from engine.config import Loaded
from engine.store import EngineRunning
from tests.cli.conftest import Run


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Any]]:
    """What would have been started, instead of starting it."""
    calls: list[tuple[str, Any]] = []
    for name in ("run_console", "run_serve", "run_attach", "run_demo"):

        def record(*args: Any, name: str = name, **options: Any) -> int:
            calls.append((name, (args, options)))
            return 0

        monkeypatch.setattr(screen, name, record)
    return calls


def test_without_a_verb_the_console_starts(run: Run, started: list[tuple[str, Any]], home: Path) -> None:
    assert run("--state-dir", "here").code == 0
    ((name, ((loaded, state_dir), _)),) = started
    assert (name, state_dir) == ("run_console", home / "here")
    assert isinstance(loaded, Loaded)


def test_attach_takes_a_target_and_a_token_file(run: Run, started: list[tuple[str, Any]]) -> None:
    Path("token").write_text("secret")
    assert run("attach", "http://10.0.0.1:4000", "--token-file", "token").code == 0
    assert started[0][1][0][:2] == ("http://10.0.0.1:4000", Path("token"))
    assert run("attach", "x", "--token-file", "nowhere").code == 2
    assert len(started) == 1


def test_the_demo_looks_at_no_file_and_keeps_its_state_apart(
    run: Run, started: list[tuple[str, Any]], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("config.yaml").write_text("this is: not ours")
    monkeypatch.delenv("VOICECALL_STATE_DIR")
    assert run("demo", "--calls", "3", "--seed", "7", "--for", "2.5", "--headless").code == 0
    ((_, ((loaded, state_dir), options)),) = started
    assert loaded.config.provider == "mock"
    assert state_dir.name == "demo"
    assert options == {"calls": 3, "seed": 7, "seconds": 2.5, "headless": True, "json": True}
    run("demo", "--state-dir", "mine")
    assert started[1][1][0][1] == home / "mine"


def test_an_engine_that_can_not_start_is_a_failure_with_advice(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any) -> int:
        raise EngineFailed("port 3334 is taken", "choose another")

    monkeypatch.setattr(screen, "run_serve", fails)
    ran = run("serve")
    assert (ran.code, ran.json["code"], ran.json["hint"]) == (1, "engine_failed", "choose another")

    def runs_already(*_: Any) -> int:
        raise EngineRunning(Path("state"), None)

    monkeypatch.setattr(screen, "run_serve", runs_already)
    ran = run("serve")
    assert (ran.code, ran.json["code"]) == (1, "engine_running")
