"""OpenAI's speech, as its clients see it: `/v1/audio/speech` and, for reading aloud, `/v1/realtime`.

Shapes from the official OpenAPI description of 2026-08-21 and its examples, and from the SDK 3.57.
"""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import WSMsgType, web

from engine.media.g711 import pcm16_to_mulaw
from tests.speech.far.speech import Manners, SpeechServer, Synthesizer, serving

KEY = "sk-far-0123456789"
SPEECH_MODELS = ("gpt-4o-mini-tts", "tts-1")
REALTIME_MODELS = ("gpt-realtime-2.1-mini", "gpt-realtime-2.1")
VOICES = ("alloy", "ash", "coral", "marin", "cedar")
MAX_CHARS = 4096


def error(code: str, message: str, kind: str = "invalid_request_error", param: str | None = None) -> dict[str, Any]:
    """An error body in OpenAI's form."""
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


INVALID_KEY = error("invalid_api_key", f"Incorrect API key provided: {KEY}. You can find your API key at ...")
QUOTA = error("insufficient_quota", "You exceeded your current quota.", "insufficient_quota")
RATE = error("rate_limit_exceeded", "Rate limit reached for requests.", "requests")
OVERLOADED = error("server_error", "The server had an error while processing your request.", "server_error")


@dataclass
class Socket:
    """One realtime socket: what came in on it."""

    events: list[dict[str, Any]] = field(default_factory=list)
    open: bool = True


class OpenAiFarEnd(SpeechServer):
    """The service. `answers`: what a realtime model says instead of the text. `limit_session`: refuse a session."""

    def __init__(self, synthesizer: Synthesizer) -> None:
        super().__init__("audio/pcm")
        self.sockets: list[Socket] = []
        self.says_instead = ""
        self._synthesizer = synthesizer
        self._ids = itertools.count(1)

    def audio(self, text: str) -> bytes:
        return self.pcm(text)

    def pcm(self, text: str) -> bytes:
        """What is spoken for `text`: 24 kHz."""
        return self._synthesizer.pcm(text, 24_000)

    def mulaw(self, text: str) -> bytes:
        """The same on a realtime socket."""
        return pcm16_to_mulaw(self._synthesizer.pcm(text, 8_000))

    async def speech(self, request: web.Request) -> web.StreamResponse:
        if request.headers.get("Authorization") != f"Bearer {KEY}":
            return web.json_response(INVALID_KEY, status=401)
        body = await request.json()
        if body.get("model") not in SPEECH_MODELS:
            gone = error("model_not_found", f"The model `{body.get('model')}` does not exist", param="model")
            return web.json_response(gone, status=404)
        if body.get("voice") not in VOICES:
            return web.json_response(error("invalid_value", "Invalid value for voice", param="voice"), status=400)
        if not 0 < len(body.get("input", "")) <= MAX_CHARS or body.get("response_format") != "pcm":
            return web.json_response(error("invalid_value", "bad input or format", param="input"), status=400)
        return await self.answer(request)

    async def model(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        self.probed.append(name)
        if request.headers.get("Authorization") != f"Bearer {KEY}":
            return web.json_response(INVALID_KEY, status=401)
        if name not in (*SPEECH_MODELS, *REALTIME_MODELS):
            return web.json_response(error("model_not_found", f"The model '{name}' does not exist"), status=404)
        return web.json_response({"id": name, "object": "model"})

    async def realtime(self, request: web.Request) -> web.StreamResponse:
        if request.headers.get("Authorization") != f"Bearer {KEY}":
            return web.json_response(INVALID_KEY, status=401)
        ws = web.WebSocketResponse()
        await ws.prepare(request)
        socket = Socket()
        self.sockets.append(socket)
        try:
            await self._talk(ws, socket, request.query.get("model", ""))
        except ConnectionResetError:
            pass
        finally:
            socket.open = False
        return ws

    async def _talk(self, ws: web.WebSocketResponse, socket: Socket, model: str) -> None:
        if model not in REALTIME_MODELS:
            await self._send(ws, "error", **error("model_not_found", f"{model} is not a realtime model"))
            await ws.close(code=4000)
            return
        await self._send(ws, "session.created", session={"type": "realtime", "model": model})
        async for message in ws:
            if message.type is not WSMsgType.TEXT:
                continue
            event = json.loads(message.data)
            socket.events.append(event)
            match event["type"]:
                case "session.update":
                    await self._update(ws, event["session"])
                case "response.create":
                    await self._read(ws, event["response"])

    async def _update(self, ws: web.WebSocketResponse, session: dict[str, Any]) -> None:
        output = session["audio"]["output"]
        if output["voice"] not in VOICES:
            await self._send(
                ws, "error", **error("invalid_value", "Invalid voice", param="session.audio.output.voice")
            )
        elif session.get("type") != "realtime" or output["format"] != {"type": "audio/pcmu"}:
            await self._send(ws, "error", **error("invalid_value", "Invalid session", param="session.type"))
        else:
            await self._send(ws, "session.updated", session=session)

    async def _read(self, ws: web.WebSocketResponse, response: dict[str, Any]) -> None:
        manners = self.turns.pop(0) if self.turns else self.manners
        text = response["input"][0]["content"][0]["text"]
        said = self.says_instead or text
        data = self.mulaw(said)
        await self._send(ws, "response.created", response={"status": "in_progress"})
        if manners.status != 200:
            details = {"type": "failed", "error": {"code": "rate_limit_exceeded", "message": "Rate limit reached."}}
            await self._send(ws, "response.done", response={"status": "failed", "status_details": details})
            return
        await asyncio.sleep(manners.first_byte)
        words = iter(said.split())
        ends = [end for end in (manners.stall_after, manners.drop_after) if end is not None]
        for at in range(0, min([len(data), *ends]), 1600):
            for word in itertools.islice(words, 2):
                await self._send(ws, "response.output_audio_transcript.delta", delta=f"{word} ")
            await self._send(ws, "response.output_audio.delta", delta=base64.b64encode(data[at : at + 1600]).decode())
            await asyncio.sleep(manners.pace)
        if manners.stall_after is not None:
            await asyncio.Event().wait()
        if manners.drop_after is not None:
            await ws.close(code=1011)
            return
        await self._send(ws, "response.done", response={"status": "completed", "status_details": None})

    async def _send(self, ws: web.WebSocketResponse, type_: str, **fields: Any) -> None:
        await ws.send_json({"type": type_, "event_id": f"event_{next(self._ids)}", **fields})


@asynccontextmanager
async def openai_far_end(synthesizer: Synthesizer) -> AsyncIterator[OpenAiFarEnd]:
    """The service on a free port; `url` is its `base_url`."""
    far = OpenAiFarEnd(synthesizer)
    app = web.Application()
    app.router.add_post("/v1/audio/speech", far.speech)
    app.router.add_get("/v1/models/{name}", far.model)
    app.router.add_get("/v1/realtime", far.realtime)
    async with serving(app) as address:
        far.url = f"{address}/v1"
        yield far


__all__ = ["KEY", "Manners", "OpenAiFarEnd", "openai_far_end"]
