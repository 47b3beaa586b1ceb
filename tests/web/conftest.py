from __future__ import annotations

from tests.engine.conftest import simulator, start

__all__ = ["simulator", "start"]
