"""Telnyx's media-stream frames: JSON text both ways, G.711 at 8 kHz in base64, no RTP header.

Shapes are Telnyx's media streaming page and its AsyncAPI description (2026). The two directions have codecs of their
own: what comes is `start.media_format`, what we send is the `stream_bidirectional_codec` of the request that opened
the stream. Inside everything is mu-law, so A-law is translated here, byte by byte. What we send names no stream.

The order of media frames is not guaranteed: they are put in order by `chunk`, waiting a little for one that is late.
"""

from __future__ import annotations

from binascii import a2b_base64, b2a_base64
from typing import Any, Final, Literal

import orjson

from engine.media.audio import FRAME_MS, PHONE
from engine.media.g711 import alaw_to_mulaw, mulaw_to_alaw
from engine.media.wire import (
    Connected,
    MediaFrame,
    Refused,
    Started,
    Stopped,
    Trouble,
    Waits,
    WireEvent,
)
from engine.media.wire_values import counter, dtmf_received, is_id, mark_returned, misplaced

Codec = Literal["PCMU", "PCMA"]
"""G.711 mu-law and A-law, as Telnyx writes them."""
MAX_EARLY: Final = 5
"""Frames that may wait for one before them: 100 ms of the usual 20 ms frames."""
_CODECS: Final[dict[str, Codec]] = {
    "PCMU": "PCMU",
    "AUDIO/X-MULAW": "PCMU",
    "PCMA": "PCMA",
    "AUDIO/X-ALAW": "PCMA",
}
"""Both spellings are seen; older streams say audio/x-mulaw."""
_MAX_ID: Final = 256
_MAX_DIGITS: Final = 12
_CLEAR: Final = b'{"event":"clear"}'


