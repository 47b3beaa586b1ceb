"""The program's own log: `voicecall.log` in the state folder, rotated, readable by the owner only.

It holds ids and reasons. What was said and who called stay in the event log, under its retention rule.
"""

from __future__ import annotations

import logging
import logging.handlers
import os
import queue
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

LOG_NAME: Final = "voicecall.log"
MAX_BYTES: Final = 5_000_000
KEEP: Final = 3
MAX_QUEUED: Final = 10_000


class _Quiet(logging.handlers.RotatingFileHandler):
    """On a full disk a record is lost; a traceback on the terminal would not bring it back."""

    def handleError(self, record: logging.LogRecord) -> None:
        """Nothing: the engine's health says that the disk is full."""


@contextmanager
def logging_to(state_dir: Path, level: int = logging.INFO) -> Iterator[None]:
    """Send all log records to the file while the context lasts; writing happens in a thread of its own."""
    path = state_dir / LOG_NAME
    descriptor = os.open(path, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600)
    os.close(descriptor)
    target = _Quiet(path, maxBytes=MAX_BYTES, backupCount=KEEP, encoding="utf-8")
    target.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    waiting: queue.Queue[logging.LogRecord] = queue.Queue(MAX_QUEUED)
    listener = logging.handlers.QueueListener(waiting, target)
    handler = logging.handlers.QueueHandler(waiting)
    root = logging.getLogger()
    before = root.level
    root.setLevel(level)
    root.addHandler(handler)
    # aiohttp writes a traceback for each malformed request: strangers must not fill the log.
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)
    listener.start()
    try:
        yield
    finally:
        root.removeHandler(handler)
        root.setLevel(before)
        listener.stop()
        target.close()
