"""ElevenLabs speech: `POST {base_url}/v1/text-to-speech/{voice_id}/stream?output_format=ulaw_8000`.

The answer is the telephone's own audio, raw and without a header, and goes to the caller as it is
(elevenlabs.io/docs/api-reference/text-to-speech/stream).
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote

from engine.media.audio import PHONE, Audio
from engine.speech.ports import SpeechUnavailable
from engine.speech.tts.errors import elevenlabs_hint, read_refusal, redacted
from engine.speech.tts.http import Limits, Service, SpeechHttp
from engine.speech.tts.pieces import pieces

DEFAULT_BASE_URL: Final = "https://api.elevenlabs.io"
MAX_INPUT_CHARS: Final = 5000
"""The smallest limit among the models (eleven_v3; the flash models take 40,000)."""
KEY: Final = "tts.providers.elevenlabs"
_FATAL: Final = frozenset({"invalid_api_key", "voice_not_found", "invalid_uid"})
"""Refusals of the probe after which nothing can be spoken. Others may only mean that a key is limited to speech."""


@dataclass(frozen=True, slots=True)
class ElevenLabsSettings:
    """Who speaks, and where. `voice_settings` holds what is set of them."""

    api_key: str
    base_url: str
    voice_id: str
    model_id: str
    voice_settings: Mapping[str, float | bool] = field(default_factory=dict)

    @property
    def server(self) -> str:
        """The address without the version, which SDKs add too."""
        return (self.base_url or DEFAULT_BASE_URL).rstrip("/").removesuffix("/v1")

    @property
    def label(self) -> str:
        return f"elevenlabs {self.model_id} {self.voice_id}"

    @property
    def key(self) -> tuple[str, ...]:
        """What makes its audio different from another's."""
        return (
            "elevenlabs",
            self.server,
            self.model_id,
            self.voice_id,
            json.dumps(dict(self.voice_settings), sort_keys=True),
        )


class ElevenLabsVoice:
    """The `Voice` port on ElevenLabs."""

    def __init__(self, settings: ElevenLabsSettings, limits: Limits | None = None) -> None:
        self.name = settings.label
        self._settings = settings
        self._http = SpeechHttp(
            Service(
                vendor="elevenlabs",
                base_url=settings.server,
                key=KEY,
                explain=elevenlabs_hint,
                headers={"xi-api-key": settings.api_key} if settings.api_key else {},
                secret=settings.api_key,
                limits=limits or Limits(),
            )
        )

    async def start(self) -> None:
        """Open a connection and see that key and voice are good. Raises SpeechUnavailable."""
        if not self._settings.api_key and self._settings.server == DEFAULT_BASE_URL:
            raise SpeechUnavailable(
                "the elevenlabs voice has no API key", f"set `{KEY}.api_key` or ELEVENLABS_API_KEY"
            )
        if not self._settings.voice_id:
            raise SpeechUnavailable("the elevenlabs voice has no voice id", f"set `{KEY}.voice_id`")
        await self.warm()

    async def warm(self) -> None:
        """Have a connection open before it is needed. Raises SpeechUnavailable for a key or a voice that is wrong."""
        status, body = await self._http.probe(f"/v1/voices/{quote(self._settings.voice_id, safe='')}")
        refused = read_refusal(status, body)
        if refused.code in _FATAL:
            text = redacted(refused.message or refused.code, self._settings.api_key)
            raise SpeechUnavailable(
                f"the speech service answered {status} {refused.code}: {text}", elevenlabs_hint(refused)
            )

    async def speak(self, text: str, voice: str = "") -> AsyncGenerator[Audio, None]:
        """Audio of `text` (mu-law, 8 kHz) as it comes. Raises SpeechUnavailable."""
        voice_id = voice or self._settings.voice_id
        path = f"/v1/text-to-speech/{quote(voice_id, safe='')}/stream"
        for piece in pieces(text, MAX_INPUT_CHARS):
            query = {"output_format": "ulaw_8000"}
            async with aclosing(self._http.audio(path, query, self._body(piece))) as chunks:
                async for chunk in chunks:
                    yield Audio(PHONE, chunk)

    async def close(self) -> None:
        """Close all connections."""
        await self._http.close()

    def _body(self, text: str) -> dict[str, Any]:
        body: dict[str, Any] = {"text": text, "model_id": self._settings.model_id}
        if self._settings.voice_settings:
            body["voice_settings"] = dict(self._settings.voice_settings)
        return body
