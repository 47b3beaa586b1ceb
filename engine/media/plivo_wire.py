"""Plivo's audio stream frames: JSON text both ways, mu-law at 8 kHz in base64.

Shapes: the JSON Schema and the pages of Plivo's audio streaming reference. There is no greeting before `start`, and
a `stop` is mentioned in one place and specified in none: the end of the socket is the end of the stream. `playAudio`
names its format, without `;rate=`, and no stream. Counters are numbers; numbers and digits are both taken. What
`timestamp` counts from is said in two ways, so only its differences are used. Media frames are built from byte
templates, because that happens 50 times a second for every call.
"""

from __future__ import annotations

from binascii import a2b_base64, b2a_base64
from typing import Any, Final

import orjson

from engine.media.audio import FRAME_BYTES, FRAME_MS, PHONE, AudioFormat
from engine.media.wire import (
    MarkReturned,
    MediaFrame,
    Noted,
    Refused,
    Started,
    Stopped,
    WireEvent,
)
from engine.media.wire_values import counter, dtmf_received, is_id, misplaced

MAX_CHUNK: Final = 12_288
"""Bytes of audio in one frame: 16 kB of base64, which Plivo advises as the most."""
_ENCODINGS: Final = {"audio/x-mulaw": "mulaw", "audio/x-l16": "pcm16"}
_RATES: Final = (8000, 16000, 24000)
_MAX_PARAMETERS: Final = 32
_MAX_COUNTER_DIGITS: Final = 16
_PLAY_HEAD: Final = b'{"event":"playAudio","media":{"contentType":"audio/x-mulaw","sampleRate":8000,"payload":"'


class PlivoWire:
    """The codec of one stream. It learns the stream's id from `start`; `mark` and `clear` need it."""

    def __init__(self) -> None:
        self._stream_id: str | None = None
        self._first_at: int | None = None
        self._next_ms = 0
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
        if event == "start":
            return self._started(frame)
        if self._stream_id is None or frame.get("streamId", self._stream_id) != self._stream_id:
            return misplaced(self._stream_id)
        if event == "playedStream":
            name = frame.get("name")
            return MarkReturned(name) if is_id(name) else Refused("playedStream without a usable name")
        if event == "dtmf":
            return dtmf_received(frame)
        if event == "clearedAudio":
            return Noted("the playback buffer is empty")
        return Stopped() if event == "stop" else Refused("unknown event")

    def media(self, payload: bytes) -> bytes:
        """The frame that plays `payload` (raw mu-law). ValueError for more than Plivo takes at once."""
        if len(payload) > MAX_CHUNK:
            raise ValueError(f"{len(payload)} bytes of audio in one frame; Plivo takes {MAX_CHUNK}")
        return b'%b%b"}}' % (_PLAY_HEAD, b2a_base64(payload, newline=False))

    def mark(self, name: str) -> bytes:
        """The frame that is answered once everything sent before it has been played. RuntimeError before `start`."""
        return b"%b%b}" % (self._mark_head or self._unstarted(), orjson.dumps(name))

    def clear(self) -> bytes:
        """The frame that empties Plivo's playback buffer."""
        return self._clear or self._unstarted()

    def keys(self, digits: str) -> bytes:
        """The frame that plays telephone keys to the caller (engine.media.wire.PressesKeys)."""
        return b'{"event":"sendDTMF","dtmf":%b}' % orjson.dumps(digits)

    def _unstarted(self) -> bytes:
        raise RuntimeError("nothing can be sent before the carrier's start frame named the stream")

    def _started(self, frame: dict[str, Any]) -> WireEvent:
        start = frame.get("start")
        if self._stream_id is not None:
            return Refused("second start")
        if type(start) is not dict:
            return Refused("start without its object")
        stream_id, call_id = start.get("streamId", frame.get("streamId")), start.get("callId")
        if not is_id(stream_id):
            return Refused("start without a usable streamId")
        if not is_id(call_id):
            return Refused("start without a usable callId")
        format_ = _format(start.get("mediaFormat"))
        if format_ is None:
            return Refused("start with an audio format that is not known here")
        self._bind(stream_id)
        return Started(stream_id, call_id, format_, _extra_headers(frame.get("extra_headers")))

    def _bind(self, stream_id: str) -> None:
        quoted = orjson.dumps(stream_id)
        self._stream_id = stream_id
        self._mark_head = b'{"event":"checkpoint","streamId":%b,"name":' % quoted
        self._clear = b'{"event":"clearAudio","streamId":%b}' % quoted

    def _media_received(self, frame: dict[str, Any]) -> WireEvent:
        stream_id = self._stream_id
        if stream_id is None or frame.get("streamId", stream_id) != stream_id:
            return misplaced(self._stream_id)
        try:
            media = frame["media"]
            payload = a2b_base64(media["payload"], strict_mode=True)
            track, timestamp = media.get("track", "inbound"), media.get("timestamp")
        except (AttributeError, KeyError, TypeError, ValueError):
            return Refused("media without base64 audio")
        if not payload:
            return Refused("media without base64 audio")
        if track != "inbound":
            return Refused("media of a track that is not the caller's")
        return MediaFrame(payload, self._place(timestamp, len(payload)))

    def _place(self, timestamp: object, size: int) -> int:
        """Where a frame lies, in ms from the first one. One whose time can not be read follows the one before."""
        at = counter(timestamp, _MAX_COUNTER_DIGITS)
        if at is not None and self._first_at is None:
            self._first_at = at - self._next_ms
        at_ms = self._next_ms if at is None or self._first_at is None else max(0, at - self._first_at)
        self._next_ms = at_ms + max(1, size // FRAME_BYTES) * FRAME_MS
        return at_ms


def _format(value: object) -> AudioFormat | None:
    """What the stream carries, which is not always what was asked for. `audio/x-mulaw;rate=8000` is seen as well."""
    if type(value) is not dict:
        return None
    encoding, _, parameter = str(value.get("encoding", "")).partition(";")
    rate = counter(value.get("sampleRate"), _MAX_COUNTER_DIGITS)
    if rate is None:
        rate = counter(parameter.strip().removeprefix("rate="), _MAX_COUNTER_DIGITS)
    known = _ENCODINGS.get(encoding.strip().lower())
    if known is None or rate not in _RATES:
        return None
    if known == "mulaw":
        return PHONE if rate == PHONE.rate else None
    return AudioFormat("pcm16", rate)


def _extra_headers(value: object) -> dict[str, str]:
    """`k=v;k2=v2`, also with commas; one page has it as JSON."""
    if type(value) is dict:
        pairs = [(str(name), text) for name, text in value.items() if type(text) is str]
        return dict(pairs[:_MAX_PARAMETERS])
    if type(value) is not str:
        return {}
    if value.lstrip().startswith("{"):
        try:
            return _extra_headers(orjson.loads(value))
        except orjson.JSONDecodeError:
            return {}
    parts = (part.partition("=") for part in value.replace(",", ";").split(";"))
    found = [(name.strip(), text.strip()) for name, equals, text in parts if equals and name.strip()]
    return dict(found[:_MAX_PARAMETERS])
