"""Where the control door of a state folder is, and how one Unix socket replaces a dead one."""

from __future__ import annotations

import hashlib
import os
import socket
import sys
import warnings
from pathlib import Path
from typing import Final

import platformdirs

from engine.store import StoreError, prepare_folder

SOCKET_NAME: Final = "control.sock"
MAX_SOCKET_PATH: Final = 103 if sys.platform == "darwin" else 107
"""Bytes of `sockaddr_un.sun_path` without its final NUL (unix(4) on macOS, unix(7) on Linux)."""
_PROBE_S: Final = 1.0


class DoorError(StoreError):
    """The control door could not be opened. `error` is a sentence, `hint` says what to do next."""


def socket_path(state_dir: Path) -> Path:
    """Where the socket of `state_dir` belongs: in it, or in the user's runtime folder when the path is too long."""
    path = state_dir.absolute() / SOCKET_NAME
    if len(os.fsencode(path)) <= MAX_SOCKET_PATH:
        return path
    name = hashlib.sha256(os.fsencode(state_dir.resolve())).hexdigest()[:16]
    with warnings.catch_warnings():
        # platformdirs warns where there is no runtime folder and takes a temporary one, which serves as well
        warnings.simplefilter("ignore")
        return platformdirs.user_runtime_path("voicecall", appauthor=False) / f"{name}.sock"


def listen(path: Path) -> socket.socket:
    """A listening Unix socket at `path`, mode 0600. Blocks for at most a second.

    A socket that nobody answers was left behind and is replaced; one that answers raises DoorError, and so does
    anything else that is in the way.
    """
    prepare_folder(path.parent)
    if path.name != SOCKET_NAME:
        _check_private(path.parent)
    _remove_dead(path)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    # The mode is there from the first instant: between bind and chmod others could connect.
    before = os.umask(0o177)
    try:
        listening.bind(os.fspath(path))
    except OSError as error:
        listening.close()
        raise DoorError(
            f"The control socket {path} could not be opened: {error.strerror or error}.",
            "Choose a shorter or writable state folder with --state-dir.",
        ) from error
    finally:
        os.umask(before)
    listening.setblocking(False)
    return listening


def _check_private(folder: Path) -> None:
    """The runtime folder may be in /tmp, where somebody else can have made it first."""
    found = folder.stat()
    if found.st_uid != os.geteuid() or found.st_mode & 0o022:
        raise DoorError(
            f"The folder {folder} of the control socket is not yours alone.",
            "Choose a state folder with a shorter path with --state-dir: the socket is then kept in it.",
        )


def _remove_dead(path: Path) -> None:
    if not path.is_socket():
        if path.exists():
            raise DoorError(f"{path} is in the way of the control socket.", "Move it away, or use --state-dir.")
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(_PROBE_S)
        try:
            probe.connect(os.fspath(path))
        except (ConnectionRefusedError, FileNotFoundError):
            path.unlink(missing_ok=True)
            return
        except OSError as error:
            raise DoorError(
                f"The control socket {path} could not be looked at: {error.strerror or error}.",
                "Remove it if no engine runs on this state folder.",
            ) from error
    raise DoorError(f"Another engine answers at {path}.", "Attach to it with `voicecall attach`, or stop it.")
