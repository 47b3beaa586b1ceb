"""Live audio on the control door: its exact bytes, its limits, and that only an attached client gets it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.api import AudioFrame
from engine.control.audio import decode_audio, encode_audio
from engine.control.door import Door
from engine.control.listenings import MAX_LISTENINGS
from tests.control.engine_on_log import EchoEngine


@pytest.fixture
async def unix(door: Door) -> AsyncIterator[aiohttp.ClientSession]:
    connector = aiohttp.UnixConnector(door.address)
    async with asyncio.timeout(20), aiohttp.ClientSession("http://localhost", connector=connector) as session:
        yield session


@pytest.fixture
async def ws(unix: aiohttp.ClientSession) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    """An attached client that only listens."""
    async with unix.ws_connect("/attach?events=none") as socket:
        assert (await socket.receive_json())["type"] == "hello"
        yield socket


def request(method: str, call_id: str, request_id: int = 1) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": request_id, "method": f"voicecall.{method}", "params": {"callId": call_id}}


async def ask(ws: aiohttp.ClientWebSocketResponse, method: str, call_id: str) -> Any:
    await ws.send_json(request(method, call_id))
    answer = await ws.receive_json()
    return answer.get("result") or answer["error"]["data"]["code"]


def test_a_frame_has_fourteen_bytes_of_head_and_then_its_sound() -> None:
    message = encode_audio(0x01020304, AudioFrame("agent", b"\xff\x7f", 0x0102030405060708))
    assert message == bytes.fromhex("01 01 01020304 0102030405060708 ff7f")
    assert encode_audio(1, AudioFrame("caller", b"", 0))[1] == 0


@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from(["caller", "agent"]),
    st.binary(max_size=400),
    st.integers(0, 2**64 - 1),
)
def test_what_is_sent_is_what_comes_out(listening_id: int, side: Any, payload: bytes, at_ms: int) -> None:
    frame = AudioFrame(side, payload, at_ms)
    assert decode_audio(encode_audio(listening_id, frame)) == (listening_id, frame)


@given(st.binary(max_size=40))
def test_any_other_bytes_are_refused(message: bytes) -> None:
    try:
        listening_id, frame = decode_audio(message)
    except ValueError:
        return
    assert encode_audio(listening_id, frame) == message


async def test_a_listener_gets_the_sound_of_its_call_until_the_end(
    ws: aiohttp.ClientWebSocketResponse, engine: EchoEngine
) -> None:
    call_id, other = await engine.initiate(None, "hello"), await engine.initiate(None, "hello")
    expected = {"listeningId": 1, "encoding": "mulaw", "sampleRate": 8000}
    assert await ask(ws, "listen", call_id) == expected
    assert (await ask(ws, "listen", other))["listeningId"] == 2
    assert await ask(ws, "listen", call_id) == expected  # asked again, it is the same
    engine.sound[call_id].play("caller", b"\x01" * 160)
    engine.sound[call_id].play("agent", b"\x02" * 160)
    heard = [decode_audio(await ws.receive_bytes()) for _ in range(2)]
    assert [(id_, frame.side, frame.payload[:1]) for id_, frame in heard] == [
        (1, "caller", b"\x01"),
        (1, "agent", b"\x02"),
    ]
    await engine.end(call_id)
    assert await ws.receive_json() == {"type": "listening.ended", "listeningId": 1, "callId": call_id, "dropped": 0}
    engine.sound[other].play("caller", b"\x03")
    assert decode_audio(await ws.receive_bytes())[0] == 2


async def test_who_stops_listening_hears_no_more(ws: aiohttp.ClientWebSocketResponse, engine: EchoEngine) -> None:
    call_id = await engine.initiate(None, "hello")
    await ask(ws, "listen", call_id)
    await ws.send_json(request("unlisten", call_id))
    told = [await ws.receive_json(), await ws.receive_json()]
    assert {message.get("type", "answer") for message in told} == {"listening.ended", "answer"}
    assert engine.sound[call_id].taps == []
    assert await ask(ws, "unlisten", call_id) == {"success": True}
    assert (await ask(ws, "listen", call_id))["listeningId"] == 2


async def test_one_client_listens_to_a_bounded_number_of_calls(
    ws: aiohttp.ClientWebSocketResponse, engine: EchoEngine
) -> None:
    calls = [await engine.initiate(None, "hello") for _ in range(MAX_LISTENINGS + 1)]
    for call_id in calls[:-1]:
        await ask(ws, "listen", call_id)
    assert await ask(ws, "listen", calls[-1]) == "at_capacity"


async def test_what_can_not_be_heard_is_refused(ws: aiohttp.ClientWebSocketResponse, engine: EchoEngine) -> None:
    call_id = await engine.initiate(None, "hello")
    await engine.end(call_id)
    assert await ask(ws, "listen", call_id) == "call_ended"
    assert await ask(ws, "listen", "nobody") == "call_not_found"
    assert await ask(ws, "listen", "") == "invalid_params"


async def test_a_client_that_goes_away_leaves_nothing_behind(
    unix: aiohttp.ClientSession, door: Door, engine: EchoEngine
) -> None:
    call_id = await engine.initiate(None, "hello")
    async with unix.ws_connect("/attach?events=none") as socket:
        await socket.receive_json()
        await ask(socket, "listen", call_id)
        assert len(engine.sound[call_id].taps) == 1
    while door._attached:  # noqa: ASYNC110 (that its place is free again is the only trace of its going)
        await asyncio.sleep(0.01)
    assert engine.sound[call_id].taps == []


async def test_a_client_that_takes_nothing_costs_the_call_nothing_and_is_told_what_it_missed(
    ws: aiohttp.ClientWebSocketResponse, engine: EchoEngine
) -> None:
    call_id = await engine.initiate(None, "hello")
    await ask(ws, "listen", call_id)
    for _ in range(1000):
        engine.sound[call_id].play("caller", b"\x00" * 160)
    await engine.end(call_id)
    heard = 0
    async for message in ws:
        if message.type is aiohttp.WSMsgType.TEXT:
            ended = message.json()
            break
        heard += 1
    assert heard + ended["dropped"] == 1000
    assert ended["dropped"] > 0


@pytest.mark.parametrize("method", ["listen", "unlisten"])
async def test_a_plain_request_is_told_where_live_audio_is(
    unix: aiohttp.ClientSession, engine: EchoEngine, method: str
) -> None:
    call_id = await engine.initiate(None, "hello")
    async with unix.post("/rpc", json=request(method, call_id)) as response:
        error = (await response.json())["error"]
    assert error["data"]["code"] == "not_supported"
    assert "/attach" in error["data"]["hint"]


async def test_listening_and_events_share_a_socket(unix: aiohttp.ClientSession, engine: EchoEngine) -> None:
    call_id = await engine.initiate(None, "hello")
    async with unix.ws_connect("/attach") as socket:
        await socket.receive_json()
        await ask(socket, "listen", call_id)
        engine.sound[call_id].play("agent", b"\x05" * 160)
        assert decode_audio(await socket.receive_bytes())[1].payload == b"\x05" * 160
        await engine.record("engine.started")
        assert (await socket.receive_json())["events"][0]["type"] == "engine.started"


async def test_what_is_attached_without_events_gets_none(
    ws: aiohttp.ClientWebSocketResponse, engine: EchoEngine
) -> None:
    await engine.record("engine.started")
    assert await ask(ws, "unlisten", "nobody") == {"success": True}
