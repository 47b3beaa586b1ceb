"""Live audio on the wire of the control door: one binary WebSocket message per frame.

| bytes | |
|---|---|
| 1 | version, 1 |
| 1 | side: 0 caller, 1 agent |
| 4 | listening id, unsigned, big-endian |
| 8 | epoch ms at which the frame passed the engine, unsigned, big-endian |
| rest | mu-law, 8 kHz, mono |
"""

from __future__ import annotations

import struct
from typing import Final

from engine.api import AudioFrame, Side

VERSION: Final = 1
_HEAD: Final = struct.Struct(">BBIQ")
_SIDES: Final[tuple[Side, Side]] = ("caller", "agent")


def encode_audio(listening_id: int, frame: AudioFrame) -> bytes:
    """One frame as a binary message."""
    return _HEAD.pack(VERSION, _SIDES.index(frame.side), listening_id, frame.at_ms) + frame.payload


def decode_audio(message: bytes) -> tuple[int, AudioFrame]:
    """The listening id and the frame of a binary message. Raises ValueError."""
    if len(message) < _HEAD.size:
        raise ValueError("too short for an audio frame")
    version, side, listening_id, at_ms = _HEAD.unpack_from(message)
    if version != VERSION or side >= len(_SIDES):
        raise ValueError(f"not an audio frame of version {VERSION}")
    return listening_id, AudioFrame(_SIDES[side], message[_HEAD.size :], at_ms)
