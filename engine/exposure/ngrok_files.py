"""The files that our ngrok agent is started with, in the state folder, readable by the owner only.

The token stands in a configuration of our own: on the command line everybody on the machine could read it, and the
user's own file is nobody else's to change. The agent is started by a small script: pyngrok lets an agent's standard
error go to the terminal, and knows its agents by the path of their program, one for each.
"""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path
from typing import Any, Final

import yaml

from engine.exposure.process import KEPT_PRIVATE, Note, find_program

ENDPOINTS_FROM: Final = (3, 16)
"""The agent whose configuration has version 3; older ones know tunnels, and no endpoints."""
_VERSION: Final = re.compile(r"(\d+)\.(\d+)")
Version = tuple[int, int]


class NgrokFiles:
    """A folder with the agent's configuration, its script, the note of its process and perhaps the agent itself."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config = folder / "ngrok.yml"
        self.script = folder / "agent.sh"
        self.own_program = folder.parent / "bin" / "ngrok"
        """Where `voicecall expose --mode ngrok --install` puts the agent."""
        self.note = Note(folder / "agent.pid")

    def find(self, configured: str | None) -> Path | None:
        """The agent: as configured, else on PATH, else the one that was fetched, else where pyngrok puts its own."""
        if configured:
            return find_program(configured)
        return find_program("ngrok") or find_program(str(self.own_program)) or find_program("~/.config/ngrok/ngrok")

    def write(self, program: Path, token: str, version: Version, api: str) -> None:
        """Write what the agent is started with."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.folder.chmod(0o700)
        write_private(self.config, yaml.safe_dump(_settings(token, version, api)), 0o600)
        forget = " ".join((*KEPT_PRIVATE, "NGROK_AUTHTOKEN", "NGROK_API_KEY"))
        lines = (
            "#!/bin/sh",
            f"unset {forget}",
            f"echo $$ > {shlex.quote(str(self.note.path))}",
            f'exec {shlex.quote(str(program))} "$@" 2>&1 < /dev/null',
        )
        write_private(self.script, "\n".join(lines) + "\n", 0o700)

    def forget(self) -> None:
        """The token does not lie around while no agent runs."""
        self.config.unlink(missing_ok=True)
        self.note.remove()


def read_version(text: str) -> Version:
    """The version in what `ngrok version` says; (0, 0) when there is none."""
    found = _VERSION.search(text)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def users_token() -> str:
    """The token of the user's own ngrok configuration, which is read and never written; "" when there is none."""
    home = Path.home()
    places = (
        Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config") / "ngrok" / "ngrok.yml",
        home / "Library" / "Application Support" / "ngrok" / "ngrok.yml",
        home / ".ngrok2" / "ngrok.yml",
    )
    for place in places:
        try:
            found = yaml.safe_load(place.read_text())
        except (OSError, ValueError, yaml.YAMLError):
            continue
        for part in (found, found.get("agent")) if isinstance(found, dict) else ():
            if isinstance(part, dict) and isinstance(part.get("authtoken"), str):
                return str(part["authtoken"])
    return ""


def write_private(path: Path, text: str, mode: int) -> None:
    """Write a file that nobody else can read at any moment."""
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)


def _settings(token: str, version: Version, api: str) -> dict[str, Any]:
    if version[0] < 3:
        return {"authtoken": token, "update": False}
    agent = {"authtoken": token, "update_check": False}
    return {"version": "3", "agent": agent} if api == "3" else {"version": "2", **agent}
