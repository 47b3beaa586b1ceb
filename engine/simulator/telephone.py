"""The other end of a handset: a client of the simulated carrier whose user is the caller.

async with Telephone.call(address, to="+15550000000") as telephone:
    async for item in telephone:      # 20 ms of mu-law, or what the line does
        ...
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

import aiohttp

from engine.simulator.launch import SimulatorAddress

NUMBER: Final = "+15550100190"
"""Whose telephone it is, unless somebody says so."""
_HEARTBEAT_S: Final = 10.0
_MAX_REFUSAL: Final = 2000


class NoLine(Exception):
    """The simulated carrier gave no line. The message says why."""


@dataclass(frozen=True, slots=True)
class LineState:
    """What the line does: ringing, answered or ended, and why or for whom."""

    state: str
    detail: str = ""


class Telephone:
    """A telephone off the hook. Belongs to one loop."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket

    @classmethod
    @asynccontextmanager
    async def call(
        cls, address: SimulatorAddress, *, to: str = "", number: str = NUMBER, wait: bool = False
    ) -> AsyncIterator[Telephone]:
        """Call `to` (unset: the number that the engine has), or `wait` to be called at `number`. Raises NoLine.

        Leaving it hangs up.
        """
        query = {"number": number, "to": to, "wait": "1" if wait else ""}
        headers = {"Authorization": f"Bearer {address.api_key}"}
        async with aiohttp.ClientSession(headers=headers) as http:
            socket = await _connect(http, f"{address.base_url}/sim/phone", query)
            try:
                yield cls(socket)
            finally:
                await socket.close()

    async def __aiter__(self) -> AsyncIterator[bytes | LineState]:
        """What is at the ear, 20 ms at a time, and what the line does, until it is over."""
        async for message in self._socket:
            if message.type is aiohttp.WSMsgType.BINARY:
                yield message.data
            elif message.type is aiohttp.WSMsgType.TEXT:
                value = json.loads(message.data)
                yield LineState(str(value["state"]), str(value["detail"]))

    async def say(self, payload: bytes) -> None:
        """More of a voice: mu-law, 8 kHz."""
        await self._socket.send_bytes(payload)

    async def press(self, digits: str) -> None:
        """Press keys."""
        await self._socket.send_str(json.dumps({"keys": digits}))

    async def hang_up(self) -> None:
        """The line is over a moment later."""
        await self._socket.send_str(json.dumps({"hangup": True}))


async def _connect(
    http: aiohttp.ClientSession, url: str, query: Mapping[str, str]
) -> aiohttp.ClientWebSocketResponse:
    try:
        async with http.get(f"{url}/check", params=query) as reply:
            if reply.status != 200:
                raise NoLine(_why(await reply.content.read(_MAX_REFUSAL), reply.status))
        return await http.ws_connect(url, params=query, heartbeat=_HEARTBEAT_S)
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise NoLine(f"the simulated carrier does not answer: {error}") from error


def _why(body: bytes, status: int) -> str:
    try:
        return str(json.loads(body)["message"])
    except (ValueError, KeyError, TypeError):
        return f"HTTP {status}"
