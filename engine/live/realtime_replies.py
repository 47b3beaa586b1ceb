"""The replies of a call that a model holds: the model makes them itself, until it is lost for good."""

from __future__ import annotations

import asyncio
from typing import Any, Protocol

from engine.live.replies import Replies
from engine.live.turn_clock import TurnClock


class Answers(Protocol):
    """The model's side of the call."""

    @property
    def speaks(self) -> bool:
        """The model holds the call."""

    @property
    def falls_back(self) -> bool:
        """A brain stands by for when the model is lost."""

    @property
    def replying(self) -> bool:
        """The model makes a reply."""

    @property
    def quiet(self) -> bool:
        """The caller does not speak."""

    def revoke(self) -> None:
        """What the model has not begun to say is not to be said any more."""

    def keys_pressed(self, digits: str) -> None:
        """The caller pressed keys, which is a turn like any other."""


class RealtimeReplies(Replies):
    """While the model speaks, nobody else answers."""

    def __init__(self, answers: Answers, *args: Any) -> None:
        """`args` are those of `Replies`."""
        super().__init__(*args)
        self._answers = answers
        self._keys_told = 0

    @property
    def pending(self) -> bool:
        return self._answers.replying if self._answers.speaks else super().pending

    @property
    def quiet(self) -> bool:
        return self._answers.quiet if self._answers.speaks else super().quiet

    async def prepare(self) -> None:
        if self._answers.falls_back:
            await super().prepare()

    async def close(self) -> None:
        if self._answers.falls_back:
            await super().close()

    def revoke(self, why: str) -> None:
        if self._answers.speaks:
            self._answers.revoke()
        super().revoke(why)

    def answer(self, text: str, clock: TurnClock, group: asyncio.TaskGroup) -> None:
        """What was said is answered already, when it is understood; keys are not."""
        if not self._answers.speaks:
            super().answer(text, clock, group)
        elif not text and (keys := self._new_keys()):
            self.revoke("the caller pressed keys")
            self._answers.keys_pressed(keys)

    def _new_keys(self) -> str:
        call = self._read_call()
        keys = call.dtmf[self._keys_told :] if call is not None else ""
        self._keys_told += len(keys)
        return keys
