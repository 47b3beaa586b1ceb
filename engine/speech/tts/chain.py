"""The voices of an engine: who speaks on which number, who speaks instead of them, and what was spoken lately.

A long line is cut at sentences, so that its first words are ready early and no limit is met. A piece is fetched as
fast as it comes, at most half a minute ahead of its listener. A voice that fails before its first audio is replaced;
one that breaks off in the middle is replaced from the last sentence or comma on that it certainly reached. Every
piece of audio says who made it and who could not.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Final, Protocol, runtime_checkable

from engine.media.audio import PHONE, Audio
from engine.speech.ports import SpeechUnavailable, Voice
from engine.speech.tts.cache import AudioCache
from engine.speech.tts.fitness import Fitness
from engine.speech.tts.pieces import pieces, rest_after
from engine.speech.tts.plausible import too_short
from engine.speech.tts.spoken import EngineFailure, SpokenAudio
from engine.speech.tts.telephone import telephone

log = logging.getLogger(__name__)

FIRST_CHARS: Final = 160
OTHER_CHARS: Final = 480
FIRST_AUDIO_SECONDS: Final = 3.0
"""How long a voice may be silent while there is another one to ask. The last one has its own limits."""
AHEAD_MS: Final = 30_000
"""Audio of a line that may wait for its listener before the next piece is fetched."""
MAX_PIECE_MS: Final = 180_000
"""No piece takes this long: a service that goes on and on is broken."""
CHUNK_MS: Final = 320
WARM_SECONDS: Final = 20.0
"""A voice that was not asked for so long may have lost its connection."""


@runtime_checkable
class Warmable(Protocol):
    """A voice that can have a connection open before it is needed."""

    async def warm(self) -> None:
        """Open it. Raises SpeechUnavailable."""


@dataclass(frozen=True, slots=True)
class Speaker:
    """One voice with its settings. `key` tells its audio from another's, `name` is its `voice` for engines that have
    several."""

    voice: Voice
    label: str
    key: tuple[str, ...]
    name: str = ""


class Voices:
    """The `Voice` port over all configured voices. `routes`: number of ours ("" for all others) -> who speaks on it,
    and who instead. `speak` is given the number as its `voice`."""

    def __init__(self, routes: Mapping[str, Sequence[Speaker]], cache: AudioCache | None = None) -> None:
        self._routes = dict(routes)
        self._cache = cache or AudioCache()
        self._voices = list(dict.fromkeys(speaker.voice for chain in routes.values() for speaker in chain))
        self._fitness = {voice: Fitness(voice.name) for voice in self._voices}
        self._asked_at: dict[Voice, float] = {}
        self._warming: dict[Voice, asyncio.Task[None]] = {}
        self.name = ", then ".join(speaker.label for speaker in self._routes[""])

    async def start(self) -> None:
        """Start all voices at once. Raises SpeechUnavailable when none of the first number's can be used."""
        async with asyncio.TaskGroup() as group:
            for voice in self._voices:
                group.create_task(self._start(voice))
        failed = [self._fitness[speaker.voice] for speaker in self._routes[""]]
        if all(fitness.state == "failing" for fitness in failed):
            raise SpeechUnavailable(
                "; ".join(f"{fitness.name}: {fitness.error}" for fitness in failed), failed[0].hint
            )

    async def speak(self, text: str, voice: str = "") -> AsyncGenerator[Audio, None]:
        """Telephone audio of `text` (`SpokenAudio`) as it comes. Raises SpeechUnavailable when nobody is left to ask.

        Closing it stops what is being fetched at once.
        """
        line = _Line(self, self._routes.get(voice) or self._routes[""])
        work = asyncio.create_task(line.fetch(text))
        try:
            while (piece := await line.next()) is not None:
                yield piece
        finally:
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)

    async def close(self) -> None:
        """Stop all voices."""
        for task in self._warming.values():
            task.cancel()
        await asyncio.gather(*self._warming.values(), return_exceptions=True)
        for voice in self._voices:
            await voice.close()

    def health(self) -> dict[str, Any]:
        """Who speaks, and who can not: for the operator."""
        chain = [self._fitness[speaker.voice] for speaker in self._routes[""]]
        failing = [fitness for fitness in self._fitness.values() if fitness.state == "failing"]
        now = next((fitness.name for fitness in chain if fitness.state == "ready"), "")
        instead = f"; {now} speaks instead" if now and chain[0].state == "failing" else ""
        return {
            "ok": not failing,
            "state": "ready" if now else "failed",
            "error": "; ".join(f"{fitness.name}: {fitness.error}" for fitness in failing) + instead,
            "hint": failing[0].hint if failing else "",
            "engines": [fitness.to_json() for fitness in self._fitness.values()],
        }

    # -- for the lines ------------------------------------------------------------------------

    def in_order(self, chain: Sequence[Speaker]) -> list[Speaker]:
        """Whom to ask first: those that failed a moment ago come last."""
        now = _now()
        return sorted(chain, key=lambda speaker: self._fitness[speaker.voice].rests(now))

    def failed(self, speaker: Speaker, error: SpeechUnavailable) -> None:
        """A voice could not speak."""
        log.warning("the voice %s failed: %s", speaker.label, error)
        self._fitness[speaker.voice].failed(str(error), error.hint, _now())

    async def audio(self, speaker: Speaker, text: str) -> AsyncGenerator[tuple[bytes, bool], None]:
        """Telephone audio of one piece by one voice, and whether it was spoken before. Raises SpeechUnavailable."""
        key = (*speaker.key, text)
        kept = self._cache.get(key)
        if kept is not None:
            self._keep_warm(speaker.voice)
            for chunk in _chunks(kept.data):
                yield chunk, True
            return
        whole: list[bytes] = []
        async with aclosing(self._fresh(speaker, text)) as chunks:
            async for chunk in chunks:
                whole.append(chunk)
                yield chunk, False
        self._cache.put(key, Audio(PHONE, b"".join(whole)))

    async def _fresh(self, speaker: Speaker, text: str) -> AsyncGenerator[bytes, None]:
        self._asked_at[speaker.voice] = _now()
        ms = 0
        async with aclosing(telephone(speaker.voice.speak(text, speaker.name))) as chunks:
            async for chunk in chunks:
                ms += len(chunk) * 1000 // PHONE.bytes_per_second
                if ms > MAX_PIECE_MS:
                    raise SpeechUnavailable(
                        f"the voice gave more than {MAX_PIECE_MS // 1000} s of audio for a sentence"
                    )
                yield chunk
        if not ms:
            raise SpeechUnavailable("the voice gave no audio")
        if too_short(text, ms):
            raise SpeechUnavailable(f"the voice ended after {ms} ms, in the middle of a line")
        fitness = self._fitness[speaker.voice]
        fitness.works()
        fitness.lines += 1

    def _keep_warm(self, voice: Voice) -> None:
        """A line from the cache is mostly followed by one that is not in it: see that its connection is open."""
        idle = _now() - self._asked_at.get(voice, float("-inf"))
        if isinstance(voice, Warmable) and idle > WARM_SECONDS and voice not in self._warming:
            self._asked_at[voice] = _now()
            task = self._warming[voice] = asyncio.create_task(self._warm(voice))
            task.add_done_callback(lambda _: self._warming.pop(voice, None))

    async def _warm(self, voice: Warmable) -> None:
        try:
            await voice.warm()
        except SpeechUnavailable as error:
            log.info("a voice could not be warmed up: %s", error)

    async def _start(self, voice: Voice) -> None:
        fitness = self._fitness[voice]
        try:
            await voice.start()
        except SpeechUnavailable as error:
            log.warning("the voice %s can not be used: %s", voice.name, error)
            fitness.failed(str(error), error.hint, _now())
        else:
            self._asked_at[voice] = _now()
            fitness.works()


