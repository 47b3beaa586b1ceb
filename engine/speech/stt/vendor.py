"""One call's recognition at a vendor: a WebSocket, whatever is said on it.

What a vendor's messages look like is a `Session`, which is pure; the socket, its limits and its clock are here. A
listener exists once the vendor has said that it is ready (`engine.speech.stt.vendor_recogniser`). From then on audio
waits in an outbox of ten seconds while the socket is slow, and any trouble ends in a `Lost` that says what it is.

Sockets are aiohttp's: the vendors' own clients cost 50 to 100 times as much processor time per frame.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import replace
from typing import Any, Final

import aiohttp

from engine.media.audio import PHONE, SILENCE
from engine.speech.ports import Hearing, Lost, Partial
from engine.speech.stt.commits import TooManyItems
from engine.speech.stt.mailbox import Mailbox
from engine.speech.stt.outbox import Outbox
from engine.speech.stt.session import Answer, Ready, Session, fit_to_tell

log = logging.getLogger(__name__)

GATHER_SECONDS: Final = 0.06
"""Audio is sent in pieces of about this length; the end of an utterance sends the rest at once."""
PIECE_BYTES: Final = PHONE.bytes_for(500)
"""The longest piece of audio in one message."""
PACE_SECONDS: Final = 0.02
"""Pause after such a piece: what has gathered is caught up with at 25 times the pace of speech, not all at once."""
SEND_SECONDS: Final = 5.0
"""How long the socket may take a message."""
REASON_SECONDS: Final = 0.3
"""How long a broken connection is read from before it is called broken."""
STALL_SECONDS: Final = 5.0
"""How long the text of an utterance may take."""
LATE_SECONDS: Final = 120.0
"""How much older than its lifetime a session may get while it is in use."""
_TICK_SECONDS: Final = 0.1
_BREATH: Final = bytes((SILENCE,)) * PHONE.bytes_for(100)


class Over(Exception):
    """This listener has ended."""

    def __init__(self, lost: Lost) -> None:
        super().__init__(lost.why)
        self.lost = lost


class VendorListener:
    """The `Listener` port over one socket of a vendor's."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse, session: Session, now: Callable[[], float]) -> None:
        self._socket = socket
        self._session = session
        self._now = now
        self._began = self._sent_at = now()
        self._outbox: Outbox[int] = Outbox(PHONE.bytes_per_second)
        self._dropped: dict[int, int] = {}
        """Utterance -> milliseconds of it that were dropped."""
        self._mailbox = Mailbox()
        self._utterance = 0
        self._partial = ""
        self._unfinished = False
        """Audio was fed since the last utterance ended."""
        self._waiting, self._urgent = asyncio.Event(), asyncio.Event()
        self._task = asyncio.create_task(self._run(), name=f"{session.name}: recognition of one call")

    def feed(self, audio: bytes) -> None:
        """Queue caller audio. Never blocks; beyond 10 s the oldest is dropped and counted in the next `Final`."""
        if audio and not self._task.done():
            self._outbox.audio(audio)
            self._unfinished = True
            self._waiting.set()

    def finish(self) -> int:
        """The utterance is over; its `Final` has the returned number."""
        self._utterance += 1
        if not self._task.done():
            self._dropped[self._utterance] = self._outbox.take_dropped_ms()
            self._outbox.mark(self._utterance)
            self._unfinished = False
            self._waiting.set()
            self._urgent.set()
        return self._utterance

    async def hearings(self) -> AsyncIterator[Hearing]:
        """What is heard, in order, until `close` or `Lost`."""
        while (hearing := await self._mailbox.take()) is not None:
            yield hearing

    async def close(self) -> None:
        """End recognition of this call; `hearings` ends."""
        self._mailbox.close()
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        """Until `close` or the first thing that goes wrong."""
        try:
            async with asyncio.TaskGroup() as group:
                for work in (self._read, self._write, self._watch):
                    group.create_task(work())
        except* Over as over:
            first = over.exceptions[0]
            assert isinstance(first, Over)
            self._mailbox.put(replace(first.lost, why=fit_to_tell(first.lost.why, self._session)))
        except* (aiohttp.ClientError, OSError) as errors:
            self._mailbox.put(_broke(self._session, str(errors.exceptions[0])))
        except* Exception as errors:
            log.exception("recognition by %s failed", self._session.name, exc_info=errors)
            self._mailbox.put(Lost(f"an internal error: {type(errors.exceptions[0]).__name__}"))
        finally:
            with contextlib.suppress(aiohttp.ClientError, OSError):  # it is over either way
                await self._socket.close()

    async def _read(self) -> None:
        while True:
            message = await receive(self._socket, self._session)
            try:
                for hearing in self._session.hear(message, self._now()):
                    if isinstance(hearing, Lost):
                        raise Over(hearing)
                    if isinstance(hearing, Answer):
                        await self._send(hearing.message)
                    elif not isinstance(hearing, Ready):
                        self._mailbox.put(hearing)
            except TooManyItems as error:
                raise Over(Lost(f"{self._session.name} does not keep up: {error}")) from error
            self._tell()

    async def _write(self) -> None:
        while True:
            await self._waiting.wait()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(GATHER_SECONDS):
                    await self._urgent.wait()
            self._waiting.clear()
            self._urgent.clear()
            for item in self._outbox.take():
                if isinstance(item, int):
                    await self._commit(item)
                else:
                    await self._send_audio(item)

    async def _send_audio(self, data: bytes) -> None:
        for start in range(0, len(data), PIECE_BYTES):
            piece = data[start : start + PIECE_BYTES]
            await self._send(self._session.audio(piece))
            if len(piece) == PIECE_BYTES:
                await asyncio.sleep(PACE_SECONDS)

    async def _commit(self, number: int) -> None:
        """Noted before it is sent: the answer may be here before the sending returns."""
        self._session.commits.asked(number, self._dropped.pop(number, 0), self._now())
        message = self._session.commit(number)
        if message is None:
            self._session.commits.refused(number)
            self._tell()
        else:
            await self._send(message)

    async def _send(self, message: str) -> None:
        self._sent_at = self._now()
        try:
            async with asyncio.timeout(SEND_SECONDS):
                await self._socket.send_str(message)
        except TimeoutError:
            raise Over(Lost(f"{self._session.name} took no audio for {SEND_SECONDS:.0f} s")) from None
        except (aiohttp.ClientError, OSError):
            await asyncio.sleep(REASON_SECONDS)  # what was received last may say why, and ends this
            raise

    async def _watch(self) -> None:
        """What the passing of time means: nobody waits for ever."""
        session = self._session
        while True:
            await asyncio.sleep(_TICK_SECONDS)
            now = self._now()
            session.commits.tick(now)
            self._tell()
            since = session.commits.waiting_since
            if since is not None and now - since > STALL_SECONDS:
                raise Over(Lost(f"{session.name} sent no text for an utterance within {STALL_SECONDS:.0f} s"))
            self._retire(now - self._began - session.lifetime_seconds)
            if session.breath_seconds and now - self._sent_at > session.breath_seconds:
                await self._send(session.audio(_BREATH))

    def _retire(self, too_old: float) -> None:
        """End a session before the vendor does, at a moment when nothing is said."""
        quiet = self._session.commits.idle and not self._unfinished and not len(self._outbox)
        if too_old > LATE_SECONDS or (too_old > 0 and quiet):
            raise Over(Lost(f"{self._session.name}'s session has reached its longest time", planned=True))

    def _tell(self) -> None:
        """Hand on the words so far, and every utterance that is complete."""
        partial = self._session.commits.partial()
        if partial not in ("", self._partial):
            self._mailbox.put(Partial(partial))
        self._partial = partial
        for final in self._session.commits.released():
            error = fit_to_tell(final.error, self._session)
            if error:
                log.warning("%s has no text for a piece of audio: %s", self._session.name, error)
            self._mailbox.put(replace(final, error=error))


async def receive(socket: aiohttp.ClientWebSocketResponse, session: Session) -> Mapping[str, Any]:
    """The next message. Raises Over when there will be none, or it can not be read."""
    frame = await socket.receive()
    if frame.type in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY):
        try:
            message = json.loads(frame.data)
        except (ValueError, RecursionError):
            message = None
        if not isinstance(message, dict):
            raise Over(Lost(f"{session.name} sent something that is no JSON object"))
        return message
    if frame.type is aiohttp.WSMsgType.CLOSE:
        raise Over(session.closed(frame.data, frame.extra or ""))
    if frame.type is aiohttp.WSMsgType.ERROR:
        raise Over(_broke(session, str(frame.data)))
    if socket.close_code in (None, aiohttp.WSCloseCode.ABNORMAL_CLOSURE):
        raise Over(_broke(session, str(socket.exception() or "")))
    raise Over(session.closed(socket.close_code, ""))


def _broke(session: Session, how: str) -> Lost:
    return Lost(f"the connection to {session.name} broke{f': {how}' if how else ''}")
