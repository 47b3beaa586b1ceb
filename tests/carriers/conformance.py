"""What every carrier must do, whatever its wire: one suite against the port, run with each carrier's own bench.

A carrier's tests subclass `CarrierConformance` and provide the fixture `bench`: the carrier, genuine webhooks with
what they say, and a far end that answers its REST calls and can be told to misbehave.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.carriers.base import (
    Carrier,
    CarrierError,
    CarrierEvent,
    Connect,
    DialOrder,
    Document,
    Hangup,
    Keys,
    Listen,
    LostDial,
    Pause,
    Redirect,
    Reject,
    Say,
    Streamless,
    Transfer,
    WebhookRequest,
)
from engine.clock import epoch_ms
from engine.media.audio import PHONE
from engine.media.wire import Connected, MarkReturned, MediaFrame, Started, Stopped

SHARED = (HealthCheck.function_scoped_fixture, HealthCheck.differing_executors)
"""Each carrier's class runs the same pure checks on its own bench; nothing passes from one example to the next."""
STALE_MS = 10 * 60 * 1000
DOCUMENTS: Mapping[str, Document] = {
    "connect": (Connect("ws://127.0.0.1:1/voice/stream", "t0k&<en"),),
    "say and hang up": (Say('Tom & "Ann" <3'), Pause(1), Hangup()),
    "reject as busy": (Reject("busy"),),
    "reject": (Reject(),),
    "ask again": (Pause(2), Redirect("http://127.0.0.1:1/voice/webhook?callId=1&flow=hold")),
}
"""What a document may hold, special characters of every encoding included."""
NATIVE_DOCUMENTS: Mapping[str, Document] = {
    "listen": (Listen("http://127.0.0.1:1/w?a=1&b=2", "http://127.0.0.1:1/w?c=3&d=4", 'Which "day" & hour?'),),
    "keys": (Keys("12#ww9*"), Redirect("http://127.0.0.1:1/w?a=1&b=2")),
    "transfer": (Transfer("+15550100100", "+15550000000", "http://127.0.0.1:1/w?a=1&b=2"),),
}
"""The same for carriers with a voice and a recogniser of their own."""


class FarEnd(Protocol):
    """The carrier's side of REST, as a test drives it."""

    def calls(self) -> int:
        """Calls that exist there."""

    async def lose_reply(self) -> None:
        """The next dial takes effect, but its reply never comes."""

    async def refuse(self) -> None:
        """The next dials are turned away before anything happens."""

    async def go_away(self) -> None:
        """Stop listening altogether."""

    async def until_live(self, provider_call_id: str) -> None:
        """Return when the call has been answered."""


@dataclass
class Bench:
    """One carrier with everything the suite needs to know about it."""

    carrier: Carrier
    far: FarEnd
    now_ms: int
    webhooks: Mapping[str, tuple[WebhookRequest, CarrierEvent]]
    """Genuine requests, signed at `now_ms`, and what they say."""
    upgrade: WebhookRequest | None
    """A genuine upgrade of a media socket; None where the carrier does not sign it."""
    signature_headers: Sequence[str]
    order: DialOrder
    stream_frames: Sequence[str]
    """connected (where there is one), start, media, mark, stop, as the carrier sends them."""
    signs_url: bool = True
    """The signature covers the address that was called."""
    connect: Connect = field(default_factory=lambda: Connect("ws://127.0.0.1:1/stream", "again"))


def changed(request: WebhookRequest, **fields: object) -> WebhookRequest:
    return dataclasses.replace(request, **fields)  # type: ignore[arg-type]


def lost(order: DialOrder) -> LostDial:
    """`order` as a restarted engine knows it."""
    return LostDial(order.call_id, order.from_number, order.to_number, epoch_ms())


