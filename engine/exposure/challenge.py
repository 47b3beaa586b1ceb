"""Requests of our own that come in by the public address: recognised by a word that only this process knows.

A word is good once and only while its probe waits, so that whoever saw one on the way can do nothing with it. What
arrives with a good one touches no call, no carrier and none of the bounds for strangers: its head is noted and it is
answered; a media socket gets one small frame back.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from aiohttp import WSMsgType, web

from engine.exposure.probe import Arrived
from engine.web.limits import MAX_BODY

HEADER: Final = "X-Voicecall-Probe"
QUERY: Final = "voicecall-probe"
"""The word is in both: a proxy may drop either."""
MAX_WAITING: Final = 8
"""Words that are good at a time."""
MAX_FRAME: Final = 1024
FRAME_SECONDS: Final = 5.0
BODY_SECONDS: Final = 5.0


class Challenge:
    """One word, and what came in with it."""

    def __init__(self, key: bytes) -> None:
        self.word = secrets.token_urlsafe(24)
        self.proof = hmac.new(key, self.word.encode(), hashlib.sha256).hexdigest()
        """What our answer holds: nobody who only saw the word can make it up."""
        self.arrived: Arrived | None = None


class Challenges:
    """The words that are good just now."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)
        self._waiting: dict[str, Challenge] = {}

    @contextmanager
    def one(self) -> Iterator[Challenge]:
        """A fresh word, good until it came in or the block ends. Raises RuntimeError when too many wait."""
        if len(self._waiting) >= MAX_WAITING:
            raise RuntimeError("too many probes at once")
        challenge = Challenge(self._key)
        self._waiting[challenge.word] = challenge
        try:
            yield challenge
        finally:
            self._waiting.pop(challenge.word, None)

    async def answer(self, request: web.Request) -> web.StreamResponse | None:
        """Our answer to a request of our own; None for anybody else's, which takes its usual way."""
        challenge = self._claim(request) if self._waiting else None
        if challenge is None:
            return None
        body = await _body(request)
        path, _, query = request.rel_url.raw_path_qs.partition("?")
        headers = {name.lower(): value for name, value in request.headers.items()}
        challenge.arrived = Arrived(request.method, path, query, headers, body, request.remote or "")
        if "websocket" in request.headers.get("Upgrade", "").lower():
            return await _echo(request)
        if request.method == "GET":
            return web.Response(status=426, text="an upgrade was expected\n", headers={"Upgrade": "websocket"})
        return web.json_response({"probe": "voicecall", "proof": challenge.proof})

    def _claim(self, request: web.Request) -> Challenge | None:
        given = request.headers.get(HEADER) or request.rel_url.query.get(QUERY, "")
        if not given or len(given) > 64:
            return None
        for word in list(self._waiting):
            if hmac.compare_digest(word.encode(), given.encode("utf-8", "replace")):
                return self._waiting.pop(word)
        return None


async def _body(request: web.Request) -> bytes:
    """What arrived of the body, bounded as a webhook's is."""
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for part in request.content.iter_any():
                size += len(part)
                if size > MAX_BODY:
                    break
                parts.append(part)
    except (TimeoutError, ConnectionError, web.RequestPayloadError):
        pass  # The verdict says how much of it came.
    return b"".join(parts)


async def _echo(request: web.Request) -> web.StreamResponse:
    """One frame comes back as it came; then the socket is closed."""
    socket = web.WebSocketResponse(compress=False, max_msg_size=MAX_FRAME, timeout=FRAME_SECONDS)
    await socket.prepare(request)
    try:
        async with asyncio.timeout(FRAME_SECONDS):
            message = await socket.receive()
            if message.type is WSMsgType.TEXT:
                await socket.send_str(message.data)
    except (TimeoutError, ConnectionError):
        pass  # Whoever probes finds out by itself.
    await socket.close(drain=False)
    return socket
