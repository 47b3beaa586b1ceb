"""Plivo's adapter against the far end that behaves like Plivo: conformance, and changing a live call."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlencode

import pytest

from engine.calls import State
from engine.carriers.base import (
    CarrierError,
    CarrierEvent,
    Connect,
    LostDial,
    Redirect,
    Say,
    Streamless,
    Transfer,
    WebhookRequest,
)
from engine.carriers.links import link
from engine.carriers.plivo import PlivoCarrier
from engine.carriers.plivo_account import Access
from engine.carriers.plivo_signature import Tokens
from engine.clock import epoch_ms
from tests.carriers.conformance import DOCUMENTS, NATIVE_DOCUMENTS, Bench, CarrierConformance, lost
from tests.carriers.plivo_far import OUR_NUMBER, PlivoFar
from tests.carriers.plivo_far.settings import RestFault
from tests.carriers.plivo_far.webhooks import signature_headers, upgrade_headers
from tests.carriers.plivo_far.xml import read_reply
from tests.carriers.plivo_line import FAR, HALLO, NEVER, NOW_MS, SINK, URL, UUID, Line, line


def signed(url: str, form: dict[str, str]) -> WebhookRequest:
    headers = {name.lower(): value for name, value in signature_headers(FAR, "POST", url, form).items()}
    headers["content-type"] = "application/x-www-form-urlencoded"
    return WebhookRequest("POST", url, headers, urlencode(form).encode())


def webhook(url: str, event_: str, status: str, direction: str = "outbound", **more: str) -> WebhookRequest:
    form = {"CallUUID": UUID, "CallStatus": status, "Direction": direction, "Event": event_}
    form |= {"From": OUR_NUMBER[1:], "To": SINK[1:], "ParentAuthID": FAR.auth_id, "X-PH-Empty": ""}
    return signed(url, form | more)


def event(type_: Any, raw: str, ours: str = "c1", direction: Any = "outbound", **more: Any) -> CarrierEvent:
    return CarrierEvent(type_, UUID, ours, direction, OUR_NUMBER, SINK, raw_type=raw, **more)


WEBHOOKS = {
    "incoming": (
        webhook(URL, "StartApp", "ringing", "inbound"),
        event("incoming", "answer ringing", "", "inbound", wants_document=True),
    ),
    "answered": (
        webhook(link(URL, "answer", "c1"), "StartApp", "in-progress"),
        event("answered", "answer in-progress", wants_document=True),
    ),
    "ringing": (webhook(link(URL, "status", "c1"), "Ring", "ringing"), event("ringing", "ring")),
    "busy": (
        webhook(link(URL, "status", "c1"), "Hangup", "busy", HangupCauseCode="3010", HangupCauseName="Busy Line"),
        event("ended", "hangup", reason=State.BUSY, detail="3010 Busy Line"),
    ),
    "speech": (
        webhook(link(URL, "listen", "c1", turn="t1"), "GetInput", "in-progress", Speech="Tuesday", Digits=""),
        event("speech", "input speech", text="Tuesday", turn="t1", wants_document=True),
    ),
    "machine": (
        webhook(link(URL, "machine", "c1"), "MachineDetection", "in-progress", Machine="true"),
        event("machine", "machine true", answered_by="machine"),
    ),
}


@pytest.fixture
async def phone() -> AsyncIterator[Line]:
    async with line() as found:
        yield found


class Far:
    """The far end as the conformance suite drives it."""

    def __init__(self, far: PlivoFar) -> None:
        self._far = far

    def calls(self) -> int:
        return len(self._far.calls)

    async def lose_reply(self) -> None:
        self._far.fail("dial", "lost-after")

    async def refuse(self) -> None:
        self._far.fail("dial", "429", times=3)

    async def go_away(self) -> None:
        await self._far.stop_listening()

    async def until_live(self, provider_call_id: str) -> None:
        call = self._far.by_request(provider_call_id)
        assert call is not None
        await call.until(lambda: call.state.answered_at is not None and call.documents)


STREAM_ID = "87654321-4321-4321-4321-cba987654321"
FRAMES = [
    {
        "event": "start",
        "sequenceNumber": 1,
        "start": {
            "callId": UUID,
            "streamId": STREAM_ID,
            "accountId": FAR.auth_id,
            "tracks": ["inbound"],
            "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000},
        },
        "extra_headers": "",
    },
    {
        "event": "media",
        "sequenceNumber": 2,
        "streamId": STREAM_ID,
        "media": {"track": "inbound", "timestamp": "1705312200000", "chunk": 1, "payload": "/w=="},
        "extra_headers": "",
    },
    {"event": "playedStream", "sequenceNumber": 3, "streamId": STREAM_ID, "name": "m"},
    {"event": "stop", "sequenceNumber": 4, "streamId": STREAM_ID},
]


class TestPlivoCarrier(CarrierConformance):
    @pytest.fixture
    async def bench(self, phone: Line) -> Bench:
        socket = "ws://127.0.0.1:3334/voice/stream/abc"
        headers = {name.lower(): value for name, value in upgrade_headers(FAR, socket).items()}
        return Bench(
            carrier=phone.carrier,
            far=Far(phone.far),
            now_ms=NOW_MS,
            webhooks=WEBHOOKS,
            upgrade=WebhookRequest("GET", socket, headers, b""),
            signature_headers=("x-plivo-signature-v3-nonce",),
            order=phone.order(),
            stream_frames=[json.dumps(frame) for frame in FRAMES],
            connect=Connect(phone.desk.socket_url(), "again", again_url=phone.desk.url("/voice/webhook?again=1")),
        )

    async def test_an_old_signature_and_one_from_the_future_are_refused(self, bench: Bench) -> None:
        """Plivo signs no time, so this is the one thing its signatures can not tell; the replay key stands in."""
        request, _ = next(iter(bench.webhooks.values()))
        years = [bench.carrier.verify(request, bench.now_ms + year * 31_536_000_000) for year in (-1, 0, 1)]
        assert len({verdict.replay_key for verdict in years}) == 1 and years[0].replay_key

    @pytest.mark.parametrize("name", [*DOCUMENTS, *NATIVE_DOCUMENTS])
    async def test_plivo_understands_every_document_whole(self, bench: Bench, name: str) -> None:
        reply = bench.carrier.render({**DOCUMENTS, **NATIVE_DOCUMENTS}[name])
        reading = read_reply(reply.content_type, reply.body)
        assert reading.remarks == [] and reading.elements


# dialling


async def test_a_dial_says_where_its_end_is_told_and_has_numbers_without_a_plus(phone: Line) -> None:
    await phone.dial(dtmf_sequence="1p,2#")
    sent = phone.far.asked("dial")[0]
    assert (sent["from"], sent["to"]) == (OUR_NUMBER[1:], SINK[1:])
    assert sent["hangup_url"] == sent["ring_url"] == phone.desk.url("/voice/webhook?callId=c1&type=status")
    assert sent["answer_url"] == phone.desk.url("/voice/webhook?callId=c1&flow=answer")
    assert (sent["ring_timeout"], sent["time_limit"], sent["send_digits"]) == (30, 60, "1wW2#")
    assert "machine_detection" not in sent


async def test_machine_detection_runs_beside_the_call(phone: Line) -> None:
    await phone.dial(detect_machine="answer")
    sent = phone.far.asked("dial")[0]
    assert sent["machine_detection"] == "true" and 2000 <= sent["machine_detection_time"] <= 10_000
    assert sent["machine_detection_url"] == phone.desk.url("/voice/webhook?callId=c1&flow=machine")


@pytest.mark.parametrize(
    ("fault", "kind", "made"),
    [
        ("500-before", "unknown", 0),
        ("500-after", "unknown", 1),
        ("html-502-before", "unknown", 0),
        ("html-502-after", "unknown", 1),
        ("timeout-before", "unknown", 0),
        ("timeout-after", "unknown", 1),
        ("lost-before", "unknown", 0),
        ("lost-after", "unknown", 1),
        ("garbage-after", "unknown", 1),
        ("redirect", "refused", 0),
        ("401", "refused", 0),
        ("403", "refused", 0),
        ("429", "retry", 0),
    ],
)
async def test_a_dial_is_sent_once_whatever_the_answer_and_prints_nothing(
    fault: RestFault, kind: str, made: int, capfd: pytest.CaptureFixture[str]
) -> None:
    """Plivo's SDK would send it up to three more times and print that it does."""
    async with line(timeout_s=0.4) as phone:
        phone.far.fail("dial", fault, times=9)
        with pytest.raises(CarrierError) as caught:
            await phone.carrier.dial(phone.order())
        assert caught.value.kind == kind and len(phone.far.asked("dial")) == 1
        assert len(phone.far.calls) == made
        assert FAR.auth_token not in str(caught.value) and FAR.auth_token not in repr(phone.carrier.__dict__)
    assert capfd.readouterr() == ("", "")


