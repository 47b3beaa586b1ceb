"""A program on a terminal of its own (a pty), seen from the other side: what it paints, and keys for it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Final, Self

from bench.common import ROOT

COLUMNS: Final = 120
ROWS: Final = 40
_SIZE: Final = struct.pack("HHHH", ROWS, COLUMNS, 0, 0)
_STYLE: Final = re.compile(r"\x1b\[[0-9;:]*m")
_OTHER: Final = re.compile(r"\x1b(?:\[[0-9;:?<>=$]*[ -/]*[@-~]|[PX^_\]].*?(?:\x1b\\|\x07)|[ -/]*[0-~])", re.DOTALL)
STOP_SECONDS: Final = 30.0
TAIL: Final = 4000


class NoTerminal(Exception):
    """This system gives out no pty."""


class Terminal:
    """Runs `command`; use it as a context, which ends the program with SIGTERM."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], pass_fds: Sequence[int] = ()) -> None:
        try:
            self._master, slave = os.openpty()
        except OSError as error:
            raise NoTerminal(str(error)) from error
        fcntl.ioctl(slave, termios.TIOCSWINSZ, _SIZE)
        self.started = time.perf_counter()
        self._child = subprocess.Popen(
            command,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            cwd=ROOT,
            env={**environment, "TERM": "xterm-256color", "COLUMNS": str(COLUMNS), "LINES": str(ROWS)},
            pass_fds=pass_fds,
            start_new_session=True,
        )
        os.close(slave)
        self.tail = ""
        """The end of what was painted: where a program that fails says why."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._child.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + STOP_SECONDS
        while self._child.poll() is None and time.monotonic() < deadline:
            self.read(0.1)  # a program that waits for its terminal does not end
        if self._child.poll() is None:
            self._child.kill()
        self._child.wait()
        os.close(self._master)

    @property
    def pid(self) -> int:
        """The program's."""
        return self._child.pid

    def fileno(self) -> int:
        return self._master

    def read(self, seconds: float) -> str:
        """What was painted next, within `seconds`; empty when nothing was."""
        if not select.select([self._master], [], [], seconds)[0]:
            return ""
        data = b""
        with contextlib.suppress(OSError):  # EIO: the program has ended
            data = os.read(self._master, 1 << 16)
        if not data and self._child.poll() is None:
            time.sleep(0.01)
        text = data.decode(errors="replace")
        self.tail = (self.tail + text)[-TAIL:]
        return text

    def press(self, keys: str) -> None:
        """Press keys, as a keyboard sends them."""
        os.write(self._master, keys.encode())

    def wait_for(self, seen: Callable[[str], bool], seconds: float) -> float:
        """The moment (perf_counter) at which `seen(text)` became true of what was painted since now.

        Raises TimeoutError with the end of what was painted instead.
        """
        raw, deadline = "", time.perf_counter() + seconds
        while (left := deadline - time.perf_counter()) > 0:
            raw += self.read(left)
            now = time.perf_counter()
            if seen(plain(raw)):
                return now
            if self._child.poll() is not None:
                raise TimeoutError(f"the program ended with {self._child.returncode}: {plain(raw)[-500:]!r}")
        raise TimeoutError(f"not painted within {seconds} s: {plain(raw)[-500:]!r}")


def plain(painted: str) -> str:
    """The words of what was painted: styles removed, cursor moves as line ends."""
    return _OTHER.sub("\n", _STYLE.sub("", painted))
