"""How fit the voices of an engine are: what each did last, and which to ask first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal

REST_SECONDS: Final = 30.0
"""A voice that failed is asked after the others for so long: nobody waits for its limits line by line."""


@dataclass(slots=True)
class Fitness:
    """One voice. Times are of the event loop."""

    name: str
    state: Literal["starting", "ready", "failing"] = "starting"
    error: str = ""
    hint: str = ""
    lines: int = 0
    failures: int = 0
    _rests_until: float = 0.0

    def rests(self, now: float) -> bool:
        """It failed a moment ago."""
        return now < self._rests_until

    def works(self) -> None:
        """It is started, or has spoken."""
        self.state, self.error, self.hint, self._rests_until = "ready", "", "", 0.0

    def failed(self, error: str, hint: str, now: float) -> None:
        """It could not speak."""
        self.state, self.error, self.hint = "failing", error, hint
        self.failures += 1
        self._rests_until = now + REST_SECONDS

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "state": self.state,
            "error": self.error,
            "hint": self.hint,
            "lines": self.lines,
            "failures": self.failures,
        }
