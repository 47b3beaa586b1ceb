"""A handset over a WebSocket: binary messages are voice (mu-law, 8 kHz), text is what the line or the holder does."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
from aiohttp import WSMsgType, web

from engine.simulator.handset import Handset


async def carry(socket: web.WebSocketResponse, handset: Handset) -> None:
    """Both ways, until the line is over or the holder is gone."""
    tasks = [asyncio.create_task(_take(socket, handset)), asyncio.create_task(_give(socket, handset))]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    for task in tasks:
        if (
            not task.cancelled()
            and (error := task.exception()) is not None
            and not isinstance(error, ConnectionError)
        ):
            raise error


async def _take(socket: web.WebSocketResponse, handset: Handset) -> None:
    """What the holder says and presses; returns when they hang up."""
    async for message in socket:
        if message.type is WSMsgType.BINARY:
            handset.say(message.data)
        elif message.type is WSMsgType.TEXT:
            asked = _object(message.data)
            if asked.get("hangup"):
                return
            handset.press("".join(key for key in str(asked.get("keys", "")) if key in "0123456789*#ABCD"))


async def _give(socket: web.WebSocketResponse, handset: Handset) -> None:
    """What is at the ear; returns when the line is over."""
    while True:
        item = await handset.heard.get()
        if isinstance(item, bytes):
            await socket.send_bytes(item)
            continue
        state, detail = item
        await socket.send_str(orjson.dumps({"state": state, "detail": detail}).decode())
        if state == "ended":
            await socket.close()
            return


def _object(text: str) -> dict[str, Any]:
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        return {}
    return value if isinstance(value, dict) else {}
