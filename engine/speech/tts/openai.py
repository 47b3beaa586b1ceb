"""OpenAI speech (`POST {base_url}/audio/speech`) and servers that are compatible with it.

`response_format: pcm` is 24 kHz, 16-bit, little-endian, mono and has no header
(platform.openai.com/docs/guides/text-to-speech). There is no mu-law, so the telephone's audio is made from it:
`engine.media.convert`. OpenAI ends its models for this address on 2027-01-06; what follows them is spoken by
`openai_realtime`.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Final

from engine.media.audio import Audio, AudioFormat
from engine.speech.ports import SpeechUnavailable
from engine.speech.tts.errors import openai_hint, read_refusal, redacted
from engine.speech.tts.http import Limits, Service, SpeechHttp
from engine.speech.tts.pieces import pieces

FORMAT: Final = AudioFormat("pcm16", 24_000)
DEFAULT_BASE_URL: Final = "https://api.openai.com/v1"
MAX_INPUT_CHARS: Final = 4096
"""The service refuses a longer `input`."""
KEY: Final = "tts.providers.openai"
_WITHOUT_INSTRUCTIONS: Final = ("tts-1", "tts-1-hd")


@dataclass(frozen=True, slots=True)
class OpenAiSettings:
    """Who speaks, and where."""

    api_key: str
    base_url: str
    model: str
    voice: str
    instructions: str = ""

    @property
    def server(self) -> str:
        """The address, OpenAI's own when none was given."""
        return (self.base_url or DEFAULT_BASE_URL).rstrip("/")

    @property
    def label(self) -> str:
        return f"openai {self.model} {self.voice}"

    @property
    def key(self) -> tuple[str, ...]:
        """What makes its audio different from another's."""
        return ("openai", self.server, self.model, self.voice, self.instructions)

    def require_key(self) -> None:
        """Raises SpeechUnavailable where OpenAI's own server is to be used without a key."""
        if not self.api_key and self.server == DEFAULT_BASE_URL:
            raise SpeechUnavailable("the openai voice has no API key", f"set `{KEY}.api_key` or OPENAI_API_KEY")


class OpenAiVoice:
    """The `Voice` port on `/audio/speech`."""

    def __init__(self, settings: OpenAiSettings, limits: Limits | None = None) -> None:
        self.name = settings.label
        self._settings = settings
        headers = {"Authorization": f"Bearer {settings.api_key}"} if settings.api_key else {}
        self._http = SpeechHttp(
            Service(
                vendor="openai",
                base_url=settings.server,
                key=KEY,
                explain=openai_hint,
                headers=headers,
                secret=settings.api_key,
                limits=limits or Limits(),
            )
        )

    async def start(self) -> None:
        """Open a connection and see that the key is good. Raises SpeechUnavailable."""
        self._settings.require_key()
        await self.warm()

    async def warm(self) -> None:
        """Have a connection open before it is needed. Raises SpeechUnavailable for a key or model that can not work.

        Compatible servers may not know the address, and keys may be limited to speech: neither is an error.
        """
        status, body = await self._http.probe(f"/models/{self._settings.model}")
        refused = read_refusal(status, body)
        if status == 401 or refused.code == "model_not_found":
            text = redacted(refused.message or "the key was refused", self._settings.api_key)
            raise SpeechUnavailable(
                f"the speech service answered {status} {refused.code}: {text}", openai_hint(refused)
            )

    async def speak(self, text: str, voice: str = "") -> AsyncGenerator[Audio, None]:
        """Audio of `text` (pcm16, 24 kHz) as it comes, in whole samples. Raises SpeechUnavailable."""
        for piece in pieces(text, MAX_INPUT_CHARS):
            async with aclosing(self._http.audio("/audio/speech", {}, self._body(piece, voice))) as chunks:
                odd = b""
                async for chunk in chunks:
                    data = odd + chunk
                    whole = len(data) & ~1
                    odd = data[whole:]
                    if whole:
                        yield Audio(FORMAT, data[:whole])

    async def close(self) -> None:
        """Close all connections."""
        await self._http.close()

    def _body(self, text: str, voice: str) -> dict[str, Any]:
        settings = self._settings
        body = {
            "model": settings.model,
            "voice": voice or settings.voice,
            "input": text,
            "response_format": "pcm",
        }
        if settings.instructions and settings.model not in _WITHOUT_INSTRUCTIONS:
            body["instructions"] = settings.instructions
        return body
