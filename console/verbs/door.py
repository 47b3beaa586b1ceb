"""The way of a verb to the running engine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from engine.client import NoEngine, SocketClient
from engine.store import LOCK_NAME, read_holder

DEMO_FOLDER: Final = "demo"
"""Where in the state folder the demonstration has its own."""


@asynccontextmanager
async def running_engine(state_dir: Path) -> AsyncIterator[SocketClient]:
    """A client of the engine that owns `state_dir`. Raises NoEngine when there is none."""
    if not await asyncio.to_thread(state_dir.is_dir):
        raise NoEngine(f"No engine runs on the state folder {state_dir}.")
    try:
        client = await SocketClient.connect(state_dir, by="cli")
    except NoEngine as error:
        demo = state_dir / DEMO_FOLDER
        if read_holder(demo / LOCK_NAME) is None:
            raise
        raise NoEngine(error.error, f"A demonstration runs: reach it with --state-dir {demo}") from error
    async with client:
        yield client
