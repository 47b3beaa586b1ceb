"""Twilio's Media Streams frames (protocol `Call` 1.0.0): JSON text both ways, mu-law at 8 kHz in base64.

Shapes are Twilio's documentation and one recorded stream. What we send holds exactly the documented fields: Twilio
answers an extra one with warning 31951 and ignores the frame. All counters on the wire are strings. Media frames are
built from byte templates, and read without anything but orjson and binascii, because both happen 50 times a second
for every call.
"""

from __future__ import annotations

from binascii import a2b_base64, b2a_base64
from typing import Any, Final

import orjson

from engine.media.audio import FRAME_MS, PHONE
from engine.media.wire import (
    Connected,
    MediaFrame,
    Refused,
    Started,
    Stopped,
    WireEvent,
)
from engine.media.wire_values import counter, dtmf_received, is_id, mark_returned, misplaced

_MAX_PARAMETERS: Final = 32
_MAX_TIMESTAMP_DIGITS: Final = 12


class TwilioWire:
    """The codec of one stream. It learns the stream's id from `start`; `media`, `mark` and `clear` need it."""

    def __init__(self) -> None:
        self._stream_id: str | None = None
        self._next_ms = 0
        self._media_head = b""
        self._mark_head = b""
        self._clear = b""

    def receive(self, text: str | bytes) -> WireEvent:
        """Read one frame. Never raises: what is not in the protocol comes back as `Refused`."""
        try:
            frame = orjson.loads(text)
        except orjson.JSONDecodeError:
            return Refused("not JSON")
        if type(frame) is not dict:
            return Refused("not a JSON object")
        event = frame.get("event")
        if event == "media":
            return self._media_received(frame)
        if event == "connected":
            return Connected()
        if event == "start":
            return self._started(frame)
        if self._stream_id is None or frame.get("streamSid", self._stream_id) != self._stream_id:
            return misplaced(self._stream_id)
        if event == "mark":
            return mark_returned(frame)
        if event == "dtmf":
            return dtmf_received(frame)
        return Stopped() if event == "stop" else Refused("unknown event")

    def media(self, payload: bytes) -> bytes:
        """The frame that plays `payload` (raw mu-law, any length). RuntimeError before `start`."""
        return b'%b%b"}}' % (self._media_head or self._unstarted(), b2a_base64(payload, newline=False))

    def mark(self, name: str) -> bytes:
        """The frame that comes back once everything sent before it has been played. RuntimeError before `start`."""
        return b"%b%b}}" % (self._mark_head or self._unstarted(), orjson.dumps(name))

    def clear(self) -> bytes:
        """The frame that empties Twilio's playback queue; it returns the pending marks at once."""
        return self._clear or self._unstarted()

    def _unstarted(self) -> bytes:
        raise RuntimeError("nothing can be sent before the carrier's start frame named the stream")

    def _started(self, frame: dict[str, Any]) -> WireEvent:
        start = frame.get("start")
        if self._stream_id is not None:
            return Refused("second start")
        if type(start) is not dict:
            return Refused("start without its object")
        stream_id = frame.get("streamSid", start.get("streamSid"))
        call_id = start.get("callSid")
        if not is_id(stream_id) or start.get("streamSid", stream_id) != stream_id:
            return Refused("start without a usable streamSid")
        if not is_id(call_id):
            return Refused("start without a usable callSid")
        if not _is_phone_format(start.get("mediaFormat")):
            return Refused("start with an audio format other than mono mu-law at 8 kHz")
        self._bind(stream_id)
        return Started(stream_id, call_id, PHONE, _parameters(start.get("customParameters")))

    def _bind(self, stream_id: str) -> None:
        quoted = orjson.dumps(stream_id)
        self._stream_id = stream_id
        self._media_head = b'{"event":"media","streamSid":%b,"media":{"payload":"' % quoted
        self._mark_head = b'{"event":"mark","streamSid":%b,"mark":{"name":' % quoted
        self._clear = b'{"event":"clear","streamSid":%b}' % quoted

    def _media_received(self, frame: dict[str, Any]) -> WireEvent:
        stream_id = self._stream_id
        if stream_id is None or frame.get("streamSid", stream_id) != stream_id:
            return misplaced(self._stream_id)
        try:
            media = frame["media"]
            payload = a2b_base64(media["payload"], strict_mode=True)
            track, timestamp = media.get("track", "inbound"), media.get("timestamp", self._next_ms)
        except (AttributeError, KeyError, TypeError, ValueError):
            return Refused("media without base64 audio")
        if not payload:
            return Refused("media without base64 audio")
        if track != "inbound":
            return Refused("media of a track that is not the caller's")
        at_ms = counter(timestamp, _MAX_TIMESTAMP_DIGITS)
        if at_ms is None:
            return Refused("media with a timestamp that is not a number")
        self._next_ms = at_ms + FRAME_MS
        return MediaFrame(payload, at_ms)


def _is_phone_format(value: object) -> bool:
    """Twilio has one format only, so a start that does not name one means that one."""
    if value is None:
        return True
    if type(value) is not dict:
        return False
    found = (value.get("encoding"), str(value.get("sampleRate")), str(value.get("channels", 1)))
    return found == ("audio/x-mulaw", "8000", "1")


def _parameters(value: object) -> dict[str, str]:
    if type(value) is not dict:
        return {}
    pairs = [(name, text) for name, text in value.items() if type(text) is str]
    return dict(pairs[:_MAX_PARAMETERS])
