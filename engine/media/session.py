"""One carrier's media socket from admission to its end: audio in, audio out, nothing per frame but that.

Reading is aiohttp's; writing goes straight to the transport, because what we send are whole, uncompressed WebSocket
text frames (RFC 6455 5.2) of known shape: several of them leave in one write, without a coroutine. aiohttp's own
pongs and close frames are written whole as well, so the two never mix inside a frame.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, Protocol

from aiohttp import WSCloseCode, WSMsgType, web

from engine.media.levels import LevelMeter
from engine.media.playout import LEAD_MS, Playout
from engine.media.ticker import Ticker
from engine.media.wire import (
    DtmfReceived,
    MarkReturned,
    MediaFrame,
    MediaWire,
    PressesKeys,
    Refused,
    Stopped,
    Trouble,
)

log = logging.getLogger(__name__)

Side = Literal["caller", "agent"]
Tap = Callable[[Side, bytes], None]
"""(side, 20 ms of mu-law). Agent audio comes when it is sent, so up to the lead before the caller hears it."""

MAX_MESSAGE: Final = 64 * 1024
"""Bytes of one message from the carrier; give it to the WebSocketResponse as `max_msg_size`."""
MAX_UNSENT: Final = 1024 * 1024
"""Bytes that may wait for a carrier that does not read."""
MAX_PER_SECOND: Final = 1000
"""Messages a second; 50 are normal, and a network that wakes up may deliver seconds of them at once."""
SILENT_SECONDS: Final = 30
"""A carrier that sends nothing at all for this long is gone: live streams carry frames in silence too."""
METER_FRAMES: Final = 6
"""Frames over which our side's level is taken; it is read about ten times a second."""
MAX_TROUBLES: Final = 8
CLOSE_SECONDS: Final = 2.0
"""How long what was sent may take to leave when we close."""


class SessionHandler(Protocol):
    """What the call does with its stream. Called in the loop, 50 times a second: it must not wait."""

    def on_frame(self, payload: bytes, at_ms: int) -> None:
        """Caller audio (mu-law, as long as the carrier made it), and its time on the carrier's clock."""

    def on_dtmf(self, digit: str) -> None:
        """The caller pressed a key."""

    def on_stopped(self, why: str) -> None:
        """The stream is over; nothing comes after this."""


@dataclass(slots=True)
class SessionStats:
    """What came in."""

    frames: int = 0
    refused: int = 0
    over_rate: int = 0
    """Messages beyond the rate limit; they were not read."""
    reasons: dict[str, int] = field(default_factory=dict)
    """Why frames were refused -> how many. The wire has a fixed list of reasons."""
    troubles: list[str] = field(default_factory=list)
    """What the carrier did not like about our frames."""


def text_frame(text: bytes) -> bytes:
    """A whole, final, unmasked WebSocket text frame, as servers send them."""
    size = len(text)
    if size < 126:
        return b"\x81%c%b" % (size, text)
    if size < 65536:
        return b"\x81\x7e%b%b" % (size.to_bytes(2, "big"), text)
    return b"\x81\x7f%b%b" % (size.to_bytes(8, "big"), text)


def transport_of(request: web.Request) -> asyncio.Transport:
    """The transport to write a session's frames to. Raises ConnectionResetError when the carrier is gone already.

    uvloop's transports have the methods of `asyncio.Transport` but are no instances of it.
    """
    if request.transport is None:
        raise ConnectionResetError("the carrier closed the socket before its stream began")
    return request.transport


