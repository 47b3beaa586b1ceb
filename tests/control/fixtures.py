"""What the tests of the door and of the clients share."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from pydantic import SecretStr

from engine.api import EngineApi
from engine.control.door import Door
from engine.store import EventLog
from tests.control.engine_on_log import EchoEngine

TOKEN = "s3cret-token"


@dataclass(frozen=True)
class Tcp:
    """`control` of the configuration; port 0 lets the system choose."""

    bind: str = "127.0.0.1"
    port: int | None = None
    token: SecretStr | None = None


def as_api(engine: EchoEngine) -> EngineApi:
    """Type checkers see here that the small engine is one."""
    return engine


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[EchoEngine]:
    async with await EventLog.open(tmp_path / "state" / "calls.db") as log:
        yield EchoEngine(log)


@pytest.fixture
async def door(engine: EchoEngine, tmp_path: Path) -> AsyncIterator[Door]:
    """A door on a Unix socket and on TCP with a token."""
    door = Door(as_api(engine), tmp_path / "state", Tcp(port=0, token=SecretStr(TOKEN)))
    await door.open()
    yield door
    await door.close()
