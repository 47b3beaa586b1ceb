"""Audio over HTTP from a speech service: connections that stay open, limits that apply, refusals that say why.

Nothing is asked twice behind anybody's back: the one exception is a connection from the pool that the service had
closed meanwhile, on which nothing was heard. What comes instead of audio (a page, an error, another format) is loud
noise when it is played, so it is refused before the first byte of it is passed on.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

import aiohttp

from engine.speech.ports import SpeechUnavailable
from engine.speech.tts.errors import Explain, explained, redacted

log = logging.getLogger(__name__)
_T = TypeVar("_T")

KEEP_ALIVE_SECONDS: Final = 75.0
"""How long a connection that is not used stays open: longer than most callers speak."""
CHUNK_BYTES: Final = 16 * 1024
MAX_ERROR_BYTES: Final = 64 * 1024
_BINARY: Final = frozenset({"application/octet-stream", "binary/octet-stream"})
_MPEG1: Final = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_MPEG2: Final = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
"""Kilobits of MP3 by the header's four bits."""
_OTHER_FORMATS: Final = (b"riff", b"id3", b"oggs", b"flac", b"<!do", b"<htm", b"<?xm", b'{"er', b'{"de')
"""How files of other kinds begin, in small letters; raw samples do not."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds that a service may take: to be connected to, until its first byte, and between two of them."""

    connect: float = 3.0
    first_byte: float = 6.0
    stall: float = 4.0


@dataclass(frozen=True, slots=True)
class Service:
    """A speech service. `key`: where its settings stand in the configuration."""

    vendor: str
    base_url: str
    key: str
    explain: Explain
    headers: Mapping[str, str] = field(default_factory=dict)
    secret: str = ""
    limits: Limits = Limits()


