"""What our side answers: one reply at a time, owned by the newest thing the caller said.

A generation number belongs to each turn of the caller. Whatever was meant for an older one is revoked: it may
still be generated, but it is not spoken. A reply that takes too long is apologised for and may still come: then it is
offered, if the caller has said nothing since; else the operator finds it in the log.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Final

from engine.calls import Call, Draft
from engine.live import told
from engine.live.holding import Holding
from engine.live.lines import Speaking, Utterance
from engine.live.manners import Manners
from engine.live.turn_clock import TurnClock
from engine.speech.ports import (
    Brain,
    BrainOutput,
    Conversation,
    EarlierCall,
    EndCall,
    FollowsCalls,
    SpeechUnavailable,
    Words,
)
from engine.speech.sentences import SentenceCutter

log = logging.getLogger(__name__)

APOLOGY: Final = "Sorry, I had a problem just now. Could you say that again, please?"
BROKE_OFF: Final = "Sorry, I lost my thread there. Could you ask me that again, please?"
OVERDUE: Final = "I am sorry, this takes longer than it should. I will tell you as soon as I know."
HERE_IT_IS: Final = "I have that answer now."
GAVE_UP: Final = "I am sorry, I could not find that out."
GRACE_SECONDS: Final = 0.5
"""How long after our farewell the caller may still begin to speak, which keeps the call."""
MEMORY_SECONDS: Final = 1.0
"""How long a reply waits for what is remembered, which was asked for while the phone rang."""


@dataclass(slots=True, eq=False)
class _Reply:
    """One reply on its way."""

    generation: int
    clock: TurnClock
    left: float
    """Seconds that the brain may still take for what comes next."""
    holding: Holding
    lines: list[Utterance] = field(default_factory=list)
    late: bool = False
    """It was apologised for, and may still come."""
    unsaid: list[str] = field(default_factory=list)
    """Sentences that came when the talk had moved on."""
    wordy: bool = False
    """Text came, whether anything of it could be said or not."""


class Replies:
    """The replies of one call. `remember` fetches what is known of earlier calls."""

    def __init__(
        self,
        call_id: str,
        brain: Brain,
        mouth: Speaking,
        read_call: Callable[[], Call | None],
        manners: Manners,
        hang_up: Callable[[EndCall], None],
        post: Callable[..., None],
        settle: Callable[[], Awaitable[None]],
        now_ms: Callable[[], float],
        remember: Callable[[Call], Awaitable[Sequence[EarlierCall]]] | None = None,
    ) -> None:
        self._call_id = call_id
        self._settle = settle
        self._brain = brain
        self._mouth = mouth
        self._read_call = read_call
        self._manners = manners
        self._hang_up = hang_up
        self._post = post
        self._now_ms = now_ms
        self._remember = remember
        self._earlier: Sequence[EarlierCall] = ()
        self._remembered = asyncio.Event()
        self._generation = 0
        self._quiet = asyncio.Event()
        self._quiet.set()
        self._task: asyncio.Task[None] | None = None
        self._reply: _Reply | None = None
        self._late: asyncio.Task[None] | None = None

    @property
    def pending(self) -> bool:
        """A reply is being made."""
        return self._task is not None and not self._task.done()

    @property
    def quiet(self) -> bool:
        """The caller does not speak, as far as we know."""
        return self._quiet.is_set()

    async def prepare(self) -> None:
        """While the phone rings: fetch what is remembered, and let the brain get ready."""
        call = self._read_call()
        try:
            if call is not None and self._remember is not None:
                self._earlier = await self._remember(call)
        finally:
            self._remembered.set()
        if call is not None and isinstance(self._brain, FollowsCalls):
            try:
                await self._brain.call_begins(self._conversation(""))
            except Exception as error:  # an early help that fails must not end the call
                log.warning("call %s: the brain %s is not ready: %s", self._call_id, self._brain.name, error)

    async def close(self) -> None:
        """The call is over."""
        if isinstance(self._brain, FollowsCalls):
            try:
                await self._brain.call_ends(self._call_id)
            except Exception as error:  # the call is over whatever the brain makes of it
                log.warning("call %s: the brain %s did not let go: %s", self._call_id, self._brain.name, error)

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
        task, self._task = self._task, None
        reply, self._reply = self._reply, None
        if reply is not None:
            reply.holding.end()
        if task is None or task.done():
            return
        if reply is not None and reply.late and not reply.lines:
            if self._late is not None:
                self._late.cancel()  # one at a time
            self._late = task
        else:
            task.cancel()

    def answer(self, text: str, clock: TurnClock, group: asyncio.TaskGroup) -> None:
        """Answer what the caller just said; nothing for keys, which the record knows."""
        self.revoke("a newer turn of the caller")
        clock.engines["brain"] = self._brain.name
        holding = Holding(self._mouth, self._manners, self._quiet.is_set)
        self._reply = _Reply(self._generation, clock, self._manners.timeout_s, holding)
        self._task = group.create_task(self._answer(self._reply, text))

    async def _answer(self, reply: _Reply, text: str) -> None:
        ended = reply.clock.points.get("ended", reply.clock.points.get("text", self._now_ms()))
        reply.holding.begin((self._now_ms() - ended) / 1000)
        try:
            await self._settle()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(MEMORY_SECONDS):
                    await self._remembered.wait()
            end = await self._speak_reply(text, reply)
        except TimeoutError:
            self._failed(reply, f"no reply within {self._manners.timeout_s + reply.late * self._manners.late_s:g} s")
            return
        except SpeechUnavailable as error:
            self._failed(reply, str(error), error.hint)
            return
        except Exception as error:
            log.exception("call %s: the brain failed", self._call_id)
            self._failed(reply, f"the brain {self._brain.name} failed: {type(error).__name__}")
            return
        finally:
            reply.holding.end()
        if reply.unsaid:
            facts = {"turn": reply.clock.turn, "text": " ".join(reply.unsaid), "spoken": False}
            self._post(Draft("reply.late", self._call_id, facts))
        if end is not None:
            await self._end_when_heard(reply, end)

    async def _speak_reply(self, heard: str, reply: _Reply) -> EndCall | None:
        """Say the reply sentence by sentence; returns how the call should end after it, if so."""
        cutter = SentenceCutter()
        end: EndCall | None = None
        async with aclosing(self._brain.reply(self._conversation(heard))) as outputs:
            while (output := await self._next(outputs, reply)) is not None:
                match output:
                    case Words(text=text):
                        reply.wordy = True
                        reply.clock.reach("words", self._now_ms())
                        for sentence in cutter.feed(text):
                            await self._say(sentence, reply)
                    case EndCall():
                        end = output
        for sentence in cutter.flush():
            await self._say(sentence, reply)
        if end is not None and end.farewell and not (reply.lines or reply.unsaid):
            for sentence in [*cutter.feed(end.farewell), *cutter.flush()]:
                await self._say(sentence, reply)
        if reply.wordy and end is None and not (reply.lines or reply.unsaid):
            raise SpeechUnavailable("the reply held nothing that can be said")
        return end

    async def _next(self, outputs: AsyncGenerator[BrainOutput, None], reply: _Reply) -> BrainOutput | None:
        """What the brain says next; None at its end. Raises TimeoutError when it takes too long."""
        step = asyncio.create_task(_step(outputs))
        try:
            while True:
                began = self._now_ms()
                await asyncio.wait([step], timeout=max(0.0, reply.left))
                reply.left -= (self._now_ms() - began) / 1000
                if step.done():
                    return step.result()
                self._overdue(reply)
        finally:
            if not step.done():  # the generator can be closed only when nobody waits for it
                step.cancel()
                await asyncio.wait([step])

    def _overdue(self, reply: _Reply) -> None:
        """The time of a reply is up. Raises TimeoutError unless it may still come."""
        if reply.late or reply.lines or not self._manners.late_s:
            raise TimeoutError
        reply.late = True
        reply.left = self._manners.late_s
        reply.holding.end()
        error = f"no reply within {self._manners.timeout_s:g} s; it may still come"
        self._post(Draft("reply.failed", self._call_id, {"turn": reply.clock.turn, "error": error, "late": True}))
        self._apologise(reply, OVERDUE)

    async def _say(self, sentence: str, reply: _Reply) -> None:
        """Queue one sentence. Waiting for the caller to be quiet, or for earlier lines, is not the brain's time."""
        reply.holding.end()
        began = self._now_ms()
        await self._quiet.wait()
        await self._mouth.room()
        reply.clock.exclude(began, self._now_ms())
        if reply.generation != self._generation:
            reply.unsaid.append(sentence)
            return
        reply.left = self._manners.timeout_s
        reply.clock.reach("sentence", self._now_ms())
        first = not reply.lines
        if first and reply.late:
            self._post(
                Draft("reply.late", self._call_id, {"turn": reply.clock.turn, "text": sentence, "spoken": True})
            )
            reply.lines.append(self._mouth.say(HERE_IT_IS, kind="reply"))
            await self._mouth.room()
        clock = reply.clock if first and not reply.late else None
        reply.lines.append(self._mouth.say(sentence, kind="reply", clock=clock))
        reply.holding.again()

    async def _end_when_heard(self, reply: _Reply, end: EndCall) -> None:
        """Hang up after the farewell was heard, unless the caller speaks again meanwhile."""
        endings = [await line.done for line in reply.lines]
        if "cut" in endings or reply.generation != self._generation:
            return
        if not end.voicemail:
            await asyncio.sleep(GRACE_SECONDS)
        await self._quiet.wait()  # whoever speaks now is listened to: what they say is a turn, which revokes this
        if reply.generation == self._generation:
            self._hang_up(end)

    def _failed(self, reply: _Reply, error: str, hint: str = "") -> None:
        facts = {"turn": reply.clock.turn, "error": error} | ({"hint": hint} if hint else {})
        self._post(Draft("reply.failed", self._call_id, facts))
        reply.holding.end()
        self._apologise(reply, BROKE_OFF if reply.lines else GAVE_UP if reply.late else APOLOGY)

    def _apologise(self, reply: _Reply, words: str) -> None:
        if reply.generation == self._generation and not self._mouth.full:
            self._mouth.say(words, kind="reply")

    def _conversation(self, heard: str) -> Conversation:
        call = self._read_call()
        if call is None:
            raise SpeechUnavailable("the call is gone")
        return told.conversation(call, self._earlier, heard)


async def _step(outputs: AsyncGenerator[BrainOutput, None]) -> BrainOutput | None:
    return await anext(outputs, None)
