"""One finding of `voicecall setup`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Check:
    """What was looked at and what was found. `fix` is what to do, empty when there is nothing to do."""

    id: str
    ok: bool
    message: str
    """One line; a comparison has two more, ours and theirs."""
    fix: str = ""

    def to_json(self) -> dict[str, Any]:
        return {"id": self.id, "ok": self.ok, "message": self.message, "fix": self.fix}
