"""Media sessions over real sockets: audio both ways, garbage, slow readers, every kind of end."""

from __future__ import annotations

import asyncio
import base64
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from engine.media import session as session_module
from engine.media.dtmf import tones
from engine.media.g711 import SILENT_FRAME
from engine.media.levels import FLOOR_DB
from engine.media.session import MAX_MESSAGE, MAX_PER_SECOND, MediaSession, text_frame, transport_of
from engine.media.ticker import Ticker
from engine.media.twilio_wire import TwilioWire
from tests.media.carrier import START
from tests.media.dtmf_ear import keys_in
from tests.media.tones import tone

PATIENCE = 10
LOUD = tone(1000, 20)


class Call:
    """What a call does with its stream, here: note everything."""

    def __init__(self) -> None:
        self.frames: list[tuple[bytes, int]] = []
        self.digits: list[str] = []
        self.stopped: list[str] = []
        self.heard: asyncio.Queue[str] = asyncio.Queue()
        self.changed = asyncio.Event()
        self.error: Exception | None = None

    def on_frame(self, payload: bytes, at_ms: int) -> None:
        if self.error is not None:
            raise self.error
        self.frames.append((payload, at_ms))
        self.changed.set()

    def on_dtmf(self, digit: str) -> None:
        self.digits.append(digit)
        self.changed.set()

    def on_stopped(self, why: str) -> None:
        self.stopped.append(why)

    async def until(self, reached: Callable[[], bool]) -> None:
        while not reached():
            self.changed.clear()
            await self.changed.wait()


