"""One attached client: events from a cursor on, JSON-RPC, and sound both ways, over one WebSocket."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final

from aiohttp import WSCloseCode, WSMsgType, web

from engine.api import EngineApi, Refusal
from engine.control import rpc
from engine.control.feed import Batch, Feed
from engine.control.listenings import Listenings
from engine.control.methods import Dispatcher
from engine.control.microphones import Microphones

log = logging.getLogger(__name__)

MAX_CONCURRENT: Final = 16
"""Requests of one client that run at the same time; more are refused at once."""
SEND_TIMEOUT_S: Final = 30.0
"""A client that takes nothing for so long is gone."""


class Attachment:
    """Serves one WebSocket until it closes or the engine stops. A slow reader slows nobody but itself."""

    def __init__(
        self,
        socket: web.WebSocketResponse,
        abort: Callable[[], None],
        api: EngineApi,
        dispatcher: Dispatcher,
        by: str,
    ) -> None:
        self._socket = socket
        self._abort = abort
        self._api = api
        self._listenings = Listenings(api, dispatcher, self._send, self._send_audio)
        self._dispatcher = Microphones(api, self._listenings, self._send)
        self._by = by
        self._requests: set[asyncio.Task[None]] = set()

    async def serve(self, feed: Feed | None, hello: dict[str, Any]) -> None:
        """Until the client leaves: say hello, then send batches and answer requests at the same time.

        Without a feed there are no events: that is a client who only listens.
        """
        present = self._api.attend(self._by) if feed is not None else contextlib.nullcontext()
        async with feed or contextlib.nullcontext():
            with present:
                await self._talk(feed, hello)

    async def _talk(self, feed: Feed | None, hello: dict[str, Any]) -> None:
        await self._send(rpc.encode(hello))
        sending = {asyncio.create_task(self._send_batches(feed))} if feed is not None else set()
        try:
            await self._read()
        finally:
            tasks = sending | self._requests
            for task in tasks:
                task.cancel()
            if tasks:
                await asyncio.wait(tasks)
            await self._dispatcher.close()
            await self._listenings.close()

    async def _read(self) -> None:
        async for message in self._socket:
            if message.type is WSMsgType.BINARY and self._dispatcher.take(message.data):
                continue
            if message.type is not WSMsgType.TEXT:
                refusal = Refusal("invalid_params", "Requests are JSON-RPC 2.0 in text frames.")
                await self._send(rpc.encode(rpc.failure(None, rpc.INVALID_REQUEST, refusal)))
            elif len(self._requests) >= MAX_CONCURRENT:
                await self._send(rpc.too_many(message.data, MAX_CONCURRENT))
            else:
                task = asyncio.create_task(self._answer(message.data))
                self._requests.add(task)
                task.add_done_callback(self._requests.discard)

    async def _answer(self, text: str) -> None:
        response = await rpc.answer(self._dispatcher, text, self._by)
        if response is not None:
            await self._send(response)

    async def _send_batches(self, feed: Feed) -> None:
        try:
            async for batch in feed:
                await self._send(rpc.encode(_batch_json(batch)))
        except ConnectionError as error:
            log.info("an attached client (%s) is gone: %s", self._by, error)
        except Exception:
            log.exception("the event stream of an attached client (%s) failed", self._by)
        # Without the stream the client must come again, and closing tells it so.
        await self._socket.close(code=WSCloseCode.GOING_AWAY)

    async def _send(self, text: bytes) -> None:
        await self._within_limit(self._socket.send_str(text.decode()))

    async def _send_audio(self, message: bytes) -> None:
        await self._within_limit(self._socket.send_bytes(message))

    async def _within_limit(self, sending: Awaitable[None]) -> None:
        try:
            async with asyncio.timeout(SEND_TIMEOUT_S):
                await sending
        except TimeoutError:
            self._abort()  # a polite close would wait behind what it does not take
            raise ConnectionResetError(f"it took nothing for {SEND_TIMEOUT_S:.0f} s") from None


def hello(api: EngineApi, feed: Feed | None, version: str) -> dict[str, Any]:
    """The first message: who answers, and the place that events begin after."""
    cursor = api.cursor() if feed is None else feed.cursor
    return {"type": "hello", "version": version, "cursor": str(cursor), "live": len(api.live_calls())}


def _batch_json(batch: Batch) -> dict[str, Any]:
    return {
        "type": "events",
        "events": [event.to_json() for event in batch.events],
        "cursor": str(batch.cursor),
        "lagged": batch.lagged,
    }
