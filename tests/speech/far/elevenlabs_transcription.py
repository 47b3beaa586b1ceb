"""ElevenLabs' side of a realtime transcription (Scribe), strict, and on demand broken.

Message shapes are those of the vendor's Python SDK 2.78.0.
"""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import WSMsgType, web

from engine.media.g711 import mulaw_to_pcm16
from tests.speech.far.socket_server import Transcribe, Wire, serving

KEY = "xi-test-not-a-real-key"
MODELS = ("scribe_v2_realtime", "scribe_v3_live")
KEYS = frozenset({"message_type", "audio_base_64", "commit", "sample_rate", "previous_text"})
QUERY = frozenset(
    {
        "model_id",
        "audio_format",
        "commit_strategy",
        "vad_silence_threshold_secs",
        "vad_threshold",
        "language_code",
        "include_timestamps",
    }
)
SHORTEST = 2400
"""Bytes (0.3 s) without which a commit is throttled."""
LOUD = 500


@dataclass
class Manners:
    """How the server behaves."""

    texts: Sequence[str] = ("one", "two", "three", "four", "five", "six")
    transcribe: Transcribe | None = None
    delays: Sequence[float] = (0.01,)
    http_status: int = 0
    at_start: str = ""
    """The error message type that is sent instead of `session_started`."""
    at_commit: dict[int, str] = field(default_factory=dict)
    """Commit (from 1) -> the error message type that answers it."""
    drop_after_bytes: int = 0
    stall: bool = False
    tear: bool = False
    audio_format: str = "ulaw_8000"
    """What the server says that it expects."""


@dataclass
class FarElevenLabs:
    """The server: what it was sent, and how it behaves. Changes of `manners` count for the next socket."""

    manners: Manners = field(default_factory=Manners)
    url: str = ""
    """For `base_url`."""
    sessions: list[_Session] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    commits: int = 0

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """One connection."""
        if self.manners.http_status:
            return web.json_response({"detail": {"message": "no"}}, status=self.manners.http_status)
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        session = _Session(self, Wire(socket, request, self.manners.tear), self.manners, dict(request.query))
        self.sessions.append(session)
        error = self.manners.at_start or session.refusal(request.headers.get("xi-api-key", ""))
        if error:
            await session.fail(error)
            return socket
        try:
            await session.run(socket)
        finally:
            await session.end()
        return socket


class _Session:
    def __init__(self, server: FarElevenLabs, wire: Wire, manners: Manners, query: dict[str, str]) -> None:
        self._server = server
        self._wire = wire
        self._manners = manners
        self._buffer = b""
        self._quiet_ms = 0
        self._voiced = False
        self._items = itertools.count()
        self._queue: asyncio.Queue[tuple[int, bytes]] = asyncio.Queue()
        self.query = query
        self.audio = b""
        self.ended = asyncio.Event()
        self._worker = asyncio.create_task(self._transcribe_all())

    def refusal(self, key: str) -> str:
        """The error message that this session begins with, if any."""
        if key != KEY:
            return "auth_error"
        self._server.problems += [f"unknown parameter {name}" for name in sorted(set(self.query) - QUERY)]
        if self.query.get("model_id") not in MODELS or self.query.get("audio_format") != "ulaw_8000":
            return "invalid_request"
        return ""

    async def fail(self, kind: str) -> None:
        await self._wire.send({"message_type": kind, "error": f"about {kind}"})
        await self._wire.close(1008, kind)
        await self.end()

    async def run(self, socket: web.WebSocketResponse) -> None:
        config = {"sample_rate": 8000, "audio_format": self._manners.audio_format}
        config["commit_strategy"] = self.query.get("commit_strategy", "manual")
        await self._wire.send({"message_type": "session_started", "session_id": "s1", "config": config})
        async for frame in socket:
            if frame.type is WSMsgType.TEXT:
                await self._chunk(json.loads(frame.data))

    async def end(self) -> None:
        self.ended.set()
        self._worker.cancel()
        await asyncio.gather(self._worker, return_exceptions=True)

    async def _chunk(self, message: dict[str, Any]) -> None:
        self._check(message)
        audio = base64.b64decode(message["audio_base_64"], validate=True)
        self.audio += audio
        self._buffer += audio
        if 0 < self._manners.drop_after_bytes <= len(self.audio):
            self._wire.drop()
            return
        if self.query["commit_strategy"] == "vad":
            await self._detect(audio)
        if message["commit"]:
            await self._commit()

    def _check(self, message: dict[str, Any]) -> None:
        right = {"message_type": str, "audio_base_64": str, "commit": bool, "sample_rate": int}
        for key, kind in right.items():
            if not isinstance(message.get(key), kind):
                self._server.problems.append(f"{key} is {message.get(key)!r}")
        self._server.problems += [f"unknown key {key}" for key in sorted(set(message) - KEYS)]
        if message.get("sample_rate") != 8000 or message.get("message_type") != "input_audio_chunk":
            self._server.problems.append(f"wrong chunk {message}")

    async def _detect(self, audio: bytes) -> None:
        limit = float(self.query["vad_silence_threshold_secs"]) * 1000
        for start in range(0, len(audio), 160):
            pcm = memoryview(mulaw_to_pcm16(audio[start : start + 160])).cast("h")
            loud = sum(abs(sample) for sample in pcm) > LOUD * len(pcm)
            if loud and not self._voiced:
                self._voiced = True
                await self._wire.send({"message_type": "partial_transcript", "text": "..."})
            self._quiet_ms = 0 if loud else self._quiet_ms + 20
            if self._voiced and self._quiet_ms >= limit:
                self._take()

    async def _commit(self) -> None:
        self._server.commits += 1
        if kind := self._manners.at_commit.get(self._server.commits):
            await self.fail(kind)
        elif len(self._buffer) < SHORTEST:
            await self._wire.send({"message_type": "commit_throttled", "error": "less than 0.3 s of audio"})
        else:
            self._take()

    def _take(self) -> None:
        audio, self._buffer, self._voiced, self._quiet_ms = self._buffer, b"", False, 0
        self._queue.put_nowait((next(self._items), audio))

    async def _transcribe_all(self) -> None:
        """In order: this vendor's texts carry no ids."""
        while True:
            index, audio = await self._queue.get()
            manners = self._manners
            if manners.stall:
                continue
            await asyncio.sleep(manners.delays[min(index, len(manners.delays) - 1)])
            text = (
                await manners.transcribe(audio) if manners.transcribe else manners.texts[index % len(manners.texts)]
            )
            try:
                if half := text[: len(text) // 2]:
                    await self._wire.send({"message_type": "partial_transcript", "text": half})
                await self._wire.send({"message_type": "committed_transcript", "text": text})
            except ConnectionError:
                return  # the client has gone


@asynccontextmanager
async def far_elevenlabs(manners: Manners | None = None) -> AsyncIterator[FarElevenLabs]:
    """The server, for as long as the context lasts."""
    server = FarElevenLabs(manners or Manners())
    async with serving("/v1/speech-to-text/realtime", server.handle) as address:
        server.url = address
        yield server
