"""ElevenLabs' speech, as its clients see it: `/v1/text-to-speech/{voice_id}/stream`.

Paths, headers and bodies from the SDK 2.78; error bodies as users report them (a used-up quota is a 401, for example
home-assistant/core#160414).
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from engine.media.g711 import pcm16_to_mulaw
from tests.speech.far.speech import Manners, SpeechServer, Synthesizer, serving

KEY = "xi-far-0123456789"
VOICE = "21m00Tcm4TlvDq8ikWAM"
OTHER_VOICE = "AZnzlk1XvdvUeBnXmlld"
MODELS = ("eleven_flash_v2_5", "eleven_multilingual_v2")


def error(status: str, message: str) -> dict[str, Any]:
    """An error body in ElevenLabs' form."""
    return {"detail": {"status": status, "message": message}}


INVALID_KEY = error("invalid_api_key", "Invalid API key")
QUOTA = error("quota_exceeded", "This request exceeds your quota of 10000. You have 0 credits remaining.")
BUSY = error("too_many_concurrent_requests", "Too many concurrent requests.")
NOT_VALID = {"detail": [{"type": "missing", "loc": ["body", "text"], "msg": "Field required"}]}


class ElevenLabsFarEnd(SpeechServer):
    """The service."""

    def __init__(self, synthesizer: Synthesizer) -> None:
        super().__init__("audio/basic")
        self.limited_key = False
        """The key may speak and nothing else."""
        self._synthesizer = synthesizer

    def audio(self, text: str) -> bytes:
        return self.mulaw(text)

    def mulaw(self, text: str) -> bytes:
        """What is spoken for `text`."""
        return pcm16_to_mulaw(self._synthesizer.pcm(text, 8_000))

    async def speech(self, request: web.Request) -> web.StreamResponse:
        if request.headers.get("xi-api-key") != KEY:
            return web.json_response(INVALID_KEY, status=401)
        if request.match_info["voice_id"] not in (VOICE, OTHER_VOICE):
            return web.json_response(error("voice_not_found", "A voice for that id was not found"), status=404)
        body = await request.json()
        if body.get("model_id") not in MODELS:
            return web.json_response(error("model_not_found", "The model was not found"), status=400)
        if not body.get("text"):
            return web.json_response(NOT_VALID, status=422)
        if request.query.get("output_format") != "ulaw_8000":
            return web.json_response(error("output_format_not_allowed", "not that one"), status=403)
        return await self.answer(request)

    async def voice(self, request: web.Request) -> web.Response:
        voice_id = request.match_info["voice_id"]
        self.probed.append(voice_id)
        if request.headers.get("xi-api-key") != KEY:
            return web.json_response(INVALID_KEY, status=401)
        if self.limited_key:
            return web.json_response(error("missing_permissions", "The key lacks voices_read"), status=401)
        if voice_id not in (VOICE, OTHER_VOICE):
            return web.json_response(error("voice_not_found", "A voice for that id was not found"), status=404)
        return web.json_response({"voice_id": voice_id, "name": "Rachel"})


@asynccontextmanager
async def elevenlabs_far_end(synthesizer: Synthesizer) -> AsyncIterator[ElevenLabsFarEnd]:
    """The service on a free port; `url` is its `base_url`."""
    far = ElevenLabsFarEnd(synthesizer)
    app = web.Application()
    app.router.add_post("/v1/text-to-speech/{voice_id}/stream", far.speech)
    app.router.add_get("/v1/voices/{voice_id}", far.voice)
    async with serving(app) as far.url:
        yield far


__all__ = ["KEY", "ElevenLabsFarEnd", "Manners", "elevenlabs_far_end"]
