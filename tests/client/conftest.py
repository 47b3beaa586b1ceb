from __future__ import annotations

from tests.control.fixtures import door, engine

__all__ = ["door", "engine"]
