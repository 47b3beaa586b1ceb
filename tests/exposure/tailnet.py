"""A tailnet node whose `tailscale` program is the fake one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.exposure.agents import program

NAME = "desk.tail1234.ts.net"


class Tailnet:
    """What the node serves, and what its program was asked."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "tailscale.json"
        self._write(
            backend="Running", auth_url="", name=NAME, routes={}, forwards={}, funnels=[], asked=[], trouble=""
        )

    def _write(self, **state: Any) -> None:
        self._path.write_text(json.dumps(state))

    @property
    def state(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self._path.read_text())
        return found

    @property
    def routes(self) -> Mapping[str, Mapping[str, str]]:
        found: Mapping[str, Mapping[str, str]] = self.state["routes"]
        return found

    @property
    def changes(self) -> list[list[str]]:
        """Command lines that were to change something."""
        return [asked for asked in self.state["asked"] if "--set-path" in asked]

    def set(self, **changes: Any) -> None:
        self._write(**{**self.state, **changes})


@pytest.fixture
def tailnet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tailnet:
    """A node with the fake program first on PATH."""
    folder = tmp_path / "tailscale"
    folder.mkdir()
    program(folder / "tailscale", "tests.exposure.fake_tailscale")
    monkeypatch.setenv("FAKE_TAILSCALE", str(folder / "tailscale.json"))
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    return Tailnet(folder)
