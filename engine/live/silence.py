"""A caller who says nothing for long: they are asked whether they are there, and let go when they are not.

It counts as silence only when it is the caller's turn and we would hear them: nothing of ours is being said or made,
nobody else speaks for us, no question from outside waits, and recognition works.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from engine.calls import Call
from engine.live.lines import MouthFull, Speaking, Utterance
from engine.live.manners import Manners

LOOK_SECONDS: Final = 0.5


class SilenceWatch:
    """Watches one call. `callers_turn` says whether it is up to the caller now, beyond what the record says."""

    def __init__(
        self,
        mouth: Speaking,
        manners: Manners,
        read_call: Callable[[], Call | None],
        callers_turn: Callable[[], bool],
        hang_up: Callable[[str], None],
    ) -> None:
        self._mouth = mouth
        self._manners = manners
        self._read_call = read_call
        self._callers_turn = callers_turn
        self._hang_up = hang_up

    async def run(self) -> None:
        """For the life of the call."""
        if not self._manners.silence_prompt:
            return
        loop = asyncio.get_running_loop()
        since, heard, asked = loop.time(), 0, 0
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            call = self._read_call()
            if call is None or (known := _heard_of(call)) != heard or not self._quiet(call):
                since = loop.time()
                if call is not None and known != heard:
                    heard, asked = known, 0
                continue
            if loop.time() - since < self._manners.silence_after_s:
                continue
            if asked and asked >= self._manners.silence_prompts:
                if self._manners.silence_prompts and await self._give_up(heard):
                    return
                asked = 0 if self._manners.silence_prompts else asked
                since = loop.time()
                continue
            asked += 1
            await self._say(self._manners.silence_prompt)
            since = loop.time()

    def _quiet(self, call: Call) -> bool:
        return call.answered_at is not None and not call.deaf and not self._mouth.busy and self._callers_turn()

    async def _say(self, text: str) -> Utterance | None:
        try:
            line = self._mouth.say(text, kind="reply")
        except MouthFull:
            return None
        await asyncio.shield(line.done)
        return line

    async def _give_up(self, heard: int) -> bool:
        """Say goodbye and hang up; False when the caller spoke after all."""
        line = await self._say(self._manners.silence_farewell) if self._manners.silence_farewell else None
        call = self._read_call()
        if line is not None and line.done.result() in ("cut", "skipped"):
            return False
        if call is None or _heard_of(call) != heard or not self._quiet(call):
            return False
        self._hang_up("the caller said nothing")
        return True


def _heard_of(call: Call) -> int:
    """Something that differs once more was heard of the caller."""
    return sum(1 for line in call.transcript if line.speaker == "caller") + len(call.dtmf)
