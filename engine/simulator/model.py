"""Calls as the simulated carrier keeps them: pure values and the moves that a call may make."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final, Literal

Direction = Literal["inbound", "outbound"]
WebhookType = Literal[
    "call.incoming",
    "call.initiated",
    "call.ringing",
    "call.answered",
    "call.asks",
    "call.dtmf",
    "call.ended",
    "stream.failed",
]
Reason = Literal[
    "hangup-person",
    "hangup-api",
    "hangup-document",
    "time-limit",
    "busy",
    "no-answer",
    "rejected",
    "stream-lost",
    "no-document",
    "too-many-redirects",
    "simulator-error",
    "simulator-stopped",
]
"""Why a call ended, in the carrier's words."""
_FAILURES: Final = frozenset(
    {"stream-lost", "no-document", "too-many-redirects", "simulator-error", "simulator-stopped"}
)


class Status(StrEnum):
    """Where a call stands. The last five are final."""

    QUEUED = "queued"
    RINGING = "ringing"
    IN_PROGRESS = "in-progress"
    COMPLETED = "completed"
    BUSY = "busy"
    NO_ANSWER = "no-answer"
    FAILED = "failed"
    CANCELED = "canceled"

    @property
    def over(self) -> bool:
        return self not in _MOVES


_FINAL: Final = frozenset({Status.COMPLETED, Status.BUSY, Status.NO_ANSWER, Status.FAILED, Status.CANCELED})
_MOVES: Final[dict[Status, frozenset[Status]]] = {
    Status.QUEUED: frozenset({Status.RINGING, Status.FAILED, Status.CANCELED}),
    Status.RINGING: _FINAL | {Status.IN_PROGRESS},
    Status.IN_PROGRESS: frozenset({Status.COMPLETED, Status.FAILED}),
}


class IllegalMove(ValueError):
    """A call can not go from here to there."""


@dataclass(frozen=True, slots=True)
class Ending:
    """How a call ends."""

    status: Status
    reason: Reason


@dataclass(frozen=True, slots=True)
class CallState:
    """One call. Times are epoch milliseconds."""

    id: str
    number: int
    """Which call this is since the simulator started, from 1: with the seed it decides everything random."""
    direction: Direction
    from_number: str
    to_number: str
    created_at: int
    client_ref: str = ""
    """The id that the other side gave the call when it dialled; empty for inbound calls."""
    ring_timeout_ms: int = 60_000
    time_limit_s: int = 14_400
    status: Status = Status.QUEUED
    answered_at: int | None = None
    ended_at: int | None = None
    reason: Reason | None = None

    def moved(self, status: Status, at: int, reason: Reason | None = None) -> CallState:
        """The call after a move. Raises IllegalMove."""
        if status not in _MOVES.get(self.status, frozenset()):
            raise IllegalMove(f"a call can not go from {self.status} to {status}")
        return replace(
            self,
            status=status,
            answered_at=at if status is Status.IN_PROGRESS else self.answered_at,
            ended_at=at if status.over else self.ended_at,
            reason=reason if status.over else self.reason,
        )

    def ending(self, reason: Reason) -> Ending:
        """How the call ends for `reason` where it stands now: before the answer an end is not a completion."""
        if reason in _FAILURES:
            return Ending(Status.FAILED, reason)
        if self.status is Status.IN_PROGRESS:
            return Ending(Status.COMPLETED, reason)
        if reason == "busy" and self.status is Status.RINGING:
            return Ending(Status.BUSY, reason)
        if reason == "no-answer" and self.status is Status.RINGING:
            return Ending(Status.NO_ANSWER, reason)
        return Ending(Status.CANCELED, reason)

    def to_json(self) -> dict[str, Any]:
        """The call as REST and webhooks show it."""
        value: dict[str, Any] = {
            "id": self.id,
            "client_ref": self.client_ref,
            "direction": self.direction,
            "from": self.from_number,
            "to": self.to_number,
            "status": self.status.value,
        }
        if self.reason is not None:
            value["reason"] = self.reason
        return value


def webhook_body(
    call: CallState, event_id: str, type_: WebhookType, sequence: int, at: int, **extra: str | bool
) -> dict[str, Any]:
    """The JSON body of one webhook. `sequence` counts a call's webhooks from 1; `at` is epoch milliseconds.

    `extra`: `digits` of call.dtmf, `detail` of stream.failed, `document_wanted` on call.incoming, call.answered and
    call.asks (a redirect came due).
    """
    return {"id": event_id, "type": type_, "sequence": sequence, "at": at, "call": call.to_json(), **extra}
