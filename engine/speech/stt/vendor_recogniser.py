"""A recogniser that is a vendor: connect, wait until it is ready, and hand the socket to a listener."""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Final

import aiohttp

from engine.media.audio import PHONE, AudioFormat
from engine.speech.ports import Lost, SpeechUnavailable
from engine.speech.stt.session import Answer, Ready, Session, fit_to_tell
from engine.speech.stt.vendor import Over, VendorListener, receive

CONNECT_SECONDS: Final = 8.0
"""From nothing to the vendor's word that it is ready."""
HEARTBEAT_SECONDS: Final = 8.0
"""How often a ping is sent; a pong may take half of it."""
CLOSE_SECONDS: Final = 1.0
MAX_MESSAGE: Final = 1 << 20


class VendorRecogniser(ABC):
    """The `Recogniser` port: one socket for each call."""

    name: str

    def __init__(self) -> None:
        self._http: aiohttp.ClientSession | None = None

    @abstractmethod
    def session(self) -> Session:
        """A new session, not connected yet. Raises SpeechUnavailable."""

    async def start(self) -> None:
        """Open a session, so that a key or a model that does not work is known before a call needs it."""
        listener = await self.listen(PHONE)
        await listener.close()

    async def listen(self, format: AudioFormat) -> VendorListener:  # noqa: A002
        """A listener whose session is ready. Raises SpeechUnavailable, also for any other format than the telephone
        line's: vendors get the audio as it comes."""
        if format != PHONE:
            raise SpeechUnavailable(f"{self.name} is sent mu-law at 8 kHz, not {format}", hopeless=True)
        session = self.session()
        if self._http is None:
            self._http = aiohttp.ClientSession()
        return await connect(self._http, session)

    async def close(self) -> None:
        """Let go of connections."""
        if self._http is not None:
            await self._http.close()
            self._http = None


async def connect(
    http: aiohttp.ClientSession, session: Session, now: Callable[[], float] = time.monotonic
) -> VendorListener:
    """Connect and wait until the vendor is ready. Raises SpeechUnavailable."""
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            socket = await http.ws_connect(
                session.url,
                headers=session.headers,
                heartbeat=HEARTBEAT_SECONDS,
                max_msg_size=MAX_MESSAGE,
                timeout=aiohttp.ClientWSTimeout(ws_close=CLOSE_SECONDS),
            )
            try:
                for message in session.greeting():
                    await socket.send_str(message)
                await _until_ready(socket, session, now)
            except BaseException:
                await socket.close()
                raise
    except TimeoutError:
        why = f"{session.name} was not ready within {CONNECT_SECONDS:.0f} s"
        raise SpeechUnavailable(why, f"is {_host(session)} reachable from here?") from None
    except aiohttp.WSServerHandshakeError as error:
        raise _unavailable(session.refused(error.status), session) from error
    except Over as over:
        raise _unavailable(over.lost, session) from over
    except (aiohttp.ClientError, OSError) as error:
        why = f"{session.name} can not be reached: {str(error) or type(error).__name__}"
        raise SpeechUnavailable(why, f"is {_host(session)} reachable from here?") from error
    return VendorListener(socket, session, now)


async def _until_ready(socket: aiohttp.ClientWebSocketResponse, session: Session, now: Callable[[], float]) -> None:
    while True:
        for hearing in session.hear(await receive(socket, session), now()):
            if isinstance(hearing, Ready):
                return
            if isinstance(hearing, Lost):
                raise Over(hearing)
            if isinstance(hearing, Answer):
                await socket.send_str(hearing.message)


def _unavailable(lost: Lost, session: Session) -> SpeechUnavailable:
    return SpeechUnavailable(fit_to_tell(lost.why, session), lost.hint, hopeless=lost.hopeless)


def _host(session: Session) -> str:
    return session.url.split("/")[2]
