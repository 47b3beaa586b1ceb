"""A call that hears nothing does not pretend to: the caller is told, and let go politely when that stays so.

While a person has the floor nothing of it is said: they hear the caller themselves, and decide.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any, Final, Protocol

from engine.calls import State
from engine.live.lines import MouthFull, Speaking
from engine.live.parts import Parts

log = logging.getLogger(__name__)

EXCUSE: Final = "I'm sorry, I can't hear you right now. One moment, please."
FAREWELL: Final = "I'm sorry, I can't hear you, and it does not get better. Please try again later. Goodbye."
FAREWELL_SECONDS: Final = 20.0
"""How long the farewell may take before the call is ended without it."""


class Deaf(Protocol):
    """The call that hears nothing."""

    @property
    def agent_speaks(self) -> bool:
        """Our lines reach the caller, and no person has the floor."""

    def be_silent(self, why: str) -> None:
        """Say nothing more of what was meant to be said."""


class Deafness:
    """What one call does about hearing nothing."""

    def __init__(
        self,
        call_id: str,
        parts: Parts,
        mouth: Speaking,
        call: Deaf,
        answered: asyncio.Event,
        spawn: Callable[[Coroutine[Any, Any, None]], None],
    ) -> None:
        self._call_id = call_id
        self._parts = parts
        self._mouth = mouth
        self._call = call
        self._answered = answered
        self._spawn = spawn
        self._for_good = False
        self._leaving = False

    @property
    def leaving(self) -> bool:
        """The farewell is being said."""
        return self._leaving

    def began(self, for_good: bool) -> None:
        """Nobody hears the caller: for a while, or `for_good`."""
        if for_good:
            self._for_good = True
            self.act()
        elif self._call.agent_speaks:
            self._say(EXCUSE)

    def over(self) -> None:
        """The caller is heard again."""
        self._for_good = False

    def act(self) -> None:
        """Take leave of a caller whom nobody will hear. While a person has the floor it waits for them to let go."""
        if self._for_good and not self._leaving and self._call.agent_speaks:
            self._leaving = True
            self._spawn(self._leave())

    async def _leave(self) -> None:
        await self._answered.wait()
        try:
            if not self._still():
                return
            self._call.be_silent("nobody hears the caller")
            if not self._parts.config.streaming.deaf_hangup:
                self._say(EXCUSE)
                return
            await self._say_farewell()
            if self._still():
                self._parts.hang_up(self._call_id, State.ERROR, "engine", "nobody could hear the caller")
        finally:
            self._leaving = False

    def _still(self) -> bool:
        return self._for_good and self._call.agent_speaks

    async def _say_farewell(self) -> None:
        try:
            line = self._mouth.say(FAREWELL)
            async with asyncio.timeout(FAREWELL_SECONDS):
                await asyncio.shield(line.done)
        except (MouthFull, TimeoutError) as error:
            why = str(error) or "it took too long"
            log.warning("call %s: the farewell was not said: %s", self._call_id, why)

    def _say(self, text: str) -> None:
        try:
            self._mouth.say(text)
        except MouthFull as error:
            log.warning("call %s: the caller was not told that nobody hears them: %s", self._call_id, error)
