"""The caller's words in a call that the carrier listens to: what its recogniser reports becomes turns.

The carrier decides when a turn is over. A turn that began and of which nothing more is heard is given up after a
while, so that nobody waits for ever for its end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, Protocol

from engine.calls import Draft
from engine.clock import epoch_ms
from engine.live.turn_clock import NATIVE_POINTS, TurnClock

FINAL_SECONDS: Final = 10.0
"""How long after the last that was heard of it a turn may take to end."""


class HearsNatively(Protocol):
    """What the call does about what the carrier heard; as `engine.live.ears.Hears`, and what it was an answer to."""

    def caller_began(self) -> None:
        """The caller speaks; a reply that has not begun waits."""

    def caller_interrupts(self) -> None:
        """The caller speaks over our voice."""

    def caller_said_nothing(self) -> None:
        """It came to nothing."""

    def caller_said(self, text: str, clock: TurnClock, after: str | None = None) -> None:
        """One whole turn of the caller, said after our line of the id `after`."""


class NativeEars:
    """Turn taking of one call. `run` belongs to the call's task group."""

    def __init__(
        self,
        call_id: str,
        hears: HearsNatively,
        post: Callable[..., None],
        ephemeral: Callable[[str, str, dict[str, object]], None],
        now_ms: Callable[[], float],
        on_quiet: Callable[[], None],
    ) -> None:
        self._call_id = call_id
        self._hears = hears
        self._post = post
        self._ephemeral = ephemeral
        self._now_ms = now_ms
        self._on_quiet = on_quiet
        self._turn = 0
        self._began_at = 0
        self._latest = 0.0
        self._began = asyncio.Event()

    @property
    def in_turn(self) -> bool:
        """The caller speaks, as far as we know."""
        return self._began.is_set()

    def partial(self, text: str) -> None:
        """Words of a turn that goes on."""
        self._ephemeral(self._call_id, "speech.partial", {"text": text})
        self._begin()

    def speech(self, text: str, after: str | None) -> None:
        """One whole turn."""
        self._begin()
        self._turn += 1
        clock = TurnClock(self._turn, needed=NATIVE_POINTS)
        clock.reach("text", self._now_ms())
        self._over()
        facts = {"text": text, "turn": self._turn, "startedAt": self._began_at}
        self._post(Draft("speech.final", self._call_id, facts))
        self._hears.caller_said(text, clock, after)

    def silence(self) -> None:
        """The carrier has stopped listening and nothing was said."""
        if self.in_turn:
            self._over()
            self._hears.caller_said_nothing()

    async def run(self) -> None:
        """Give up turns that do not end, for the life of the call."""
        while True:
            await self._began.wait()
            left = self._latest + FINAL_SECONDS * 1000 - self._now_ms()
            if left > 0:
                await asyncio.sleep(left / 1000)
            else:
                self.silence()
                self._on_quiet()

    def _begin(self) -> None:
        self._latest = self._now_ms()
        if self.in_turn:
            return
        self._began.set()
        self._began_at = epoch_ms()
        self._post(Draft("speech.started", self._call_id))
        self._hears.caller_began()

    def _over(self) -> None:
        self._began.clear()
        self._ephemeral(self._call_id, "speech.partial", {"text": ""})