async def test_a_list_of_requests_is_read_like_a_single_one() -> None:
    async with line(dataclasses.replace(FAR, lists_requests=True)) as phone:
        call = await phone.live()
        assert call.state.request_uuid


async def test_a_call_that_has_a_name_of_its_own_is_hung_up_by_either(phone: Line) -> None:
    async with line(dataclasses.replace(FAR, own_names=True)) as other:
        by_request = await other.dial(NEVER)
        await other.carrier.hang_up(by_request.state.request_uuid)
        by_name = await other.live()
        await other.carrier.hang_up(by_name.state.uuid)
        for call in (by_request, by_name):
            assert call.state.over and call.state.source == "API Request"
        first = other.desk.of("/voice/webhook?callId=c1&type=status")[0]
        read = other.carrier.parse(WebhookRequest("POST", first.url, first.headers, first.body))
        assert (read.provider_call_id, read.dialled_as) == (by_request.state.uuid, by_request.state.request_uuid)


# finding a lost dial


async def test_a_lost_dial_is_found_while_it_rings_while_it_is_up_and_when_it_is_over(phone: Line) -> None:
    for to in (NEVER, SINK):
        call = await phone.dial(to)
        await call.until(lambda call=call: call.state.status != "queued")  # type: ignore[misc]
        assert await phone.carrier.find(lost(phone.order(to))) == call.state.uuid
        await phone.carrier.hang_up(call.state.uuid)
        assert await phone.carrier.find(lost(phone.order(to))) == call.state.uuid


