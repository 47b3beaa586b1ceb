"""Live audio on the wire of the control door: one binary WebSocket message per frame.

| bytes | |
|---|---|
| 1 | version, 1 |
| 1 | side: 0 caller, 1 agent |
| 4 | listening id, unsigned, big-endian |
| 8 | epoch ms at which the frame passed the engine, unsigned, big-endian |
| rest | mu-law, 8 kHz, mono |

A client's own voice (`voicecall.microphone`) comes back in the same form: side 2, the microphone's id, when it
was spoken. One without sound says that the speaker stopped for now.
"""

from __future__ import annotations

import struct
from typing import Final

from engine.api import AudioFrame, Side

VERSION: Final = 1
_HEAD: Final = struct.Struct(">BBIQ")
_OPERATOR: Final = 2
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


def encode_voice(microphone_id: int, payload: bytes, at_ms: int) -> bytes:
    """A piece of a person's own voice as a binary message."""
    return _HEAD.pack(VERSION, _OPERATOR, microphone_id, at_ms) + payload


def decode_voice(message: bytes) -> tuple[int, bytes]:
    """The microphone's id and the sound of a binary message. Raises ValueError."""
    if len(message) < _HEAD.size:
        raise ValueError("too short for a voice")
    version, side, microphone_id, _ = _HEAD.unpack_from(message)
    if version != VERSION or side != _OPERATOR:
        raise ValueError(f"not a person's voice of version {VERSION}")
    return microphone_id, message[_HEAD.size :]
