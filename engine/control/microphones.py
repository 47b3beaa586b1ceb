"""What one attached client speaks into: `voicecall.microphone`, and the sound that it sends after it.

A microphone is put away with `voicecall.microphone.close`. One whose client goes without that is lost, and the call
is given to somebody else (`engine.floor`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from engine.api import EngineApi, Microphone
from engine.control import params as p
from engine.control.audio import decode_voice
from engine.control.methods import MICROPHONE, MICROPHONE_CLOSE, checked
from engine.control.rpc import encode

log = logging.getLogger(__name__)

GONE: Final = "its connection was lost"
Send = Callable[[bytes], Awaitable[None]]


class Dispatches(Protocol):
    """What answers all other requests."""

    async def dispatch(self, method: str, params: object, by: str) -> Mapping[str, Any]: ...


@dataclass(frozen=True, slots=True)
class _One:
    call_id: str
    microphone: Microphone
    telling: asyncio.Task[None]


class Microphones:
    """A dispatcher for one attachment: microphones are opened here, everything else goes to `dispatcher`."""

    def __init__(self, api: EngineApi, dispatcher: Dispatches, send_text: Send) -> None:
        self._api = api
        self._dispatcher = dispatcher
        self._send_text = send_text
        self._last_id = 0
        self._open: dict[int, _One] = {}

    async def dispatch(self, method: str, params: object, by: str) -> Mapping[str, Any]:
        """The result of `method` as JSON. Raises Refusal."""
        if method == MICROPHONE:
            return await self._speak(checked(p.OneCall, params).call_id, by)
        if method == MICROPHONE_CLOSE:
            return self._put_away(checked(p.OneCall, params).call_id)
        return await self._dispatcher.dispatch(method, params, by)

    def take(self, message: bytes) -> bool:
        """A binary message of the client. False: it is no voice of an open microphone."""
        try:
            microphone_id, payload = decode_voice(message)
        except ValueError:
            return False
        one = self._open.get(microphone_id)
        if one is None:
            # What was on its way when the microphone was closed is nobody's fault.
            return 0 < microphone_id <= self._last_id
        if payload:
            one.microphone.hear(payload)
        else:
            one.microphone.rest()
        return True

    async def close(self) -> None:
        """The client is gone."""
        every = list(self._open.values())
        for one in every:
            one.telling.cancel()
            one.microphone.lose(GONE)
        if every:
            await asyncio.wait([one.telling for one in every])

    async def _speak(self, call_id: str, by: str) -> Mapping[str, Any]:
        microphone = await self._api.microphone(call_id, by)
        self._last_id = microphone_id = self._last_id + 1
        telling = asyncio.create_task(self._tell_end(call_id, microphone_id, microphone))
        self._open[microphone_id] = _One(self._our_id(call_id), microphone, telling)
        return {"microphoneId": microphone_id, "encoding": "mulaw", "sampleRate": 8000}

    def _put_away(self, call_id: str) -> Mapping[str, Any]:
        """Close what is open for a call; nothing open is a success."""
        for one in list(self._open.values()):
            if one.call_id == self._our_id(call_id):
                one.microphone.close()
        return {"success": True}

    def _our_id(self, call_id: str) -> str:
        call = self._api.call(call_id)
        return call_id if call is None else call.call_id

    async def _tell_end(self, call_id: str, microphone_id: int, microphone: Microphone) -> None:
        try:
            why = await microphone.ended()
            ended = {"type": "microphone.ended", "microphoneId": microphone_id, "callId": call_id, "why": why}
            await self._send_text(encode(ended))
        except ConnectionError as error:
            log.info("who spoke is gone: %s", error)
        finally:
            self._open.pop(microphone_id, None)
