"""Programs that stand in for tunnels' own, and what of them is left."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.exposure.port import Local

LOCAL = Local("127.0.0.1", 3334, "/voice/webhook", "/voice/stream")
LIMIT_S = 20.0
TOKEN = "2abcDEF_4realLookingToken123456"


async def until(test: Callable[[], bool]) -> None:
    """Wait for something that another process does and tells nobody."""
    async with asyncio.timeout(LIMIT_S):
        while not test():  # noqa: ASYNC110
            await asyncio.sleep(0.02)


def program(path: Path, module: str) -> Path:
    """An executable at `path` that runs a module of the tests."""
    root = Path(__file__).parents[2]
    path.write_text(f'#!/bin/sh\nPYTHONPATH={root} exec {sys.executable} -m {module} "$@"\n')
    path.chmod(0o755)
    return path


class FakeNgrok:
    """The fake agent, and what it was asked."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.program = program(folder / "ngrok", "tests.exposure.fake_ngrok")
        self.log = folder / "log.jsonl"

    @property
    def notes(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.read_text().splitlines()] if self.log.exists() else []

    @property
    def starts(self) -> list[dict[str, Any]]:
        return [note for note in self.notes if "argv" in note]

    @property
    def posts(self) -> list[dict[str, Any]]:
        return [note for note in self.notes if "post" in note]

    @property
    def pids(self) -> list[int]:
        return [int(note["pid"]) for note in self.starts]


@pytest.fixture
def fake_ngrok(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeNgrok:
    """A fake agent; the developer's own ngrok, its token and its files are out of sight."""
    fake = FakeNgrok(tmp_path / "fake")
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("FAKE_NGROK_LOG", str(fake.log))
    for name in ("FAKE_NGROK", "FAKE_NGROK_VERSION", "XDG_CONFIG_HOME", "NGROK_DOMAIN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NGROK_AUTHTOKEN", TOKEN)
    return fake


Behave = Callable[[str], None]


@pytest.fixture
def behave(monkeypatch: pytest.MonkeyPatch) -> Behave:
    """How the next fake agent behaves."""
    return lambda how: monkeypatch.setenv("FAKE_NGROK", how)
