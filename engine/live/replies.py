"""What our side answers: one reply at a time, owned by the newest thing the caller said.

A generation number belongs to each turn of the caller. Whatever was meant for an older one is revoked: it may
still be generated, but it is not spoken.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import Final

from engine.calls import Call, Draft
from engine.live.mouth import Mouth, Utterance
from engine.live.turn_clock import TurnClock
from engine.speech.ports import Brain, Conversation, EndCall, Said, SpeechUnavailable, Words
from engine.speech.sentences import SentenceCutter

log = logging.getLogger(__name__)

APOLOGY: Final = "Sorry, I had a problem just now. Could you say that again, please?"


class Replies:
    """The replies of one call."""

    def __init__(
        self,
        call_id: str,
        brain: Brain,
        mouth: Mouth,
        read_call: Callable[[], Call | None],
        timeout_ms: int,
        hang_up: Callable[[], None],
        post: Callable[..., None],
        barrier: Callable[[], Awaitable[None]],
        now_ms: Callable[[], float],
    ) -> None:
        self._call_id = call_id
        self._barrier = barrier
        self._brain = brain
        self._mouth = mouth
        self._read_call = read_call
        self._timeout = timeout_ms / 1000
        self._hang_up = hang_up
        self._post = post
        self._now_ms = now_ms
        self._generation = 0
        self._quiet = asyncio.Event()
        self._quiet.set()
        self._task: asyncio.Task[None] | None = None

    @property
    def pending(self) -> bool:
        """A reply is being made."""
        return self._task is not None and not self._task.done()

    def caller_began(self) -> None:
        """The caller speaks: a reply that has not begun holds its breath."""
        self._quiet.clear()

    def caller_quiet(self) -> None:
        """It was nothing: go on."""
        self._quiet.set()

    def revoke(self) -> None:
        """Whatever is being made is not to be said any more."""
        self._generation += 1
        self._quiet.set()
        self._mouth.skip_replies("a newer turn of the caller")
        if self._task is not None:
            self._task.cancel()

    def answer(self, clock: TurnClock, group: asyncio.TaskGroup) -> None:
        """Answer what the caller just said."""
        self.revoke()
        self._task = group.create_task(self._answer(self._generation, clock))

    async def _answer(self, generation: int, clock: TurnClock) -> None:
        said = 0
        try:
            await self._barrier()
            async with asyncio.timeout(self._timeout) as limit:
                said, end = await self._speak_reply(clock, limit)
        except TimeoutError:
            self._failed(clock, f"no reply within {self._timeout:.0f} s", said)
            return
        except SpeechUnavailable as error:
            self._failed(clock, str(error), said)
            return
        except Exception as error:
            log.exception("call %s: the brain failed", self._call_id)
            self._failed(clock, f"the brain {self._brain.name} failed: {type(error).__name__}", said)
            return
        if end is not None:
            await self._end_when_heard(generation, end)

    async def _speak_reply(self, clock: TurnClock, limit: asyncio.Timeout) -> tuple[int, list[Utterance] | None]:
        """Say the reply sentence by sentence; the lines are returned when the call should end after them."""
        cutter = SentenceCutter()
        lines: list[Utterance] = []
        ending = False
        async with aclosing(self._brain.reply(self._conversation())) as outputs:
            async for output in outputs:
                match output:
                    case Words(text=text):
                        clock.reach("words", self._now_ms())
                        for sentence in cutter.feed(text):
                            await self._say(sentence, clock, lines, limit)
                    case EndCall():
                        ending = True
        for sentence in cutter.flush():
            await self._say(sentence, clock, lines, limit)
        return len(lines), lines if ending else None

    async def _say(self, sentence: str, clock: TurnClock, lines: list[Utterance], limit: asyncio.Timeout) -> None:
        """Queue one sentence. Waiting for the caller to be quiet, or for earlier lines, is not the brain's time."""
        limit.reschedule(None)
        await self._quiet.wait()
        await self._mouth.room()
        limit.reschedule(asyncio.get_running_loop().time() + self._timeout)
        clock.reach("sentence", self._now_ms())
        first = not lines
        lines.append(self._mouth.say(sentence, kind="reply", clock=clock if first else None))

    async def _end_when_heard(self, generation: int, lines: list[Utterance]) -> None:
        """Hang up after the farewell was heard, unless the caller spoke again meanwhile."""
        endings = [await line.done for line in lines]
        if generation == self._generation and "cut" not in endings:
            self._hang_up()

    def _failed(self, clock: TurnClock, error: str, said: int) -> None:
        self._post(Draft("reply.failed", self._call_id, {"turn": clock.turn, "error": error}))
        if said == 0 and not self._mouth.full:
            self._mouth.say(APOLOGY, kind="reply")

    def _conversation(self) -> Conversation:
        call = self._read_call()
        if call is None:
            raise SpeechUnavailable("the call is gone")
        return Conversation(
            call_id=call.call_id,
            direction=call.direction,
            from_number=call.from_number,
            to_number=call.to_number,
            lines=[Said(line.speaker, line.text, line.cut) for line in call.transcript if line.text],
            purpose=call.message if call.direction == "outbound" else "",
        )
