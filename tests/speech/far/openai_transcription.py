"""OpenAI's side of a realtime transcription, as strict as the real one and on demand as broken.

The protocol is the generally available one (specification of 2026-08-21). The words of its refusals are those that
people quote from the real server: `beta_api_shape_disabled` with close code 4000 (pickle-com/glass#220,
NousResearch/hermes-agent#117693), "buffer too small" (goodroot/hyprwhspr#63).
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
from tests.speech.far.openai_schemas import client_event_problems
from tests.speech.far.socket_server import Transcribe, Wire, serving

KEY = "sk-test-not-a-real-key"
MODELS = ("gpt-live-transcribe", "gpt-transcribe", "gpt-realtime-whisper", "whisper-1")
NO_VAD = ("gpt-realtime-whisper",)
BETA_GONE = "The Realtime Beta API is no longer supported. Please use /v1/realtime for the GA API."
LOUD = 500
"""Mean size of 16-bit samples above which the detector hears a voice."""


@dataclass
class Manners:
    """How the server behaves."""

    texts: Sequence[str] = ("one", "two", "three", "four", "five", "six")
    """What is understood of the items, in the order of their commits."""
    transcribe: Transcribe | None = None
    """Understands the audio really; instead of `texts`."""
    delays: Sequence[float] = (0.01,)
    """Seconds from commit to text, per item; the last one goes on."""
    fail: frozenset[int] = frozenset()
    """Items (from 0) whose transcription fails."""
    http_status: int = 0
    """The upgrade is answered with this."""
    ready_after: float = 0.0
    never_ready: bool = False
    refuse: tuple[str, str] | None = None
    """(code, message) of the error that answers `session.update`; the socket is closed then."""
    drop_after_bytes: int = 0
    """The connection breaks after so much audio."""
    drop_at_commit: int = 0
    """The connection breaks when this commit (from 1) comes."""
    stall: bool = False
    """Nothing is transcribed."""
    tear: bool = False
    deltas: bool = True
    end_at_commit: tuple[str, str] | None = None
    """(code, message) of the error that answers the first commit; the socket is closed then."""
    frozen: bool = False
    """Once ready it reads and says nothing any more, not even pongs."""
    no_pcmu: bool = False
    """Only PCM is taken."""


@dataclass
class FarOpenAi:
    """The server: what it was sent, and how it behaves. Changes of `manners` count for the next socket."""

    manners: Manners = field(default_factory=Manners)
    url: str = ""
    """For `base_url`."""
    sessions: list[_Session] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    """What clients did against the protocol."""
    commits: int = 0

    def break_off(self) -> None:
        """Every connection is gone, without a word."""
        for session in self.sessions:
            session.drop()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """One connection."""
        if self.manners.http_status:
            return web.json_response({"error": {"message": "no"}}, status=self.manners.http_status)
        if request.headers.get("Authorization") != f"Bearer {KEY}":
            error = {"type": "invalid_request_error", "code": "invalid_api_key", "message": "Incorrect API key"}
            return web.json_response({"error": error}, status=401)
        socket = web.WebSocketResponse(autoping=not self.manners.frozen, timeout=0.2)
        await socket.prepare(request)
        session = _Session(self, Wire(socket, request, self.manners.tear), self.manners)
        self.sessions.append(session)
        if "OpenAI-Beta" in request.headers:
            await session.refuse_beta()
            return socket
        if request.query.get("intent") != "transcription" or "model" in request.query:
            await session.close_with("invalid_session", "This is a conversation and no transcription session.")
            return socket
        try:
            await session.run(socket)
        finally:
            await session.end()
        return socket


class _Session:
    def __init__(self, server: FarOpenAi, wire: Wire, manners: Manners) -> None:
        self._server = server
        self._wire = wire
        self._manners = manners
        self._ids = itertools.count(1)
        self._items = itertools.count()
        self._tasks: set[asyncio.Task[None]] = set()
        self._buffer = b""
        self._last_item: str | None = None
        self._open_item = ""
        self._loud_ms = self._quiet_ms = 0
        self.config: dict[str, Any] = {}
        self.audio = b""
        self.events: list[dict[str, Any]] = []
        self.over = False
        self.ended = asyncio.Event()

    async def run(self, socket: web.WebSocketResponse) -> None:
        await self._say("session.created", session={"type": "transcription", "object": "realtime.session"})
        async for frame in socket:
            if frame.type is not WSMsgType.TEXT:
                continue
            event = json.loads(frame.data)
            self.events.append(event)
            if event["type"].startswith("transcription_session."):
                await self.refuse_beta()
                return
            if wrong := client_event_problems(event):
                self._server.problems += wrong
                await self._error("invalid_request_error", "unknown_parameter", wrong[0], event.get("event_id"))
                continue
            await self._act(event)

    def drop(self) -> None:
        self._wire.drop()

    async def say_raw(self, text: str) -> None:
        """Send something that is no event."""
        await self._wire.send_raw(text)

    async def end(self) -> None:
        self.over = True
        self.ended.set()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def refuse_beta(self) -> None:
        self.over = True
        await self._error("invalid_request_error", "beta_api_shape_disabled", BETA_GONE, None)
        await self._wire.close(4000, "invalid_request_error.beta_api_shape_disabled")

    async def close_with(self, code: str, message: str) -> None:
        self.over = True
        await self._error("invalid_request_error", code, message, None)
        await self._wire.close(4000, f"invalid_request_error.{code}")

    async def _act(self, event: dict[str, Any]) -> None:
        match event["type"]:
            case "session.update":
                await self._update(event["session"])
            case "input_audio_buffer.append":
                await self._append(base64.b64decode(event["audio"], validate=True))
            case "input_audio_buffer.commit":
                await self._commit(event.get("event_id"))
            case "input_audio_buffer.clear":
                self._buffer = b""
                await self._say("input_audio_buffer.cleared")

    async def _update(self, session: dict[str, Any]) -> None:
        audio = session["audio"]["input"]
        model = audio["transcription"]["model"]
        if self._manners.refuse is not None:
            code, message = self._manners.refuse
            await self._error("invalid_request_error", code, message, None)
            await self._wire.close(4000, f"invalid_request_error.{code}")
            return
        if model not in MODELS:
            message = f"The model `{model}` does not exist or you do not have access to it."
            await self._error("invalid_request_error", "model_not_found", message, None)
            return
        if model in NO_VAD and audio.get("turn_detection") is not None:
            param = "session.audio.input.turn_detection"
            await self._error("invalid_request_error", "invalid_value", "no turn detection", None, param)
            return
        if self._manners.no_pcmu and audio["format"]["type"] != "audio/pcm":
            param = "session.audio.input.format.type"
            await self._error("invalid_request_error", "invalid_value", "only audio/pcm", None, param)
            return
        if self._manners.never_ready:
            return
        await asyncio.sleep(self._manners.ready_after)
        self.config = session
        await self._say("session.updated", session={**session, "id": "sess_1"})

    async def _append(self, audio: bytes) -> None:
        self.audio += audio
        self._buffer += audio
        if 0 < self._manners.drop_after_bytes <= len(self.audio):
            self._wire.drop()
        elif self.config.get("audio", {}).get("input", {}).get("turn_detection"):
            await self._detect(audio)

    async def _detect(self, audio: bytes) -> None:
        """Voice by loudness, in pieces of 20 ms."""
        settings = self.config["audio"]["input"]["turn_detection"]
        for start in range(0, len(audio), 160):
            pcm = memoryview(mulaw_to_pcm16(audio[start : start + 160])).cast("h")
            loud = sum(abs(sample) for sample in pcm) > LOUD * len(pcm)
            self._loud_ms = self._loud_ms + 20 if loud else 0
            self._quiet_ms = 0 if loud else self._quiet_ms + 20
            if self._loud_ms >= 60 and not self._open_item:
                self._open_item = f"item_{next(self._ids)}"
                await self._say("input_audio_buffer.speech_started", item_id=self._open_item, audio_start_ms=0)
            elif self._open_item and self._quiet_ms >= settings["silence_duration_ms"]:
                await self._say("input_audio_buffer.speech_stopped", item_id=self._open_item, audio_end_ms=0)
                await self._make_item()

    async def _commit(self, event_id: str | None) -> None:
        self._server.commits += 1
        if self._server.commits == self._manners.drop_at_commit:
            self._wire.drop()
            return
        if self._manners.end_at_commit is not None:
            await self.close_with(*self._manners.end_at_commit)
            return
        if len(self._buffer) < 800:
            have = f"{len(self._buffer) / 8:.2f}ms"
            message = (
                "Error committing input audio buffer: buffer too small. Expected at least 100ms of audio, "
                f"but buffer only has {have} of audio."
            )
            await self._error("invalid_request_error", "input_audio_buffer_commit_empty", message, event_id)
            return
        await self._make_item()

    async def _make_item(self) -> None:
        item = self._open_item or f"item_{next(self._ids)}"
        self._open_item = ""
        audio, self._buffer = self._buffer, b""
        before, self._last_item = self._last_item, item
        await self._say("input_audio_buffer.committed", item_id=item, previous_item_id=before)
        whole = {"id": item, "type": "message", "role": "user", "content": [{"type": "input_audio"}]}
        await self._say("conversation.item.added", item=whole, previous_item_id=before)
        if not self._manners.stall:
            task = asyncio.create_task(self._transcribe(item, next(self._items), audio))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _transcribe(self, item: str, index: int, audio: bytes) -> None:
        manners = self._manners
        await asyncio.sleep(manners.delays[min(index, len(manners.delays) - 1)])
        name = "conversation.item.input_audio_transcription"
        if index in manners.fail:
            error = {"type": "transcription_error", "code": "audio_unintelligible", "message": "No words in it."}
            await self._say(f"{name}.failed", item_id=item, content_index=0, error=error)
            return
        text = await manners.transcribe(audio) if manners.transcribe else manners.texts[index % len(manners.texts)]
        if manners.deltas and text:
            whole = self.config["audio"]["input"]["transcription"]["model"] == "whisper-1"
            for delta in [text] if whole else [text[: len(text) // 2], text[len(text) // 2 :]]:
                await self._say(f"{name}.delta", item_id=item, content_index=0, delta=delta, obfuscation="x")
        usage = {"type": "duration", "seconds": len(audio) / 8000}
        await self._say(f"{name}.completed", item_id=item, content_index=0, transcript=text, usage=usage)

    async def _say(self, type_: str, **fields: Any) -> None:
        event = {"type": type_, "event_id": f"event_{next(self._ids)}", **fields}
        try:
            await self._wire.send(event)
        except ConnectionError:
            self.over = True  # the client has gone

    async def _error(
        self, type_: str, code: str, message: str, event_id: str | None, param: str | None = None
    ) -> None:
        error = {"type": type_, "code": code, "message": message, "param": param, "event_id": event_id}
        await self._say("error", error=error)


@asynccontextmanager
async def far_openai(manners: Manners | None = None) -> AsyncIterator[FarOpenAi]:
    """The server, for as long as the context lasts."""
    server = FarOpenAi(manners or Manners())
    async with serving("/v1/realtime", server.handle) as address:
        server.url = f"{address}/v1"
        yield server
