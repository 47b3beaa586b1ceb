from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from engine.store import EventLog


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "calls.db"


@pytest.fixture
async def log(path: Path) -> AsyncIterator[EventLog]:
    async with await EventLog.open(path, clock=lambda: 1_700_000_000_000) as log:
        yield log
