"""Programs that make tunnels: started in a session of their own, silent, and never left behind.

What a program starts ends with it: signals go to its whole group. A program that outlived a killed engine is found
by a note in the state folder and ended before another one is started: it would hold the name or the account's only
session.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shutil
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from engine.exposure.port import TunnelError
from engine.store.lock import process_started

log = logging.getLogger(__name__)

TERM_SECONDS: Final = 3.0
"""How long a program may take to end by itself once it was asked to."""
KILL_SECONDS: Final = 2.0
MAX_OUTPUT: Final = 1_000_000
"""Bytes that are read of a program that answers one question."""
_POLL_SECONDS: Final = 0.05
_SAME_MS: Final = 3_000
"""How far a process's start and the time of its note may lie apart: the system's boot time is given in seconds."""
KEPT_PRIVATE: Final = (
    "TWILIO_AUTH_TOKEN",
    "TELNYX_API_KEY",
    "PLIVO_AUTH_TOKEN",
    "OPENAI_API_KEY",
    "ELEVENLABS_API_KEY",
)


def child_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """What a tunnel's program inherits: everything but the keys that are no business of its."""
    return {name: value for name, value in environment.items() if name not in KEPT_PRIVATE}


@dataclass(frozen=True, slots=True)
class Answer:
    """What a program said."""

    code: int
    out: str
    err: str

    @property
    def words(self) -> str:
        """Both streams in one text."""
        return "\n".join(part.strip() for part in (self.err, self.out) if part.strip())


async def ask(arguments: Sequence[str], seconds: float) -> Answer:
    """Run a program that answers and ends. It has no input to ask for; one that takes too long is killed, and what
    it said until then comes back with the code -1. Raises TunnelError when it can not be run."""
    process = await start(arguments)
    chunks: dict[str, bytearray] = {"out": bytearray(), "err": bytearray()}

    async def read(stream: asyncio.StreamReader | None, into: bytearray) -> None:
        assert stream is not None
        while chunk := await stream.read(65_536):
            into += chunk[: max(0, MAX_OUTPUT - len(into))]

    code = -1
    try:
        async with asyncio.timeout(seconds):
            await asyncio.gather(read(process.stdout, chunks["out"]), read(process.stderr, chunks["err"]))
            code = await process.wait()
    except TimeoutError:
        log.warning("%s did not end within %.0f s", Path(arguments[0]).name, seconds)
    finally:
        await end_group(process.pid)
        await process.wait()
    out, err = (bytes(chunks[name]).decode("utf-8", "replace") for name in ("out", "err"))
    return Answer(code, out, err)


async def start(arguments: Sequence[str], *, merged: bool = False) -> asyncio.subprocess.Process:
    """Start a program with no input, in a group of its own. Raises TunnelError."""
    try:
        return await asyncio.create_subprocess_exec(
            *arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT if merged else asyncio.subprocess.PIPE,
            env=child_environment(os.environ),
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise TunnelError(f"{arguments[0]} can not be started: {reason}", "is the program installed?") from error


async def end_group(pid: int) -> None:
    """End a process and all that it started, by asking and then by force."""
    for number, seconds in ((signal.SIGTERM, TERM_SECONDS), (signal.SIGKILL, KILL_SECONDS)):
        if not _signal_group(pid, number):
            return
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if not _group_lives(pid):
                return
            await asyncio.sleep(_POLL_SECONDS)
    log.error("the processes of group %d do not end", pid)


def _signal_group(pid: int, number: int) -> bool:
    try:
        os.killpg(pid, number)
    except ProcessLookupError:
        return False
    except PermissionError:  # macOS says so of a group of zombies
        return False
    return True


def _group_lives(pid: int) -> bool:
    """Whether anybody of the group still runs. A zombie leader that nobody waited for does not count."""
    if not _signal_group(pid, 0):
        return False
    if process_started(pid) is not None:
        return True
    try:
        members = [Path(entry) for entry in Path("/proc").glob("[0-9]*")]
    except OSError:
        return False
    return any(_in_group(entry, pid) for entry in members)


def _in_group(entry: Path, group: int) -> bool:
    """proc(5): after the name, the fields of stat are state, parent and group."""
    try:
        fields = (entry / "stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return False
    return int(fields[2]) == group and fields[0] not in (b"Z", b"X")


def find_program(name: str) -> Path | None:
    """A program by its name on PATH, or by its path. Links are left as they are: some programs go by their name."""
    found = shutil.which(os.path.expanduser(name))
    return Path(found).absolute() if found else None


class Note:
    """The state folder's note of the program that keeps a tunnel open: its process id, written as it started.

    Whether the id is still the same process is told by its start, which is the note's own time.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, pid: int) -> None:
        """Remember a program that leads a group of its own."""
        descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(str(pid))

    def pid(self) -> int | None:
        """The program that was noted, while it runs."""
        try:
            pid, written = int(self.path.read_text()), self.path.stat().st_mtime * 1000
        except (OSError, ValueError):
            return None
        started = process_started(pid)
        return pid if started is not None and abs(started - written) <= _SAME_MS else None

    def remove(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            self.path.unlink()

    async def end_leftover(self) -> None:
        """End the program of an engine that was killed."""
        pid = self.pid()
        if pid is not None:
            log.warning("ending process %d, the tunnel of an engine that was killed", pid)
            await end_group(pid)
        self.remove()
