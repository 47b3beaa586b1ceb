"""The state folder and its files: who may read them, and clear words when they can not be made."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Final

from engine.store.errors import StoreError, from_os

DATABASE_NAME: Final = "calls.db"
LOCK_NAME: Final = "engine.lock"
_OURS: Final = frozenset(
    {
        DATABASE_NAME,
        f"{DATABASE_NAME}-wal",
        f"{DATABASE_NAME}-shm",
        LOCK_NAME,
        "control.sock",
        "recordings",
        "simulator.json",
        "simulator.log",
        "voicecall.log",
    }
)
FOLDER_MODE: Final = 0o700
FILE_MODE: Final = 0o600


def prepare_folder(folder: Path) -> None:
    """Make the state folder, for its owner alone. Raises StoreError when it can not be made or written.

    A folder that was there before is closed to others only when there is nothing in it but what is ours: nobody
    wants `--state-dir .` to change the mode of a home folder.
    """
    try:
        folder.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
        _close_to_others(folder)
    except FileExistsError:
        raise StoreError(f"The state folder {folder} is a file.", "Choose another folder with --state-dir.") from None
    except OSError as error:
        raise from_os(error, "create the state folder", folder) from error
    if not os.access(folder, os.W_OK | os.X_OK):
        hint = "Make it writable for this user, or choose another folder with --state-dir."
        raise StoreError(f"The state folder {folder} can not be written.", hint)


def _close_to_others(folder: Path) -> None:
    found = folder.stat()
    if stat.S_IMODE(found.st_mode) == FOLDER_MODE or found.st_uid != os.geteuid():
        return
    names = {entry.name for entry in folder.iterdir()}
    if names <= _OURS:
        folder.chmod(FOLDER_MODE)


def prepare_file(path: Path) -> None:
    """Make sure that `path` exists and is for its owner alone, before anything is written to it.

    SQLite gives its -wal and -shm files the mode of the database.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
        try:
            if stat.S_IMODE(os.fstat(descriptor).st_mode) & 0o077:
                os.fchmod(descriptor, FILE_MODE)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise from_os(error, "open", path) from error
