"""Our side's voice on a media stream: what waits to be said, what is being said, and what of it was heard.

What lines are is in `lines`. The next line is synthesized while the one before still plays.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import replace
from typing import Final

from engine.calls import Draft
from engine.live.lines import Speaking, Stage, Utterance
from engine.live.prepared import Prepared
from engine.media.audio import PHONE, Audio
from engine.media.convert import PhoneConverter
from engine.media.dtmf import tones
from engine.media.playout import Playout
from engine.speech.ports import SpeechUnavailable, Voice
from engine.speech.tts.spoken import SpokenAudio

log = logging.getLogger(__name__)

SYNTHESIS_SECONDS: Final = 20.0
"""For how long the voice may give nothing. A line may take longer: a voice need not be quicker than speech."""
POLITE_SECONDS: Final = 8.0
"""How long what a person or a program wants said waits for a caller who interrupted us to come to an end."""
AHEAD_MS: Final = 30_000
"""How far the voice is let run ahead of what is sent, of one line."""
PORTION_MS: Final = 10_000
"""Audio that is handed on at once."""
LINE_LIMIT_MS: Final = 600_000
"""No text that we take is longer: a voice that goes on is broken."""
ROOM_SECONDS: Final = 1.0
"""How often a voice that is far ahead looks whether it may go on."""


class Mouth(Speaking):
    """The voice of a call that has a media stream."""

    def __init__(
        self,
        call_id: str,
        voice: Voice,
        voice_name: str,
        post: Callable[..., None],
        now_ms: Callable[[], float],
    ) -> None:
        super().__init__(call_id, post, now_ms)
        self._voice = voice
        self.voice_engine = voice.name
        self._voice_name = voice_name
        self._waiting: asyncio.Queue[Utterance] = asyncio.Queue()
        self._playout: Playout | None = None
        self._attached = asyncio.Event()
        self._synthesis: asyncio.Task[None] | None = None
        self._made: Utterance | None = None
        """What is being synthesized, or was last."""
        self.on_line: Callable[[str], None] = lambda text: None
        """Told what the caller begins to hear."""

    def prepare(self, text: str, group: asyncio.TaskGroup) -> Prepared:
        """Synthesize ahead of time, while the phone still rings. Give it to `say`."""
        return Prepared(self._telephone_pieces(text), group)

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

    def _queued(self, line: Utterance) -> None:
        self._waiting.put_nowait(line)

    def _interrupted(self) -> None:
        self._queue_again()

    def _queue_again(self) -> None:
        """Lines whose audio was thrown away before it was heard are made once more, in their order."""
        while not self._waiting.empty():
            self._waiting.get_nowait()
        for line in self._lines.values():
            line.synth_ms, line.complete, line.begun = 0, False, False
            line.error, line.replaced = "", 0
            self._waiting.put_nowait(line)
        if self._synthesis is not None:
            self._synthesis.cancel()

    def _dropped(self, line: Utterance) -> None:
        if self._playout is not None:
            self._playout.drop(line.say_id)
        making = self._synthesis
        if line is self._made and making is not None and making is not asyncio.current_task():
            making.cancel()  # nobody will hear it: the voice can stop

    def _silenced(self) -> None:
        if self._synthesis is not None:
            self._synthesis.cancel()

    async def run(self) -> None:
        """Speak what is queued, for the life of the call."""
        while True:
            line = await self._waiting.get()
            await self._attached.wait()
            if line.stays and line.kind != "keys":
                await self._until_caller_is_over()
            if line.stage is Stage.OVER or line.begun:
                continue
            line.begun = True
            self._made = line
            self._synthesis = asyncio.create_task(self._speak(line))
            try:
                await asyncio.wait([self._synthesis])
            finally:
                self._synthesis.cancel()

    async def _until_caller_is_over(self) -> None:
        """What is wanted said is not said into the caller's words. Who never stops is spoken to all the same."""
        try:
            async with asyncio.timeout(POLITE_SECONDS):
                await self._caller_over.wait()
        except TimeoutError:
            self.caller_over()

    async def _speak(self, line: Utterance) -> None:
        try:
            async with asyncio.timeout(SYNTHESIS_SECONDS) as limit:
                await self._push(line, limit)
        except SpeechUnavailable as error:
            self._break(line, str(error))
        except TimeoutError:
            self._break(line, f"the voice {self._voice.name} took more than {SYNTHESIS_SECONDS:.0f} s")
        except Exception as error:
            log.exception("call %s: the voice failed", self._call_id)
            self._break(line, f"the voice {self._voice.name} failed: {type(error).__name__}")

    def _break(self, line: Utterance, error: str) -> None:
        """The voice is gone: what there is of the line is spoken, and its end says that this was not all."""
        if self._playout is None or not line.synth_ms or line.stage is Stage.OVER:
            self._fail(line, error)
            return
        line.error = error
        self._playout.finish(line.say_id)

    async def _push(self, line: Utterance, limit: asyncio.Timeout) -> None:
        playout = self._playout
        if playout is None:
            self._fail(line, "the media stream was lost")
            return
        converter: PhoneConverter | None = None
        async with aclosing(self._audio(line, limit)) as pieces:
            async for piece in pieces:
                self._tell_voice(line, piece)
                if converter is None:
                    self._reach(line, "audio")
                    converter = PhoneConverter(piece.format)
                    playout.begin(line.say_id)
                await self._send(playout, line, converter.feed(piece.data), limit)
                await asyncio.sleep(0)  # audio that is all there at once must not hold up the other calls
        if converter is None:
            self._fail(line, "the voice gave no audio")
            return
        await self._send(playout, line, converter.flush(), limit)
        line.complete, line.prepared = True, None
        playout.finish(line.say_id)

    async def _send(self, playout: Playout, line: Utterance, payload: bytes, limit: asyncio.Timeout) -> None:
        """Hand audio on, as far as there is room: waiting for the caller to hear it is not the voice's time."""
        portion = PHONE.bytes_for(PORTION_MS)
        for at in range(0, len(payload), portion):
            limit.reschedule(None)
            while line.stage is not Stage.OVER and playout.waiting_ms(line.say_id) > AHEAD_MS:
                await asyncio.wait([line.done], timeout=ROOM_SECONDS)
            limit.reschedule(asyncio.get_running_loop().time() + SYNTHESIS_SECONDS)
            if line.stage is Stage.OVER:
                return
            part = payload[at : at + portion]
            line.synth_ms += len(part) * 1000 // PHONE.bytes_per_second
            if line.synth_ms > LINE_LIMIT_MS:
                most = LINE_LIMIT_MS // 60_000
                raise SpeechUnavailable(f"the voice {self._voice.name} does not stop: over {most} min for one line")
            playout.push(line.say_id, part)

    async def _audio(self, line: Utterance, limit: asyncio.Timeout) -> AsyncGenerator[Audio, None]:
        """What was made of a line ahead of time, where that came to something; else it is made now."""
        if line.prepared is not None:
            limit.reschedule(None)  # that has a limit of its own
            some = False
            async with aclosing(line.prepared.pieces()) as made:
                async for piece in made:
                    some = True
                    yield piece
            if some:
                return
            limit.reschedule(asyncio.get_running_loop().time() + SYNTHESIS_SECONDS)
        async with aclosing(self._sound(line)) as pieces:
            async for piece in pieces:
                yield piece

    def _tell_voice(self, line: Utterance, piece: Audio) -> None:
        """Who speaks is a fact of the line, and who should have but could not is one of its own."""
        if not isinstance(piece, SpokenAudio):
            return
        line.voice, line.cached = piece.engine, piece.cached
        for failure in piece.failures[line.replaced :]:
            facts = {"sayId": line.say_id, "engine": failure.engine, "to": piece.engine, "error": failure.error}
            more = {"hint": failure.hint, "afterMs": failure.after_ms}
            self._post(Draft("say.fallback", self._call_id, {**facts, **{k: v for k, v in more.items() if v}}))
        line.replaced = len(piece.failures)

    def _sound(self, line: Utterance) -> AsyncGenerator[Audio, None]:
        return _tones(line.text) if line.kind == "keys" else self._pieces(line.text)

    def _pieces(self, text: str) -> AsyncGenerator[Audio, None]:
        return self._voice.speak(text, self._voice_name)

    async def _telephone_pieces(self, text: str) -> AsyncGenerator[Audio, None]:
        """Converted at once: a greeting may wait for long, and is a quarter of the size then."""
        converter: PhoneConverter | None = None
        async with aclosing(self._pieces(text)) as pieces:
            async for piece in pieces:
                converter = converter or PhoneConverter(piece.format)
                data = converter.feed(piece.data)
                yield replace(piece, data=data) if piece.format == PHONE else Audio(PHONE, data)
                await asyncio.sleep(0)
        if converter is not None:
            yield Audio(PHONE, converter.flush())

    def _started(self, say_id: str) -> None:
        line = self._lines.get(say_id)
        if line is None:
            return
        line.stage = Stage.PLAYING
        line.since_ms = self._now_ms()
        if line.kind != "keys":
            self.on_line(line.text)
        self._reach(line, "frame")
        facts: dict[str, object] = {"sayId": say_id, "synthMs": line.synth_ms}
        if line.voice:
            facts["engine"] = line.voice
        if line.cached:
            facts["cached"] = True
        self._post(Draft("say.started", self._call_id, facts))

    def _progress(self, say_id: str, heard_ms: int) -> None:
        line = self._lines.get(say_id)
        if line is not None and heard_ms > 0:
            self._reach(line, "mark")

    def _heard(self, say_id: str, ms: int, confirmed: bool) -> None:
        line = self._lines.get(say_id)
        if line is None:
            return
        self._reach(line, "mark")
        over = self._was_stopped if line.error else self._was_heard
        self._post(over(line, ms, confirmed=confirmed))

    def _cut_playing(self) -> list[Draft]:
        """Empty the carrier's buffer; the line that was playing keeps what was heard of it."""
        if self._playout is None:
            return []
        cleared = self._playout.clear()
        drafts: list[Draft] = []
        for line in self._at(Stage.PLAYING):
            ms = cleared[1] if cleared is not None and cleared[0] == line.say_id else 0
            drafts.append(self._was_stopped(line, ms, confirmed=True))
        return drafts


async def _tones(digits: str) -> AsyncGenerator[Audio, None]:
    yield Audio(PHONE, tones(digits))
