"""Who has a port, so that "address in use" can name the culprit."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

_LISTEN: Final = "0A"


def who_listens(port: int, proc: Path = Path("/proc")) -> str | None:
    """The program that listens on TCP `port`, as `name, process 123`; None where the system does not say.

    Linux only: proc(5), net/tcp gives the socket's inode and /proc/PID/fd the process that holds it.
    """
    inodes = {inode for table in ("tcp", "tcp6") for inode in _inodes(proc / "net" / table, port)}
    if not inodes:
        return None
    wanted = {f"socket:[{inode}]" for inode in inodes}
    for folder in proc.glob("[0-9]*"):
        if _holds(folder / "fd", wanted):
            try:
                name = (folder / "comm").read_text().strip()
            except OSError:
                name = "a program"
            return f"{name}, process {folder.name}"
    return None


def _inodes(table: Path, port: int) -> list[str]:
    try:
        rows = table.read_text().splitlines()[1:]
    except OSError:
        return []
    found = []
    for row in rows:
        fields = row.split()
        if len(fields) > 9 and fields[3] == _LISTEN and int(fields[1].rpartition(":")[2], 16) == port:
            found.append(fields[9])
    return found


def _holds(folder: Path, wanted: set[str]) -> bool:
    try:
        return any(os.readlink(entry) in wanted for entry in folder.iterdir())
    except OSError:
        return False
