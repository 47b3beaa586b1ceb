"""The far end that behaves like Plivo, in a thread of its own: a command line has its own loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from tests.carriers.plivo_far import PlivoFar, Settings


@contextmanager
def running_far(settings: Settings | None = None) -> Iterator[PlivoFar]:
    """Its attributes may be read and changed between commands: it only works while it is asked."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    far = asyncio.run_coroutine_threadsafe(_open(settings), loop).result(20)
    try:
        yield far
    finally:
        asyncio.run_coroutine_threadsafe(far.__aexit__(None, None, None), loop).result(20)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


async def _open(settings: Settings | None) -> PlivoFar:
    return await PlivoFar(settings).__aenter__()