class CarrierConformance:
    """Subclass it; provide `bench`."""

    @pytest.fixture
    async def bench(self) -> AsyncIterator[Bench]:
        raise NotImplementedError
        yield

    # signatures

    async def test_genuine_requests_are_accepted(self, bench: Bench) -> None:
        for request, _ in bench.webhooks.values():
            verdict = bench.carrier.verify(request, bench.now_ms)
            assert verdict.ok, verdict.why
            assert verdict.replay_key

    async def test_a_request_without_any_of_its_signature_headers_is_refused(self, bench: Bench) -> None:
        request, _ = next(iter(bench.webhooks.values()))
        for name in bench.signature_headers:
            headers = {key: value for key, value in request.headers.items() if key != name}
            verdict = bench.carrier.verify(changed(request, headers=headers), bench.now_ms)
            assert not verdict.ok and verdict.why
            empty = {**request.headers, name: ""}
            assert not bench.carrier.verify(changed(request, headers=empty), bench.now_ms).ok

    async def test_a_tampered_request_is_refused(self, bench: Bench) -> None:
        for request, _ in bench.webhooks.values():
            tampered = [
                changed(request, body=request.body + b" "),
                changed(request, body=request.body.replace(b"1", b"2")),
            ]
            if bench.signs_url:
                tampered += [
                    changed(request, url=request.url + "x"),
                    changed(request, url=request.url.replace("127.0.0.1", "127.0.0.2")),
                ]
            for forged in tampered:
                verdict = bench.carrier.verify(forged, bench.now_ms)
                assert not verdict.ok and not verdict.replay_key and verdict.why

    async def test_a_signature_of_another_request_is_refused(self, bench: Bench) -> None:
        requests = [request for request, _ in bench.webhooks.values()]
        for request, other in zip(requests, requests[1:], strict=False):
            assert not bench.carrier.verify(changed(request, headers=other.headers), bench.now_ms).ok

    async def test_an_old_signature_and_one_from_the_future_are_refused(self, bench: Bench) -> None:
        request, _ = next(iter(bench.webhooks.values()))
        assert not bench.carrier.verify(request, bench.now_ms + STALE_MS).ok
        assert not bench.carrier.verify(request, bench.now_ms - STALE_MS).ok

    async def test_a_replay_has_the_same_key_and_other_requests_have_others(self, bench: Bench) -> None:
        keys = []
        for request, _ in bench.webhooks.values():
            first = bench.carrier.verify(request, bench.now_ms)
            assert bench.carrier.verify(request, bench.now_ms + 1000).replay_key == first.replay_key
            keys.append(first.replay_key)
        assert len(set(keys)) == len(keys)

    async def test_only_the_signed_upgrade_of_a_media_socket_is_accepted(self, bench: Bench) -> None:
        if bench.upgrade is None:
            pytest.skip("this carrier does not sign its upgrades")
        assert bench.carrier.verify_upgrade(bench.upgrade, bench.now_ms).ok
        elsewhere = changed(bench.upgrade, url=bench.upgrade.url + "/other")
        assert not bench.carrier.verify_upgrade(elsewhere, bench.now_ms).ok
        assert not bench.carrier.verify_upgrade(changed(bench.upgrade, headers={}), bench.now_ms).ok

    @settings(max_examples=50, deadline=None, suppress_health_check=SHARED)
    @given(garbage=st.binary(max_size=200), header=st.text(max_size=60))
    async def test_no_bytes_at_all_pass_or_make_verification_fail(
        self, bench: Bench, garbage: bytes, header: str
    ) -> None:
        request, _ = next(iter(bench.webhooks.values()))
        for name in bench.signature_headers:
            headers = {**request.headers, name: header}
            if header != request.headers[name]:
                assert not bench.carrier.verify(changed(request, headers=headers), bench.now_ms).ok
        if garbage != request.body:
            assert not bench.carrier.verify(changed(request, body=garbage), bench.now_ms).ok

    # parsing and rendering

    async def test_each_event_is_read_as_what_it_says(self, bench: Bench) -> None:
        for name, (request, expected) in bench.webhooks.items():
            assert bench.carrier.parse(request) == expected, name

    @settings(max_examples=80, deadline=None, suppress_health_check=SHARED)
    @given(body=st.one_of(st.binary(max_size=300), st.text(max_size=300).map(str.encode)))
    async def test_nonsense_is_a_value_error_and_nothing_else(self, bench: Bench, body: bytes) -> None:
        request, _ = next(iter(bench.webhooks.values()))
        with pytest.raises(ValueError):
            bench.carrier.parse(changed(request, body=body))

    @pytest.mark.parametrize("name", DOCUMENTS)
    async def test_documents_are_rendered_the_same_every_time(self, bench: Bench, name: str) -> None:
        reply = bench.carrier.render(DOCUMENTS[name])
        assert reply == bench.carrier.render(DOCUMENTS[name])
        assert reply.status == 200 and reply.body and reply.content_type

    @pytest.mark.parametrize("name", NATIVE_DOCUMENTS)
    async def test_what_a_carrier_has_no_voice_for_is_not_rendered(self, bench: Bench, name: str) -> None:
        document = NATIVE_DOCUMENTS[name]
        if bench.carrier.capabilities.native_speech:
            assert bench.carrier.render(document) == bench.carrier.render(document)
        else:
            with pytest.raises(ValueError):
                bench.carrier.render(document)

    async def test_a_bare_acknowledgement_is_a_success(self, bench: Bench) -> None:
        assert 200 <= bench.carrier.render(()).status < 300

    async def test_the_wire_reads_the_carriers_frames_and_survives_others(self, bench: Bench) -> None:
        wire = bench.carrier.wire()
        events = [wire.receive(frame) for frame in bench.stream_frames]
        kinds = [type(event) for event in events if not isinstance(event, Connected)]
        assert kinds == [Started, MediaFrame, MarkReturned, Stopped]
        started = next(event for event in events if isinstance(event, Started))
        assert started.format == PHONE and started.provider_call_id
        for frame in ("", "{", "[]", "null", '{"event":"media"}', "\x00"):
            wire.receive(frame)
        assert wire.media(b"\xff" * 160) and wire.mark("m") and wire.clear()

    # REST

    async def test_a_dial_gives_the_carriers_id_and_can_be_found_by_ours(self, bench: Bench) -> None:
        provider_id = await bench.carrier.dial(bench.order)
        assert provider_id
        assert await bench.carrier.find(lost(bench.order)) == provider_id
        other = dataclasses.replace(bench.order, call_id="never dialled", to_number="+15550100999")
        assert await bench.carrier.find(lost(other)) is None
        assert (await bench.carrier.status(provider_id)).live

    async def test_hanging_up_ends_the_call_and_doing_it_again_is_a_success(self, bench: Bench) -> None:
        provider_id = await bench.carrier.dial(bench.order)
        await bench.carrier.hang_up(provider_id)
        await bench.carrier.hang_up(provider_id)
        status = await bench.carrier.status(provider_id)
        assert not status.live and status.reason is not None and status.reason.terminal

    async def test_a_call_that_the_carrier_does_not_know_is_over(self, bench: Bench) -> None:
        await bench.carrier.hang_up("CA00000000000000000000000000000000")
        assert not (await bench.carrier.status("CA00000000000000000000000000000000")).live

    async def test_a_dial_whose_reply_is_lost_is_uncertain_was_sent_once_and_is_found(self, bench: Bench) -> None:
        await bench.far.lose_reply()
        with pytest.raises(CarrierError) as caught:
            await bench.carrier.dial(bench.order)
        assert caught.value.kind == "unknown"
        assert bench.far.calls() == 1
        assert await bench.carrier.find(lost(bench.order)) is not None

    async def test_a_dial_that_was_turned_away_did_not_happen(self, bench: Bench) -> None:
        await bench.far.refuse()
        with pytest.raises(CarrierError) as caught:
            await bench.carrier.dial(bench.order)
        assert caught.value.kind in ("retry", "refused")
        assert bench.far.calls() == 0
        assert await bench.carrier.find(lost(bench.order)) is None

    async def test_a_dial_that_is_not_valid_is_refused_for_good(self, bench: Bench) -> None:
        with pytest.raises(CarrierError) as caught:
            await bench.carrier.dial(dataclasses.replace(bench.order, to_number="not a number"))
        assert caught.value.kind == "refused" and str(caught.value)

    async def test_a_carrier_that_is_away_is_a_carrier_error_everywhere(self, bench: Bench) -> None:
        await bench.far.go_away()
        actions: list[Callable[[], object]] = [
            lambda: bench.carrier.dial(bench.order),
            lambda: bench.carrier.find(lost(bench.order)),
            lambda: bench.carrier.status("CA1"),
            lambda: bench.carrier.hang_up("CA1"),
        ]
        for action in actions:
            with pytest.raises(CarrierError) as caught:
                await action()  # type: ignore[misc]
            assert caught.value.kind in ("retry", "unknown")

    async def test_keys_and_streams_work_on_a_live_call_and_are_refused_on_one_that_is_over(
        self, bench: Bench
    ) -> None:
        capabilities = bench.carrier.capabilities
        provider_id = await bench.carrier.dial(bench.order)
        await bench.far.until_live(provider_id)
        if capabilities.send_dtmf:
            await bench.carrier.send_dtmf(provider_id, "12#")
        if capabilities.reopen_stream:
            await bench.carrier.reopen_stream(Streamless(provider_id), bench.connect)
        await bench.carrier.hang_up(provider_id)
        if capabilities.send_dtmf:
            with pytest.raises(CarrierError):
                await bench.carrier.send_dtmf(provider_id, "1")
        if capabilities.reopen_stream:
            with pytest.raises(CarrierError):
                await bench.carrier.reopen_stream(Streamless(provider_id), bench.connect)

    async def test_what_a_carrier_can_not_do_it_refuses(self, bench: Bench) -> None:
        if not bench.carrier.capabilities.transfer:
            with pytest.raises(CarrierError) as caught:
                await bench.carrier.transfer("CA1", Transfer("+15550100100", "+15550000000", "http://127.0.0.1:1/"))
            assert caught.value.kind == "refused"
        if bench.carrier.capabilities.answers_by_reply:
            with pytest.raises(CarrierError) as caught:
                await bench.carrier.answer("CA1", ())
            assert caught.value.kind == "refused"

    async def test_a_carrier_closes_twice_and_refuses_work_afterwards(self, bench: Bench) -> None:
        await bench.carrier.close()
        await bench.carrier.close()
        with pytest.raises(CarrierError):
            async with asyncio.timeout(5):
                await bench.carrier.dial(bench.order)
