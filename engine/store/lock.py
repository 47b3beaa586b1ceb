"""The lock of a state folder: one engine owns it, and everybody else can see which.

The truth is an advisory lock (`flock`) on `engine.lock`: the system lets go of it when the process ends, however it
ends. What the file says (JSON: pid, version, started, control) is information for those who want to attach.
"""

from __future__ import annotations

import errno
import fcntl
import os
import subprocess
import sys
import time
import weakref
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import orjson

from engine.store.errors import StoreError, from_os
from engine.store.files import FILE_MODE, prepare_folder

_ATTEMPTS: Final = 15
_PAUSE_S: Final = 0.02
"""Whoever looks whether the lock is held holds it for an instant himself: a first refusal is not the last word."""


@dataclass(frozen=True, slots=True)
class Holder:
    """The engine that owns a state folder. `started` is epoch ms, `control` the address of its control door."""

    pid: int
    version: str
    started: int
    control: str

    def to_json(self) -> dict[str, Any]:
        return {"pid": self.pid, "version": self.version, "started": self.started, "control": self.control}


class EngineRunning(StoreError):
    """Another engine owns the state folder. `holder` is None when the lock file does not say which."""

    def __init__(self, folder: Path, holder: Holder | None) -> None:
        who = f"process {holder.pid}, voicecall {holder.version}" if holder else "the lock file does not say which"
        super().__init__(
            f"An engine already runs on the state folder {folder} ({who}).",
            "Attach to it with `voicecall attach`, stop it, or choose another folder with --state-dir.",
        )
        self.holder = holder


class EngineLock:
    """Ownership of a state folder, from `acquire` to `release` or to the end of the process."""

    def __init__(self, path: Path, descriptor: int, holder: Holder) -> None:
        self.path = path
        self.holder = holder
        self._descriptor: int | None = descriptor
        # A child made by `fork` inherits the descriptor and would hold the lock after we are gone.
        ours = weakref.ref(self)
        os.register_at_fork(after_in_child=lambda: _let_go(ours()))

    @classmethod
    def acquire(cls, path: Path, *, version: str, control: str = "") -> Self:
        """Take the lock file at `path` for this process.

        Raises EngineRunning when a living process has it, StoreError when it can not be made. A file that was left
        behind is simply taken over, whatever process has its number now.
        """
        prepare_folder(path.parent)
        pid = os.getpid()
        holder = Holder(pid, version, process_started(pid) or time.time_ns() // 1_000_000, control)
        for _ in range(_ATTEMPTS):
            if (descriptor := _lock(path)) is not None:
                lock = cls(path, descriptor, holder)
                lock._write()
                return lock
            time.sleep(_PAUSE_S)
        raise EngineRunning(path.parent, read_holder(path))

    def update(self, *, control: str) -> None:
        """Say where the control door is, once it is open."""
        self.holder = replace(self.holder, control=control)
        self._write()

    def release(self) -> None:
        """Remove the file and let go. Again is harmless."""
        if self._descriptor is not None:
            # Removed while still held: nobody can have taken it in between.
            self.path.unlink(missing_ok=True)
            self.close_descriptor()

    def close_descriptor(self) -> None:
        """Let go without removing the file: what a forked child does with its copy."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def _write(self) -> None:
        if self._descriptor is None:
            raise StoreError(f"The lock {self.path} was released.")
        text = orjson.dumps(self.holder.to_json()) + b"\n"
        try:
            # Overwritten in place and then cut: a reader sees the old or the new text, or tries again.
            os.pwrite(self._descriptor, text, 0)
            os.ftruncate(self._descriptor, len(text))
        except OSError as error:
            raise from_os(error, "write the lock file", self.path) from error


def read_holder(path: Path) -> Holder | None:
    """Who holds the lock file at `path`; None when nobody does. Creates nothing. Raises StoreError if unreadable."""
    for _ in range(_ATTEMPTS):
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise from_os(error, "read the lock file", path) from error
        try:
            if _flock(descriptor, fcntl.LOCK_SH, path):
                return None
            holder = _parse(os.pread(descriptor, 4096, 0))
        finally:
            os.close(descriptor)
        if holder is not None and is_running(holder):
            return holder
        # Held, but the text is not the holder's: it was taken over this instant and is being written.
        time.sleep(_PAUSE_S)
    return holder


def is_running(holder: Holder) -> bool:
    """Is this very process alive? A process that got the same number later is recognised by its start time."""
    started = process_started(holder.pid)
    return started is not None and abs(started - holder.started) <= 2_000


def process_started(pid: int) -> int | None:
    """When process `pid` started, in epoch ms to the second or better; None when there is no such process."""
    if pid <= 0:
        return None
    if sys.platform == "linux":
        return _started_linux(pid)
    shown = subprocess.run(
        ["ps", "-o", "lstart=", "-p", str(pid)],
        env={**os.environ, "LC_ALL": "C"},
        capture_output=True,
        text=True,
        timeout=5,
        check=False,
    ).stdout.strip()
    return int(time.mktime(time.strptime(shown, "%a %b %d %H:%M:%S %Y")) * 1000) if shown else None


def _started_linux(pid: int) -> int | None:
    """proc(5): field 22 of stat is the start in clock ticks since boot, btime the boot in epoch seconds."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
        boot = next(line for line in Path("/proc/stat").read_bytes().splitlines() if line.startswith(b"btime "))
    except (OSError, StopIteration):
        return None
    if fields[0] in (b"Z", b"X"):  # dead, its parent has not asked yet
        return None
    ticks = int(fields[19])
    return int(boot.split()[1]) * 1000 + ticks * 1000 // os.sysconf("SC_CLK_TCK")


def _lock(path: Path) -> int | None:
    """A descriptor that holds the lock on the file that is at `path`; None when another process has it."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
    except OSError as error:
        raise from_os(error, "open the lock file", path) from error
    try:
        # The holder before us removes the file as it goes: then what we have locked is not what others will find.
        if _flock(descriptor, fcntl.LOCK_EX, path) and path.exists():
            found, ours = path.stat(), os.fstat(descriptor)
            if (found.st_dev, found.st_ino) == (ours.st_dev, ours.st_ino):
                os.fchmod(descriptor, FILE_MODE)
                return descriptor
    except OSError as error:
        os.close(descriptor)
        raise from_os(error, "lock", path) from error
    except BaseException:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return None


def _let_go(lock: EngineLock | None) -> None:
    if lock is not None:
        lock.close_descriptor()


def _flock(descriptor: int, kind: int, path: Path) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in (errno.ENOTSUP, errno.ENOLCK, errno.ENOSYS):
            raise
        raise StoreError(
            f"The file system of {path} has no locks, so two engines could not be told apart.",
            "Choose a folder on a local disk with --state-dir.",
        ) from error
    return True


def _parse(text: bytes) -> Holder | None:
    try:
        value = orjson.loads(text)
        return Holder(int(value["pid"]), str(value["version"]), int(value["started"]), str(value["control"]))
    except (ValueError, KeyError, TypeError):
        return None
