"""The simulated carrier's adapter against the real simulator, over real sockets."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from engine.calls import State
from engine.carriers.base import CarrierError, CarrierEvent, Connect, DialOrder, Document, Verb, WebhookRequest
from engine.carriers.mock import MockCarrier
from engine.simulator.exchange import Exchange
from engine.simulator.frames import FrameWriter
from engine.simulator.server import create_app
from engine.simulator.setup import Document as SimulatorDocument
from engine.simulator.setup import Faults, Setup
from engine.simulator.signing import signed_headers
from engine.simulator.voices import NoiseSynthesizer, VoiceBank
from tests.carriers.conformance import DOCUMENTS, NATIVE_DOCUMENTS, Bench, CarrierConformance
from tests.simulator.office import KEY, SECRET, Office

URL = "http://127.0.0.1:3334/voice/webhook?x=1"
CALLED = "+15550100201"
SINK = {"number": CALLED, "manners": {"ring_ms": 20, "deaf_and_mute": True}}
NOW_MS = 1_795_000_000_000


def signed(body: bytes, url: str = URL, method: str = "POST") -> WebhookRequest:
    headers = signed_headers(SECRET, method, url, body, at=NOW_MS / 1000)
    return WebhookRequest(method, url, {name.lower(): value for name, value in headers.items()}, body)


def webhook(type_: str, direction: str = "outbound", status: str = "ringing", **more: Any) -> WebhookRequest:
    call = {"id": "CA1", "direction": direction, "from": "+15550100000", "to": CALLED, "status": status}
    call["client_ref"] = "ours-1" if direction == "outbound" else ""
    if "reason" in more:
        call["reason"] = more.pop("reason")
    body = {"id": "EV1", "type": type_, "sequence": 1, "at": NOW_MS, "call": call, **more}
    return signed(json.dumps(body).encode())


def event(type_: Any, raw: str, direction: Any = "outbound", **more: Any) -> CarrierEvent:
    ours = "ours-1" if direction == "outbound" else ""
    return CarrierEvent(type_, "CA1", ours, direction, "+15550100000", CALLED, raw_type=raw, **more)


WEBHOOKS = {
    "incoming": (
        webhook("call.incoming", "inbound"),
        event("incoming", "call.incoming", "inbound", wants_document=True),
    ),
    "initiated": (webhook("call.initiated"), event("initiated", "call.initiated")),
    "ringing": (webhook("call.ringing"), event("ringing", "call.ringing")),
    "answered": (
        webhook("call.answered", status="in-progress"),
        event("answered", "call.answered", wants_document=True),
    ),
    "answered with an inline document": (
        webhook("call.answered", status="in-progress", document_wanted=False),
        event("answered", "call.answered"),
    ),
    "answered inbound": (
        webhook("call.answered", "inbound", "in-progress"),
        event("answered", "call.answered", "inbound"),
    ),
    "a redirect came due": (
        webhook("call.asks", "inbound", document_wanted=True),
        event("asks", "call.asks", "inbound", wants_document=True),
    ),
    "dtmf": (webhook("call.dtmf", digits="1#"), event("dtmf", "call.dtmf", digits="1#")),
    "ended by the person": (
        webhook("call.ended", status="completed", reason="hangup-person"),
        event("ended", "call.ended", reason=State.HANGUP_USER, detail="hangup-person"),
    ),
    "ended as busy": (
        webhook("call.ended", status="busy", reason="busy"),
        event("ended", "call.ended", reason=State.BUSY, detail="busy"),
    ),
    "ended without an answer": (
        webhook("call.ended", status="no-answer", reason="no-answer"),
        event("ended", "call.ended", reason=State.NO_ANSWER, detail="no-answer"),
    ),
    "ended for a reason that is not known": (
        webhook("call.ended", status="failed", reason="a-new-reason"),
        event("ended", "call.ended", reason=State.FAILED, detail="a-new-reason"),
    ),
    "stream failed": (
        webhook("stream.failed", detail="31920"),
        event("stream_failed", "stream.failed", detail="31920"),
    ),
    "something new": (webhook("call.sang"), event("ignored", "call.sang")),
}


class Far:
    """The real simulator, in this process."""

    def __init__(self, exchange: Exchange, runner: web.AppRunner) -> None:
        self._exchange = exchange
        self._runner = runner

    def calls(self) -> int:
        return len(self._exchange.calls)

    async def lose_reply(self) -> None:
        self._exchange.world.faults = Faults(lose_dial=1)

    async def refuse(self) -> None:
        self._exchange.world.faults = Faults(refuse_dial=1)

    async def go_away(self) -> None:
        await self._runner.cleanup()

    async def until_live(self, provider_call_id: str) -> None:
        call = self._exchange.calls[provider_call_id]
        async with asyncio.timeout(10):
            while call.state.answered_at is None:  # noqa: ASYNC110 - a state without an event of its own
                await asyncio.sleep(0.01)


def stream_frames() -> list[str]:
    writer = FrameWriter("MZ1", "CA1", "AC1")
    return [writer.connected(), writer.start("t"), writer.media("/w==", 20), writer.mark("m"), writer.stop()]


@pytest.fixture
async def office() -> AsyncIterator[Office]:
    async with Office() as office:
        yield office


class TestMockCarrier(CarrierConformance):
    @pytest.fixture
    async def bench(self, office: Office) -> AsyncIterator[Bench]:
        async with AsyncExitStack() as stack:
            setup = Setup(api_key=KEY, signing_secret=SECRET, callers=[SINK])
            exchange = await stack.enter_async_context(Exchange(setup, VoiceBank(NoiseSynthesizer())))
            runner = web.AppRunner(create_app(exchange), access_log=None, shutdown_timeout=0.2)
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            carrier = MockCarrier(f"http://127.0.0.1:{runner.addresses[0][1]}", KEY, SECRET)
            await carrier.open()
            stack.push_async_callback(carrier.close)
            socket_url = "ws://127.0.0.1:3334/voice/stream/abc"
            yield Bench(
                carrier=carrier,
                far=Far(exchange, runner),
                now_ms=NOW_MS,
                webhooks=WEBHOOKS,
                upgrade=signed(b"", socket_url, "GET"),
                signature_headers=("x-sim-timestamp", "x-sim-signature"),
                order=DialOrder("ours-1", "+15550100000", CALLED, office.webhook_url, 30_000, 60),
                stream_frames=stream_frames(),
                connect=Connect(office.stream_url, "again"),
            )

    @pytest.mark.parametrize("name", DOCUMENTS)
    async def test_the_simulator_understands_every_document(self, bench: Bench, name: str) -> None:
        reply = bench.carrier.render(DOCUMENTS[name])
        assert reply.content_type == "application/json"
        assert len(SimulatorDocument.model_validate_json(reply.body).document) == len(DOCUMENTS[name])

    async def test_an_inline_document_travels_with_the_dial(self, bench: Bench, office: Office) -> None:
        document: Document = DOCUMENTS["say and hang up"]
        order = DialOrder("ours-2", "+15550100000", CALLED, office.webhook_url, 30_000, 60, document, "1w")
        await bench.carrier.dial(order)
        answered = await office.webhook("call.answered")
        assert bench.carrier.parse(signed(json.dumps(answered).encode())).wants_document is False

    async def test_dialling_an_id_again_gives_the_same_call(self, bench: Bench) -> None:
        assert await bench.carrier.dial(bench.order) == await bench.carrier.dial(bench.order)
        assert bench.far.calls() == 1

    async def test_what_the_simulator_sends_verifies(self, bench: Bench, office: Office) -> None:
        await bench.carrier.dial(bench.order)
        await office.webhook("call.initiated")
        timestamp, signature, body = office.raw[0]
        headers = {"x-sim-timestamp": timestamp, "x-sim-signature": signature}
        request = WebhookRequest("POST", office.webhook_url, headers, body)
        assert bench.carrier.verify(request, time.time_ns() // 1_000_000).ok

    async def test_somebody_calls_a_registered_number(self, bench: Bench, office: Office) -> None:
        carrier = bench.carrier
        assert isinstance(carrier, MockCarrier)
        await carrier.register_number("+15550100000", office.webhook_url)
        call_id = await carrier.ring_in("+15550100000", person=CALLED)
        incoming = await office.webhook("call.incoming")
        assert incoming["call"]["id"] == call_id
        assert (await carrier.report())["calls"][0]["id"] == call_id


def test_without_a_secret_nothing_verifies() -> None:
    carrier = MockCarrier("http://127.0.0.1:1", "key", "")
    headers = signed_headers("", "POST", URL, b"{}", at=NOW_MS / 1000)
    request = WebhookRequest("POST", URL, {name.lower(): value for name, value in headers.items()}, b"{}")
    verdict = carrier.verify(request, NOW_MS)
    assert not verdict.ok and "secret" in verdict.why


def test_a_signature_spelled_otherwise_has_the_same_replay_key() -> None:
    carrier = MockCarrier("http://127.0.0.1:1", "key", SECRET)
    request = webhook("call.ringing")
    given = request.headers["x-sim-signature"]
    spellings = {given}
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    last = alphabet.index(given[-2])
    spellings |= {given[:-2] + alphabet[(last & ~3) | low] + "=" for low in range(4)}
    keys = set()
    for spelling in spellings:
        other = WebhookRequest("POST", URL, {**request.headers, "x-sim-signature": spelling}, request.body)
        verdict = carrier.verify(other, NOW_MS)
        if verdict.ok:
            keys.add(verdict.replay_key)
    assert len(keys) == 1


@pytest.mark.parametrize("answer", [b"", b"[]", b"not json", b'{"id":5}'])
async def test_a_dial_that_is_answered_with_nonsense_is_uncertain(answer: bytes) -> None:
    async def reply(_: web.Request) -> web.Response:
        return web.Response(status=201, body=answer)

    carrier, stop = await carrier_against(reply)
    with pytest.raises(CarrierError) as caught:
        await carrier.dial(DialOrder("ours-1", "+15550100000", CALLED, URL, 30_000, 60))
    assert caught.value.kind == "unknown"
    await stop()


async def test_a_dial_that_is_never_answered_times_out_uncertain_and_is_sent_once() -> None:
    dials = 0
    release = asyncio.Event()

    async def stall(request: web.Request) -> web.Response:
        nonlocal dials
        dials += request.method == "POST"
        await release.wait()
        return web.Response()

    carrier, stop = await carrier_against(stall)
    with pytest.raises(CarrierError) as caught:
        await carrier.dial(DialOrder("ours-1", "+15550100000", CALLED, URL, 30_000, 60))
    assert caught.value.kind == "unknown" and dials == 1
    with pytest.raises(CarrierError) as caught:
        await carrier.status("CA1")
    assert caught.value.kind == "retry"
    release.set()
    await stop()


async def test_a_reply_in_many_pieces_is_read_to_its_end() -> None:
    calls = [{"id": f"CA{number}", "said": "x" * 1000} for number in range(500)]

    async def report(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        body = json.dumps({"calls": calls}).encode()
        for at in range(0, len(body), 50_000):
            await response.write(body[at : at + 50_000])
            await asyncio.sleep(0)
        return response

    carrier, stop = await carrier_against(report, timeout_s=10)
    assert (await carrier.report())["calls"] == calls
    await stop()


async def carrier_against(handler: Any, timeout_s: float = 0.3) -> tuple[MockCarrier, Any]:
    """A carrier whose far end is `handler`, with short time-outs."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    carrier = MockCarrier(url, KEY, SECRET, timeout=aiohttp.ClientTimeout(total=timeout_s))
    await carrier.open()

    async def stop() -> None:
        await carrier.close()
        await runner.cleanup()

    return carrier, stop


def test_verbs_of_every_kind_are_in_the_suite() -> None:
    shown = {type(verb) for document in (*DOCUMENTS.values(), *NATIVE_DOCUMENTS.values()) for verb in document}
    assert shown == set(Verb.__args__)
