"""Offline speech synthesis: SVOX pico (`ttspico`) in a process of its own, many lines at a time.

A line is synthesized in pieces, the next one while the present one is being taken, so a line that is cut costs
nothing more and a caller of `speak` who is slow holds at most two pieces. Pieces that were spoken lately are kept:
greetings and holding lines come at no cost.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Final

from engine.media.audio import Audio, AudioFormat
from engine.speech.local_extra import VOICE_PACKAGES, require_packages
from engine.speech.ports import SpeechUnavailable
from engine.speech.tts.cache import CACHE_BYTES, AudioCache
from engine.speech.tts.pieces import pieces
from engine.speech.tts.voices import DEFAULT_VOICE, VOICES, speakable
from engine.speech.worker_process import RestartBudget, WorkerFailed, WorkerProcess
from engine.speech.worker_wire import Frame, Kind

_log = logging.getLogger(__name__)

FORMAT: Final = AudioFormat("pcm16", 16_000)
"""What `speak` yields."""
MAX_CHARS: Final = 20_000
"""About twenty minutes of speech."""
REQUEST_SECONDS: Final = 10.0
"""A piece takes about 0.1 s; a worker that needs this long hangs."""

_Chunks = asyncio.Queue[bytes | None | SpeechUnavailable]


class LocalVoice:
    """The `Voice` port on ttspico. Belongs to the event loop that started it."""

    name = "local"

    def __init__(
        self,
        default_voice: str = DEFAULT_VOICE,
        cache_bytes: int = CACHE_BYTES,
        request_seconds: float = REQUEST_SECONDS,
        budget: RestartBudget | None = None,
    ) -> None:
        self._default_voice = default_voice
        self._request_seconds = request_seconds
        self._budget = budget or RestartBudget()
        self._cache = AudioCache(cache_bytes)
        self._requests: dict[int, _Chunks] = {}
        self._ids = itertools.count(1)
        self._worker: WorkerProcess | None = None
        self._starting = asyncio.Lock()
        self._closed = False

    @property
    def worker_pid(self) -> int | None:
        """The process that speaks, when there is one."""
        return self._worker.pid if self._worker else None

    @property
    def pending(self) -> int:
        """Pieces that the worker has been asked for and that are still being taken."""
        return len(self._requests)

    @property
    def cached_bytes(self) -> int:
        """Audio that is kept for lines spoken again."""
        return self._cache.size

    async def start(self) -> None:
        """Start the worker. Raises SpeechUnavailable with what to install."""
        require_packages("the local voice", VOICE_PACKAGES)
        _known(self._default_voice)
        await self._running()

    async def speak(self, text: str, voice: str = "") -> AsyncGenerator[Audio, None]:
        """Audio of `text` (pcm16, 16 kHz) in pieces of at most 320 ms; nothing for a text without words.

        Raises SpeechUnavailable for an unknown voice, a text beyond MAX_CHARS, and when the worker dies or hangs.
        """
        require_packages("the local voice", VOICE_PACKAGES)
        name = voice or self._default_voice
        _known(name)
        if len(text) > MAX_CHARS:
            raise SpeechUnavailable(f"a text of {len(text)} characters is too long to speak", f"at most {MAX_CHARS}")
        lines = [_Piece(self, name, piece) for piece in pieces(speakable(text))]
        try:
            for line, following in itertools.zip_longest(lines, lines[1:]):
                await line.begin()
                if following:
                    await following.begin()
                async for chunk in line.audio():
                    yield Audio(FORMAT, chunk)
        finally:
            for line in lines:
                line.cancel()

    async def close(self) -> None:
        """Stop the worker. Lines still being spoken fail."""
        self._closed = True
        self._fail_all("the voice was closed")
        if self._worker is not None:
            await self._worker.close()
            self._worker = None

    async def _running(self) -> WorkerProcess:
        """The worker, started again if it died and the budget allows."""
        async with self._starting:
            if self._closed:
                raise SpeechUnavailable("the voice was closed")
            if self._worker is not None:
                return self._worker
            if not self._budget.take():
                raise SpeechUnavailable(
                    f"the voice's process died again and again ({self._budget})",
                    "see the log for the reason; it is tried again later",
                )
            worker = WorkerProcess("engine.speech.tts.worker", self._on_frame, self._on_death)
            try:
                await worker.start()
            except WorkerFailed as failed:
                raise SpeechUnavailable(f"the local voice could not start: {failed}") from failed
            self._worker = worker
            return worker

    def _on_frame(self, frame: Frame) -> None:
        chunks = self._requests.get(frame.id)
        if chunks is None:
            return  # cancelled meanwhile
        if frame.kind is Kind.AUDIO:
            chunks.put_nowait(frame.payload)
        elif frame.kind is Kind.DONE:
            chunks.put_nowait(None)
        elif frame.kind is Kind.FAILED:
            why = frame.payload.decode(errors="replace")
            chunks.put_nowait(SpeechUnavailable(f"the local voice could not speak this text: {why}"))

    def _on_death(self, why: str) -> None:
        self._worker = None
        self._fail_all(f"the voice's process ended: {why}")

    def _fail_all(self, why: str) -> None:
        for chunks in self._requests.values():
            chunks.put_nowait(SpeechUnavailable(why))
        self._requests.clear()


class _Piece:
    """One piece of a line on its way. Its queue is bounded by the size of a piece (about 20 s of audio)."""

    def __init__(self, voice: LocalVoice, name: str, text: str) -> None:
        self._voice, self._name, self._text = voice, name, text
        self._id = 0
        self._chunks: _Chunks = asyncio.Queue()
        self._cached: Audio | None = None

    async def begin(self) -> None:
        """Ask the worker, once, unless the cache has it."""
        if self._id or self._cached is not None:
            return
        self._cached = self._voice._cache.get((self._name, self._text))
        if self._cached is not None:
            return
        worker = await self._voice._running()
        self._id = next(self._voice._ids)
        self._voice._requests[self._id] = self._chunks
        worker.send(Frame(Kind.SPEAK, self._id, f"{self._name}\0{self._text}".encode()))

    async def audio(self) -> AsyncIterator[bytes]:
        if self._cached is not None:
            step = FORMAT.bytes_for(320)
            for at in range(0, len(self._cached.data), step):
                yield self._cached.data[at : at + step]
            return
        whole: list[bytes] = []
        while (chunk := await self._next()) is not None:
            whole.append(chunk)
            yield chunk
        self._voice._cache.put((self._name, self._text), Audio(FORMAT, b"".join(whole)))

    async def _next(self) -> bytes | None:
        try:
            async with asyncio.timeout(self._voice._request_seconds):
                chunk = await self._chunks.get()
        except TimeoutError:
            why = f"no audio for {self._voice._request_seconds:.0f} s"
            if self._voice._worker is not None:
                self._voice._worker.kill(why)
            raise SpeechUnavailable(
                f"the voice's process hung: {why}", "it is started again for the next line"
            ) from None
        if isinstance(chunk, SpeechUnavailable):
            raise chunk
        return chunk

    def cancel(self) -> None:
        """Forget the piece; without effect when it is complete."""
        if self._voice._requests.pop(self._id, None) is not None and self._voice._worker is not None:
            self._voice._worker.send(Frame(Kind.CANCEL, self._id))


def _known(voice: str) -> None:
    if voice not in VOICES:
        raise SpeechUnavailable(f"there is no local voice {voice!r}", f"voices: {', '.join(VOICES)}")
