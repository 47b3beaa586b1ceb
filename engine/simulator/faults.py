"""Which faults hit what, decided by the seed alone. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Final

from engine.simulator.setup import Faults

GARBAGE: Final = (
    "this is not JSON",
    '{"event":"media","media":{"payl',
    "[]",
    '"media"',
    '{"event":"bogus","sequenceNumber":"1"}',
    '{"event":"media","media":{"track":"inbound","chunk":"x","timestamp":"-","payload":"%%%"}}',
    '{"event":"media","media":null}',
    '{"event":"dtmf","dtmf":{"digit":17}}',
    '{"event":"mark","mark":{}}',
    "{}",
)
"""Frames that no carrier should send, and that must do no harm."""


@dataclass(frozen=True, slots=True)
class WebhookFate:
    """What happens to one webhook on its way."""

    delay_s: float = 0
    drop: bool = False
    hold: bool = False
    """Delivered only after the next one."""
    duplicate: bool = False
    forge: bool = False
    """A forged one comes along."""


@dataclass(frozen=True, slots=True)
class StreamFate:
    """What happens to one media stream; times in seconds after its start, None: never."""

    stall_at: float | None = None
    lose_at: float | None = None


class FaultPlan:
    """The faults of one call. Draws the same numbers whatever is switched on, so that seeds stay comparable."""

    def __init__(self, seed: int, call_number: int) -> None:
        self._rng = Random(f"{seed}:{call_number}:faults")
        self._frames = Random(f"{seed}:{call_number}:frames")

    def webhook(self, faults: Faults, wants_document: bool) -> WebhookFate:
        """The fate of the next webhook. One whose reply decides the call may be late or doubled, never lost:
        a carrier that does not get a document ends the call, which is not the fault that is meant here."""
        draw = [self._rng.random() for _ in range(6)]
        return WebhookFate(
            delay_s=draw[5] * faults.delay_ms / 1000 if draw[0] < faults.delay else 0,
            drop=not wants_document and draw[1] < faults.drop,
            hold=not wants_document and draw[2] < faults.reorder,
            duplicate=draw[3] < faults.duplicate,
            forge=draw[4] < faults.forge,
        )

    def stream(self, faults: Faults) -> StreamFate:
        """The fate of the next stream."""
        draw = [self._rng.random() for _ in range(4)]
        return StreamFate(
            stall_at=1 + 4 * draw[2] if draw[0] < faults.stall else None,
            lose_at=1 + 5 * draw[3] if draw[1] < faults.lose_stream else None,
        )

    def garbage(self, faults: Faults) -> str | None:
        """A malformed frame to send along with the next good one, or None."""
        if not faults.malformed or self._frames.random() >= faults.malformed:
            return None
        return self._frames.choice(GARBAGE)
