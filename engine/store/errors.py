"""What can go wrong with the event log, in sentences that an operator can act on."""

from __future__ import annotations

import errno
import shutil
import sqlite3
from pathlib import Path
from typing import Final


class StoreError(Exception):
    """The log could not be opened, read or written. `error` is a sentence, `hint` says what to do next."""

    def __init__(self, error: str, hint: str = "") -> None:
        super().__init__(f"{error} {hint}".strip())
        self.error = error
        self.hint = hint


_FULL: Final = "Free disk space, then start again; an engine that runs goes on by itself as soon as there is room."
_HINTS: Final = {
    sqlite3.SQLITE_FULL: _FULL,
    sqlite3.SQLITE_IOERR: "Check the disk and the system log; an engine that runs tries again with the next event.",
    sqlite3.SQLITE_READONLY: "Make the state folder writable for this user, or choose another with --state-dir.",
    sqlite3.SQLITE_CANTOPEN: "Check that the folder exists and this user may write to it, or use --state-dir.",
    sqlite3.SQLITE_PERM: "Check the owner and mode of the file, or choose another folder with --state-dir.",
    sqlite3.SQLITE_CORRUPT: "Move the file away (keep it for repair with `sqlite3 FILE .recover`) and start again.",
    sqlite3.SQLITE_NOTADB: "Move the file away, or choose another folder with --state-dir.",
    sqlite3.SQLITE_BUSY: "Another program holds the file open for writing; close it.",
    sqlite3.SQLITE_LOCKED: "Another program holds the file open for writing; close it.",
}
_PRIMARY_CODE: Final = 0xFF
"""SQLite keeps the primary result code in the lowest byte of an extended one."""
_NO_ROOM: Final = 1 << 20
"""Bytes of free space below which a failed write is the full disk's fault: SQLite calls some of those I/O errors."""
_OS_HINTS: Final = {
    errno.ENOSPC: "Free disk space, or choose another folder with --state-dir.",
    errno.EDQUOT: "Your disk quota is used up: free some of it, or choose another folder with --state-dir.",
    errno.EROFS: "Its file system is read-only: choose another folder with --state-dir.",
    errno.EIO: "Check the disk and the system log, or choose another folder with --state-dir.",
}


def from_sqlite(error: sqlite3.Error, doing: str, path: Path) -> StoreError:
    """Say what `error` means for the log at `path`; `doing` completes "could not ..."."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & _PRIMARY_CODE
    if code == sqlite3.SQLITE_IOERR and _is_full(path.parent):
        code = sqlite3.SQLITE_FULL
    hint = _HINTS.get(code, "Check the disk and the file; `voicecall setup` looks at both.")
    return StoreError(f"The event log {path} could not {doing}: {error}.", hint)


def from_os(error: OSError, doing: str, path: Path) -> StoreError:
    """Say what a failed file operation means."""
    why = error.strerror or str(error)
    writable = "Make it writable for this user, or choose another folder with --state-dir."
    hint = _OS_HINTS.get(error.errno or 0, writable)
    return StoreError(f"Could not {doing} {path}: {why}.", hint)


def _is_full(folder: Path) -> bool:
    try:
        return shutil.disk_usage(folder).free < _NO_ROOM
    except OSError:
        return False
