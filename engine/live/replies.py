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
from engine.live.lines import Speaking, Utterance
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
        mouth: Speaking,
        read_call: Callable[[], Call | None],
        timeout_ms: int,
        hang_up: Callable[[EndCall], None],
        post: Callable[..., None],
        settle: Callable[[], Awaitable[None]],
        now_ms: Callable[[], float],
    ) -> None:
        self._call_id = call_id
        self._settle = settle
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

    def revoke(self, why: str) -> None:
        """Whatever is being made is not to be said any more, and `why`."""
        self._generation += 1
        self._quiet.set()
        self._mouth.skip_replies(why)
        if self._task is not None:
            self._task.cancel()

    def answer(self, text: str, clock: TurnClock, group: asyncio.TaskGroup) -> None:
        """Answer what the caller just said."""
        self.revoke("a newer turn of the caller")
        self._task = group.create_task(self._answer(self._generation, text, clock))

    async def _answer(self, generation: int, text: str, clock: TurnClock) -> None:
        lines: list[Utterance] = []
        try:
            await self._settle()
            async with asyncio.timeout(self._timeout) as limit:
                end = await self._speak_reply(text, clock, lines, limit)
        except TimeoutError:
            self._failed(clock, f"no reply within {self._timeout:.0f} s", lines)
            return
        except SpeechUnavailable as error:
            self._failed(clock, str(error), lines)
            return
        except Exception as error:
            log.exception("call %s: the brain failed", self._call_id)
            self._failed(clock, f"the brain {self._brain.name} failed: {type(error).__name__}", lines)
            return
        if end is not None:
            await self._end_when_heard(generation, lines, end)

    async def _speak_reply(
        self, heard: str, clock: TurnClock, lines: list[Utterance], limit: asyncio.Timeout
    ) -> EndCall | None:
        """Say the reply sentence by sentence, into `lines`; returns how the call should end after them, if so."""
        cutter = SentenceCutter()
        end: EndCall | None = None
        async with aclosing(self._brain.reply(self._conversation(heard))) as outputs:
            async for output in outputs:
                match output:
                    case Words(text=text):
                        clock.reach("words", self._now_ms())
                        for sentence in cutter.feed(text):
                            await self._say(sentence, clock, lines, limit)
                    case EndCall():
                        end = output
        for sentence in cutter.flush():
            await self._say(sentence, clock, lines, limit)
        return end

    async def _say(self, sentence: str, clock: TurnClock, lines: list[Utterance], limit: asyncio.Timeout) -> None:
        """Queue one sentence. Waiting for the caller to be quiet, or for earlier lines, is not the brain's time."""
        limit.reschedule(None)
        await self._quiet.wait()
        await self._mouth.room()
        limit.reschedule(asyncio.get_running_loop().time() + self._timeout)
        clock.reach("sentence", self._now_ms())
        first = not lines
        lines.append(self._mouth.say(sentence, kind="reply", clock=clock if first else None))

    async def _end_when_heard(self, generation: int, lines: list[Utterance], end: EndCall) -> None:
        """Hang up after the farewell was heard, unless the caller spoke again meanwhile."""
        endings = [await line.done for line in lines]
        if generation == self._generation and "cut" not in endings:
            self._hang_up(end)

    def _failed(self, clock: TurnClock, error: str, lines: list[Utterance]) -> None:
        self._post(Draft("reply.failed", self._call_id, {"turn": clock.turn, "error": error}))
        if not lines and not self._mouth.full:
            self._mouth.say(APOLOGY, kind="reply")

    def _conversation(self, heard: str) -> Conversation:
        call = self._read_call()
        if call is None:
            raise SpeechUnavailable("the call is gone")
        lines = [Said(line.speaker, line.text, line.cut) for line in call.transcript if line.text]
        if not any(line.speaker == "caller" and line.text == heard for line in lines[-4:]):
            lines.append(Said("caller", heard))  # the store fails, so the book does not know it yet
        return Conversation(
            call_id=call.call_id,
            direction=call.direction,
            from_number=call.from_number,
            to_number=call.to_number,
            lines=lines,
            purpose=call.message if call.direction == "outbound" else "",
        )
