"""A person's own voice over the control door: exact frames, a clean end, and a lost one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from engine.api import Refusal
from engine.control.audio import decode_voice, encode_voice
from engine.control.clients.over_socket import SocketClient
from engine.control.door import Door
from tests.control.engine_on_log import EchoEngine, EchoMicrophone

FRAME = bytes(range(160))
ADA = "console ada@desk.1"


@pytest.fixture
async def client(door: Door) -> AsyncIterator[SocketClient]:
    async with await SocketClient.connect(door.address, by=ADA) as client:
        yield client


async def the_microphone(engine: EchoEngine) -> EchoMicrophone:
    (microphone,) = engine.microphones
    return microphone


async def heard(microphone: EchoMicrophone, frames: int, rests: int = 0) -> None:
    async with asyncio.timeout(5):
        while len(microphone.heard) < frames or microphone.rests < rests:
            microphone.told.clear()
            await microphone.told.wait()


async def test_a_voice_arrives_frame_by_frame_and_is_put_away(client: SocketClient, engine: EchoEngine) -> None:
    call_id = await client.call("+15550100", "Hello", "conversation")
    async with client.microphone(call_id) as line:
        microphone = await the_microphone(engine)
        for _ in range(3):
            await line.send(FRAME)
        await line.rest()
        await heard(microphone, 3, 1)
        assert microphone.heard == [FRAME] * 3
        await line.put_away()
        assert await asyncio.wait_for(line.ended(), 5) == "put away"
    assert microphone.lost == ""


async def test_one_that_is_left_without_a_word_is_lost(client: SocketClient, engine: EchoEngine) -> None:
    call_id = await client.call("+15550100", "Hello", "conversation")
    async with client.microphone(call_id) as line:
        await line.send(FRAME)
        microphone = await the_microphone(engine)
        await heard(microphone, 1)
    assert await asyncio.wait_for(microphone.ended(), 5) == microphone.lost == "its connection was lost"


async def test_the_engine_closes_it_and_the_speaker_is_told(client: SocketClient, engine: EchoEngine) -> None:
    call_id = await client.call("+15550100", "Hello", "conversation")
    async with client.microphone(call_id) as line:
        (await the_microphone(engine)).lose("the floor went to bob")
        assert await asyncio.wait_for(line.ended(), 5) == "the floor went to bob"


async def test_who_only_listens_can_not_send_a_voice(client: SocketClient, engine: EchoEngine) -> None:
    async with await client._attach({"events": "none"}) as socket:
        await client._hello(socket)
        await socket.send_bytes(encode_voice(1, FRAME, 1))
        answer = await socket.receive_json(timeout=5)
    assert answer["error"]["data"]["code"] == "invalid_params" and not engine.microphones


async def test_a_console_is_there_for_as_long_as_it_follows(client: SocketClient, engine: EchoEngine) -> None:
    async def follow() -> None:
        async for _ in client.watch():
            pass

    watching = asyncio.create_task(follow())
    async with asyncio.timeout(5):
        await engine.watched.wait()
        assert engine.present == [ADA]
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        await client.close()
        await engine.alone.wait()


async def test_taking_over_is_said_on_the_wire(client: SocketClient, engine: EchoEngine) -> None:
    call_id = await client.call("+15550100", "Hello", "conversation")
    await client.floor(call_id, "operator")
    await client.floor(call_id, "operator", take_over=True)
    assert engine.took_over == [False, True]


def test_what_is_no_voice_is_refused() -> None:
    assert decode_voice(encode_voice(7, FRAME, 1)) == (7, FRAME)
    for wrong in (b"", b"\x01\x00" + bytes(12), b"\x02\x02" + bytes(12)):
        with pytest.raises(ValueError):
            decode_voice(wrong)


def test_refusals_have_slugs_that_clients_know() -> None:
    assert Refusal("floor_taken", "").code == "floor_taken"
