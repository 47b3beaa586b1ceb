"""Vendors of speech and replies with known delays: a server on a loop and thread of its own, and a recogniser.

Replies and speech go over real HTTP through the engine's own adapters for OpenAI and compatible servers; texts of
turns come from a recogniser in this process, because what is said does not matter here.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import threading
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final, Self

from aiohttp import web

from bench.sounds import synthesized
from engine.media.audio import AudioFormat
from engine.speech.ports import Final as FinalText
from engine.speech.ports import Hearing, Listener, Partial, Recogniser, VoiceConfirmed

PCM: Final = AudioFormat("pcm16", 24_000)
SENTENCE: Final = "Answer number {}: we have Tuesday at ten, and Wednesday afternoon at half past two."
CHUNK_MS: Final = 100
START_SECONDS: Final = 20.0
_FEEDS: Final = 5


@dataclass(frozen=True)
class Delays:
    """What each vendor takes, ms."""

    text: int = 80
    """From the end of a turn to its text."""
    words: int = 200
    """From a request for a reply to its first and only sentence."""
    voice: int = 120
    """From a request for speech to its first audio."""

    @property
    def total(self) -> int:
        return self.text + self.words + self.voice


class VendorServer:
    """`/v1/chat/completions` and `/v1/audio/speech`. A context manager; `url` is its base."""

    def __init__(self, delays: Delays) -> None:
        self._delays = delays
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="vendors", daemon=True)
        self._up = threading.Event()
        self._stop = asyncio.Event()
        self._numbers = itertools.count(1)
        speech = synthesized(SENTENCE.format(1))
        self._audio = speech.repeat(3).astype("<i2").tobytes()
        self.url = ""

    def __enter__(self) -> Self:
        self._thread.start()
        if not self._up.wait(START_SECONDS):
            raise RuntimeError("the vendors' server did not start")
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(START_SECONDS)

    def _run(self) -> None:
        self._loop.run_until_complete(self._serve())

    async def _serve(self) -> None:
        app = web.Application()
        app.add_routes([web.post("/v1/chat/completions", self._chat), web.post("/v1/audio/speech", self._speech)])
        app.router.add_get("/v1/{any:.*}", self._anything)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
        self._up.set()
        await self._stop.wait()
        await runner.cleanup()

    async def _anything(self, request: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": []})

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        await request.read()
        await asyncio.sleep(self._delays.words / 1000)
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        text = SENTENCE.format(next(self._numbers))
        delta = {"choices": [{"index": 0, "delta": {"content": text}}]}
        end = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
        for event in (json.dumps(delta), json.dumps(end), "[DONE]"):
            await response.write(b"data: " + event.encode() + b"\n\n")
        return response

    async def _speech(self, request: web.Request) -> web.StreamResponse:
        await request.read()
        await asyncio.sleep(self._delays.voice / 1000)
        response = web.StreamResponse(headers={"Content-Type": "audio/pcm"})
        await response.prepare(request)
        size = PCM.bytes_for(CHUNK_MS)
        with contextlib.suppress(ConnectionResetError):  # the caller interrupted, and nobody wants the rest
            for at in range(0, len(self._audio), size):
                await response.write(self._audio[at : at + size])
                await asyncio.sleep(CHUNK_MS / 4000)
        return response


class KnownRecogniser(Recogniser):
    """Has the text of every turn after a known time, and holds all sound for a voice."""

    name = "known"

    def __init__(self, delays: Delays) -> None:
        self._delays = delays

    async def start(self) -> None:
        """Nothing to load."""

    async def listen(self, format: AudioFormat) -> KnownListener:  # noqa: A002
        return KnownListener(self._delays.text / 1000)

    async def close(self) -> None:
        """Nothing to let go of."""


class KnownListener(Listener):
    """One call."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._hearings: asyncio.Queue[Hearing | None] = asyncio.Queue()
        self._feeds = 0
        self._numbers = itertools.count(1)

    def feed(self, audio: bytes) -> None:
        self._feeds += 1
        if self._feeds % _FEEDS == 0:
            self._hearings.put_nowait(VoiceConfirmed(1.0))
        if self._feeds % (4 * _FEEDS) == 0:
            self._hearings.put_nowait(Partial("I have a question about"))

    def finish(self) -> int:
        number = next(self._numbers)
        final = FinalText(f"I have a question about appointment number {number}.", number)
        asyncio.get_running_loop().call_later(self._seconds, self._hearings.put_nowait, final)
        return number

    async def hearings(self) -> AsyncIterator[Hearing]:
        while (hearing := await self._hearings.get()) is not None:
            yield hearing

    async def close(self) -> None:
        self._hearings.put_nowait(None)
