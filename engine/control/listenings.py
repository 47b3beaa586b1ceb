"""What one attached client listens to: `voicecall.listen` and `.unlisten`, which need a socket for the sound."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from engine.api import EngineApi, Listening, Refusal
from engine.control import params as p
from engine.control.audio import encode_audio
from engine.control.methods import LISTEN, UNLISTEN, Dispatcher, checked
from engine.control.rpc import encode

log = logging.getLogger(__name__)

MAX_LISTENINGS: Final = 8
"""Calls that one client listens to at the same time."""
Send = Callable[[bytes], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class _One:
    listening_id: int
    listening: Listening
    sending: asyncio.Task[None]


class Listenings:
    """A dispatcher for one attachment: listening is done here, everything else by the door's dispatcher."""

    def __init__(self, api: EngineApi, dispatcher: Dispatcher, send_text: Send, send_audio: Send) -> None:
        self._api = api
        self._dispatcher = dispatcher
        self._send_text = send_text
        self._send_audio = send_audio
        self._ids = itertools.count(1)
        self._open: dict[str, _One] = {}

    async def dispatch(self, method: str, params: object, by: str) -> Mapping[str, Any]:
        """The result of `method` as JSON. Raises Refusal."""
        if method == LISTEN:
            return self._listen(checked(p.OneCall, params).call_id)
        if method == UNLISTEN:
            return self._unlisten(checked(p.OneCall, params).call_id)
        return await self._dispatcher.dispatch(method, params, by)

    async def close(self) -> None:
        """The client is gone."""
        every = list(self._open.values())
        for one in every:
            one.listening.close()
            one.sending.cancel()
        if every:
            await asyncio.wait([one.sending for one in every])

    def _listen(self, call_id: str) -> Mapping[str, Any]:
        """Begin to send a call's sound; asked again, it is the same listening."""
        call_id = self._our_id(call_id)
        one = self._open.get(call_id)
        if one is None:
            if len(self._open) >= MAX_LISTENINGS:
                raise Refusal(
                    "at_capacity",
                    f"This client listens to {MAX_LISTENINGS} calls already.",
                    "Stop listening to one of them with `voicecall.unlisten`.",
                )
            listening = self._api.listen(call_id)
            listening_id = next(self._ids)
            sending = asyncio.create_task(self._send(call_id, listening_id, listening))
            one = self._open[call_id] = _One(listening_id, listening, sending)
        return {"listeningId": one.listening_id, "encoding": "mulaw", "sampleRate": 8000}

    def _unlisten(self, call_id: str) -> Mapping[str, Any]:
        """Stop; not listening is a success."""
        if (one := self._open.get(self._our_id(call_id))) is not None:
            one.listening.close()
        return {"success": True}

    def _our_id(self, call_id: str) -> str:
        call = self._api.call(call_id)
        return call_id if call is None else call.call_id

    async def _send(self, call_id: str, listening_id: int, listening: Listening) -> None:
        """Send what is heard until the call or the listening ends, then say so."""
        try:
            while frames := await listening.read():
                for frame in frames:
                    await self._send_audio(encode_audio(listening_id, frame))
            ended = {"type": "listening.ended", "listeningId": listening_id, "callId": call_id}
            await self._send_text(encode({**ended, "dropped": listening.dropped}))
        except ConnectionError as error:
            log.info("a listener is gone: %s", error)
        finally:
            listening.close()
            self._open.pop(call_id, None)
