"""A media server for load tests: Twilio's frames on ws://127.0.0.1:PORT/ws, the engine's own media path behind it.

    python bench/media_server.py PORT echo|tts [--ears] [--lead MS]

What is real: MediaSession, Playout on the shared ticker, a task group per call, and the call's state folded from its
events (in memory; there is no store). What is left out: webhooks, tokens, recognition and synthesis. `echo` sends
every frame back through the playout; `tts` speaks without a pause and takes the caller's frames in. With `--ears` the
caller's frames also pass the voice gate and the turn taking.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import signal
import sys
import time
from pathlib import Path

import uvloop
from aiohttp import WSMsgType, web

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from engine.book import CallBook  # noqa: E402
from engine.calls import Event  # noqa: E402
from engine.media.calm import stay_calm  # noqa: E402
from engine.media.playout import LEAD_MS  # noqa: E402
from engine.media.session import MAX_MESSAGE, MediaSession, transport_of  # noqa: E402
from engine.media.ticker import Ticker  # noqa: E402
from engine.media.turns import TurnSettings, TurnTaker  # noqa: E402
from engine.media.twilio_wire import TwilioWire  # noqa: E402
from engine.media.vad import Gate  # noqa: E402
from engine.media.wire import Connected, Started  # noqa: E402

LINE_SECONDS = 3
SPEECH = bytes(127 - abs(n % 254 - 127) | 0x80 * (n // 127 % 2) for n in range(8000 * LINE_SECONDS))


class Ears:
    """The caller's frames through the gate and the turn taking, as a call does it without recognition."""

    def __init__(self) -> None:
        self._gate = Gate()
        self._turns = TurnTaker(TurnSettings())

    def hear(self, payload: bytes, at_ms: int) -> None:
        self._turns.frame(self._gate.frame(payload), at_ms, True)


class BenchCall:
    """One call: its task group, its record, and what it does with frames."""

    def __init__(self, server: BenchServer, started: Started, session: MediaSession) -> None:
        self._server = server
        self._call_id = started.provider_call_id
        self._session = session
        self._ears = Ears() if server.ears else None
        self._first = True
        self._room = asyncio.Semaphore(2)
        session.playout.on_started = lambda say_id: self._post("say.started", sayId=say_id)
        session.playout.on_heard = self._heard
        self._post("call.initiated", provider="bench", direction="inbound")
        self._post("call.answered")
        self._post("stream.started", streamId=started.stream_id)

    async def run(self) -> None:
        """Carry the stream; everything of the call ends with it."""
        async with asyncio.TaskGroup() as group:
            voice = group.create_task(self._echo() if self._server.mode == "echo" else self._speak())
            why = await self._session.run(self)
            voice.cancel()
        self._session.playout.clear()
        self._post("call.ended", reason="completed", detail=why)

    async def _echo(self) -> None:
        self._session.playout.begin("echo")

    async def _speak(self) -> None:
        for number in itertools.count(1):
            await self._room.acquire()
            say_id = f"{self._call_id}-{number}"
            self._post("say.queued", sayId=say_id, text="What the caller hears, three seconds of it.")
            self._session.playout.begin(say_id)
            self._session.playout.push(say_id, SPEECH)
            self._session.playout.finish(say_id)

    def _heard(self, say_id: str, ms: int, confirmed: bool) -> None:
        self._post("say.heard", sayId=say_id, ms=ms)
        self._room.release()

    def on_frame(self, payload: bytes, at_ms: int) -> None:
        if self._first:
            self._first = False
            self._post("stream.first_frame")
        if self._ears is not None:
            self._ears.hear(payload, at_ms)
        if self._server.mode == "echo":
            self._session.playout.push("echo", payload)

    def on_dtmf(self, digit: str) -> None:
        self._post("dtmf.received", digits=digit)

    def on_stopped(self, why: str) -> None:
        """The call ends right after."""

    def _post(self, type_: str, **data: object) -> None:
        self._server.post(self._call_id, type_, data)


class BenchServer:
    """Admits every stream."""

    def __init__(self, mode: str, ears: bool, lead_ms: int) -> None:
        self.mode = mode
        self.ears = ears
        self.lead_ms = lead_ms
        self.ticker = Ticker()
        self.book = CallBook()
        self._seq = itertools.count(1)

    def post(self, call_id: str, type_: str, data: dict[str, object]) -> None:
        """A fact, folded into the call's record."""
        self.book.take([Event(next(self._seq), time.time_ns() // 1_000_000, call_id, type_, data)])

    async def handle(self, request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse(compress=False, max_msg_size=MAX_MESSAGE, decode_text=False)
        await socket.prepare(request)
        wire = TwilioWire()
        while True:
            message = await socket.receive()
            event = wire.receive(message.data) if message.type is WSMsgType.TEXT else None
            if isinstance(event, Started):
                session = MediaSession(socket, wire, self.ticker, transport_of(request), lead_ms=self.lead_ms)
                await BenchCall(self, event, session).run()
                return socket
            if not isinstance(event, Connected):
                await socket.close()
                return socket


async def serve(port: int, server: BenchServer) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    app = web.Application()
    app.router.add_get("/ws", server.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, backlog=1024).start()
    async with asyncio.TaskGroup() as group:
        work = [
            group.create_task(server.ticker.run()),
            group.create_task(stay_calm(lambda: len(server.book.live()))),
        ]
        print(f"listening on {runner.addresses[0][1]}", flush=True)
        await stop.wait()
        for task in work:
            task.cancel()
    await runner.cleanup()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("port", type=int)
    parser.add_argument("mode", choices=["echo", "tts"])
    parser.add_argument("--ears", action="store_true", help="run the voice gate and turn taking on every frame")
    parser.add_argument("--lead", type=int, default=LEAD_MS, help="ms of audio that the carrier holds")
    options = parser.parse_args()
    sys.setswitchinterval(0.0005)
    uvloop.run(serve(options.port, BenchServer(options.mode, options.ears, options.lead)))


if __name__ == "__main__":
    main()
