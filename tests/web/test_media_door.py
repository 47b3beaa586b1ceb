"""The media socket's door on a real engine: only the call's own carrier, with its one token, gets a stream."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import aiohttp
import pytest

from engine.config import parse_config
from engine.config.speech import Streaming
from tests.engine.conftest import Running, Start
from tests.web.carrier_side import LIMIT_S, CarrierSide, closed_with, start_frame

POLICY = aiohttp.WSCloseCode.POLICY_VIOLATION
CONNECTED = json.dumps({"event": "connected", "protocol": "Call", "version": "1.0.0"})


@pytest.fixture
async def run(start: Start) -> Running:
    return await start(streaming=streaming(pre_start_timeout_ms=LIMIT_S * 1000))


@pytest.fixture
async def carrier(run: Running) -> AsyncIterator[CarrierSide]:
    async with CarrierSide(run) as side:
        yield side


def streaming(**changes: float) -> Streaming:
    return parse_config(b"", None, {}).config.streaming.model_copy(update=changes)


def has_stream(run: Running, call_id: str) -> bool:
    call = run.engine.call(call_id)
    return call is not None and "start" in call.rungs


async def test_a_socket_with_its_token_carries_the_call(carrier: CarrierSide, run: Running) -> None:
    ringing = await carrier.ring()
    async with await carrier.dial(ringing.url) as socket:
        await socket.send_str(CONNECTED)
        await socket.send_str(start_frame(ringing.provider_call_id, ringing.token))
        await run.until_call(ringing.call_id, lambda call: "start" in call.rungs)
        assert run.engine.health()["exposure"]["streams"] == 1
        async with asyncio.timeout(LIMIT_S):
            assert json.loads(await socket.receive_str())["streamSid"] == "MZ1"
        await run.engine.end(ringing.call_id)
        assert await closed_with(socket) == aiohttp.WSCloseCode.OK


async def test_the_token_may_stand_in_the_path(carrier: CarrierSide, run: Running) -> None:
    ringing = await carrier.ring()
    async with await carrier.dial(f"{ringing.url}/{ringing.token}") as socket:
        await socket.send_str(start_frame(ringing.provider_call_id))
        await run.until_call(ringing.call_id, lambda call: "start" in call.rungs)


async def test_an_upgrade_that_the_carrier_did_not_sign_is_refused(carrier: CarrierSide) -> None:
    ringing = await carrier.ring()
    assert await carrier.refusal(ringing.url, signed=False) == 401
    assert await carrier.refusal(ringing.url, secret="another secret") == 401
    # Signed for another address of the same path.
    url = ringing.url.replace("127.0.0.1", "localhost")
    assert await carrier.refusal(url) == 401


async def test_what_is_no_websocket_is_not_found(carrier: CarrierSide) -> None:
    url = carrier.stream_url.replace("ws", "http", 1)
    for path in (url, f"{url}/token"):
        for method in ("GET", "HEAD", "POST"):
            async with carrier.http.request(method, path) as reply:
                assert reply.status == 404, (method, path)
    async with carrier.http.get(f"{url}/a/b", headers={"Upgrade": "websocket"}) as reply:
        assert reply.status == 404


async def test_a_half_made_upgrade_is_refused(carrier: CarrierSide) -> None:
    from engine.simulator.signing import signed_headers
    from tests.engine.simulators import SECRET

    headers = signed_headers(SECRET, "GET", carrier.stream_url)
    more = {"Upgrade": "websocket", "Connection": "Upgrade"}
    for extra in ({}, {"Sec-WebSocket-Version": "13"}, {"Sec-WebSocket-Version": "99", "Sec-WebSocket-Key": "x"}):
        url = carrier.stream_url.replace("ws", "http", 1)
        async with carrier.http.get(url, headers={**headers, **more, **extra}) as reply:
            assert reply.status == 400


@pytest.mark.parametrize("token", ["", "wrong", "\u20ac" * 20, "x" * 10_000])
async def test_a_wrong_token_gets_no_stream_and_is_told_to_the_operator(
    carrier: CarrierSide, run: Running, token: str
) -> None:
    ringing = await carrier.ring()
    async with await carrier.dial(ringing.url) as socket:
        await socket.send_str(start_frame(ringing.provider_call_id, token))
        assert await closed_with(socket) == POLICY
    refused = await run.until_event(lambda event: event.type == "stream.refused")
    assert (refused.call_id, refused.data["why"]) == (ringing.call_id, "the stream token is not valid")
    assert not has_stream(run, ringing.call_id)


async def test_a_token_is_good_once_and_for_its_own_call_alone(carrier: CarrierSide, run: Running) -> None:
    """Pain E6; trap 1.5/token."""
    first, second = await carrier.ring(), await carrier.ring()
    async with await carrier.dial(second.url) as socket:
        await socket.send_str(start_frame(second.provider_call_id, first.token))
        assert await closed_with(socket) == POLICY
    async with await carrier.dial(first.url) as good:
        await good.send_str(start_frame(first.provider_call_id, first.token))
        await run.until_call(first.call_id, lambda call: "start" in call.rungs)
        async with await carrier.dial(first.url) as again:
            await again.send_str(start_frame(first.provider_call_id, first.token, "MZ2"))
            assert await closed_with(again) == POLICY
        refused = await run.until_event(
            lambda event: event.type == "stream.refused" and event.data["streamId"] == "MZ2"
        )
        healthy = run.engine.call(first.call_id)
        assert refused.call_id == first.call_id
        assert healthy is not None and healthy.live and healthy.error is None, "what was refused is not its error"
        assert not good.closed
        assert run.engine.health()["exposure"]["streams"] == 1
    assert not has_stream(run, second.call_id)


async def test_a_start_for_no_call_of_ours_gets_no_stream(carrier: CarrierSide, run: Running) -> None:
    """Trap 1.5/token."""
    ringing = await carrier.ring()
    async with await carrier.dial(ringing.url) as socket:
        await socket.send_str(start_frame("CAunknown", ringing.token))
        assert await closed_with(socket) == POLICY
    await carrier.tell("call.ended", ringing.provider_call_id, status="completed")
    async with await carrier.dial(ringing.url) as socket:
        await socket.send_str(start_frame(ringing.provider_call_id, ringing.token))
        assert await closed_with(socket) == POLICY
    assert not has_stream(run, ringing.call_id)


async def test_audio_that_is_no_telephone_audio_is_refused(carrier: CarrierSide) -> None:
    """Pain A7."""
    ringing = await carrier.ring()
    wrong = {"encoding": "audio/l16", "sampleRate": 16000, "channels": 1}
    async with await carrier.dial(ringing.url) as socket:
        await socket.send_str(start_frame(ringing.provider_call_id, ringing.token, mediaFormat=wrong))
        assert await closed_with(socket) == POLICY


@pytest.mark.parametrize(
    "frames",
    [
        ["this is not JSON"],
        ["[]"],
        ["{}"],
        [b"\x00\x01"],
        ["\ud7ff" * 1000],
        ['{"event":"start"}'],
        ['{"event":"media","media":{"payload":"AAAA"}}'],
        [CONNECTED] * 21,
    ],
    ids=range(8),
)
async def test_garbage_before_the_start_closes_the_socket(carrier: CarrierSide, frames: list[str | bytes]) -> None:
    ringing = await carrier.ring()
    async with await carrier.dial(ringing.url) as socket:
        for frame in frames:
            await (socket.send_str(frame) if isinstance(frame, str) else socket.send_bytes(frame))
        assert await closed_with(socket) == POLICY


async def test_a_message_over_the_limit_closes_the_socket(carrier: CarrierSide) -> None:
    ringing = await carrier.ring()
    async with await carrier.dial(ringing.url) as socket:
        await socket.send_str(" " * 70_000)
        assert await closed_with(socket) in (aiohttp.WSCloseCode.MESSAGE_TOO_BIG, POLICY)


async def test_a_socket_that_says_nothing_is_closed(start: Start) -> None:
    run = await start(streaming=streaming(pre_start_timeout_ms=50))
    async with CarrierSide(run) as carrier:
        async with await carrier.dial(carrier.stream_url) as socket:
            assert await closed_with(socket) == POLICY
        async with await carrier.dial(carrier.stream_url) as socket:
            await socket.send_str(CONNECTED)
            assert await closed_with(socket) == POLICY


async def test_one_address_can_not_take_all_places_before_the_start(start: Start) -> None:
    changes = {"pre_start_timeout_ms": LIMIT_S * 1000, "max_pending_connections_per_ip": 2}
    run = await start(streaming=streaming(**changes))
    async with CarrierSide(run) as carrier:
        ringing = await carrier.ring()
        async with await carrier.dial(carrier.stream_url), await carrier.dial(ringing.url) as second:
            assert await carrier.refusal(carrier.stream_url) == 429
            # Whoever starts makes room for the next.
            await second.send_str(start_frame(ringing.provider_call_id, ringing.token))
            await run.until_call(ringing.call_id, lambda call: "start" in call.rungs)
            async with await carrier.dial(carrier.stream_url) as third:
                await third.send_str("garbage")
                assert await closed_with(third) == POLICY


async def test_media_sockets_have_a_bound_in_all(start: Start) -> None:
    run = await start(streaming=streaming(pre_start_timeout_ms=LIMIT_S * 1000, max_connections=2))
    async with CarrierSide(run) as carrier:
        ringing = await carrier.ring()
        async with await carrier.dial(ringing.url) as live:
            await live.send_str(start_frame(ringing.provider_call_id, ringing.token))
            await run.until_call(ringing.call_id, lambda call: "start" in call.rungs)
            async with await carrier.dial(carrier.stream_url):
                assert await carrier.refusal(carrier.stream_url) == 503
            await run.engine.end(ringing.call_id)


async def test_e3_without_signatures_a_socket_still_needs_its_token(start: Start) -> None:
    """Pain E3: `skip_signature_verification` opens no stream of a call that was not given to whoever asks."""
    run = await start(skip_signature_verification=True)
    async with CarrierSide(run) as side:
        ring = await side.ring()
        socket = await side.dial(ring.url, signed=False)
        await socket.send_str(start_frame(ring.provider_call_id, "a guess"))
        assert await closed_with(socket) == 1008
        socket = await side.dial(ring.url, signed=False)
        await socket.send_str(start_frame(ring.provider_call_id, ring.token))
        await run.until_call(ring.call_id, lambda call: "start" in call.rungs)
        await socket.close()
