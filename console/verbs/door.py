"""The way of a verb to the running engine."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from engine.client import EngineClient, SocketClient


@asynccontextmanager
async def running_engine(state_dir: Path) -> AsyncIterator[EngineClient]:
    """A client of the engine that owns `state_dir`. Raises NoEngine when there is none."""
    client = await SocketClient.connect(str(state_dir))
    try:
        yield client
    finally:
        await client.close()
