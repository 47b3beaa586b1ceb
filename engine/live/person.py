"""A person of ours in a call: their own voice to the caller, live, and their words to the record.

Their voice is the playout's only line while it lasts. It is never made louder, later or cut by the caller: whoever
interrupts a person is talking with them. A typed line or keys take its place and the voice comes back after them.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Callable, Coroutine
from typing import Any, Final, Protocol

from engine.calls import Draft
from engine.live.lines import Speaking
from engine.live.parts import Parts
from engine.live.person_ears import PersonEars
from engine.media.playout import Playout, PlayoutFull

log = logging.getLogger(__name__)

MAX_WAITING_MS: Final = 200
"""Of their voice, unsent; more comes from a network that woke up, and would be heard that much later for good."""
STALL_SECONDS: Final = 0.5
"""Without a frame for this long they have stopped, whatever their console meant to say."""
WORDS_SECONDS: Final = 4.0
"""How long the floor waits for their last words to be written down before the agent gets it."""
LOST_SECONDS: Final = 3.0
"""... and after this much more, without another sign of it, their microphone is gone."""
MAX_FRAME: Final = 1600
"""Bytes of one piece: 200 ms."""


SILENT: Final = "no sound came from it"


class Tells(Protocol):
    """What the call does with a person's words."""

    def person_said(self, text: str) -> None:
        """They said this to the caller."""


class Microphone:
    """One microphone that reaches one caller (`engine.api.Microphone`), from `open` until it is closed."""

    def __init__(self, person: Person, by: str, lost: Callable[[str], None]) -> None:
        self._person = person
        self._lost = lost
        self._why: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.by = by
        self.live = False

    def hear(self, payload: bytes) -> None:
        """A piece of their voice, which the caller hears at once. Nothing happens once it is closed."""
        if payload and not self._why.done():
            self._person.hear(self, payload[:MAX_FRAME])

    def rest(self) -> None:
        """They stopped talking for now."""
        self._person.rest(self)

    def close(self, why: str = "put away") -> None:
        """It was put away, and the floor stays where it is. Again is harmless."""
        if not self._why.done():
            self._why.set_result(why)
            self._person.closed(self, "")

    def lose(self, why: str) -> None:
        """It is gone, perhaps in the middle of a word: the caller must not be left with nobody."""
        if not self._why.done():
            self._why.set_result(why)
            self._person.closed(self, why)
            self._lost(why)

    async def ended(self) -> str:
        """Return once it is closed, by whomever, with the reason."""
        return await asyncio.shield(self._why)


class Person:
    """The operator's voice in one call; at most one microphone at a time. Belongs to the engine's loop."""

    def __init__(
        self,
        call_id: str,
        parts: Parts,
        mouth: Speaking,
        tells: Tells,
        spawn: Callable[[Coroutine[Any, Any, None]], None],
    ) -> None:
        self._call_id = call_id
        self._post = parts.recorder.post
        self._now_ms = parts.now_ms
        self._recogniser = parts.recogniser
        self._mouth = mouth
        self._tells = tells
        self._spawn = spawn
        self._ids = itertools.count(1)
        self._playout: Playout | None = None
        self._microphone: Microphone | None = None
        self._say_id = ""
        self._ears: PersonEars | None = None
        self._stall: asyncio.TimerHandle | None = None
        self._by = ""
        self.dropped_ms = 0
        """Of their voice, because it came in heaps."""

    @property
    def talking(self) -> bool:
        """The caller hears a person now."""
        return self._microphone is not None and self._microphone.live

    def attach(self, playout: Playout | None) -> None:
        """A media stream is up, or none is."""
        self._end_line()
        self._playout = playout

    def open(self, by: str, lost: Callable[[str], None]) -> Microphone:
        """A microphone for `by`, in place of the one that was there. Nothing is heard of it yet."""
        if self._microphone is not None:
            self._microphone.close(f"{by} took the microphone over")
        if self._ears is None:
            self._ears = PersonEars(self._call_id, self._recogniser, self._said, self._now_ms)
            self._spawn(self._ears.run())
        self._by = by
        self._microphone = Microphone(self, by, lost)
        return self._microphone

    def put_away(self, why: str) -> None:
        """Whoever has the microphone has it no more: the floor is somebody else's, or the call is over."""
        if self._microphone is not None:
            self._microphone.close(why)

    async def settle(self) -> None:
        """Return once their words are written down."""
        if self._ears is not None:
            await self._ears.settle(WORDS_SECONDS)

    # -- the microphone's side ----------------------------------------------------------------

    def hear(self, microphone: Microphone, payload: bytes) -> None:
        """20 ms of a voice; the hot path."""
        if microphone is not self._microphone:
            return
        if not microphone.live:
            self._go_live(microphone)
        self._wait_for_more()
        if self._playout is None or self._mouth.busy:
            self._end_line()
            if self._ears is not None:
                self._ears.rest()
            return
        if self._ears is not None:
            self._ears.hear(payload)
        if not self._say_id:
            self._say_id = f"{self._call_id[:8]}-mic-{next(self._ids)}"
            self._playout.begin(self._say_id)
        if self._playout.waiting_ms(self._say_id) >= MAX_WAITING_MS:
            self.dropped_ms += len(payload) // 8
            return
        try:
            self._playout.push(self._say_id, payload)
        except PlayoutFull as error:  # can not be, with the bound above; the call is worth more than a word
            log.error("call %s: the operator's voice: %s", self._call_id, error)

    def rest(self, microphone: Microphone, why: str = "") -> None:
        """They let go of the key."""
        if microphone is not self._microphone:
            return
        if self._stall is not None:
            self._stall.cancel()
            self._stall = None
        if not microphone.live:
            return
        microphone.live = False
        self._end_line()
        if self._ears is not None:
            self._ears.rest()
        self._tell_live(microphone, live=False, why=why)

    def closed(self, microphone: Microphone, why: str) -> None:
        """The microphone is closed; `why` it was lost, if it was."""
        self.rest(microphone, why)
        if microphone is self._microphone:
            self._microphone = None

    def _go_live(self, microphone: Microphone) -> None:
        microphone.live = True
        self._tell_live(microphone, live=True)

    def _tell_live(self, microphone: Microphone, *, live: bool, why: str = "") -> None:
        facts = {"live": live, "by": microphone.by} | ({"why": why} if why else {})
        self._post(Draft("microphone.changed", self._call_id, facts))

    def _wait_for_more(self) -> None:
        if self._stall is not None:
            self._stall.cancel()
        self._stall = asyncio.get_running_loop().call_later(STALL_SECONDS, self._stalled)

    def _stalled(self) -> None:
        if self._microphone is not None:
            self.rest(self._microphone, SILENT)
            lose = self._microphone.lose
            self._stall = asyncio.get_running_loop().call_later(LOST_SECONDS, lose, SILENT)

    def _end_line(self) -> None:
        if self._say_id and self._playout is not None:
            self._playout.finish(self._say_id)
        self._say_id = ""

    def _said(self, text: str, began_at: int, ms: int, error: str) -> None:
        facts = {"text": text, "startedAt": began_at, "ms": ms, "by": self._by} | ({"error": error} if error else {})
        self._post(Draft("operator.said", self._call_id, facts))
        if text:
            self._tells.person_said(text)
