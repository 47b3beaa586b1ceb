"""An echo engine behind a real control door, in a thread of its own, as a second process would find it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from engine.config import Control
from engine.control.door import Door
from engine.store import DATABASE_NAME, LOCK_NAME, EngineLock, EventLog
from tests.control.engine_on_log import EchoEngine

_T = TypeVar("_T")


class Running:
    """The engine, and a way to do something on its loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, engine: EchoEngine) -> None:
        self.engine = engine
        self._loop = loop

    def do(self, work: Coroutine[Any, Any, _T]) -> _T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)


@contextmanager
def running_engine(state_dir: Path) -> Iterator[Running]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    def do(work: Coroutine[Any, Any, _T]) -> _T:
        return asyncio.run_coroutine_threadsafe(work, loop).result(10)

    try:
        with EngineLock.acquire(state_dir / LOCK_NAME, version="test") as lock:
            log = do(EventLog.open(state_dir / DATABASE_NAME))
            engine = EchoEngine(log)
            door = Door(engine, state_dir, Control())
            do(door.open())
            lock.update(control=door.address)
            try:
                yield Running(loop, engine)
            finally:
                do(door.close())
                do(log.close())
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()
