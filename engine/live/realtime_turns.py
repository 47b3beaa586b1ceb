"""The caller's turns in a call that a model holds: when each began and ended, and the facts of it.

The service cuts the turns; their words come later, and are not needed for the answer.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from engine.calls import Draft
from engine.clock import epoch_ms
from engine.live.turn_clock import REALTIME_POINTS, TurnClock
from engine.speech.realtime.notices import CallerText

log = logging.getLogger(__name__)

TEXT_SECONDS: Final = 10.0
"""How long the words of a turn may take; those of later turns wait for them."""


@dataclass(slots=True)
class CallerTurnFacts:
    """One turn. Times are monotonic ms, `began_at` is epoch ms."""

    item: str
    clock: TurnClock
    began_at: int
    over_ms: float | None = None
    """When it was complete."""
    backchannel: bool = False


class CallerTurns:
    """The turns of one call whose words are not known yet."""

    def __init__(
        self,
        call_id: str,
        post: Callable[..., None],
        ephemeral: Callable[[str, str, dict[str, object]], None],
        now_ms: Callable[[], float],
        engine: str = "",
    ) -> None:
        """`engine`: who hears and answers."""
        self._engines = {"stt": engine, "brain": engine}
        self._call_id = call_id
        self._post = post
        self._ephemeral = ephemeral
        self._now_ms = now_ms
        self._turns: dict[str, CallerTurnFacts] = {}
        self.count = 0
        """Turns so far."""
        self._ended_by_us = ""
        self.speaking = ""
        """The item that the caller speaks now."""

    @property
    def open(self) -> bool:
        """The caller speaks, or words are on their way."""
        return bool(self._turns)

    def began(self, item: str, ago_ms: int) -> None:
        """The service hears a voice, which began `ago_ms` ago."""
        self.speaking = item
        self._turns[item] = self._turn(item, ago_ms)
        self._post(Draft("speech.started", self._call_id))

    def stopped(self, item: str, voiced_ago_ms: int) -> None:
        """The voice is over; the last sound was `voiced_ago_ms` ago."""
        if item == self.speaking:
            self.speaking = ""
        turn = self._turns.get(item)
        if turn is not None:
            now = self._now_ms()
            turn.clock.reach("voiced", now - max(0, voiced_ago_ms))
            turn.clock.reach("ended", now)

    def complete(self, item: str) -> CallerTurnFacts:
        """The turn can be answered."""
        if item == self.speaking:
            self.speaking = ""
        turn = self._turns.setdefault(item, self._turn(item, 0))
        self.count += 1
        turn.clock.turn = self.count
        turn.over_ms = now = self._now_ms()
        turn.clock.reach("voiced", now)
        turn.clock.reach("ended", now)
        return turn

    def partial(self, text: str) -> None:
        """What is understood so far, for those who watch."""
        self._ephemeral(self._call_id, "speech.partial", {"text": text})

    def text(self, said: CallerText) -> CallerTurnFacts | None:
        """The words of a turn. Returns the turn where it holds any."""
        turn = self._turns.pop(said.item, None)
        if turn is None:
            return None
        self.partial("")
        if said.error:
            log.warning("call %s: words of the caller are missing: %s", self._call_id, said.error)
        if not said.text:
            return None
        facts: dict[str, object] = {"text": said.text, "turn": turn.clock.turn, "startedAt": turn.began_at}
        if turn.backchannel:
            facts["backchannel"] = True
        self._post(Draft("speech.final", self._call_id, facts))
        return turn

    def endless(self, most_ms: int) -> bool:
        """The caller's turn is longer than turns are let be; said once per turn."""
        turn = self._turns.get(self.speaking)
        if turn is None or turn.item == self._ended_by_us or epoch_ms() - turn.began_at <= most_ms:
            return False
        self._ended_by_us = turn.item
        return True

    def late(self) -> Iterator[str]:
        """Items whose words take too long."""
        now = self._now_ms()
        for turn in self._turns.values():
            if turn.over_ms is not None and now - turn.over_ms > TEXT_SECONDS * 1000:
                yield turn.item

    def lost(self) -> bool:
        """The service is gone, with all that it had heard. True when something of the caller's went with it."""
        gone = bool(self._turns)
        self._turns.clear()
        self.speaking = ""
        return gone

    def _turn(self, item: str, ago_ms: int) -> CallerTurnFacts:
        clock = TurnClock(self.count + 1, needed=REALTIME_POINTS, engines=dict(self._engines))
        return CallerTurnFacts(item, clock, epoch_ms() - max(0, ago_ms))
