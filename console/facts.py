"""The small immutable facts that the board keeps beside the calls."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

LEVELS: Final = 3
"""Level readings per side that the meter shows."""


@dataclass(frozen=True, slots=True)
class Note:
    """Something that happened in a call and belongs in its transcript without having been said."""

    at: int
    text: str
    bad: bool = False


@dataclass(frozen=True, slots=True)
class Unsaid:
    """A line of the operator that was not spoken."""

    at: int
    text: str
    why: str


@dataclass(frozen=True, slots=True)
class Partial:
    """What the caller is just saying."""

    at: int
    text: str


@dataclass(frozen=True, slots=True)
class Waiting:
    """A caller whom nobody knows, until somebody decides. `since` is epoch ms."""

    since: int
    seconds: int = 30
    """How long they wait before the engine turns them away."""
    attestation: str = ""
    """What the carrier says about the number, in its own word."""
    earlier: int = 0
    """Calls with this number before."""


@dataclass(frozen=True, slots=True)
class Levels:
    """The last readings per side, 0 to 8, newest last."""

    caller: tuple[int, ...] = (0,) * LEVELS
    agent: tuple[int, ...] = (0,) * LEVELS
    caller_db: float = -90.0
    """The caller's newest level, dBFS ..."""
    floor_db: float | None = None
    """... what of it is the line's own noise ..."""
    threshold_db: float | None = None
    """... and from where on it would interrupt us; None where the engine does not say."""

    def push(
        self, caller_db: float, agent_db: float, floor_db: float | None = None, threshold_db: float | None = None
    ) -> Levels:
        """With the newest reading in dBFS."""
        caller, agent = (*self.caller[1:], _height(caller_db)), (*self.agent[1:], _height(agent_db))
        return Levels(caller, agent, caller_db, floor_db, threshold_db)


@dataclass(frozen=True, slots=True)
class Webhooks:
    """Verdict counts since the log's backlog began, and the latest request."""

    ok: int = 0
    refused: int = 0
    replays: int = 0
    last_at: int = 0
    last_type: str = ""
    last_verdict: str = ""
    last_why: str = ""
    last_ms: float | None = None
    last_effect: str = ""


@dataclass(frozen=True, slots=True)
class Streams:
    """Media sockets: how many were opened and lost, and how the last one fared."""

    opened: int = 0
    started: int = 0
    lost: int = 0
    last: str = ""
    last_why: str = ""


@dataclass(frozen=True, slots=True)
class Exposure:
    """Where carriers reach us, as the last probe saw it. `ok` is None until something was probed."""

    provider: str = ""
    public_url: str = ""
    ok: bool | None = None
    ms: float | None = None
    error: str = ""
    fix: str = ""
    looked: bool = False
    """Somebody looks at it from outside."""
    failing: bool = False
    """The newest look failed; it is an alert when more do."""


@dataclass(frozen=True, slots=True)
class Answers:
    """How fast the engine answers webhooks, in ms, and how long the carrier waits."""

    count: int = 0
    p95_ms: float = 0.0
    worst_ms: float = 0.0
    limit_ms: float = 15_000.0


@dataclass(frozen=True, slots=True)
class Act:
    """One thing that was asked of the engine, for the action log. `ok` is None while it is under way."""

    at: int
    who: str
    what: str
    outcome: str = ""
    ok: bool | None = True


def _height(decibel: float) -> int:
    """-54 dBFS and less is silence, -6 is full."""
    return max(0, min(8, round((decibel + 54) / 6)))
