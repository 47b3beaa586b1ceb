"""The carrier's side of Twilio's media-stream frames: text in, text out, no I/O.

Shapes follow Twilio's media-stream documentation: all counters are strings, `sequenceNumber` counts every message
after `connected`, `chunk` counts media frames, `timestamp` is milliseconds since the stream began. What Twilio would
report as an error (31924 malformed, 31950 binary, 31951 invalid, 31931 discarded) carries its number here too.
"""

from __future__ import annotations

import binascii
from dataclasses import dataclass

import orjson


@dataclass(frozen=True, slots=True)
class PlayAudio:
    """Play this to the person: mu-law, 8 kHz."""

    payload: bytes


@dataclass(frozen=True, slots=True)
class PlayMark:
    """Send this name back when everything before it has been played."""

    name: str


@dataclass(frozen=True, slots=True)
class ClearAudio:
    """Drop what waits to be played."""


@dataclass(frozen=True, slots=True)
class BadFrame:
    """Not in the protocol. `code` is Twilio's error number."""

    code: int
    why: str


Instruction = PlayAudio | PlayMark | ClearAudio | BadFrame


def read_frame(text: str, stream_id: str) -> Instruction:
    """Read one frame from the other side, as strictly as Twilio does: exactly the documented keys."""
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        return BadFrame(31924, "not JSON")
    if not isinstance(value, dict):
        return BadFrame(31951, "not a JSON object")
    event = value.get("event")
    if value.get("streamSid") != stream_id:
        return BadFrame(31951, f"{event!r} has a wrong streamSid")
    if event == "media":
        return _read_media(value)
    if event == "mark":
        return _read_mark(value)
    if event == "clear":
        return ClearAudio() if len(value) == 2 else BadFrame(31951, "clear has extra keys")
    return BadFrame(31951, f"unknown event {str(event)[:40]!r}")


def _read_media(value: dict[str, object]) -> Instruction:
    media = value.get("media")
    if len(value) != 3 or not isinstance(media, dict) or list(media) != ["payload"]:
        return BadFrame(31951, "media wants exactly streamSid and media.payload")
    try:
        return PlayAudio(binascii.a2b_base64(media["payload"], strict_mode=True))
    except (binascii.Error, TypeError, ValueError):
        return BadFrame(31951, "media.payload is not base64")


def _read_mark(value: dict[str, object]) -> Instruction:
    mark = value.get("mark")
    if len(value) != 3 or not isinstance(mark, dict) or list(mark) != ["name"] or not isinstance(mark["name"], str):
        return BadFrame(31951, "mark wants exactly streamSid and mark.name")
    return PlayMark(mark["name"])


class FrameWriter:
    """Writes one stream's frames and keeps its counters."""

    def __init__(self, stream_id: str, call_id: str, account_id: str) -> None:
        self._stream_id = stream_id
        self._call_id = call_id
        self._account_id = account_id
        self._sequence = 0
        self._chunk = 0
        self._media_head = f'","streamSid":"{stream_id}","media":{{"track":"inbound","chunk":"'

    @property
    def chunks(self) -> int:
        """Media frames written."""
        return self._chunk

    def connected(self) -> str:
        return '{"event":"connected","protocol":"Call","version":"1.0.0"}'

    def start(self, token: str) -> str:
        return self._numbered(
            "start",
            start={
                "accountSid": self._account_id,
                "streamSid": self._stream_id,
                "callSid": self._call_id,
                "tracks": ["inbound"],
                "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
                "customParameters": {"token": token},
            },
        )

    def media(self, payload: str, at_ms: int) -> str:
        """`payload` is base64 already: the people at 100 phones share the bytes of their lines."""
        self._sequence += 1
        self._chunk += 1
        return (
            f'{{"event":"media","sequenceNumber":"{self._sequence}{self._media_head}{self._chunk}'
            f'","timestamp":"{at_ms}","payload":"{payload}"}}}}'
        )

    def dtmf(self, digit: str) -> str:
        return self._numbered("dtmf", dtmf={"track": "inbound_track", "digit": digit})

    def mark(self, name: str) -> str:
        return self._numbered("mark", mark={"name": name})

    def stop(self) -> str:
        return self._numbered("stop", stop={"accountSid": self._account_id, "callSid": self._call_id})

    def _numbered(self, event: str, **body: object) -> str:
        self._sequence += 1
        frame = {"event": event, "sequenceNumber": str(self._sequence), "streamSid": self._stream_id, **body}
        return orjson.dumps(frame).decode()