class SpeechHttp:
    """The connections to one service, made when they are needed. Belongs to the event loop that uses it first."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._session: aiohttp.ClientSession | None = None
        self._closed = False

    def _pool(self) -> aiohttp.ClientSession:
        if self._closed:
            raise SpeechUnavailable(f"the {self._service.vendor} voice was closed")
        if self._session is None:
            self._session = self._make_pool()
        return self._session

    def _make_pool(self) -> aiohttp.ClientSession:
        limits = self._service.limits
        trace = aiohttp.TraceConfig()
        trace.on_connection_reuseconn.append(_note_reuse)
        return aiohttp.ClientSession(
            headers=self._service.headers,
            # As many connections as there are lines being made, which the number of calls bounds.
            connector=aiohttp.TCPConnector(keepalive_timeout=KEEP_ALIVE_SECONDS, limit=0),
            timeout=aiohttp.ClientTimeout(total=None, connect=limits.connect, sock_connect=limits.connect),
            trace_configs=[trace],
            auto_decompress=True,
        )

    async def close(self) -> None:
        """Close all connections. There will be no others."""
        self._closed = True
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def probe(self, path: str) -> tuple[int, bytes]:
        """Ask for something small: it opens a connection, and shows whether the key is good. Raises SpeechUnavailable
        when the service can not be reached."""
        response = await self._request("GET", path, {}, None)
        try:
            return response.status, await self._error_body(response)
        finally:
            response.release()

    async def audio(
        self, path: str, query: Mapping[str, str], body: Mapping[str, Any]
    ) -> AsyncGenerator[bytes, None]:
        """The bytes of an answer as they come. Raises SpeechUnavailable. Closing it drops the connection, which stops
        the service."""
        response = await self._request("POST", path, query, body)
        try:
            await self._check_status(response)
            first = await self._next(response, self._service.limits.first_byte, "gave no audio")
            self._check_kind(response, first)
            data = first
            while data:
                yield data
                data = await self._next(response, self._service.limits.stall, "went silent in the middle of a line")
        finally:
            if not response.closed:
                response.close() if not response.content.at_eof() else response.release()

    async def _request(
        self, method: str, path: str, query: Mapping[str, str], body: Mapping[str, Any] | None
    ) -> aiohttp.ClientResponse:
        pool = self._pool()
        for _ in range(2):
            used = {"reused": False}
            try:
                return await self._within(
                    self._service.limits.first_byte,
                    pool.request(
                        method,
                        self._service.base_url + path,
                        params=query,
                        json=body,
                        trace_request_ctx=used,
                    ),
                    "did not answer",
                )
            except (aiohttp.ServerDisconnectedError, ConnectionResetError) as error:
                if not used["reused"]:
                    raise self._unreachable(error) from error
                log.debug("%s had closed an idle connection", self._service.vendor)
            except aiohttp.ClientError as error:
                raise self._unreachable(error) from error
        raise SpeechUnavailable(f"{self._service.vendor} closed two connections in a row without an answer")

    async def _next(self, response: aiohttp.ClientResponse, seconds: float, what: str) -> bytes:
        try:
            return await self._within(seconds, response.content.read(CHUNK_BYTES), what)
        except aiohttp.ClientError as error:
            why = str(error) or type(error).__name__
            raise SpeechUnavailable(
                f"{self._service.vendor} broke off in the middle of a line: {redacted(why, self._service.secret)}",
                "the connection or the service failed",
            ) from error

    async def _within(self, seconds: float, work: Awaitable[_T], what: str) -> _T:
        try:
            async with asyncio.timeout(seconds):
                return await work
        except aiohttp.ClientError:
            raise  # some of them are TimeoutErrors too
        except TimeoutError:
            raise SpeechUnavailable(
                f"{self._service.vendor} {what} for {seconds:g} s", "the service or the network is slow"
            ) from None

    async def _check_status(self, response: aiohttp.ClientResponse) -> None:
        if response.status == 200:
            return
        body = await self._error_body(response)
        raise explained(self._service.explain, response.status, body, response.reason or "", self._service.secret)

    async def _error_body(self, response: aiohttp.ClientResponse) -> bytes:
        body = b""
        try:
            async with asyncio.timeout(self._service.limits.stall):
                while len(body) < MAX_ERROR_BYTES and (data := await response.content.read(MAX_ERROR_BYTES)):
                    body += data
        except (aiohttp.ClientError, TimeoutError) as error:
            log.debug("%s: an error's text broke off: %s", self._service.vendor, type(error).__name__)
        return body

    def _check_kind(self, response: aiohttp.ClientResponse, first: bytes) -> None:
        service, kind = self._service, response.content_type.lower()
        if not first:
            raise SpeechUnavailable(f"{service.vendor} answered without any audio", f"check `{service.key}`")
        if not _may_be_samples(kind, first):
            start = redacted(first[:60].decode("ascii", "replace"), service.secret)
            raise SpeechUnavailable(
                f"{service.vendor} answered with {kind} instead of audio that we asked for: {start!r}",
                f"see whether `{service.key}.base_url` is a speech server's address and honours the format",
            )

    def _unreachable(self, error: Exception) -> SpeechUnavailable:
        service = self._service
        return SpeechUnavailable(
            f"{service.vendor} at {service.base_url} can not be reached: {str(error) or type(error).__name__}",
            f"check the network and `{service.key}.base_url`",
        )


def _may_be_samples(kind: str, first: bytes) -> bool:
    """Whether an answer can be raw samples. Services do not agree about the type that these have, so only types that
    are no audio at all decide; else the bytes do."""
    if not kind.startswith("audio/") and kind not in _BINARY:
        return False
    return not first[:4].lower().startswith(_OTHER_FORMATS) and not _is_mpeg(first)


def _is_mpeg(data: bytes) -> bool:
    """Whether this is MP3: a frame header (ISO 11172-3), and another one where the frame ends."""
    if len(data) < 4 or data[0] != 0xFF or data[1] & 0xE6 != 0xE2:
        return False
    newest, rate, bits = data[1] & 0x08 != 0, data[2] >> 2 & 3, data[2] >> 4
    if rate == 3 or bits in (0, 15):
        return False
    hz = (44_100, 48_000, 32_000)[rate] // (1 if newest else 2 if data[1] & 0x10 else 4)
    length = (144 if newest else 72) * 1000 * (_MPEG1 if newest else _MPEG2)[bits] // hz + (data[2] >> 1 & 1)
    following = data[length : length + 2]
    return len(following) < 2 or following == data[:2]


async def _note_reuse(_session: aiohttp.ClientSession, context: Any, _params: object) -> None:
    context.trace_request_ctx["reused"] = True
