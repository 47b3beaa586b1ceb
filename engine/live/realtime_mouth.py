"""Our side's voice in a call that a speech-to-speech model holds.

The agent's lines are the model's own voice: those that it makes up, and those that it is told to say. A person's
lines, and what has to be said when the model can not, are our text-to-speech voice's; each stands in for the other.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, Final, Protocol

from engine.calls import Draft
from engine.live.lines import Ending, Kind, Utterance
from engine.live.mouth import Mouth
from engine.live.prepared import Prepared
from engine.live.realtime_line import ModelLine, ModelLost
from engine.live.turn_clock import TurnClock
from engine.media.audio import Audio
from engine.speech.ports import SpeechUnavailable

log = logging.getLogger(__name__)

LINE_SECONDS: Final = 1.0
"""How long a line waits for the service before our voice says it: somebody waits on the telephone. First words have
waited already, for our ears (`engine.live.streamed`)."""


class Model(Protocol):
    """What the mouth needs of the model's side of the call."""

    @property
    def speaks(self) -> bool:
        """The model holds the call; false: it was lost for good."""

    async def prepare(self, text: str) -> None:
        """Have a line made ahead of time."""

    @property
    def name(self) -> str:
        """Who it is."""

    async def say_line(self, text: str, patience: float) -> ModelLine:
        """Have the model say exactly this; the service may take `patience` seconds to be there. Raises ModelLost."""

    async def caller_quiet(self) -> None:
        """Return when the caller does not speak."""

    def cut(self, line: ModelLine, heard_ms: int) -> None:
        """The caller hears no more of a line than this."""

    def was_said(self, line: Utterance, ending: Ending, *, by_model: bool) -> None:
        """A line of ours is over."""


class RealtimeMouth(Mouth):
    """The voice of one such call."""

    def __init__(self, model: Model, *args: Any) -> None:
        """`args` are those of `Mouth`."""
        super().__init__(*args)
        self._model = model
        self._sources: dict[str, ModelLine] = {}
        """Lines that the model speaks."""
        self._stand_ins: set[str] = set()
        """Agent's lines that the model can not say."""

    def prepare(self, text: str, group: asyncio.TaskGroup) -> Prepared:
        """The model keeps what it prepares, and our voice does not wait for it: what is returned is empty."""
        group.create_task(self._model.prepare(text))
        return Prepared(_nothing(), group)

    def stand_in(self, text: str, kind: Kind = "reply") -> Utterance:
        """Say a line for the model, which can not. Raises MouthFull."""
        line = self.say(text, kind=kind)
        self._stand_ins.add(line.say_id)
        return line

    def model_says(self, source: ModelLine, clock: TurnClock | None) -> Utterance:
        """Queue what the model has begun to say. Raises MouthFull."""
        line = self.say(source.text, kind="reply", clock=clock)
        self._join(line, source)
        return line

    def worded(self, source: ModelLine) -> None:
        """The model's words for a line are all known."""
        line = source.utterance
        if line is not None and source.text and line.text != source.text:
            line.text = source.text
            self._post(Draft("say.worded", self._call_id, {"sayId": line.say_id, "text": source.text}))
        if line is not None and line.say_id in self._lines and line.text:
            self.on_line(line.text)

    def _join(self, line: Utterance, source: ModelLine) -> None:
        self._sources[line.say_id] = source
        source.utterance = line
        line.voice = self._model.name

    def _sound(self, line: Utterance) -> AsyncGenerator[Audio, None]:
        if line.kind == "keys" or not self._model.speaks:
            return super()._sound(line)
        if line.say_id in self._sources:
            return self._reply(self._sources[line.say_id])
        voice_first = line.speaker == "operator" or line.kind in ("hold", "notify") or line.say_id in self._stand_ins
        return self._voiced(line) if voice_first else self._modelled(line)

    async def _reply(self, source: ModelLine) -> AsyncGenerator[Audio, None]:
        """What the model says by itself; it does not begin while the caller speaks."""
        await self._model.caller_quiet()
        try:
            async with aclosing(source.audio()) as pieces:
                async for piece in pieces:
                    yield piece
        except ModelLost as error:
            raise SpeechUnavailable(str(error)) from error
        self._check(source)

    @staticmethod
    def _check(source: ModelLine) -> None:
        """A line that broke off was not said to its end, and its record says so. Raises SpeechUnavailable."""
        if source.failed and not source.settled:
            raise SpeechUnavailable(source.failed)

    async def _told(self, line: Utterance) -> AsyncGenerator[Audio, None]:
        """What the model says because it is told to. Raises ModelLost, and SpeechUnavailable when it breaks off."""
        source = await self._model.say_line(line.text, LINE_SECONDS)
        self._join(line, source)
        async with aclosing(source.audio()) as pieces:
            async for piece in pieces:
                yield piece
        self._check(source)

    async def _modelled(self, line: Utterance) -> AsyncGenerator[Audio, None]:
        """In the model's voice, or else in ours."""
        try:
            async with aclosing(self._told(line)) as pieces:
                async for piece in pieces:
                    yield piece
            return
        except ModelLost as error:
            log.warning("call %s: our voice stands in for the model: %s", self._call_id, error)
            self._sources.pop(line.say_id, None)
            line.voice = ""
        async with aclosing(super()._sound(line)) as pieces:
            async for piece in pieces:
                yield piece

    async def _voiced(self, line: Utterance) -> AsyncGenerator[Audio, None]:
        """In our voice, or else in the model's."""
        begun = False
        try:
            async with aclosing(super()._sound(line)) as pieces:
                async for piece in pieces:
                    begun = True
                    yield piece
            return
        except SpeechUnavailable as error:
            if begun or line.say_id in self._stand_ins:
                raise
            problem = error
        try:
            async with aclosing(self._told(line)) as pieces:
                async for piece in pieces:
                    yield piece
        except ModelLost:
            raise problem from None

    def _was_stopped(self, line: Utterance, ms: int, *, confirmed: bool) -> Draft:
        source = self._sources.get(line.say_id)
        if source is not None:
            self.worded(source)
            self._model.cut(source, ms)
        return super()._was_stopped(line, ms, confirmed=confirmed)

    def _end(self, line: Utterance, ending: Ending) -> None:
        super()._end(line, ending)
        source = self._sources.pop(line.say_id, None)
        self._stand_ins.discard(line.say_id)
        self._model.was_said(line, ending, by_model=source is not None)
        if source is None:
            return
        if ending == "heard":
            source.settled = True
        else:
            self._model.cut(source, 0)


async def _nothing() -> AsyncGenerator[Audio, None]:
    nothing: tuple[Audio, ...] = ()
    for piece in nothing:
        yield piece
