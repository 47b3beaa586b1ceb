"""The way of a verb to the running engine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from engine.client import NoEngine, SocketClient


@asynccontextmanager
async def running_engine(state_dir: Path) -> AsyncIterator[SocketClient]:
    """A client of the engine that owns `state_dir`. Raises NoEngine when there is none."""
    if not await asyncio.to_thread(state_dir.is_dir):
        raise NoEngine(f"No engine runs on the state folder {state_dir}.")
    async with await SocketClient.connect(state_dir, by="cli") as client:
        yield client
