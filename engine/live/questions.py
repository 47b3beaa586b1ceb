"""A question of our side that waits for the caller's answer: one at a time in a call."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from engine.api import Refusal
from engine.live.lines import Utterance
from engine.live.turn_clock import TurnClock


class Questions:
    """The questions of one call."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._line: Utterance | None = None
        self._answer: asyncio.Future[str] | None = None
        self._refusal: Refusal | None = None

    @property
    def waiting(self) -> bool:
        """One is being asked, or waits for its answer: what the caller says is for it."""
        return self._lock.locked()

    async def ask(self, say: Callable[[], Utterance], timeout_ms: int) -> str:
        """Say a line and return the caller's answer. Raises Refusal."""
        if self._lock.locked():
            raise Refusal(
                "turn_in_progress",
                "another question of this call waits for its answer",
                "wait for it, or say a line with `speak`",
            )
        async with self._lock:
            try:
                async with asyncio.timeout(timeout_ms / 1000):
                    return await self._ask(say)
            except TimeoutError as error:
                raise Refusal(
                    "timeout",
                    f"the caller gave no answer within {timeout_ms} ms",
                    "the call goes on: ask again or end it",
                ) from error
            finally:
                self._line = self._answer = None

    async def _ask(self, say: Callable[[], Utterance]) -> str:
        answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._answer = answer
        line = self._line = say()
        ending = await line.done
        if ending in ("failed", "skipped"):
            why = line.error or "something else took its place"
            raise Refusal("speech_unavailable", f"the question was not said: {why}", "ask it again")
        if self._refusal is not None:
            raise self._refusal
        return await answer

    def offer(self, text: str, after: str | None, clock: TurnClock | None = None) -> None:
        """What the caller said. It is the answer if they had heard the question, at least in part.

        `after`: our latest line then, where the carrier tells. `clock`: the turn in which it was said.
        """
        line, answer = self._line, self._answer
        if line is None or answer is None or answer.done():
            return
        heard = line.done.done() if after is None else after == line.say_id
        if heard and not (after is None and clock is not None and _was_under_way(clock, line)):
            answer.set_result(text)

    def refuse(self, refusal: Refusal, *, for_good: bool = False) -> None:
        """There will be no answer; with `for_good`, to no later question either."""
        if for_good:
            self._refusal = refusal
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(refusal)
            self._answer.exception()


def _was_under_way(turn: TurnClock, line: Utterance) -> bool:
    """The caller was speaking already when our line came in: it cut the line off, or was over before the line was."""
    if turn.began_ms is None or line.since_ms is None or turn.began_ms >= line.since_ms:
        return False
    voiced_ms = turn.points.get("voiced")
    heard_whole = line.done.result() == "heard" and line.over_ms is not None
    return not heard_whole or voiced_ms is None or voiced_ms <= (line.over_ms or 0)
