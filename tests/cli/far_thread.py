"""A carrier's far end in a thread of its own: a command line has its own loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from tests.carriers.far.base import FarEnd

FarT = TypeVar("FarT", bound=FarEnd[Any, Any, Any, Any])


@contextmanager
def running_far(make: Callable[[], FarT]) -> Iterator[FarT]:
    """Its attributes may be read and changed between commands: it only works while it is asked."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    far = asyncio.run_coroutine_threadsafe(_open(make), loop).result(20)
    try:
        yield far
    finally:
        asyncio.run_coroutine_threadsafe(far.__aexit__(None, None, None), loop).result(20)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


async def _open(make: Callable[[], FarT]) -> FarT:
    return await make().__aenter__()
