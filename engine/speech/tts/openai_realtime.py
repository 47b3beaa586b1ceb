"""Speech by OpenAI's realtime models: the ones that are left when the models of `/audio/speech` end.

`gpt-realtime-2.1-mini` is the successor that OpenAI names for gpt-4o-mini-tts (which ends 2027-01-06), and it has no
`/audio/speech`: it speaks over a socket, `/realtime?model=...`. It is told to read, gives the telephone's own audio
(`audio/pcmu`), and is watched for saying something else. Sockets are kept ready: opening one takes longer than the
first word.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final

import aiohttp

from engine.media.audio import Audio
from engine.speech.ports import SpeechUnavailable
from engine.speech.tts.errors import explained, openai_hint
from engine.speech.tts.http import Limits
from engine.speech.tts.openai import KEY, MAX_INPUT_CHARS, OpenAiSettings
from engine.speech.tts.pieces import pieces
from engine.speech.tts.realtime_session import HEARTBEAT_SECONDS, MAX_EVENT_BYTES, RealtimeSession

MAX_IDLE: Final = 4
"""Sockets that are kept ready."""
MAX_AGE_SECONDS: Final = 50 * 60.0
"""The service ends a session after 60 minutes."""


class OpenAiRealtimeVoice:
    """The `Voice` port on the Realtime API. Belongs to the event loop that started it."""

    def __init__(self, settings: OpenAiSettings, limits: Limits | None = None) -> None:
        self.name = settings.label
        self._settings = settings
        self._limits = limits or Limits()
        self._session: aiohttp.ClientSession | None = None
        self._idle: deque[RealtimeSession] = deque()
        self._closed = False

    async def start(self) -> None:
        """Open a socket and have it ready, which also proves key, model and voice. Raises SpeechUnavailable."""
        self._settings.require_key()
        await self.warm()

    async def warm(self) -> None:
        """Have a socket ready before it is needed. Raises SpeechUnavailable."""
        session = await self._take()
        await self._give_back(session)

    async def speak(self, text: str, voice: str = "") -> AsyncGenerator[Audio, None]:
        """Audio of `text` (mu-law, 8 kHz) as it comes. Raises SpeechUnavailable. One voice for all: `voice` is not
        looked at, as a socket can not change it."""
        for piece in pieces(text, MAX_INPUT_CHARS):
            async with aclosing(self._read(piece)) as audio:
                async for part in audio:
                    yield part

    async def _read(self, text: str) -> AsyncGenerator[Audio, None]:
        """One piece, on a socket that was kept, or on a new one where that was closed at this moment."""
        for kept in (True, False):
            session = await (self._take() if kept else self._open())
            begun = complete = False
            try:
                async with aclosing(session.read(text, self._settings.instructions)) as audio:
                    async for part in audio:
                        begun = True
                        yield part
                complete = True
                return
            except SpeechUnavailable:
                if begun or session.usable or not kept:
                    raise
            finally:
                if complete:
                    await self._give_back(session)
                else:
                    await session.close()  # it may still be talking

    async def close(self) -> None:
        """Close all sockets. There will be no others."""
        self._closed = True
        while self._idle:
            await self._idle.popleft().close()
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _take(self) -> RealtimeSession:
        """A socket that is ready: one that is kept, or a new one."""
        now = asyncio.get_running_loop().time()
        while self._idle:
            session = self._idle.pop()
            if session.usable and now - session.opened_at < MAX_AGE_SECONDS:
                return session
            await session.close()
        return await self._open()

    async def _give_back(self, session: RealtimeSession) -> None:
        if session.usable and len(self._idle) < MAX_IDLE and not self._closed:
            self._idle.append(session)
        else:
            await session.close()

    async def _open(self) -> RealtimeSession:
        settings = self._settings
        if self._closed:
            raise SpeechUnavailable("the openai voice was closed")
        if self._session is None:
            key = settings.api_key
            self._session = aiohttp.ClientSession(headers={"Authorization": f"Bearer {key}"} if key else {})
        try:
            async with asyncio.timeout(self._limits.connect + self._limits.first_byte):
                socket = await self._session.ws_connect(
                    f"{settings.server}/realtime",
                    params={"model": settings.model},
                    heartbeat=HEARTBEAT_SECONDS,
                    max_msg_size=MAX_EVENT_BYTES,
                )
        except aiohttp.WSServerHandshakeError as error:
            raise explained(openai_hint, error.status, b"", error.message, settings.api_key) from error
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            why = str(error) or type(error).__name__
            raise SpeechUnavailable(
                f"openai at {settings.server} can not be reached: {why}", f"check the network and `{KEY}.base_url`"
            ) from error
        opened_at = asyncio.get_running_loop().time()
        session = RealtimeSession(socket, settings.api_key, self._limits, opened_at)
        try:
            await session.set_up(settings.model, settings.voice)
        except BaseException:
            await session.close()
            raise
        return session
