"""The worker's side of a speech process: it is a guest on a machine that has calls to serve.

Speech libraries are native code of others: they may block, crash, write to the terminal and take every core. So they
live in a process of their own that is niced, keeps its protocol on a private socket, and ends when the engine does.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Callable
from typing import Final

from engine.speech.worker_wire import BrokenStream, Frame, Kind, receive_frame

NICENESS: Final = 5
"""Media and the event loop of the engine come first on a busy machine."""


class EngineLink:
    """The socket to the engine. `send` may be called from any thread."""

    def __init__(self, fd: int) -> None:
        self._socket = socket.socket(fileno=fd)
        self._reader = self._socket.makefile("rb")
        self._lock = threading.Lock()

    def send(self, frame: Frame) -> None:
        """Send a frame. Without an engine there is nobody to work for: the process ends."""
        try:
            with self._lock:
                self._socket.sendall(frame.encode())
        except OSError:
            leave()

    def receive(self) -> Frame | None:
        """The next frame; None when the engine is gone."""
        try:
            return receive_frame(self._reader.read)
        except (OSError, BrokenStream):
            return None


def leave() -> None:
    """End the process at once: native threads may be busy for seconds, and nothing of theirs is worth waiting for."""
    os._exit(0)


def start_thread(name: str, body: Callable[[], None]) -> None:
    """Run `body` for ever. An error in it ends the process, loudly: half a worker would leave calls waiting."""

    def guarded() -> None:
        try:
            body()
        except BaseException:
            traceback.print_exc()
            sys.stderr.flush()
            os._exit(1)

    threading.Thread(target=guarded, name=name, daemon=True).start()


def run(load: Callable[[EngineLink], Callable[[Frame], None]]) -> None:
    """Body of a worker: load, say READY, hand over frames until the engine goes. `argv[1]` is the socket's number."""
    link = EngineLink(int(sys.argv[1]))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the engine, which ends us by closing the socket
    os.nice(NICENESS)
    try:
        handle = load(link)
    except Exception as error:  # whatever a native library raises while it loads must reach the operator
        link.send(Frame(Kind.FAILED, payload=f"{type(error).__name__}: {error}".encode()))
        raise
    link.send(Frame(Kind.READY))
    while (frame := link.receive()) is not None:
        handle(frame)
    leave()
