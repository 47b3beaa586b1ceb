"""OpenAI's side of a speech-to-speech session, as strict as the real one and on demand as broken.

The protocol is the generally available one (specification of 2026-08-21). Refusals are worded as the real server
words them: "Cancellation failed: no active response found" and "Conversation already has an active response in
progress" (as clients of it quote them), `beta_api_shape_disabled` with close code 4000 (pickle-com/glass#220).
The audio of an answer comes faster than it can be said, as the real one's does.
"""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import re
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from aiohttp import WSMsgType, web

from engine.media.g711 import mulaw_to_pcm16, pcm16_to_mulaw
from tests.speech.far.openai_schemas import available, problems
from tests.speech.far.socket_server import Transcribe, Wire, serving

KEY = "sk-test-not-a-real-key"
MODELS = ("gpt-realtime-2.1", "gpt-realtime-2.1-mini")
BETA_GONE = "The Realtime Beta API is no longer supported. Please use /v1/realtime for the GA API."
LOUD = 500
"""Mean size of 16-bit samples above which the detector hears a voice."""
VERBATIM = re.compile(r"nothing else: (\".*\")$", re.DOTALL)
BYTES_PER_MS = 8

CLIENT_EVENTS = {
    "session.update": "RealtimeClientEventSessionUpdate",
    "input_audio_buffer.append": "RealtimeClientEventInputAudioBufferAppend",
    "input_audio_buffer.commit": "RealtimeClientEventInputAudioBufferCommit",
    "conversation.item.create": "RealtimeClientEventConversationItemCreate",
    "conversation.item.truncate": "RealtimeClientEventConversationItemTruncate",
    "response.create": "RealtimeClientEventResponseCreate",
    "response.cancel": "RealtimeClientEventResponseCancel",
}


