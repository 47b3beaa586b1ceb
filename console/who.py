"""Who sits at this console, as the engine records it: `console ada@laptop.4711`."""

from __future__ import annotations

import getpass
import os
import re
import socket
from typing import Final

PERSON: Final = "console"
_UNFIT: Final = re.compile(r"[^A-Za-z0-9._-]+")
_PID: Final = re.compile(r"\.\d+$")


def my_name() -> str:
    """Unique for as long as this process lives; fits the control door's `X-Voicecall-Client` (40 characters)."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a user without a name
        user = "somebody"
    host = socket.gethostname().split(".")[0]
    return f"{PERSON} {_fit(user, 12)}@{_fit(host, 10)}.{os.getpid()}"


def _fit(text: str, length: int) -> str:
    return _UNFIT.sub("-", text)[:length] or "unknown"


def person_of(by: str) -> str:
    """The part of such a name that a person wants to read; nothing where it names nobody."""
    return _PID.sub("", by.removeprefix(PERSON).strip()) if by.startswith(f"{PERSON} ") else ""
