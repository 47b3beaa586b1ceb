"""What the far ends of speech synthesis share: real speech, and the manners of a service that has a bad day."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from aiohttp import web

PICO_RATE = 16_000


class Synthesizer:
    """Speech by SVOX pico, at the rate that is wanted."""

    def __init__(self) -> None:
        import ttspico

        self._engine = ttspico.TtsEngine("en-US")
        self._engine.volume = 50  # at full volume pico clips its own loud vowels
        self._engine.rate = 88
        self._kept: dict[str, bytes] = {}

    def pcm(self, text: str, rate: int) -> bytes:
        """Signed 16-bit samples at `rate` Hz: what both rates can hold of the spectrum, and nothing else."""
        if text not in self._kept:
            self._kept[text] = bytes(self._engine.speak(text.replace("<", " ").replace(">", " ")) or b"")
        samples = np.frombuffer(self._kept[text], np.int16).astype(np.float64)
        samples = np.pad(samples, (0, -len(samples) % 1600))  # round lengths make quick transforms
        return resampled(samples, PICO_RATE, rate).clip(-32768, 32767).astype("<i2").tobytes()


def resampled(samples: npt.NDArray[np.float64], rate: int, to: int) -> npt.NDArray[np.float64]:
    """By the spectrum, exactly: what both rates can hold stays as it is."""
    count = len(samples) * to // rate
    spectrum = np.fft.rfft(samples)
    kept = np.zeros(count // 2 + 1, complex)
    both = min(len(kept), len(spectrum))
    kept[:both] = spectrum[:both]
    return np.asarray(np.fft.irfft(kept, count) * count / len(samples))


@dataclass
class Manners:
    """How the service behaves. Times are in seconds, sizes in bytes of audio."""

    first_byte: float = 0.0
    """Between the request and the first byte of audio."""
    pace: float = 0.0
    """Between two chunks."""
    chunks: Sequence[int] = (4800,)
    """Sizes of chunks, over and over again."""
    status: int = 200
    error: object = None
    """With a `status`: what the body says. A text is sent as a page."""
    content_type: str = ""
    body: bytes | None = None
    """Instead of speech."""
    stall_after: int | None = None
    drop_after: int | None = None
    """The connection is reset."""
    short_by: int | None = None
    """The length is announced, and then so much is missing."""
    end_after: int | None = None
    """The answer ends, as if that were all."""
    deaf: bool = False
    """The request is read and the connection dropped, without an answer."""


@dataclass
class Asked:
    """One request."""

    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: dict[str, Any]
    at: float
    peer: object
    began: float = 0.0
    """When the first byte was written."""
    sent: int = 0
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    """The client went away before the end."""


class SpeechServer:
    """The HTTP side of a far end. `manners` may be changed at any time; `turns` holds those of single requests."""

    def __init__(self, audio_type: str) -> None:
        self.manners = Manners()
        self.turns: list[Manners] = []
        self.asked: list[Asked] = []
        self.probed: list[str] = []
        self.url = ""
        self._audio_type = audio_type

    @property
    def texts(self) -> list[str]:
        """What was to be spoken."""
        return [str(asked.body.get("input") or asked.body.get("text")) for asked in self.asked]

    def audio(self, text: str) -> bytes:
        """What is spoken for `text`, as it goes over the wire."""
        raise NotImplementedError

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer one request for speech."""
        manners = self.turns.pop(0) if self.turns else self.manners
        now = asyncio.get_running_loop().time()
        peer = request.transport.get_extra_info("peername") if request.transport else None
        body = await request.json()
        asked = Asked(request.path, dict(request.query), dict(request.headers), body, now, peer)
        self.asked.append(asked)
        if manners.deaf:
            _reset(request)
            raise ConnectionResetError
        if manners.status != 200:
            return _refusal(manners)
        try:
            speech = self.audio(self.texts[-1]) if manners.body is None else manners.body
            return await self._stream(request, manners, asked, speech)
        except (asyncio.CancelledError, ConnectionResetError):
            asked.gone.set()
            raise

    async def _stream(self, request: web.Request, manners: Manners, asked: Asked, data: bytes) -> web.StreamResponse:
        headers = {"Content-Type": manners.content_type or self._audio_type}
        response = web.StreamResponse(headers=headers)
        if manners.short_by is not None:
            response.content_length = len(data)
            data = data[: -manners.short_by]
        else:
            response.enable_chunked_encoding()
        await asyncio.sleep(manners.first_byte)
        await response.prepare(request)
        asked.began = asyncio.get_running_loop().time()
        for chunk in _cut(data, manners):
            await response.write(chunk)
            asked.sent += len(chunk)
            await asyncio.sleep(manners.pace)
        if manners.stall_after is not None:
            await asyncio.Event().wait()
        if manners.drop_after is not None or manners.short_by is not None:
            _reset(request, gently=manners.short_by is not None)
            return response
        await response.write_eof()
        return response


def _cut(data: bytes, manners: Manners) -> list[bytes]:
    ends = [end for end in (manners.stall_after, manners.drop_after, manners.end_after) if end is not None]
    data = data[: min(ends)] if ends else data
    chunks, at, turn = [], 0, 0
    while at < len(data):
        size = manners.chunks[turn % len(manners.chunks)]
        chunks.append(data[at : at + size])
        at, turn = at + size, turn + 1
    return chunks


def _refusal(manners: Manners) -> web.Response:
    if isinstance(manners.error, str):
        return web.Response(status=manners.status, text=manners.error, content_type="text/html")
    return web.json_response(manners.error or {}, status=manners.status)


def _reset(request: web.Request, *, gently: bool = False) -> None:
    if request.transport is not None:
        request.transport.close() if gently else request.transport.abort()


@asynccontextmanager
async def serving(app: web.Application) -> AsyncIterator[str]:
    """The address of an application on a free port. Handlers are told when their client is gone."""
    runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        yield f"http://127.0.0.1:{port}"
    finally:
        await runner.cleanup()