async def test_a_call_of_another_time_or_of_ours_already_is_not_the_lost_one(phone: Line) -> None:
    call = await phone.live()
    old = LostDial("c2", OUR_NUMBER, SINK, epoch_ms() - 3_600_000)
    ours = LostDial("c2", OUR_NUMBER, SINK, epoch_ms(), frozenset({call.state.uuid}))
    assert await phone.carrier.find(old) is None and await phone.carrier.find(ours) is None


async def test_a_call_that_is_listed_late_is_found_all_the_same(phone: Line) -> None:
    call = await phone.live()
    phone.far.empty_lists = 3
    assert await phone.carrier.find(lost(phone.order())) == call.state.uuid


# a live call


async def test_the_state_of_a_call_is_that_of_its_life_then_of_its_record(phone: Line) -> None:
    ringing = await phone.dial(NEVER)
    await ringing.until(lambda: ringing.state.status == "ringing")
    found = await phone.carrier.status(ringing.state.uuid)
    assert (found.live, found.answered, found.raw) == (True, False, "ringing")
    live = await phone.live()
    found = await phone.carrier.status(live.state.uuid)
    assert (found.live, found.answered) == (True, True)
    live.hang_up_person()
    await live.until_over()
    found = await phone.carrier.status(live.state.uuid)
    assert (found.live, found.reason, found.answered) == (False, State.COMPLETED, True)
    assert found.facts["hangupSource"] == "Callee" and found.duration_s is not None


async def test_new_instructions_are_fetched_from_the_address_that_the_command_names(phone: Line) -> None:
    desk = phone.desk
    desk.documents["/next"] = "<Response><Speak>Which day?</Speak><Hangup/></Response>"
    call = await phone.live()
    await phone.carrier.instruct(Streamless(call.state.uuid), (Redirect(desk.url("/next")),))
    await call.until_over()
    assert [spoken.text for spoken in call.spoken] == ["Which day?"]
    assert phone.far.asked("transfer") == [{"legs": "aleg", "aleg_url": desk.url("/next"), "aleg_method": "POST"}]


async def test_a_document_that_is_no_address_is_refused_and_not_sent(phone: Line) -> None:
    call = await phone.live()
    with pytest.raises(CarrierError):
        await phone.carrier.instruct(Streamless(call.state.uuid), (Say("Hello"),))
    assert phone.far.asked("transfer") == []


async def test_a_transfer_comes_before_the_end_of_the_stream_and_connects_the_caller(phone: Line) -> None:
    desk, carrier = phone.desk, phone.carrier
    desk.documents["/voice/webhook"] = carrier.render((Connect(desk.socket_url("/media/x")[:-2], ""),)).body.decode()
    call = await phone.dial()
    media = await desk.stream()
    over = link(desk.url("/over"), "transfer", "c1")

    async def answer(hook: Any) -> str:
        request = WebhookRequest("POST", hook.url, hook.headers, hook.body)
        assert carrier.verify(request, NOW_MS).ok
        read = carrier.parse(request)
        if read.type == "fetches":
            assert not media.closed.is_set() or call.socket is None
            return carrier.render(read.ordered).body.decode()
        return "<Response><Hangup/></Response>"

    desk.answer = answer
    await carrier.transfer(call.state.uuid, Transfer(HALLO, OUR_NUMBER, over, ring_seconds=9))
    await call.until(lambda: call.transfers and call.transfers[0].answered_at is not None)
    assert call.transfers[0].to_number == HALLO and not call.state.over
    await media.closed.wait()
    dialled = [text for text in call.documents if b"<Dial" in text]
    assert b'timeout="9"' in dialled[0] and b'redirect="true"' in dialled[0] and over.encode()[:10] in dialled[0]


