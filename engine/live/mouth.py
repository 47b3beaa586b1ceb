"""Our side's voice in one call: what waits to be said, what is being said, and what of it was heard.

Lines are spoken strictly one after the other. Each ends in exactly one of heard, cut, skipped and failed, and
whoever asked for it learns which. The next line is synthesized while the one before still plays.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final, Literal

from engine.calls import Draft, Speaker
from engine.live.turn_clock import Point, TurnClock
from engine.media.audio import PHONE, Audio
from engine.media.convert import PhoneConverter
from engine.media.dtmf import pressed, tones
from engine.media.ledger import heard_text
from engine.media.playout import Playout
from engine.speech.ports import SpeechUnavailable, Voice

log = logging.getLogger(__name__)

Kind = Literal["greeting", "reply", "speak", "notify", "hold", "keys"]
"""`keys` are tones and no words: `text` holds the keys, and they are not part of the transcript."""
Ending = Literal["heard", "cut", "skipped", "failed"]

MAX_LINES: Final = 8
"""Lines that may wait; one more is refused."""
SYNTHESIS_SECONDS: Final = 20.0
"""How long the voice may take for one line."""
MS_PER_CHARACTER: Final = 65
"""How long a character takes to say, for a line that was cut before it was synthesized to the end."""


class MouthFull(Exception):
    """Too many lines wait to be spoken."""


class _Stage(Enum):
    QUEUED = auto()
    PLAYING = auto()
    OVER = auto()


@dataclass(slots=True, eq=False)
class Utterance:
    """One line of ours on its way to the caller."""

    say_id: str
    speaker: Speaker
    kind: Kind
    text: str
    done: asyncio.Future[Ending]
    clock: TurnClock | None = None
    prepared: asyncio.Task[list[Audio]] | None = None
    stage: _Stage = _Stage.QUEUED
    synth_ms: int = 0
    complete: bool = False
    begun: bool = False
    """Its synthesis has begun."""
    heard_text: str = ""
    """What was heard of it when it was cut."""
    error: str = ""

    @property
    def full_ms(self) -> int:
        """How long the whole line is, estimated while it is not synthesized to its end."""
        return self.synth_ms if self.complete else max(self.synth_ms, len(self.text) * MS_PER_CHARACTER)

    def heard(self, ms: int) -> str:
        """What of it was heard after `ms`."""
        return pressed(self.text, ms) if self.kind == "keys" else heard_text(self.text, ms, self.full_ms)


class Mouth:
    """The voice of one call. `run` belongs to the call's task group; all else is called from the same loop."""

    def __init__(
        self,
        call_id: str,
        voice: Voice,
        voice_name: str,
        post: Callable[..., None],
        now_ms: Callable[[], float],
    ) -> None:
        self._call_id = call_id
        self._voice = voice
        self._voice_name = voice_name
        self._post = post
        self._now_ms = now_ms
        self._ids = itertools.count(1)
        self._waiting: asyncio.Queue[Utterance] = asyncio.Queue()
        self._lines: dict[str, Utterance] = {}
        self._playout: Playout | None = None
        self._attached = asyncio.Event()
        self._synthesis: asyncio.Task[None] | None = None
        self.on_line: Callable[[str], None] = lambda text: None
        """Told what the caller begins to hear."""

    @property
    def speaking(self) -> bool:
        """The caller hears us now."""
        return any(line.stage is _Stage.PLAYING for line in self._lines.values())

    @property
    def busy(self) -> bool:
        """Something is being said or waits to be."""
        return bool(self._lines)

    @property
    def full(self) -> bool:
        """No further line is taken now."""
        return len(self._lines) >= MAX_LINES

    async def room(self) -> None:
        """Return once another line would be taken."""
        while self.full:
            await asyncio.wait([line.done for line in self._lines.values()], return_when=asyncio.FIRST_COMPLETED)

    def prepare(self, text: str, group: asyncio.TaskGroup) -> asyncio.Task[list[Audio]]:
        """Synthesize ahead of time, while the phone still rings. Give the task to `say`."""
        return group.create_task(self._collect(text))

    def say(
        self,
        text: str,
        *,
        speaker: Speaker = "agent",
        kind: Kind = "speak",
        clock: TurnClock | None = None,
        prepared: asyncio.Task[list[Audio]] | None = None,
    ) -> Utterance:
        """Queue a line. Raises MouthFull."""
        if self.full:
            raise MouthFull(f"{MAX_LINES} lines wait already")
        done: asyncio.Future[Ending] = asyncio.get_running_loop().create_future()
        say_id = f"{self._call_id[:8]}-{next(self._ids)}-{self._now_ms():.0f}"
        line = Utterance(say_id, speaker, kind, text, done, clock, prepared)
        self._lines[say_id] = line
        self._post(
            Draft(
                "say.queued",
                self._call_id,
                {"sayId": say_id, "speaker": speaker, "kind": kind, "text": text},
            )
        )
        self._waiting.put_nowait(line)
        return line

    def attach(self, playout: Playout) -> None:
        """A media stream is up: lines that wait go out on it."""
        self._playout = playout
        playout.on_started = self._started
        playout.on_progress = self._progress
        playout.on_heard = self._heard
        self._attached.set()

    def detach(self) -> None:
        """The stream is gone: what was playing is cut where it was heard last; what waits goes on waiting."""
        self._attached.clear()
        for draft in self._cut_playing():
            self._post(draft)
        self._playout = None
        self._queue_again()

    def cut(self, why: str) -> None:
        """Be silent now."""
        for draft in self.silence(why):
            self._post(draft)

    def interrupted(self, why: str) -> None:
        """The caller speaks over us: the agent is silent. What a person wants said is said afterwards.

        Keys are not talk: a voice menu goes on speaking while they are pressed, and half a number is worse than none.
        """
        pressing = any(line.kind == "keys" and line.stage is _Stage.PLAYING for line in self._lines.values())
        if not pressing:
            for draft in self._cut_playing():
                self._post(draft)
        for line in list(self._lines.values()):
            if line.speaker != "operator" and line.kind != "keys" and line.stage is _Stage.QUEUED:
                self._skip(line, why)
        if not pressing:
            self._queue_again()

    def _queue_again(self) -> None:
        """Lines whose audio was thrown away before it was heard are made once more, in their order."""
        while not self._waiting.empty():
            self._waiting.get_nowait()
        for line in self._lines.values():
            line.synth_ms, line.complete, line.begun = 0, False, False
            self._waiting.put_nowait(line)
        if self._synthesis is not None:
            self._synthesis.cancel()

    def skip_replies(self, why: str) -> None:
        """Drop reply lines that have not begun to play."""
        for line in list(self._lines.values()):
            if line.kind == "reply" and line.stage is _Stage.QUEUED:
                self._skip(line, why)

    def _skip(self, line: Utterance, why: str) -> None:
        self._post(Draft("say.skipped", self._call_id, {"sayId": line.say_id, "why": why}))
        self._end(line, "skipped")
        if self._playout is not None:
            self._playout.drop(line.say_id)

    def silence(self, why: str) -> list[Draft]:
        """Stop everything, and return the facts of it for the caller to record."""
        drafts = self._cut_playing()
        for line in list(self._lines.values()):
            drafts.append(Draft("say.skipped", self._call_id, {"sayId": line.say_id, "why": why}))
            self._end(line, "skipped")
        if self._synthesis is not None:
            self._synthesis.cancel()
        return drafts

    async def run(self) -> None:
        """Speak what is queued, for the life of the call."""
        while True:
            line = await self._waiting.get()
            await self._attached.wait()
            if line.stage is _Stage.OVER or line.begun:
                continue
            line.begun = True
            self._synthesis = asyncio.create_task(self._speak(line))
            try:
                await asyncio.wait([self._synthesis])
            finally:
                self._synthesis.cancel()

    async def _speak(self, line: Utterance) -> None:
        try:
            async with asyncio.timeout(SYNTHESIS_SECONDS):
                await self._push(line)
        except SpeechUnavailable as error:
            self._fail(line, str(error))
        except TimeoutError:
            self._fail(line, f"the voice {self._voice.name} took more than {SYNTHESIS_SECONDS:.0f} s")
        except Exception as error:
            log.exception("call %s: the voice failed", self._call_id)
            self._fail(line, f"the voice {self._voice.name} failed: {type(error).__name__}")

    async def _push(self, line: Utterance) -> None:
        playout = self._playout
        if playout is None:
            self._fail(line, "the media stream was lost")
            return
        converter: PhoneConverter | None = None
        pieces = self._prepared(line.prepared) if line.prepared else self._sound(line)
        async with aclosing(pieces):
            async for piece in pieces:
                if converter is None:
                    self._reach(line, "audio")
                    converter = PhoneConverter(piece.format)
                    playout.begin(line.say_id)
                self._send(playout, line, converter.feed(piece.data))
                await asyncio.sleep(0)  # audio that is all there at once must not hold up the other calls
        if converter is None:
            self._fail(line, "the voice gave no audio")
            return
        self._send(playout, line, converter.flush())
        line.complete, line.prepared = True, None
        playout.finish(line.say_id)

    def _send(self, playout: Playout, line: Utterance, payload: bytes) -> None:
        if payload and line.stage is not _Stage.OVER:
            line.synth_ms += len(payload) * 1000 // PHONE.bytes_per_second
            playout.push(line.say_id, payload)

    def _sound(self, line: Utterance) -> AsyncGenerator[Audio, None]:
        return _tones(line.text) if line.kind == "keys" else self._pieces(line.text)

    def _pieces(self, text: str) -> AsyncGenerator[Audio, None]:
        return self._voice.speak(text, self._voice_name)

    @staticmethod
    async def _prepared(task: asyncio.Task[list[Audio]]) -> AsyncGenerator[Audio, None]:
        for piece in await asyncio.shield(task):
            yield piece

    async def _collect(self, text: str) -> list[Audio]:
        """All audio of a text, as the telephone takes it; empty when the voice fails, which the line then reports."""
        try:
            async with asyncio.timeout(SYNTHESIS_SECONDS), aclosing(self._telephone_pieces(text)) as pieces:
                return [piece async for piece in pieces]
        except (SpeechUnavailable, TimeoutError) as error:
            log.warning("call %s: not prepared: %s", self._call_id, error)
            return []

    async def _telephone_pieces(self, text: str) -> AsyncGenerator[Audio, None]:
        """Converted at once: a greeting may wait for long, and is a quarter of the size then."""
        converter: PhoneConverter | None = None
        async with aclosing(self._pieces(text)) as pieces:
            async for piece in pieces:
                converter = converter or PhoneConverter(piece.format)
                yield Audio(PHONE, converter.feed(piece.data))
                await asyncio.sleep(0)
        if converter is not None:
            yield Audio(PHONE, converter.flush())

    def _started(self, say_id: str) -> None:
        line = self._lines.get(say_id)
        if line is None:
            return
        line.stage = _Stage.PLAYING
        if line.kind != "keys":
            self.on_line(line.text)
        self._reach(line, "frame")
        self._post(Draft("say.started", self._call_id, {"sayId": say_id, "synthMs": line.synth_ms}))

    def _progress(self, say_id: str, heard_ms: int) -> None:
        line = self._lines.get(say_id)
        if line is not None and heard_ms > 0:
            self._reach(line, "mark")

    def _heard(self, say_id: str, ms: int, confirmed: bool) -> None:
        line = self._lines.get(say_id)
        if line is None:
            return
        self._reach(line, "mark")
        data: dict[str, object] = {"sayId": say_id, "ms": ms}
        if not confirmed:
            data["unconfirmed"] = True
        self._post(Draft("say.heard", self._call_id, data))
        self._end(line, "heard")

    def _cut_playing(self) -> list[Draft]:
        """Empty the carrier's buffer; the line that was playing keeps what was heard of it."""
        if self._playout is None:
            return []
        cleared = self._playout.clear()
        drafts: list[Draft] = []
        for line in list(self._lines.values()):
            if line.stage is not _Stage.PLAYING:
                continue
            ms = cleared[1] if cleared is not None and cleared[0] == line.say_id else 0
            line.heard_text = text = line.heard(ms)
            if text == line.text:
                drafts.append(Draft("say.heard", self._call_id, {"sayId": line.say_id, "ms": ms}))
                self._end(line, "heard")
                continue
            drafts.append(Draft("say.cut", self._call_id, {"sayId": line.say_id, "heardMs": ms, "heardText": text}))
            self._end(line, "cut")
        return drafts

    def _fail(self, line: Utterance, error: str) -> None:
        if line.stage is _Stage.OVER:
            return
        line.error = error
        if self._playout is not None:
            self._playout.drop(line.say_id)
        self._post(Draft("say.failed", self._call_id, {"sayId": line.say_id, "error": error}))
        self._end(line, "failed")

    def _end(self, line: Utterance, ending: Ending) -> None:
        line.stage = _Stage.OVER
        self._lines.pop(line.say_id, None)
        if line.prepared is not None:
            line.prepared.cancel()
        if not line.done.done():
            line.done.set_result(ending)

    def _reach(self, line: Utterance, point: Point) -> None:
        clock = line.clock
        if clock is None or clock.reported:
            return
        clock.reach(point, self._now_ms())
        stages = clock.stages()
        if stages is not None:
            clock.reported = True
            self._post(Draft("turn.completed", self._call_id, {"turn": clock.turn, "stages": stages}))


async def _tones(digits: str) -> AsyncGenerator[Audio, None]:
    yield Audio(PHONE, tones(digits))
