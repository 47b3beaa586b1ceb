"""A voice whose failures a test decides: a hum of 50 ms a character."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from engine.media.audio import PHONE, Audio
from engine.speech.ports import SpeechUnavailable
from engine.speech.tts.chain import Speaker

MS_PER_CHARACTER = 50
PIECE_MS = 100


class StandIn:
    """`fails_after`: audio in ms after which it breaks off. `pause`: seconds before each 100 ms of audio."""

    def __init__(self, name: str, fails_after: int | None = None, pause: float = 0.0) -> None:
        self.name = name
        self.fails_after = fails_after
        self.pause = pause
        self.unfit = ""
        self.asked: list[str] = []
        self.given_ms = 0
        self.closed_early = 0
        self.warmed = 0
        self.closed = False

    def speaker(self, *key: str) -> Speaker:
        return Speaker(self, self.name, (self.name, *key))

    async def start(self) -> None:
        if self.unfit:
            raise SpeechUnavailable(self.unfit, "put it right")

    async def warm(self) -> None:
        self.warmed += 1

    async def speak(self, text: str, voice: str = "") -> AsyncGenerator[Audio, None]:
        self.asked.append(text)
        given = 0
        whole = False
        try:
            for at in range(0, len(text) * MS_PER_CHARACTER, PIECE_MS):
                await asyncio.sleep(self.pause)
                if self.fails_after is not None and at >= self.fails_after:
                    raise SpeechUnavailable(f"{self.name} broke", "wait")
                given += PIECE_MS
                self.given_ms += PIECE_MS
                yield Audio(PHONE, hum(PIECE_MS))
            whole = True
        finally:
            self.closed_early += not whole and self.fails_after is None

    async def close(self) -> None:
        self.closed = True


def hum(ms: int) -> bytes:
    """Telephone audio that can be speech."""
    return b"\xa5\x25" * (PHONE.bytes_for(ms) // 2)