class MediaSession:
    """Owns one admitted WebSocket whose `start` frame the wire has read already.

    `transport` comes from `transport_of` the upgrade's request; the socket must have been prepared with
    `compress=False`, and should be with `max_msg_size=MAX_MESSAGE` and `decode_text=False` (less work per frame).
    """

    def __init__(
        self,
        socket: web.WebSocketResponse,
        wire: MediaWire,
        ticker: Ticker,
        transport: asyncio.Transport,
        *,
        lead_ms: int = LEAD_MS,
    ) -> None:
        if socket.compress:
            raise ValueError("media sockets are not compressed: prepare the WebSocketResponse with compress=False")
        self._socket = socket
        self._wire = wire
        self._transport = transport
        self._why: str | None = None
        self._error: Exception | None = None
        self._taps: list[Tap] = []
        self._agent_meter = LevelMeter(METER_FRAMES)
        self._budget = MAX_PER_SECOND
        self._received = 0
        self._timer: asyncio.TimerHandle | None = None
        self.stats = SessionStats()
        self.playout = Playout(wire, self._send, ticker, lead_ms=lead_ms)
        self.on_trouble: Callable[[str], None] = lambda why: None
        """Told what the carrier does not like about our frames."""
        self.playout.on_frame = self._agent_frame
        self.playout.on_failed = self._fail

    # -- life ---------------------------------------------------------------------------------

    async def run(self, handler: SessionHandler) -> str:
        """Read until the stream ends; returns why, in words for the operator. The socket is closed then.

        What `handler` raises, here or in a callback of the playout, comes out of here.
        """
        self._watch(asyncio.get_running_loop(), -1)
        # A task of its own: every frame that arrives wakes it, and then only three coroutines deep.
        reading = asyncio.create_task(self._read(handler), name="media socket")
        try:
            await reading
            if self._error is not None:
                raise self._error
        finally:
            reading.cancel()
            if self._timer is not None:
                self._timer.cancel()
            self._hang_up(WSCloseCode.OK, "the call let go of the stream")
        handler.on_stopped(self.why)
        return self.why

    @property
    def why(self) -> str:
        """Why the stream ended; empty while it is up."""
        return self._why or ""

    async def close(self, code: int = WSCloseCode.OK, why: str = "closed by us") -> None:
        """End the stream from our side, without waiting for the carrier. Again: nothing happens."""
        self._hang_up(code, why)

    def _end(self, why: str) -> None:
        if self._why is None:
            self._why = why

    def _fail(self, error: Exception) -> None:
        """The playout can not go on: end the stream, and let `run` raise the error."""
        self._error = error
        self._hang_up(WSCloseCode.INTERNAL_ERROR, f"an internal error: {error}")

    def _hang_up(self, code: int, why: str) -> None:
        """Tell the carrier if it still reads, and let go of it anyhow. The call must not wait for a handshake."""
        self._end(why)
        transport = self._transport
        if transport.is_closing():
            return
        transport.write(b"\x88\x02" + code.to_bytes(2, "big"))
        transport.close()
        asyncio.get_running_loop().call_later(CLOSE_SECONDS, transport.abort)

    # -- in -----------------------------------------------------------------------------------

    async def _read(self, handler: SessionHandler) -> None:
        receive, text = self._socket.receive, WSMsgType.TEXT
        while self._why is None:
            message = await receive()
            kind = message.type
            if kind is text:
                self._message(message.data, handler)
            elif kind is WSMsgType.BINARY:
                self._refused("binary frame")
            else:
                self._end(_ending(kind, self._socket))

    def _message(self, text: str | bytes, handler: SessionHandler) -> None:
        self._received += 1
        if self._received > self._budget:
            self.stats.over_rate += 1
            return
        event = self._wire.receive(text)
        if isinstance(event, MediaFrame):
            self.stats.frames += 1
            if self._taps:
                self._tap("caller", event.payload)
            handler.on_frame(event.payload, event.at_ms)
        elif isinstance(event, MarkReturned):
            self.playout.mark_returned(event.name)
        elif isinstance(event, DtmfReceived):
            handler.on_dtmf(event.digit)
        elif isinstance(event, Stopped):
            self._end("the carrier ended the stream")
        elif isinstance(event, Trouble):
            self._trouble(event.why)
        elif isinstance(event, Refused):
            self._refused(event.why)

    def _trouble(self, why: str) -> None:
        """Told once for each reason, and not of more reasons than a person would read."""
        if why not in self.stats.troubles and len(self.stats.troubles) < MAX_TROUBLES:
            self.stats.troubles.append(why)
            self.on_trouble(why)

    def _refused(self, why: str) -> None:
        self.stats.refused += 1
        self.stats.reasons[why] = self.stats.reasons.get(why, 0) + 1
        if self.stats.reasons[why] == 1:
            log.warning("a frame of the carrier was not understood (%s); the stream goes on", why)

    def _watch(self, loop: asyncio.AbstractEventLoop, silent: int) -> None:
        """Once a second: a new budget of messages, and a look whether any came."""
        silent = 0 if self._received else silent + 1
        self._budget, self._received = MAX_PER_SECOND, 0
        if silent >= SILENT_SECONDS:
            self._hang_up(WSCloseCode.GOING_AWAY, f"the carrier sent nothing for {SILENT_SECONDS} s")
            return
        self._timer = loop.call_later(1.0, self._watch, loop, silent)

    # -- out ----------------------------------------------------------------------------------

    def _send(self, messages: Sequence[bytes]) -> None:
        """Put messages on the wire. A stream that is over swallows them: its lines end by `playout.clear`."""
        transport = self._transport
        if self._why is not None or transport.is_closing():
            return
        if len(messages) == 1:
            transport.write(text_frame(messages[0]))
        else:
            transport.write(b"".join([text_frame(message) for message in messages]))
        if transport.get_write_buffer_size() > MAX_UNSENT:
            self._hang_up(WSCloseCode.TRY_AGAIN_LATER, "the carrier does not read: 1 MiB of audio waits for it")

    def press(self, digits: str) -> bool:
        """Have the carrier play telephone keys (0-9 A-D * #); False where its streams have no frame for that."""
        if not isinstance(self._wire, PressesKeys) or self._why is not None or self._transport.is_closing():
            return False
        self._send((self._wire.keys(digits),))
        return True

    def _agent_frame(self, payload: bytes) -> None:
        self._agent_meter.feed(payload)
        if self._taps:
            self._tap("agent", payload)

    # -- listening in -------------------------------------------------------------------------

    @property
    def agent_level_db(self) -> float:
        """Our side's level since it was last read, in dBFS."""
        return self._agent_meter.read()

    def add_tap(self, tap: Tap) -> None:
        """Give `tap` every frame of both sides. A tap can hear and nothing else."""
        self._taps.append(tap)

    def remove_tap(self, tap: Tap) -> None:
        """Leave `tap` alone. Removing it again changes nothing."""
        if tap in self._taps:
            self._taps.remove(tap)

    def _tap(self, side: Side, payload: bytes) -> None:
        for tap in tuple(self._taps):
            try:
                tap(side, payload)
            except Exception:
                log.exception("a listener failed and was disconnected; the call goes on")
                self.remove_tap(tap)


def _ending(kind: WSMsgType, socket: web.WebSocketResponse) -> str:
    """Why aiohttp stopped reading, in words."""
    error = socket.exception()
    if kind is WSMsgType.ERROR:
        return f"the connection failed: {error}" if error else "the connection failed"
    code = socket.close_code
    if code == WSCloseCode.ABNORMAL_CLOSURE:
        return "the connection was lost"
    return f"the carrier closed the socket ({code})"
