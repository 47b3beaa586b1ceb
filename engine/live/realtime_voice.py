"""What the model says in one call: what it was asked for, and the lines that come of it.

A response is asked for by a key of ours, and everything that comes of it is found by that key. Who asks has decided
that the agent may speak; here is only one response's way from the wish to its lines.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from engine.calls import Draft
from engine.live.lines import MouthFull, Utterance
from engine.live.realtime_line import MAX_MS, OTHER_WORDS, ModelLine, ModelLost
from engine.live.realtime_link import Link
from engine.live.realtime_mouth import RealtimeMouth
from engine.live.realtime_prompts import APOLOGY, verbatim
from engine.live.turn_clock import TurnClock
from engine.speech.realtime.core import RealtimeCore
from engine.speech.realtime.notices import (
    LineAudio,
    LineBegan,
    LineOver,
    LineText,
    Notice,
    ResponseBegan,
    ResponseOver,
    ToolCall,
)
from engine.speech.realtime.problems import Problem
from engine.speech.realtime.responses import Ask

log = logging.getLogger(__name__)

STALL_SECONDS: Final = 8.0
"""For how long the model may give nothing of what was asked for."""
HOPELESS_SECONDS: Final = 11.0
"""The session itself is given up when it has not even let go of that by then."""
PREPARE_SECONDS: Final = 15.0
"""How long the phone may ring until the service is there for what is made ahead of time."""


class Decides(Protocol):
    """Who knows whether the agent speaks for us now."""

    def wants_answer(self) -> bool:
        """What the caller says now is for the agent to answer."""

    def used(self, calls: Sequence[ToolCall], said: Sequence[Utterance]) -> None:
        """The model wants something done, in a response in which it said these lines."""


@dataclass(slots=True)
class _Asked:
    """One response that was asked for."""

    key: str
    line: ModelLine | None = None
    """The line that it is to say; None: it answers in its own words."""
    clock: TurnClock | None = None
    said: list[Utterance] = field(default_factory=list)
    calls: list[ToolCall] = field(default_factory=list)


class ModelVoice:
    """The model's responses and lines in one call."""

    mouth: RealtimeMouth

    def __init__(
        self, call_id: str, link: Link, decides: Decides, post: Callable[..., None], now_ms: Callable[[], float]
    ) -> None:
        self._call_id = call_id
        self._link = link
        self._decides = decides
        self._post = post
        self._now_ms = now_ms
        self._asked: dict[str, _Asked] = {}
        self._lines: dict[str, ModelLine] = {}
        """Item -> line that is being made."""
        self._soon = ""
        """A line that is to be made ahead of time."""
        self._early: ModelLine | None = None
        self._keys = 0
        self._progress_ms = 0.0

    @property
    def busy(self) -> bool:
        """Something was asked for that is not over."""
        return bool(self._asked)

    @property
    def replying(self) -> bool:
        """The model makes a reply."""
        return any(asked.line is None for asked in self._asked.values())

    # -- wishes -------------------------------------------------------------------------------

    def reply(self, clock: TurnClock | None, instructions: str = "") -> None:
        """Have the model go on in its own words."""
        self._ask(_Asked(self._key("reply"), clock=clock), instructions)

    async def prepare(self, text: str) -> None:
        """Have a line made ahead of time, for the next `say_line` of the same text."""
        self._soon = text
        if text and await self._connected(PREPARE_SECONDS) and self._soon == text:
            self._early = self._say(text)

    async def say_line(self, text: str, patience: float) -> ModelLine:
        """Have the model say exactly this; the service may take `patience` seconds to be there. Raises ModelLost."""
        early, self._early, self._soon = self._early, None, ""
        if early is not None and early.wanted == text and not early.failed and not early.settled:
            return early
        if not await self._connected(patience):
            given_up = self._link.given_up
            raise ModelLost(given_up.message if given_up is not None else "the service is not there")
        return self._say(text)

    def cut(self, line: ModelLine, heard_ms: int) -> None:
        """The caller hears no more of a line than this."""
        if line.settled:
            return
        line.settled = True
        line.finish()
        if line.item:
            self.do(lambda core: core.cut(line.item, heard_ms))
        elif (asked := self._asked.get(line.key)) is not None:
            self._withdraw(asked)

    def revoke(self) -> None:
        """What has not begun to be said is not wanted any more."""
        early, self._early, self._soon = self._early, None, ""
        if early is not None:
            self.cut(early, 0)
        for asked in list(self._asked.values()):
            if asked.line is None and not asked.said:
                self._withdraw(asked)

    def lost(self, problem: Problem) -> bool:
        """The session is gone. What it had said stays. True when an answer was on its way of which nothing came."""
        unanswered = any(asked.line is None and not asked.said for asked in self._asked.values())
        for asked in self._asked.values():
            if asked.line is not None:
                asked.line.finish(problem.message)
        for line in self._lines.values():
            line.finish(problem.message)
        self._asked.clear()
        self._lines.clear()
        return unanswered

    def apologise(self) -> None:
        """Our voice stands in for the model."""
        if self._decides.wants_answer() and not self.mouth.full:
            self.mouth.stand_in(APOLOGY)

    def do(self, wish: Callable[[RealtimeCore], Any]) -> None:
        """Ask something of the session, if there is one."""
        session = self._link.session
        if session is not None:
            session.do(wish(session.core))

    # -- what comes of them -------------------------------------------------------------------

    def take(self, notice: Notice) -> None:
        """A notice of the service about what the model says."""
        match notice:
            case LineAudio(item=item, audio=audio):
                self._line_audio(item, audio)
            case LineText(item=item, text=text):
                self._line_text(item, text)
            case LineBegan(key=key, item=item):
                self._line_began(key, item)
            case LineOver(item=item, text=text):
                self._line_over(item, text)
            case ToolCall(key=key) if key in self._asked:
                self._asked[key].calls.append(notice)
            case ResponseOver():
                self._response_over(notice)
        if isinstance(notice, LineAudio | LineText | LineBegan | LineOver | ToolCall | ResponseBegan | ResponseOver):
            self._progress_ms = self._now_ms()

    def watch(self, now: float) -> None:
        """A model that gives nothing is not waited for for ever."""
        session, waited = self._link.session, now - self._progress_ms
        if session is None or waited <= STALL_SECONDS * 1000:
            return
        error = f"the model gave nothing for {STALL_SECONDS:.0f} s"
        for asked in list(self._asked.values()):
            self._withdraw(asked)
            for line in self._lines.values():
                if line.key == asked.key:
                    line.finish(error)
            if asked.line is None:
                self._reply_failed(asked, error)
        if session.core.busy and waited > HOPELESS_SECONDS * 1000:
            self._link.fail(Problem("stalled", error, "the service has a problem of its own"))

    def _line_began(self, key: str, item: str) -> None:
        asked = self._asked.get(key)
        if asked is None:
            return
        line = asked.line if asked.line is not None and not asked.line.item else ModelLine(key)
        line.item = item
        self._lines[item] = line

    def _line_audio(self, item: str, audio: bytes) -> None:
        line = self._lines.get(item)
        asked = self._asked.get(line.key) if line is not None else None
        if line is None or asked is None:
            return
        line.feed(audio)
        if line.utterance is None and asked.line is None:
            self._begin(asked, line)
        if line.ms > MAX_MS:
            log.warning("call %s: the model did not stop speaking", self._call_id)
            self.do(lambda core: core.withdraw(asked.key))
            self._line_over(item, line.text)

    def _begin(self, asked: _Asked, line: ModelLine) -> None:
        """The model has begun to say something of its own."""
        clock = asked.clock if not asked.said else None
        if clock is not None:
            clock.reach("words", self._now_ms())
        try:
            asked.said.append(self.mouth.model_says(line, clock))
        except MouthFull:
            self.cut(line, 0)

    def _line_text(self, item: str, text: str) -> None:
        line = self._lines.get(item)
        if line is None:
            return
        if not line.words(text):
            self._says_something_else(line)
            return
        asked = self._asked.get(line.key)
        if asked is not None and asked.clock is not None:
            asked.clock.reach("words", self._now_ms())

    def _says_something_else(self, line: ModelLine) -> None:
        """Nobody hears it if it has not begun: our voice says what was wanted."""
        log.warning("call %s: %s", self._call_id, OTHER_WORDS)
        self._lines.pop(line.item, None)
        line.finish(OTHER_WORDS)
        self.do(lambda core: core.withdraw(line.key))
        if line.failed and not line.begun:
            self.do(lambda core: core.cut(line.item, 0))

    def _line_over(self, item: str, text: str) -> None:
        line = self._lines.pop(item, None)
        if line is not None:
            if not line.words(text or line.text):
                self._says_something_else(line)
                return
            line.finish()
            if not line.failed:
                self.mouth.worded(line)
            elif not line.begun:
                self.do(lambda core: core.cut(item, 0))

    def _response_over(self, over: ResponseOver) -> None:
        asked = self._asked.pop(over.key, None)
        if asked is None:
            return
        why = over.problem.message if over.problem is not None else over.why or over.status
        if asked.line is not None:
            asked.line.finish(f"the model did not say it: {why}")
        elif asked.calls and over.status == "completed":
            self._decides.used(asked.calls, asked.said)
        elif not asked.said and over.status in ("failed", "incomplete"):
            self._reply_failed(asked, f"the model did not answer: {why}", over.problem.hint if over.problem else "")

    def _reply_failed(self, asked: _Asked, error: str, hint: str = "") -> None:
        facts: dict[str, object] = {"turn": asked.clock.turn if asked.clock is not None else 0, "error": error}
        self._post(Draft("reply.failed", self._call_id, facts | ({"hint": hint} if hint else {})))
        if not asked.said:
            self.apologise()

    # -- small things -------------------------------------------------------------------------

    def _say(self, text: str) -> ModelLine:
        line = ModelLine(self._key("line"), text)
        self._ask(_Asked(line.key, line), verbatim(text), tools=False)
        return line

    def _ask(self, asked: _Asked, instructions: str, *, tools: bool = True) -> None:
        if not self._asked:
            self._progress_ms = self._now_ms()
        self._asked[asked.key] = asked
        self.do(lambda core: core.respond(Ask(asked.key, instructions, tools)))

    def _withdraw(self, asked: _Asked) -> None:
        self._asked.pop(asked.key, None)
        if asked.line is not None:
            asked.line.finish("it was not wanted any more")
        self.do(lambda core: core.withdraw(asked.key))

    def _key(self, what: str) -> str:
        self._keys += 1
        return f"{what}-{self._keys}"

    async def _connected(self, patience: float) -> bool:
        """Whether there is a session, after a while if need be."""
        try:
            async with asyncio.timeout(patience):
                return await self._link.wait() is not None
        except TimeoutError:
            return False