class TelnyxWire:
    """The codec of one stream; `sends` is what Telnyx was told that our audio is."""

    def __init__(self, sends: Codec = "PCMU") -> None:
        self._alaw_out = sends == "PCMA"
        self._alaw_in = False
        self._stream_id: str | None = None
        self._due: int | None = None
        """The chunk that comes next; None before the first."""
        self._early: dict[int, tuple[bytes, int]] = {}
        self._next_ms = 0

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
        if event == "error":
            return _trouble(frame)
        if self._stream_id is None or frame.get("stream_id", self._stream_id) != self._stream_id:
            return misplaced(self._stream_id)
        if event == "mark":
            return mark_returned(frame, _MAX_ID)
        if event == "dtmf":
            return dtmf_received(frame)
        return Stopped() if event == "stop" else Refused("unknown event")

    def media(self, payload: bytes) -> bytes:
        """The frame that plays `payload` (mu-law; Telnyx takes 20 ms to 30 s of audio at a time)."""
        audio = mulaw_to_alaw(payload) if self._alaw_out else payload
        return b'{"event":"media","media":{"payload":"%b"}}' % b2a_base64(audio, newline=False)

    def mark(self, name: str) -> bytes:
        """The frame that comes back once everything sent before it has been played."""
        return b'{"event":"mark","mark":{"name":%b}}' % orjson.dumps(name)

    def clear(self) -> bytes:
        """The frame that empties Telnyx's playback queue."""
        return _CLEAR

    def _started(self, frame: dict[str, Any]) -> WireEvent:
        start = frame.get("start")
        if self._stream_id is not None:
            return Refused("second start")
        if type(start) is not dict:
            return Refused("start without its object")
        stream_id, call_id = frame.get("stream_id", start.get("stream_id")), start.get("call_control_id")
        if not is_id(stream_id, _MAX_ID):
            return Refused("start without a usable stream_id")
        if not is_id(call_id, _MAX_ID):
            return Refused("start without a usable call_control_id")
        self._stream_id = stream_id
        codec, why = _format_of(start.get("media_format"))
        self._alaw_in = codec == "PCMA"
        return Started(stream_id, call_id, PHONE, _parameters(start.get("custom_parameters")), why)

    def _media_received(self, frame: dict[str, Any]) -> WireEvent:
        stream_id = self._stream_id
        if stream_id is None or frame.get("stream_id", stream_id) != stream_id:
            return misplaced(self._stream_id)
        try:
            media = frame["media"]
            payload = a2b_base64(media["payload"], strict_mode=True)
            track = media.get("track", "inbound")
            chunk = counter(media.get("chunk"), _MAX_DIGITS)
            timestamp = counter(media.get("timestamp", self._next_ms), _MAX_DIGITS)
        except (AttributeError, KeyError, TypeError, ValueError):
            return Refused("media without base64 audio")
        if not payload:
            return Refused("media without base64 audio")
        if track != "inbound":
            return Refused("media of a track that is not the caller's")
        if timestamp is None:
            return Refused("media with a timestamp that is not a number")
        if self._alaw_in:
            payload = alaw_to_mulaw(payload)
        return self._in_order(chunk, payload, timestamp)

    def _in_order(self, chunk: int | None, payload: bytes, at_ms: int) -> WireEvent:
        """The frame with all that waited for it; frames that count nothing come as they are."""
        due = self._due
        if chunk is None:
            return self._frame(payload, at_ms)
        if due is not None and chunk < due:
            return Refused("media that came too late")
        if due is not None and chunk > due:
            self._early[chunk] = (payload, at_ms)
            if len(self._early) <= MAX_EARLY:
                return Waits()
            self._due = min(self._early)  # what is missing will not come any more
            payload, at_ms = self._early.pop(self._due)
            return self._with_followers(self._due, payload, at_ms)
        return self._with_followers(chunk, payload, at_ms)

    def _with_followers(self, chunk: int, payload: bytes, at_ms: int) -> MediaFrame:
        due = chunk + 1
        if self._early:
            parts = [payload]
            while due in self._early:
                parts.append(self._early.pop(due)[0])
                due += 1
            payload = b"".join(parts)
        self._due = due
        return self._frame(payload, at_ms)

    def _frame(self, payload: bytes, at_ms: int) -> MediaFrame:
        self._next_ms = at_ms + max(FRAME_MS, len(payload) // 8)
        return MediaFrame(payload, at_ms)


def _format_of(value: object) -> tuple[Codec | None, str]:
    """The codec of what comes, or why it can not be used."""
    if type(value) is not dict:
        return None, "the stream does not say what its audio is"
    name = str(value.get("encoding"))[:40]
    rate, channels = str(value.get("sample_rate", 8000))[:12], str(value.get("channels", 1))[:12]
    codec = _CODECS.get(name.upper())
    if codec is None:
        why = f"the stream carries {name}, which is not telephone audio that we take (PCMU, PCMA)"
        return None, f"{why}: allow PCMU or PCMA in the codecs of the connection"
    if (rate, channels) != ("8000", "1"):
        return None, f"the stream carries {name} with {rate} Hz and {channels} channels, not 8000 Hz and one"
    return codec, ""


def _trouble(frame: dict[str, Any]) -> Trouble:
    """Codes: 100002 unknown, 100003 malformed_frame, 100004 invalid_media, 100005 rate_limit_reached."""
    payload = frame.get("payload")
    fields = payload if type(payload) is dict else {}
    words = [str(fields[name]) for name in ("code", "title", "detail") if fields.get(name)]
    text = "".join(letter if letter.isprintable() else " " for letter in " ".join(words))
    return Trouble(text[:200] or "an error without words")


def _parameters(value: object) -> dict[str, str]:
    """`streaming_start.custom_parameters`: a list of names and values, or a mapping of them."""
    if type(value) is dict:
        pairs = list(value.items())
    elif type(value) is list:
        pairs = [(item.get("name"), item.get("value")) for item in value if type(item) is dict]
    else:
        return {}
    return {name: text for name, text in pairs[:32] if type(name) is str and type(text) is str}
