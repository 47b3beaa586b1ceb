"""A carrier's side of one stream, in virtual time: plays what it gets on its own clock and returns marks."""

from __future__ import annotations

import asyncio
import base64
import json
from collections import deque
from collections.abc import Sequence

from engine.media.twilio_wire import TwilioWire
from engine.media.wire import Started

START = json.dumps(
    {
        "event": "start",
        "sequenceNumber": "1",
        "streamSid": "MZ1",
        "start": {
            "streamSid": "MZ1",
            "callSid": "CA1",
            "tracks": ["inbound"],
            "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
            "customParameters": {},
        },
    }
)


def started_wire() -> TwilioWire:
    wire = TwilioWire()
    assert isinstance(wire.receive(START), Started)
    return wire


class PlayingCarrier:
    """Buffers, plays at 8 kHz, returns marks `delay` seconds after they were reached, and empties on `clear`."""

    def __init__(self, loop: asyncio.AbstractEventLoop, delay: float = 0.0) -> None:
        self._loop = loop
        self._delay = delay
        self._timers: deque[tuple[asyncio.TimerHandle, str]] = deque()
        self.returned: asyncio.Queue[str] = asyncio.Queue(1000)
        self.frames: list[tuple[float, bytes]] = []
        """When each frame came, and its audio."""
        self.writes: list[list[str]] = []
        self.marks: list[tuple[float, str]] = []
        self.until = 0.0
        """When the buffer will be empty."""
        self.silence = 0.0
        """Seconds for which the buffer was empty between two frames."""
        self.deaf_to_marks = False
        self.clears = 0

    def take(self, messages: Sequence[bytes]) -> None:
        now = self._loop.time()
        self.writes.append([json.loads(message)["event"] for message in messages])
        for message in map(json.loads, messages):
            if message["event"] == "media":
                self._media(now, base64.b64decode(message["media"]["payload"]))
            elif message["event"] == "mark":
                self._mark(now, message["mark"]["name"])
            else:
                self._clear(now)

    def _media(self, now: float, audio: bytes) -> None:
        if self.frames and self.until < now:
            self.silence += now - self.until
        self.frames.append((now, audio))
        self.until = max(self.until, now) + len(audio) / 8000

    def _mark(self, now: float, name: str) -> None:
        self.marks.append((now, name))
        if not self.deaf_to_marks:
            when = max(self.until, now) + self._delay
            self._timers.append((self._loop.call_at(when, self.returned.put_nowait, name), name))

    def _clear(self, now: float) -> None:
        self.clears += 1
        self.until = now
        for timer, name in self._timers:
            if timer.when() > now:
                timer.cancel()
                self._loop.call_later(self._delay, self.returned.put_nowait, name)
        self._timers.clear()