class _Line:
    """One line on its way from the voices to its listener."""

    def __init__(self, voices: Voices, chain: Sequence[Speaker]) -> None:
        self._voices = voices
        self._chain = chain
        self._ready: asyncio.Queue[SpokenAudio | Exception | None] = asyncio.Queue()
        self._ahead_ms = 0
        self._room = asyncio.Event()
        self._room.set()
        self._failures: tuple[EngineFailure, ...] = ()
        self._ms = 0

    async def next(self) -> SpokenAudio | None:
        """The next piece of audio; None at the end. Raises what keeps the line from being spoken."""
        item = await self._ready.get()
        if isinstance(item, Exception):
            raise item
        if item is not None:
            self._ahead_ms -= item.ms
            if self._ahead_ms < AHEAD_MS:
                self._room.set()
        return item

    async def fetch(self, text: str) -> None:
        """Get all audio of the line."""
        try:
            if any(char.isalnum() for char in text):
                for piece in pieces(text, FIRST_CHARS, OTHER_CHARS) if len(text) > OTHER_CHARS else (text,):
                    await self._room.wait()
                    await self._piece(piece)
            self._ready.put_nowait(None)
        except Exception as error:
            self._ready.put_nowait(error)

    async def _piece(self, text: str) -> None:
        """Have one piece spoken by the first voice that can."""
        rest = text
        order = self._voices.in_order(self._chain)
        for speaker in order:
            before = self._ms
            try:
                await self._by(speaker, rest, None if speaker is order[-1] else FIRST_AUDIO_SECONDS)
                return
            except TimeoutError:
                self._failed(speaker, SpeechUnavailable(f"the voice gave no audio for {FIRST_AUDIO_SECONDS:g} s"))
            except SpeechUnavailable as error:
                self._failed(speaker, error)
            except Exception as error:
                log.exception("the voice %s failed", speaker.label)
                self._failed(speaker, SpeechUnavailable(f"an internal error: {type(error).__name__}: {error}"))
            if self._ms > before:
                rest = rest_after(rest, self._ms - before)
        raise SpeechUnavailable(*_all(self._failures[-len(self._chain) :]))

    async def _by(self, speaker: Speaker, text: str, patience: float | None) -> None:
        async with asyncio.timeout(patience) as limit, aclosing(self._voices.audio(speaker, text)) as chunks:
            async for chunk, cached in chunks:
                limit.reschedule(None)
                self._give(SpokenAudio(PHONE, chunk, speaker.label, self._failures, cached))

    def _give(self, audio: SpokenAudio) -> None:
        self._ms += audio.ms
        self._ahead_ms += audio.ms
        if self._ahead_ms >= AHEAD_MS:
            self._room.clear()
        self._ready.put_nowait(audio)

    def _failed(self, speaker: Speaker, error: SpeechUnavailable) -> None:
        self._voices.failed(speaker, error)
        self._failures += (EngineFailure(speaker.label, str(error), error.hint, self._ms),)


def _chunks(data: bytes) -> Iterator[bytes]:
    step = PHONE.bytes_for(CHUNK_MS)
    return (data[at : at + step] for at in range(0, len(data), step))


def _all(failures: Sequence[EngineFailure]) -> tuple[str, str]:
    if len(failures) == 1:
        return failures[0].error, failures[0].hint
    return "; ".join(f"{failure.engine}: {failure.error}" for failure in failures), failures[0].hint


def _now() -> float:
    return asyncio.get_running_loop().time()