async def test_a_change_whose_outcome_is_unknown_is_not_sent_again(phone: Line) -> None:
    call = await phone.live()
    phone.far.fail("transfer", "500-after")
    with pytest.raises(CarrierError) as caught:
        await phone.carrier.instruct(Streamless(call.state.uuid), (Redirect(phone.desk.url("/voice/webhook?n=1")),))
    assert caught.value.kind == "unknown" and len(phone.far.asked("transfer")) == 1


async def test_a_lost_stream_is_opened_again_in_the_same_call(phone: Line) -> None:
    desk, carrier = phone.desk, phone.carrier
    first = Connect(desk.socket_url(), "", again_url=desk.url("/again"))
    desk.documents["/voice/webhook"] = desk.documents["/again"] = carrier.render((first,)).body.decode()
    call = await phone.dial()
    (await call.until_stream()).lose()
    await call.until(lambda: call.streams[0].end)
    again = Connect(desk.socket_url(), "", again_url=desk.url("/again?n=2"))
    await carrier.reopen_stream(Streamless(call.state.uuid), again)
    await desk.stream(1)
    assert not call.state.over and len(call.streams) == 2


async def test_keys_go_into_a_live_call_without_a_document(phone: Line) -> None:
    call = await phone.live()
    await phone.carrier.send_dtmf(call.state.uuid, "12#")
    assert call.leg is not None and call.leg.heard.digits == "12#"
    assert phone.far.asked("dtmf") == [{"digits": "12#", "leg": "aleg"}] and len(call.documents) == 1


async def test_an_id_that_is_none_of_plivos_never_gets_into_a_path(phone: Line) -> None:
    for odd in ("../Number/1", "a b c d e f", "", "a" * 100):
        assert not (await phone.carrier.status(odd or "?")).live
        await phone.carrier.hang_up(odd or "?")
    assert phone.far.requests == []


async def test_hanging_up_that_fails_is_an_error_and_no_end_of_the_call(phone: Line) -> None:
    call = await phone.live()
    phone.far.fail("hangup", "500-before")
    with pytest.raises(CarrierError) as caught:
        await phone.carrier.hang_up(call.state.uuid)
    assert caught.value.kind == "retry" and not call.state.over


async def test_a_server_that_drips_is_left_after_the_limit_of_the_whole_request() -> None:
    """What `requests`, under Plivo's SDK, has no limit for: each byte comes in time."""

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        while not writer.is_closing():
            writer.write(b" ")
            await asyncio.sleep(0.05)

    server = await asyncio.start_server(drip, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        access = Access("MA1", "t", f"http://127.0.0.1:{port}", timeout_s=0.3)
        carrier = PlivoCarrier(access, Tokens(("t",)), voice="", language="")
        await carrier.open()
        try:
            with pytest.raises(CarrierError) as caught:
                async with asyncio.timeout(3):
                    await carrier.account()
        finally:
            await carrier.close()
        assert caught.value.code == "timeout"


# what the far end sends is what we read


@pytest.mark.parametrize("method", ["POST", "GET"])
async def test_what_plivo_sends_during_a_call_verifies_and_is_understood(method: Any) -> None:
    async with line(dataclasses.replace(FAR, method=method)) as phone:
        carrier, desk = phone.carrier, phone.desk
        connect = Connect(desk.socket_url(), "", status_url=desk.url("/voice/webhook?flow=stream"))
        desk.documents["/voice/webhook"] = carrier.render((connect,)).body.decode()
        application = next(iter(phone.far.applications.values()))
        application.answer_url = desk.url("/voice/webhook")
        application.hangup_url = desk.url("/voice/webhook?type=status")
        outbound = await phone.dial(HALLO)
        inbound = phone.far.ring_in("Hello")
        for index, call in enumerate((outbound, inbound)):
            await call.until_stream()
            await desk.stream(index)
            await carrier.hang_up(call.state.uuid)
            await call.until_over()
        await desk.until(lambda: len(desk.webhooks) == 9)
        types = set()
        for hook in desk.webhooks:
            way = "POST" if hook.body else "GET"
            request = WebhookRequest(way, hook.url, hook.headers, hook.body)
            verdict = carrier.verify(request, NOW_MS)
            assert verdict.ok and hook.signed, verdict.why
            read = carrier.parse(request)
            assert read.provider_call_id in phone.far.calls
            types.add(read.type)
        assert types == {"incoming", "ringing", "answered", "ended", "ignored"}
        for media in desk.media:
            headers = {name.lower(): value for name, value in media.headers.items()}
            assert carrier.verify_upgrade(WebhookRequest("GET", media.url, headers, b""), NOW_MS).ok and media.signed