class Server:
    """Admits streams as the web server does, and runs one session each."""

    def __init__(self) -> None:
        self.sessions: asyncio.Queue[tuple[MediaSession, Call]] = asyncio.Queue()
        self.ended: asyncio.Queue[str | Exception] = asyncio.Queue()
        self.ticker = Ticker()
        self.port = 0

    async def upgrade(self, request: web.Request) -> web.StreamResponse:
        ws = web.WebSocketResponse(compress=False, max_msg_size=MAX_MESSAGE, decode_text=False)
        await ws.prepare(request)
        wire = TwilioWire()
        wire.receive(await ws.receive_str())
        media, call = MediaSession(ws, wire, self.ticker, transport_of(request)), Call()
        media.playout.on_heard = lambda say_id, ms, confirmed: call.heard.put_nowait(say_id)
        self.sessions.put_nowait((media, call))
        try:
            self.ended.put_nowait(await media.run(call))
        except Exception as error:
            self.ended.put_nowait(error)
        return ws


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    server = Server()
    app = web.Application()
    app.router.add_get("/ws", server.upgrade)
    runner = web.AppRunner(app, shutdown_timeout=1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    server.port = runner.addresses[0][1]
    async with asyncio.timeout(PATIENCE), asyncio.TaskGroup() as group:
        ticking = group.create_task(server.ticker.run())
        yield server
        ticking.cancel()
    await runner.cleanup()


@asynccontextmanager
async def carrier(server: Server) -> AsyncIterator[tuple[aiohttp.ClientWebSocketResponse, MediaSession, Call]]:
    async with (
        aiohttp.ClientSession() as client,
        client.ws_connect(f"http://127.0.0.1:{server.port}/ws", max_msg_size=0) as ws,
    ):
        await ws.send_str(START)
        media, call = await server.sessions.get()
        yield ws, media, call


def media_frame(payload: bytes, at_ms: int) -> str:
    body = {"track": "inbound", "chunk": "1", "timestamp": str(at_ms), "payload": base64.b64encode(payload).decode()}
    return json.dumps({"event": "media", "sequenceNumber": "2", "streamSid": "MZ1", "media": body})


def event(name: str, **fields: Any) -> str:
    return json.dumps({"event": name, "sequenceNumber": "3", "streamSid": "MZ1", **fields})


async def test_audio_and_keys_of_the_caller_arrive(server: Server) -> None:
    """Trap 1.5/31930."""
    async with carrier(server) as (ws, media, call):
        for index in range(10):
            await ws.send_str(media_frame(bytes([index]) * 160, 20 * index))
        await ws.send_str(event("dtmf", dtmf={"track": "inbound_track", "digit": "5"}))
        await ws.send_str(event("stop", stop={"accountSid": "AC1", "callSid": "CA1"}))
        assert await server.ended.get() == "the carrier ended the stream"
    assert call.frames == [(bytes([index]) * 160, 20 * index) for index in range(10)]
    assert call.digits == ["5"]
    assert call.stopped == ["the carrier ended the stream"]
    assert media.stats.frames == 10


async def test_our_voice_reaches_the_carrier_in_its_own_frames_and_marks_come_back(server: Server) -> None:
    """Trap 1.5/31950."""
    async with carrier(server) as (ws, media, call):
        media.playout.begin("a")
        media.playout.push("a", LOUD * 10)
        media.playout.finish("a")
        audio = b""
        while call.heard.empty():
            message = json.loads(await ws.receive_str())
            if message["event"] == "media":
                assert set(message) == {"event", "streamSid", "media"}
                audio += base64.b64decode(message["media"]["payload"])
            else:
                await ws.send_str(event("mark", mark=message["mark"]))
                if message["mark"]["name"] == "2":
                    break
        assert await call.heard.get() == "a"
        assert audio == LOUD * 10


async def test_keys_reach_the_carrier_as_tones_that_a_receiver_understands(server: Server) -> None:
    async with carrier(server) as (ws, media, call):
        media.playout.begin("keys")
        media.playout.push("keys", tones("19#"))
        media.playout.finish("keys")
        audio, marks = b"", 0
        while marks == 0 or len(audio) < len(tones("19#")):
            message = json.loads(await ws.receive_str())
            if message["event"] == "media":
                audio, marks = audio + base64.b64decode(message["media"]["payload"]), 0
            else:
                marks += 1
                await ws.send_str(event("mark", mark=message["mark"]))
        assert await call.heard.get() == "keys"
        assert keys_in(audio) == "19#"


async def test_a_ping_of_the_carrier_is_answered_while_it_sends(server: Server) -> None:
    """Trap 1.5/pings: a proxy that gets no pong takes the socket for dead."""
    async with (
        aiohttp.ClientSession() as client,
        client.ws_connect(f"http://127.0.0.1:{server.port}/ws", autoping=False) as ws,
    ):
        await ws.send_str(START)
        _, call = await server.sessions.get()
        await ws.send_str(media_frame(LOUD, 0))
        await ws.ping(b"still there?")
        await ws.send_str(media_frame(LOUD, 20))
        async for message in ws:
            if message.type is aiohttp.WSMsgType.PONG:
                assert message.data == b"still there?"
                break
        else:
            raise AssertionError("the socket was closed instead")
        await call.until(lambda: len(call.frames) == 2)


async def test_garbage_is_counted_and_the_stream_goes_on(server: Server) -> None:
    async with carrier(server) as (ws, media, call):
        for garbage in ("", "{", "[]", '{"event":"no"}', event("media", media={"payload": "%%%"})):
            await ws.send_str(garbage)
        await ws.send_bytes(b"\0" * 100)
        await ws.send_str(media_frame(LOUD, 0))
        await call.until(lambda: len(call.frames) == 1)
        assert media.stats.refused == 6
        assert sum(media.stats.reasons.values()) == 6
        assert media.stats.reasons["binary frame"] == 1


@pytest.mark.parametrize("code", [1000, 1011])
async def test_a_carrier_that_closes_says_how(server: Server, code: int) -> None:
    async with carrier(server) as (ws, _, call):
        await ws.close(code=code)
        assert await server.ended.get() == f"the carrier closed the socket ({code})"
    assert len(call.stopped) == 1


async def test_a_connection_that_breaks_is_a_lost_stream(server: Server) -> None:
    async with carrier(server) as (ws, media, _):
        transport = ws.get_extra_info("socket")
        transport.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        connection = ws._response.connection
        assert connection is not None and connection.transport is not None
        connection.transport.abort()
        why = await server.ended.get()
        assert why == "the connection was lost"
        media.playout.begin("late")
        media.playout.push("late", LOUD * 100)
        assert media.playout.clear() is not None, "a line of a dead stream can still be ended"


async def test_a_message_that_is_too_big_ends_the_stream(server: Server) -> None:
    async with carrier(server) as (ws, _, _call):
        await ws.send_str("x" * (MAX_MESSAGE + 1))
        assert "exceeds limit" in str(await server.ended.get())
        closing = await ws.receive()
        assert closing.data == aiohttp.WSCloseCode.MESSAGE_TOO_BIG


async def test_closing_from_our_side_is_prompt_and_may_be_repeated(server: Server) -> None:
    async with carrier(server) as (ws, media, call):
        await media.close()
        await media.close()
        assert (await ws.receive()).type is aiohttp.WSMsgType.CLOSE
        assert await server.ended.get() == "closed by us"
    assert call.stopped == ["closed by us"]


async def test_an_error_of_the_handler_ends_this_stream_and_is_told(server: Server) -> None:
    async with carrier(server) as (ws, _, call), carrier(server) as (other, _media, other_call):
        call.error = RuntimeError("broken ear")
        await ws.send_str(media_frame(LOUD, 0))
        assert await server.ended.get() is call.error
        await other.send_str(media_frame(LOUD, 0))
        await other_call.until(lambda: len(other_call.frames) == 1)


async def test_an_error_in_a_playout_callback_ends_this_stream_and_is_told(server: Server) -> None:
    broken = RuntimeError("broken mouth")

    def fail(_: str) -> None:
        raise broken

    async with carrier(server) as (ws, media, _):
        media.playout.begin("a")
        media.playout.push("a", LOUD * 50)
        media.playout.begin("b")
        media.playout.push("b", LOUD * 50)
        media.playout.on_started = fail
        media.playout.finish("a")
        async for _message in ws:
            pass
        assert ws.close_code == aiohttp.WSCloseCode.INTERNAL_ERROR
        assert await server.ended.get() is broken


@pytest.fixture
def slow_reader() -> Callable[[int], Awaitable[socket.socket]]:
    """A carrier that opens a stream and then does not read."""

    async def connect(port: int) -> socket.socket:
        loop = asyncio.get_running_loop()
        raw = socket.socket()
        raw.setblocking(False)
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        await loop.sock_connect(raw, ("127.0.0.1", port))
        key = base64.b64encode(bytes(16)).decode()
        await loop.sock_sendall(
            raw,
            f"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode(),
        )
        head = b""
        while b"\r\n\r\n" not in head:
            head += await loop.sock_recv(raw, 4096)
        text = START.encode()
        await loop.sock_sendall(raw, b"\x81\xfe" + len(text).to_bytes(2, "big") + b"\0\0\0\0" + text)
        return raw

    return connect


async def test_a_carrier_that_does_not_read_is_let_go_with_1013(
    server: Server, slow_reader: Callable[[int], Awaitable[socket.socket]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Trap 1.5/backpressure."""
    monkeypatch.setattr(session_module, "MAX_UNSENT", 20_000)
    raw = await slow_reader(server.port)
    media, call = await server.sessions.get()
    loop = asyncio.get_running_loop()
    while not media.why:
        media._send([text_frame(LOUD)] * 1000)
        await asyncio.sleep(0)
    assert media.why.startswith("the carrier does not read")
    received = b""
    while chunk := await loop.sock_recv(raw, 65536):
        received += chunk
    assert received.endswith(b"\x88\x02" + (1013).to_bytes(2, "big"))
    raw.close()
    assert str(await server.ended.get()).startswith("the carrier does not read")
    assert len(call.stopped) == 1


async def test_a_carrier_that_never_reads_again_is_cut_off(
    server: Server, slow_reader: Callable[[int], Awaitable[socket.socket]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session_module, "MAX_UNSENT", 20_000)
    monkeypatch.setattr(session_module, "CLOSE_SECONDS", 0.05)
    raw = await slow_reader(server.port)
    media, _ = await server.sessions.get()
    while not media.why:
        media._send([text_frame(LOUD)] * 1000)
        await asyncio.sleep(0)
    assert str(await server.ended.get()).startswith("the carrier does not read")
    raw.close()


async def test_a_flood_is_not_read_beyond_its_budget(server: Server) -> None:
    async with carrier(server) as (ws, media, call):
        for index in range(MAX_PER_SECOND + 50):
            await ws.send_str(media_frame(LOUD, 20 * index))
        await ws.close()
        await server.ended.get()
        assert media.stats.frames + media.stats.over_rate == MAX_PER_SECOND + 50
        assert len(call.frames) == media.stats.frames <= 2 * MAX_PER_SECOND


async def test_a_carrier_that_sends_nothing_is_gone(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_module, "SILENT_SECONDS", 1)
    async with carrier(server) as (_, _media, _call):
        assert await server.ended.get() == "the carrier sent nothing for 1 s"


async def test_taps_hear_both_sides_and_a_broken_one_is_dropped(server: Server) -> None:
    heard: list[tuple[str, bytes]] = []

    def listen(side: str, payload: bytes) -> None:
        heard.append((side, payload))

    def broken(side: str, payload: bytes) -> None:
        raise RuntimeError("no ears")

    async with carrier(server) as (ws, media, call):
        media.add_tap(broken)
        media.add_tap(listen)
        await ws.send_str(media_frame(LOUD, 0))
        await call.until(lambda: len(call.frames) == 1)
        media.playout.begin("a")
        media.playout.push("a", SILENT_FRAME)
        media.remove_tap(listen)
        media.remove_tap(listen)
        await ws.send_str(media_frame(LOUD, 20))
        await call.until(lambda: len(call.frames) == 2)
    assert heard == [("caller", LOUD), ("agent", SILENT_FRAME)]


async def test_the_level_of_our_side_is_what_was_sent_since_it_was_read(server: Server) -> None:
    async with carrier(server) as (_, media, _call):
        assert media.agent_level_db == FLOOR_DB
        media.playout.begin("a")
        media.playout.push("a", LOUD)
        assert media.agent_level_db == pytest.approx(-9.3, abs=0.3)
        assert media.agent_level_db == FLOOR_DB


@pytest.mark.parametrize("size", [0, 125, 126, 65535, 65536])
def test_text_frames_have_the_header_of_their_size(size: int) -> None:
    frame = text_frame(b"x" * size)
    assert frame[0] == 0x81 and frame.endswith(b"x" * size)
    assert len(frame) - size == (2 if size < 126 else 4 if size < 65536 else 10)


async def test_a_compressed_socket_is_refused() -> None:
    ws = web.WebSocketResponse()
    with pytest.raises(ValueError, match="compress=False"):
        MediaSession(ws, TwilioWire(), Ticker(), asyncio.Transport())
