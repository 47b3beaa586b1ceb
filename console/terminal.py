"""The terminal belongs to the screen alone: what libraries write to file descriptor 2 goes to the log, and a crash
report holds no secret."""

from __future__ import annotations

import os
import re
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

_NUMBER: Final = re.compile(r"\+?\d[\d\s().-]{5,}\d")
_SECRET: Final = re.compile(r"(?=[A-Za-z0-9_\-+/=.]*\d)[A-Za-z0-9_\-+/=.]{20,}")
_FRAME: Final = re.compile(r'^  File ".*", line \d+, in \S+$')


@contextmanager
def private_terminal(log_path: Path | None) -> Iterator[None]:
    """Give the terminal to `sys.__stderr__` (where Textual draws) and file descriptor 2 to `log_path`.

    ALSA and PortAudio write to descriptor 2 behind Python's back; on a drawn screen that is garbage.
    """
    if not os.isatty(2):
        yield
        return
    terminal = os.dup(2)
    sink = os.open(log_path or os.devnull, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    before = sys.__stderr__
    screen = os.fdopen(terminal, "w", encoding="utf-8", errors="replace", closefd=False)
    os.dup2(sink, 2)
    os.close(sink)
    sys.__stderr__ = screen  # type: ignore[misc]  # Textual's driver takes the terminal from here
    try:
        yield
    finally:
        sys.__stderr__ = before  # type: ignore[misc]
        with suppress(OSError):  # what was not drawn yet has no terminal to go to
            screen.close()
        os.dup2(terminal, 2)
        os.close(terminal)


def terminal_is_gone() -> bool:
    """The terminal was closed without a word (nohup ignores SIGHUP): a read would spin on it."""
    stdin = sys.__stdin__
    return stdin is None or not os.isatty(stdin.fileno())


def crash_report(error: BaseException) -> str:
    """A traceback without local variables; numbers and whatever looks like a key are blotted out of its words."""
    lines = "".join(traceback.format_exception(error)).splitlines()
    return "\n".join(line if _FRAME.match(line) else redact(line) for line in lines)


def redact(text: str) -> str:
    """`text` without telephone numbers and long tokens."""
    return _NUMBER.sub("[number]", _SECRET.sub("[secret]", text))
