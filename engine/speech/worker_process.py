"""The engine's side of a speech process: start it, talk to it, notice that it died, and never wait for ever."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import engine
from engine.speech.worker_wire import BrokenStream, Frame, Kind, read_frame

_log = logging.getLogger(__name__)

LOAD_SECONDS: Final = 30.0
_END_SECONDS: Final = 2.0
_WRITE_BUFFER: Final = 64 * 1024
_PASSED_ON: Final = ("HOME", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "PATH", "TMPDIR")
"""The environment of the engine holds keys of carriers; a speech library needs none of them."""
_ONE_THREAD: Final = {"OMP_THREAD_LIMIT": "1", "OPENBLAS_NUM_THREADS": "1", "MOONSHINE_ORT_SINGLE_THREAD": "1"}
"""Threads of numeric libraries spin while they wait for each other. One thread costs silero 0.12 ms of processor time
a chunk instead of 1.3 ms (it asks OpenMP for several by itself, so a limit is needed) and Moonshine half as much."""


class WorkerFailed(Exception):
    """The process could not be started or is gone; the message says why."""


class RestartBudget:
    """At most `limit` starts within `window` seconds: a worker that dies at once must not eat the machine."""

    def __init__(self, limit: int = 5, window: float = 60.0, clock: Callable[[], float] = time.monotonic) -> None:
        self.limit, self.window = limit, window
        self._clock = clock
        self._starts: deque[float] = deque(maxlen=limit)

    def __str__(self) -> str:
        return f"started {self.limit} times within {self.window:.0f} s"

    def take(self) -> bool:
        """Whether one more start is allowed now; it is counted then."""
        now = self._clock()
        if len(self._starts) == self.limit and now - self._starts[0] < self.window:
            return False
        self._starts.append(now)
        return True


class WorkerProcess:
    """One run of a worker module. `on_frame` gets what it says; `on_death` is told once why it ended.

    After `close`, `on_death` is not called.
    """

    def __init__(self, module: str, on_frame: Callable[[Frame], None], on_death: Callable[[str], None]) -> None:
        self._module = module
        self._on_frame, self._on_death = on_frame, on_death
        self._process: asyncio.subprocess.Process | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._stderr: asyncio.Task[None] | None = None
        self._frames: asyncio.Task[None] | None = None
        self._last_words: deque[str] = deque(maxlen=5)
        self._why = ""
        self._closing = False

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    async def start(self) -> None:
        """Start and wait until it is ready. Raises WorkerFailed."""
        ours, theirs = socket.socketpair()
        try:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-P", "-m", self._module, str(theirs.fileno())),
                pass_fds=(theirs.fileno(),),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.PIPE,
                env=_environment(os.environ),
                start_new_session=True,
            )
        except OSError as error:
            ours.close()
            raise WorkerFailed(f"{sys.executable} could not be started: {error}") from error
        finally:
            theirs.close()
        ours.setblocking(False)
        reader, self._writer = await asyncio.open_connection(sock=ours)
        self._writer.transport.set_write_buffer_limits(high=_WRITE_BUFFER)
        self._stderr = asyncio.create_task(self._read_stderr(self._process), name=f"{self._module} stderr")
        try:
            async with asyncio.timeout(LOAD_SECONDS):
                await self._await_ready(reader)
        except TimeoutError as error:
            await self._end()
            raise WorkerFailed(f"it was not ready after {LOAD_SECONDS:.0f} s") from error
        except (WorkerFailed, asyncio.CancelledError):
            await self._end()
            raise
        self._frames = asyncio.create_task(self._read_frames(reader), name=f"{self._module} frames")

    def send(self, frame: Frame) -> None:
        """Queue a frame; does nothing when the worker is gone (`on_death` says so). Mind `drain` for audio."""
        if self._writer is not None and not self._writer.is_closing():
            self._writer.write(frame.encode())

    async def drain(self) -> None:
        """Wait until the worker has taken most of what was sent."""
        if self._writer is not None:
            with contextlib.suppress(ConnectionError):  # the reading side reports the death
                await self._writer.drain()

    def kill(self, why: str) -> None:
        """End a worker that hangs; `on_death` follows with `why`."""
        self._why = self._why or why
        self._signal(signal.SIGKILL)

    async def close(self) -> None:
        """End the worker and wait for it. `on_death` is not called any more."""
        self._closing = True
        await self._end()
        if self._frames is not None:
            await self._frames  # ends with the socket

    async def _await_ready(self, reader: asyncio.StreamReader) -> None:
        frame = await self._next(reader)
        if frame is None:
            raise WorkerFailed(await self._obituary())
        if frame.kind is Kind.FAILED:
            raise WorkerFailed(frame.payload.decode(errors="replace"))
        if frame.kind is not Kind.READY:
            raise WorkerFailed(f"it began with {frame.kind.name}")

    async def _read_frames(self, reader: asyncio.StreamReader) -> None:
        while (frame := await self._next(reader)) is not None:
            self._on_frame(frame)
        if not self._closing:
            why = await self._obituary()
            _log.warning("%s ended: %s", self._module, why)
            self._on_death(why)

    async def _next(self, reader: asyncio.StreamReader) -> Frame | None:
        try:
            return await read_frame(reader)
        except BrokenStream as broken:
            self._why = f"it sent {broken}"
            return None

    async def _read_stderr(self, process: asyncio.subprocess.Process) -> None:
        """Native libraries write here; the last lines explain a death, and none may reach the terminal."""
        assert process.stderr is not None
        while chunk := await process.stderr.read(4096):
            lines = [line for line in chunk.decode(errors="replace").splitlines() if line.strip()]
            self._last_words.extend(lines)
            for line in lines:
                _log.debug("%s: %s", self._module, line)

    async def _obituary(self) -> str:
        """How the process ended. Its socket is closed, so it is dead or about to be killed."""
        await self._end()
        assert self._process is not None
        code = self._process.returncode
        how = (
            f"killed by signal {signal.Signals(-code).name}" if code is not None and code < 0 else f"exit code {code}"
        )
        last = f": {self._last_words[-1]}" if self._last_words else ""
        return self._why or how + last

    async def _end(self) -> None:
        """Close the socket, which ends a healthy worker, kill one that stays, and hear its last words."""
        if self._writer is not None:
            self._writer.close()
        if self._process is None:
            return
        try:
            async with asyncio.timeout(_END_SECONDS):
                await self._process.wait()
        except TimeoutError:
            self._signal(signal.SIGKILL)
            await self._process.wait()
        if self._stderr is not None:
            await asyncio.wait({self._stderr}, timeout=_END_SECONDS)
            self._stderr.cancel()

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)


def _environment(ours: Mapping[str, str]) -> dict[str, str]:
    """What the worker may know: where this very package is, and that it has one thread for mathematics."""
    root = str(Path(engine.__file__).parent.parent)
    path = os.pathsep.join(part for part in (root, ours.get("PYTHONPATH", "")) if part)
    kept = {name: ours[name] for name in _PASSED_ON if name in ours}
    return {**kept, **_ONE_THREAD, "PYTHONPATH": path}
