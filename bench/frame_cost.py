"""What one 20 ms frame costs in our own code, in microseconds: no sockets, no other calls.

    python bench/frame_cost.py

Each figure is the best of seven runs, so it is the cost of the code rather than of what else the machine does.
"""

from __future__ import annotations

import asyncio
import base64
import json
import sys
import timeit
from collections.abc import Callable
from pathlib import Path
from typing import cast

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from aiohttp import web  # noqa: E402

from engine.media.audio import AudioFormat  # noqa: E402
from engine.media.convert import PhoneConverter, PhoneUpsampler  # noqa: E402
from engine.media.g711 import mulaw_to_pcm16, pcm16_to_mulaw  # noqa: E402
from engine.media.levels import LevelMeter, level_db  # noqa: E402
from engine.media.session import MediaSession, text_frame  # noqa: E402
from engine.media.ticker import PERIOD, Ticker  # noqa: E402
from engine.media.twilio_wire import TwilioWire  # noqa: E402
from engine.media.vad import Gate  # noqa: E402

SID = "MZ" + "0" * 32
AUDIO = bytes(range(160))
START = json.dumps({"event": "start", "streamSid": SID, "start": {"streamSid": SID, "callSid": "CA1"}})
INBOUND = json.dumps(
    {
        "event": "media",
        "sequenceNumber": "1234",
        "streamSid": SID,
        "media": {
            "track": "inbound",
            "chunk": "1233",
            "timestamp": "24660",
            "payload": base64.b64encode(AUDIO).decode(),
        },
    }
).encode()


class NullTransport(asyncio.Transport):
    """Takes everything."""

    def is_closing(self) -> bool:
        return False

    def write(self, data: object) -> None:
        """Written."""

    def get_write_buffer_size(self) -> int:
        return 0


class NullHandler:
    """Wants nothing."""

    def on_frame(self, payload: bytes, at_ms: int) -> None:
        """Heard."""

    def on_dtmf(self, digit: str) -> None:
        """Pressed."""

    def on_stopped(self, why: str) -> None:
        """Over."""


def microseconds(work: Callable[[], object], number: int = 10_000) -> float:
    """The best of seven runs, per call."""
    return min(timeit.repeat(work, number=number, repeat=7)) / number * 1e6


def session_costs() -> dict[str, float]:
    """A frame through a whole session and a whole playout, but for the socket."""
    now = 0.0
    wire = TwilioWire()
    wire.receive(START)
    socket = web.WebSocketResponse(compress=False)
    session = MediaSession(socket, wire, Ticker(lambda: now), cast(asyncio.Transport, NullTransport()))
    handler = NullHandler()

    def inbound() -> None:
        session._budget += 1
        session._message(INBOUND, handler)

    def outbound() -> None:
        nonlocal now
        now += PERIOD
        session.playout.tick(now, now)

    number = 5000
    line = 0

    def speak() -> None:
        nonlocal line
        session.playout.clear()
        line += 1
        session.playout.begin(str(line))
        session.playout.push(str(line), AUDIO * (number + 20))

    best = min(timeit.repeat(outbound, setup=speak, number=number, repeat=7)) / number * 1e6
    return {"in: session": microseconds(inbound), "out: playout tick, session, framing": best}


def costs() -> dict[str, float]:
    wire = TwilioWire()
    wire.receive(START)
    message, pcm = wire.media(AUDIO), mulaw_to_pcm16(AUDIO)
    pcm24, pcm16 = bytes(960), bytes(640)
    down24, down16 = PhoneConverter(AudioFormat("pcm16", 24000)), PhoneConverter(AudioFormat("pcm16", 16000))
    up16, meter, gate = PhoneUpsampler(16000), LevelMeter(), Gate()
    return {
        "in: wire": microseconds(lambda: wire.receive(INBOUND)),
        "out: wire": microseconds(lambda: wire.media(AUDIO)),
        "out: framing": microseconds(lambda: text_frame(message)),
        **session_costs(),
        "mu-law to pcm": microseconds(lambda: mulaw_to_pcm16(AUDIO)),
        "pcm to mu-law": microseconds(lambda: pcm16_to_mulaw(pcm)),
        "meter: feed": microseconds(lambda: meter.feed(AUDIO)),
        "meter: level of a frame": microseconds(lambda: level_db(AUDIO)),
        "convert 24 kHz to phone": microseconds(lambda: down24.feed(pcm24), 2000),
        "convert 16 kHz to phone": microseconds(lambda: down16.feed(pcm16), 2000),
        "convert phone to 16 kHz": microseconds(lambda: up16.feed(AUDIO), 2000),
        "voice gate": microseconds(lambda: gate.frame(AUDIO), 2000),
    }


if __name__ == "__main__":
    print(json.dumps({name: round(value, 2) for name, value in costs().items()}, indent=1))