def tone(text: str) -> bytes:
    """12 ms of a tone for each character: quick, and as long as it is."""
    samples = np.where(np.arange(12 * BYTES_PER_MS * max(1, len(text))) // 20 % 2, 6000, -6000)
    return pcm16_to_mulaw(samples.astype("<i2").tobytes())


@dataclass
class Answer:
    """What the model does in one response: it says `text`, then calls `tools` (name, arguments)."""

    text: str = ""
    tools: Sequence[tuple[str, str]] = ()
    failed: tuple[str, str] | None = None
    """(code, message): the response fails instead."""


@dataclass
class Manners:
    """How the server behaves. Times are in seconds."""

    answers: Sequence[Answer] = (Answer("We are open from nine to five."),)
    """One after the other; the last one goes on."""
    hears: Sequence[str] = ("what are your opening hours",)
    """What is understood of the caller's turns, likewise."""
    transcribe: Transcribe | None = None
    """Understands the audio really; instead of `hears`."""
    text_after: Sequence[float] = (0.02,)
    """From the end of a turn to its words, likewise."""
    speech: Callable[[str], bytes] = tone
    think: float = 0.03
    """From a wish to the first audio."""
    chunk_ms: int = 100
    pace: float = 0.01
    """Between two chunks: ten times as fast as speech."""
    http_status: int = 0
    """The upgrade is answered with this."""
    refuse: tuple[str, str] | None = None
    """(code, message) of the error that answers `session.update`; the socket is closed then."""
    output_format: str = "audio/pcmu"
    """What the service confirms."""
    expires_in: float = 3600
    ready_after: float = 0
    drop_after_chunks: int = 0
    """The connection breaks after so many chunks of an answer, once."""
    stall_after_chunks: int = 0
    """The answer stops there and is never over; -1: it never begins."""
    deaf_to_cancel: bool = False
    """A cancelled answer is not ended either."""
    bad_base64: bool = False
    disobeys: str = ""
    """What it says instead of what it is told to say."""


@dataclass
class Item:
    """One item of the conversation, as the model knows it."""

    id: str
    role: str
    text: str = ""
    audio_ms: int = 0
    kept_ms: int | None = None
    """What is left of it after a truncation."""
    output: str = ""


@dataclass
class FarRealtime:
    """The server: what it was sent, and how it behaves. Changes of `manners` count at once."""

    manners: Manners = field(default_factory=Manners)
    url: str = ""
    """For `base_url`."""
    sessions: list[Session] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    """What clients did against the protocol."""
    answered: int = 0
    turns: int = 0
    opened: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def session(self) -> Session:
        """The latest one."""
        return self.sessions[-1]

    @property
    def calls(self) -> list[Session]:
        """Sessions that got anything besides their set-up."""
        return [session for session in self.sessions if session.kinds() - {"session.update"}]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """One connection."""
        if self.manners.http_status:
            return web.json_response({"error": {"message": "no"}}, status=self.manners.http_status)
        if request.headers.get("Authorization") != f"Bearer {KEY}":
            error = {"type": "invalid_request_error", "code": "invalid_api_key", "message": "Incorrect API key"}
            return web.json_response({"error": error}, status=401)
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        session = Session(self, Wire(socket, request, False))
        self.sessions.append(session)
        if "OpenAI-Beta" in request.headers:
            await session.refuse("beta_api_shape_disabled", BETA_GONE, 4000)
        elif request.query.get("model") not in MODELS:
            model = request.query.get("model")
            await session.refuse(
                "model_not_found", f"The model `{model}` does not exist or you have no access to it."
            )
        else:
            try:
                await session.run(socket)
            finally:
                session.end()
        return socket

    def next_answer(self) -> Answer:
        answers = self.manners.answers
        self.answered += 1
        return answers[min(self.answered, len(answers)) - 1]


class Session:
    """One socket."""

    def __init__(self, server: FarRealtime, wire: Wire) -> None:
        self._server = server
        self._wire = wire
        self._ids = itertools.count(1)
        self._tasks: set[asyncio.Task[None]] = set()
        self._out: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._buffer = b""
        self._heard_ms = 0
        self._vad_open = ""
        self._loud_ms = self._quiet_ms = 0
        self._response: asyncio.Task[None] | None = None
        self._response_id = ""
        self.config: dict[str, Any] = {}
        self.events: list[dict[str, Any]] = []
        self.items: dict[str, Item] = {}
        self.errors: list[str] = []
        self.audio = b""
        self.over = asyncio.Event()
        self.changed = asyncio.Event()

    def kinds(self) -> set[str]:
        """The types of all events that came in."""
        return {str(event["type"]) for event in self.events}

    def said(self, type_: str) -> list[dict[str, Any]]:
        """Events of one type that came in."""
        return [event for event in self.events if event["type"] == type_]

    async def until(self, test: Callable[[Session], Any]) -> Any:
        """Wait until something is true of this session."""
        async with asyncio.timeout(15):
            while not (result := test(self)):
                self.changed.clear()
                await self.changed.wait()
            return result

    async def drop(self) -> None:
        """The connection is gone, without a word."""
        self._wire.drop()

    async def close(self, code: int, reason: str) -> None:
        await self._wire.close(code, reason)

    # -- in -----------------------------------------------------------------------------------

    async def run(self, socket: web.WebSocketResponse) -> None:
        self._spawn(self._write())
        self._say("session.created", session=self._session())
        async for frame in socket:
            if frame.type is WSMsgType.TEXT:
                await self._take(json.loads(frame.data))
                self.changed.set()

    def end(self) -> None:
        for task in self._tasks:
            task.cancel()
        self.over.set()
        self.changed.set()

    async def refuse(self, code: str, message: str, close: int = 4000) -> None:
        self._error(code, message)
        await self._wire.send(self._out.get_nowait())
        await self._wire.close(close, f"invalid_request_error.{code}")

    async def _take(self, event: dict[str, Any]) -> None:
        self.events.append(event)
        name = CLIENT_EVENTS.get(str(event.get("type")))
        wrong = [f"$.type: {event.get('type')!r}"] if name is None else []
        if name is not None and available():
            wrong = problems(name, event)
        self._server.problems += [f"{event.get('type')}: {problem}" for problem in wrong]
        if wrong:
            self._error("invalid_value", wrong[0], event)
            return
        match event["type"]:
            case "session.update":
                await self._update(event)
            case "input_audio_buffer.append":
                await self._append(base64.b64decode(event["audio"]))
            case "input_audio_buffer.commit":
                self._commit_wished(event)
            case "conversation.item.create":
                self._create(event)
            case "conversation.item.truncate":
                self._truncate(event)
            case "response.create":
                self._respond(event)
            case "response.cancel":
                self._cancel(event)

    async def _update(self, event: dict[str, Any]) -> None:
        manners = self._server.manners
        session = event["session"]
        if "audio" not in session or "input_audio_format" in session:
            await self.refuse("beta_api_shape_disabled", BETA_GONE)
            return
        if manners.refuse is not None:
            await self.refuse(*manners.refuse)
            return
        self.config = session
        self._spawn(self._confirm(manners.ready_after))

    async def _confirm(self, after: float) -> None:
        await asyncio.sleep(after)
        self._say("session.updated", session=self._session())

    def _session(self) -> dict[str, Any]:
        audio = json.loads(json.dumps(self.config.get("audio", {})))
        if audio:
            audio["output"]["format"] = {"type": self._server.manners.output_format}
        expires = int(time.time() + self._server.manners.expires_in)
        common = {"type": "realtime", "object": "realtime.session", "id": f"sess_{next(self._ids)}"}
        return {**self.config, **common, "audio": audio, "expires_at": expires}

    # -- the caller ---------------------------------------------------------------------------

    async def _append(self, data: bytes) -> None:
        self._buffer += data
        self.audio += data
        for at in range(0, len(data), 160):
            self._listen(data[at : at + 160])

    def _listen(self, frame: bytes) -> None:
        self._heard_ms += len(frame) // BYTES_PER_MS
        loud = float(np.abs(np.frombuffer(mulaw_to_pcm16(frame), "<i2").astype(float)).mean()) > LOUD
        self._loud_ms = self._loud_ms + 20 if loud else 0
        self._quiet_ms = 0 if loud else self._quiet_ms + 20
        vad = self.config.get("audio", {}).get("input", {}).get("turn_detection") or {}
        if not vad:
            return
        if not self._vad_open and self._loud_ms >= 60:
            self._vad_open = f"item_{next(self._ids)}"
            start = max(0, self._heard_ms - 60 - int(vad.get("prefix_padding_ms", 300)))
            self._say("input_audio_buffer.speech_started", audio_start_ms=start, item_id=self._vad_open)
            if vad.get("interrupt_response", True):
                self._stop("turn_detected")
        elif self._vad_open and self._quiet_ms >= int(vad.get("silence_duration_ms", 500)):
            self._say("input_audio_buffer.speech_stopped", audio_end_ms=self._heard_ms, item_id=self._vad_open)
            item, self._vad_open = self._vad_open, ""
            self._commit(item)
            if vad.get("create_response", True):
                self._respond({})

    def _commit_wished(self, event: dict[str, Any]) -> None:
        if len(self._buffer) < 100 * BYTES_PER_MS:
            ms = len(self._buffer) / BYTES_PER_MS
            message = (
                f"Error committing input audio buffer: buffer too small. Expected at least 100ms, has {ms:.2f}ms."
            )
            self._error("input_audio_buffer_commit_empty", message, event)
        else:
            self._commit(f"item_{next(self._ids)}")

    def _commit(self, item_id: str) -> None:
        data, self._buffer = self._buffer, b""
        previous = next(reversed(self.items), None)
        self._say("input_audio_buffer.committed", item_id=item_id, previous_item_id=previous)
        self._add(Item(item_id, "user"), {"type": "input_audio", "transcript": None})
        turn = self._server.turns
        self._server.turns += 1
        self._spawn(self._transcribe(item_id, data, turn))

    async def _transcribe(self, item_id: str, data: bytes, turn: int) -> None:
        manners = self._server.manners
        texts, delays = manners.hears, manners.text_after
        await asyncio.sleep(delays[min(turn, len(delays) - 1)])
        text = texts[min(turn, len(texts) - 1)]
        if manners.transcribe is not None:
            text = await manners.transcribe(data)
        name = "conversation.item.input_audio_transcription"
        for word in re.findall(r"\S+\s*", text):
            self._say(f"{name}.delta", item_id=item_id, content_index=0, delta=word)
        self.items[item_id].text = text
        usage = {"type": "duration", "seconds": len(data) / 8000}
        self._say(f"{name}.completed", item_id=item_id, content_index=0, transcript=text, usage=usage)
        self.changed.set()

    # -- the conversation ---------------------------------------------------------------------

    def _create(self, event: dict[str, Any]) -> None:
        wished = event["item"]
        item_id = wished.get("id") or f"item_{next(self._ids)}"
        if wished["type"] == "function_call_output":
            item = Item(item_id, "tool", output=wished["output"])
        else:
            item = Item(item_id, wished["role"], "".join(part.get("text", "") for part in wished["content"]))
        previous = next(reversed(self.items), None)
        self.items[item_id] = item
        added = {**wished, "id": item_id, "object": "realtime.item", "status": "completed"}
        self._say("conversation.item.added", previous_item_id=previous, item=added)
        self._say("conversation.item.done", previous_item_id=previous, item=added)

    def _truncate(self, event: dict[str, Any]) -> None:
        item, end = self.items.get(event["item_id"]), event["audio_end_ms"]
        if item is None:
            self._error("item_truncate_invalid_item_id", f"Item with item_id not found: {event['item_id']}", event)
        elif item.role != "assistant" or not item.audio_ms:
            self._error("invalid_value", "Only model output audio messages can be truncated", event)
        elif end > item.audio_ms:
            message = f"Audio content of {item.audio_ms}ms is already shorter than {end}ms"
            self._error("invalid_value", message, event)
        else:
            item.kept_ms, item.text = end, ""  # the text of a truncated item is deleted with its audio
            self._say("conversation.item.truncated", item_id=item.id, content_index=0, audio_end_ms=end)

    def _add(self, item: Item, part: dict[str, Any]) -> None:
        previous = next(reversed(self.items), None)
        self.items[item.id] = item
        value = {
            "id": item.id,
            "object": "realtime.item",
            "type": "message",
            "role": item.role,
            "status": "completed",
        }
        self._say("conversation.item.added", previous_item_id=previous, item={**value, "content": [part]})

    # -- responses ----------------------------------------------------------------------------

    @property
    def responding(self) -> bool:
        return self._response is not None and not self._response.done()

    def _respond(self, event: dict[str, Any]) -> None:
        if self.responding:
            message = f"Conversation already has an active response in progress: {self._response_id}"
            self._error("conversation_already_has_active_response", message, event)
            return
        self._response_id = f"resp_{next(self._ids)}"
        wished = event.get("response") or {}
        self._response = self._spawn(self._answer(self._response_id, wished))

    def _cancel(self, event: dict[str, Any]) -> None:
        if not self.responding or event.get("response_id", self._response_id) != self._response_id:
            self._error("response_cancel_not_active", "Cancellation failed: no active response found", event)
        else:
            self._stop("client_cancelled")

    def _stop(self, why: str) -> None:
        if self._response is None or self._response.done() or self._server.manners.deaf_to_cancel:
            return
        self._response.cancel()
        self._done(self._response_id, "cancelled", {"type": "cancelled", "reason": why})

    async def _answer(self, id_: str, wished: dict[str, Any]) -> None:
        manners = self._server.manners
        metadata = wished.get("metadata")
        self._metadata = metadata
        response = {"id": id_, "object": "realtime.response", "status": "in_progress", "output": []}
        audio = {"output": {"format": {"type": manners.output_format}, "voice": "marin"}}
        self._say("response.created", response={**response, "metadata": metadata, "audio": audio})
        exactly = VERBATIM.search(str(wished.get("instructions", "")))
        answer = Answer(manners.disobeys or json.loads(exactly[1])) if exactly else self._server.next_answer()
        await asyncio.sleep(manners.think)
        if manners.stall_after_chunks < 0:
            await asyncio.Event().wait()
        if answer.failed is not None:
            code, message = answer.failed
            error = {"type": "server_error", "code": code, "message": message}
            self._done(id_, "failed", {"type": "failed", "error": error})
            return
        index = 0
        if answer.text:
            await self._speak(id_, answer.text, manners)
            index = 1
        for name, arguments in answer.tools if wished.get("tool_choice") != "none" else ():
            self._call(id_, index, name, arguments)
            index += 1
        self._done(id_, "completed", None)

    async def _speak(self, response_id: str, text: str, manners: Manners) -> None:
        item = Item(f"item_{next(self._ids)}", "assistant")
        at = {"response_id": response_id, "item_id": item.id, "output_index": 0, "content_index": 0}
        value = {"id": item.id, "object": "realtime.item", "type": "message", "role": "assistant"}
        self._say(
            "response.output_item.added",
            response_id=response_id,
            output_index=0,
            item={**value, "status": "in_progress", "content": []},
        )
        self.items[item.id] = item
        speech = manners.speech(text)
        size = manners.chunk_ms * BYTES_PER_MS
        chunks = [speech[start : start + size] for start in range(0, len(speech), size)]
        words = re.findall(r"\S+\s*", text)
        for number, chunk in enumerate(chunks, 1):
            # Words run ahead of the audio, as they do there.
            while words and (len(text.split()) - len(words)) <= number * len(text.split()) // len(chunks):
                word = words.pop(0)
                item.text += word
                self._say("response.output_audio_transcript.delta", **at, delta=word)
            item.audio_ms += len(chunk) // BYTES_PER_MS
            encoded = "%%%" if manners.bad_base64 else base64.b64encode(chunk).decode()
            self._say("response.output_audio.delta", **at, delta=encoded)
            self.changed.set()
            if manners.drop_after_chunks and number >= manners.drop_after_chunks:
                manners.drop_after_chunks = 0
                await self._flushed()
                self._wire.drop()
                await asyncio.Event().wait()
            if manners.stall_after_chunks and number >= manners.stall_after_chunks:
                await asyncio.Event().wait()
            await asyncio.sleep(manners.pace)
        self._say("response.output_audio.done", **at)
        self._say("response.output_audio_transcript.done", **at, transcript=text)
        item.text = text
        content = [{"type": "output_audio", "transcript": text}]
        self._say(
            "response.output_item.done",
            response_id=response_id,
            output_index=0,
            item={**value, "status": "completed", "content": content},
        )

    def _call(self, response_id: str, index: int, name: str, arguments: str) -> None:
        item_id, call_id = f"item_{next(self._ids)}", f"call_{next(self._ids)}"
        value = {"id": item_id, "object": "realtime.item", "type": "function_call", "name": name, "call_id": call_id}
        at = {"response_id": response_id, "output_index": index}
        self._say("response.output_item.added", **at, item={**value, "status": "in_progress", "arguments": ""})
        done = {**at, "item_id": item_id, "call_id": call_id, "name": name, "arguments": arguments}
        self._say("response.function_call_arguments.done", **done)
        self._say("response.output_item.done", **at, item={**value, "status": "completed", "arguments": arguments})

    def _done(self, id_: str, status: str, details: dict[str, Any] | None) -> None:
        response = {"id": id_, "object": "realtime.response", "status": status, "status_details": details}
        self._say("response.done", response={**response, "output": [], "metadata": self._metadata})

    # -- out ----------------------------------------------------------------------------------

    _metadata: Any = None

    def _say(self, type_: str, **fields: Any) -> None:
        self._out.put_nowait({"type": type_, "event_id": f"event_{next(self._ids)}", **fields})

    def _error(self, code: str, message: str, event: dict[str, Any] | None = None) -> None:
        self.errors.append(code)
        cause = event.get("event_id") if event else None
        error = {"type": "invalid_request_error", "code": code, "message": message, "param": None, "event_id": cause}
        self._say("error", error=error)

    async def _write(self) -> None:
        while True:
            await self._wire.send(await self._out.get())
            self._out.task_done()

    async def _flushed(self) -> None:
        await self._out.join()

    def _spawn(self, work: Any) -> asyncio.Task[None]:
        task: asyncio.Task[None] = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


@asynccontextmanager
async def far_realtime(**manners: Any) -> AsyncIterator[FarRealtime]:
    """A running server. Nobody may have broken the protocol at the end."""
    server = FarRealtime(Manners(**manners))
    async with serving("/v1/realtime", server.handle) as address:
        server.url = f"{address}/v1"
        yield server
    assert server.problems == []
