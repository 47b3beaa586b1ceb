"""What the engine and its speech workers say to each other over a private socket.

A frame is a 9-byte header (length of the payload, kind, and the id of the request or stream it belongs to; network
byte order) and the payload. Both ends are ours and of the same version, so there is no negotiation; a length beyond
the bound means that the stream is broken and ends it.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

_HEADER: Final = struct.Struct("!IBI")
MAX_PAYLOAD: Final = 4 * 1024 * 1024
UTTERANCE: Final = struct.Struct("!II")
"""Payload of FINISH and beginning of FINAL: number of the utterance, ms of its audio that were dropped."""
PROBABILITY: Final = struct.Struct("!f")
"""Payload of VOICE."""


class Kind(IntEnum):
    """What a frame means. Ids are streams for the recogniser, requests for the voice, 0 for the worker itself."""

    READY = 1
    """From the worker, once: it has loaded."""
    FAILED = 2
    """From the worker: a request, or (id 0) the worker itself, can not go on; the payload says why (UTF-8)."""
    PING = 3
    PONG = 4
    """The answer to PING; the payload says for how many ms the worker has been at its present job."""

    SPEAK = 10
    AUDIO = 11
    """Samples, in either direction."""
    DONE = 12
    CANCEL = 13

    OPEN = 20
    FINISH = 21
    CLOSE = 22
    PARTIAL = 23
    FINAL = 24
    VOICE = 25


class BrokenStream(Exception):
    """The other end sent something that is not a frame."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One message. `id` is 32 bits, unsigned."""

    kind: Kind
    id: int = 0
    payload: bytes = b""

    def encode(self) -> bytes:
        return _HEADER.pack(len(self.payload), self.kind, self.id) + self.payload


async def read_frame(reader: asyncio.StreamReader) -> Frame | None:
    """The next frame, or None at the end of the stream. Raises BrokenStream."""
    try:
        header = await reader.readexactly(_HEADER.size)
        length, kind, id_ = _parse_header(header)
        return Frame(kind, id_, await reader.readexactly(length))
    except (asyncio.IncompleteReadError, ConnectionError):
        return None


def receive_frame(receive: Callable[[int], bytes]) -> Frame | None:
    """The same for a thread; `receive(n)` returns exactly n bytes, or fewer at the end of the stream."""
    header = receive(_HEADER.size)
    if len(header) < _HEADER.size:
        return None
    length, kind, id_ = _parse_header(header)
    payload = receive(length)
    return Frame(kind, id_, payload) if len(payload) == length else None


def _parse_header(header: bytes) -> tuple[int, Kind, int]:
    length, kind, id_ = _HEADER.unpack(header)
    if length > MAX_PAYLOAD:
        raise BrokenStream(f"a frame of {length} bytes, more than {MAX_PAYLOAD}")
    try:
        return length, Kind(kind), id_
    except ValueError as unknown:
        raise BrokenStream(f"a frame of the unknown kind {kind}") from unknown
