"""The caller's voice in a call that a speech-to-speech model holds.

Everything goes to the model. The service says when a turn of the caller is over; that the caller interrupts is
decided here, by the same rules as in every other call. When the model is lost for good, these are ordinary ears.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, Protocol

from engine.live.ears import Ears
from engine.media.turns import BargeIn, EndOfTurn, FalseStart, SpeechStarted, TurnEvent

THERE_MS: Final = 800
SURE: Final = 1.0
"""What it is worth that the service hears a voice too: it has a better ear than ours."""


class Listens(Protocol):
    """What the model's side of the call is told."""

    def hear(self, frame: bytes) -> None:
        """20 ms of the caller."""

    def interrupted(self) -> None:
        """The caller speaks over our voice and means it."""

    def fell_silent(self) -> None:
        """A sound of the caller is over by our own judgement."""


class RealtimeEars(Ears):
    """Ears of one such call."""

    listens: Listens
    live: Callable[[], Awaitable[bool]]
    """Runs for as long as the model holds the call; true: go on as ordinary ears."""

    ordinary = False
    interruptible = True

    async def run(self) -> None:
        """Hear the caller for the life of the call."""
        if await self.live():
            self.ordinary = True
            await super().run()

    def can_hear(self) -> None:
        """The service is there, or there is nothing more to wait for."""
        self._ready.set()

    def count_from(self, turns: int) -> None:
        """So many turns there were before."""
        self._turn = turns

    def voice_confirmed(self) -> None:
        """The service hears a voice now."""
        self._turns.confirmed(SURE, self._audio_ms)

    def words(self, text: str) -> None:
        """What the sound that goes on now reads so far."""
        self._turns.partial(text, self._audio_ms)

    def silent_ms(self, now: float) -> float:
        """For how long no frame has come."""
        return now - self._last_frame

    def caller_is_there(self, now: float) -> bool:
        """The carrier sends us what they say."""
        return self._audio_ms > 0 and self.silent_ms(now) < THERE_MS

    def _feed(self, frame: bytes, is_open: bool) -> None:
        if self.ordinary:
            super()._feed(frame, is_open)
        else:
            self.listens.hear(frame)

    def _take(self, event: TurnEvent) -> None:
        if self.ordinary:
            super()._take(event)
            return
        match event:
            case SpeechStarted():
                self._in_turn = True
            case BargeIn() if self.interruptible:
                self.echo.cleared()
                self.listens.interrupted()
            case EndOfTurn() | FalseStart():
                self._in_turn = False
                self.listens.fell_silent()
