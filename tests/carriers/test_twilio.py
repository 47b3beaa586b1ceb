"""Twilio's adapter against the far end that behaves like Twilio: conformance, and changing a live call."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlencode

import pytest

from engine.calls import State
from engine.carriers.base import (
    CarrierError,
    CarrierEvent,
    Connect,
    Hangup,
    Say,
    Streamless,
    Transfer,
    WebhookRequest,
)
from engine.carriers.links import link
from engine.carriers.twilio_account import TwilioCall, to_status
from engine.simulator.frames import FrameWriter
from tests.carriers.conformance import DOCUMENTS, NATIVE_DOCUMENTS, Bench, CarrierConformance
from tests.carriers.twilio_far import OUR_NUMBER, TwilioFar
from tests.carriers.twilio_far.twiml import read_twiml
from tests.carriers.twilio_far.webhooks import signature_headers
from tests.carriers.twilio_line import FAR, HALLO, NEVER, NOW_MS, SID, SINK, URL, Line, line


def signed(url: str, form: dict[str, str], method: str = "POST") -> WebhookRequest:
    headers = {name.lower(): value for name, value in signature_headers(FAR, url, form).items()}
    headers["content-type"] = "application/x-www-form-urlencoded"
    return WebhookRequest(method, url, headers, urlencode(form).encode())


def webhook(url: str, status: str, direction: str = "outbound-api", **more: str) -> WebhookRequest:
    form = {"CallSid": SID, "AccountSid": FAR.account_sid, "From": OUR_NUMBER, "To": SINK, "ToZip": ""}
    return signed(url, {**form, "CallStatus": status, "Direction": direction, "ApiVersion": "2010-04-01", **more})


def event(type_: Any, raw: str, ours: str = "c1", direction: Any = "outbound", **more: Any) -> CarrierEvent:
    return CarrierEvent(type_, SID, ours, direction, OUR_NUMBER, SINK, raw_type=raw, **more)


PROGRESS = {"CallbackSource": "call-progress-events", "SequenceNumber": "1"}
WEBHOOKS = {
    "incoming": (
        webhook(URL, "ringing", "inbound"),
        event("incoming", "voice ringing", "", "inbound", wants_document=True),
    ),
    "answered": (
        webhook(link(URL, "answer", "c1"), "in-progress"),
        event("answered", "voice in-progress", wants_document=True),
    ),
    "ringing": (webhook(link(URL, "status", "c1"), "ringing", **PROGRESS), event("ringing", "status ringing")),
    "busy": (
        webhook(link(URL, "status", "c1"), "busy", **PROGRESS, SipResponseCode="486"),
        event("ended", "status busy", reason=State.BUSY, detail="SIP 486"),
    ),
    "speech": (
        webhook(link(URL, "listen", "c1", turn="t1"), "in-progress", SpeechResult="Tuesday"),
        event("speech", "gather speech", text="Tuesday", turn="t1", wants_document=True),
    ),
    "machine": (
        webhook(link(URL, "machine", "c1"), "in-progress", AnsweredBy="machine_end_beep"),
        event("machine", "machine machine_end_beep", answered_by="machine_end"),
    ),
}


@pytest.fixture
async def phone() -> AsyncIterator[Line]:
    async with line() as found:
        yield found


class Far:
    """The far end as the conformance suite drives it."""

    def __init__(self, far: TwilioFar) -> None:
        self._far = far

    def calls(self) -> int:
        return len(self._far.calls)

    async def lose_reply(self) -> None:
        self._far.fail("dial", "lost-after")

    async def refuse(self) -> None:
        self._far.fail("dial", "20429", times=3)

    async def go_away(self) -> None:
        await self._far.stop_listening()

    async def until_live(self, provider_call_id: str) -> None:
        call = self._far.calls[provider_call_id]
        await call.until(lambda: call.state.answered_at is not None and call.documents)


def stream_frames() -> list[str]:
    writer = FrameWriter("MZ1", SID, FAR.account_sid)
    return [writer.connected(), writer.start("t"), writer.media("/w==", 20), writer.mark("m"), writer.stop()]


class TestTwilioCarrier(CarrierConformance):
    @pytest.fixture
    async def bench(self, phone: Line) -> Bench:
        return Bench(
            carrier=phone.carrier,
            far=Far(phone.far),
            now_ms=NOW_MS,
            webhooks=WEBHOOKS,
            upgrade=signed("ws://127.0.0.1:3334/voice/stream/abc", {}, "GET"),
            signature_headers=("x-twilio-signature",),
            order=phone.order(),
            stream_frames=stream_frames(),
            connect=Connect(phone.desk.socket_url(), "again"),
        )

    async def test_an_old_signature_and_one_from_the_future_are_refused(self, bench: Bench) -> None:
        """Twilio signs no time, so this is the one thing its signatures can not tell; the replay key stands in."""
        request, _ = next(iter(bench.webhooks.values()))
        years = [bench.carrier.verify(request, bench.now_ms + year * 31_536_000_000) for year in (-1, 0, 1)]
        assert len({verdict.replay_key for verdict in years}) == 1 and years[0].replay_key

    @pytest.mark.parametrize("name", [*DOCUMENTS, *NATIVE_DOCUMENTS])
    async def test_twilio_understands_every_document_without_a_warning(self, bench: Bench, name: str) -> None:
        """Trap 1.3/12200."""
        document = {**DOCUMENTS, **NATIVE_DOCUMENTS}[name]
        reply = bench.carrier.render(document)
        reading = read_twiml(reply.body)
        assert reply.content_type == "text/xml" and reading.remarks == [] and reading.verbs


# 1.2 Change a live call


async def test_completed_hangs_up_a_call_in_any_state(phone: Line) -> None:
    """Trap 1.2/canceled."""
    ringing = await phone.dial(NEVER)
    await ringing.until(lambda: ringing.state.status == "ringing")
    live = await phone.live()
    for call in (ringing, live):
        await phone.carrier.hang_up(call.state.sid)
        assert call.state.over and call.state.over_because == "api"
        assert not (await phone.carrier.status(call.state.sid)).live
    assert {sent["Status"] for sent in phone.sent("update")} == {"completed"}


@pytest.mark.parametrize("as_404", [True, False])
async def test_hanging_up_a_call_that_is_over_is_a_success_for_404_and_for_21220(as_404: bool) -> None:
    """Trap 1.2/20404."""
    async with line(dataclasses.replace(FAR, ended_is_404=as_404)) as phone:
        call = await phone.live()
        call.hang_up_person()
        await call.until_over()
        await phone.carrier.hang_up(call.state.sid)


async def test_21220_on_a_live_call_is_tried_again_a_moment_later(phone: Line) -> None:
    """Trap 1.2/21220."""
    call = await phone.live()
    phone.far.fail("update", "21220", times=2)
    await phone.carrier.hang_up(call.state.sid)
    assert call.state.over and len(phone.sent("update")) == 3


async def test_21220_that_stays_is_an_error_and_no_end_of_the_call(phone: Line) -> None:
    """Trap 1.2/21220."""
    call = await phone.live()
    phone.far.fail("update", "21220", times=3)
    with pytest.raises(CarrierError) as caught:
        await phone.carrier.hang_up(call.state.sid)
    assert (caught.value.kind, caught.value.code) == ("refused", "21220") and not call.state.over


async def test_a_document_for_a_call_that_rings_is_refused_and_for_one_that_is_over_gone(
    phone: Line,
) -> None:
    ringing = await phone.dial(NEVER)
    with pytest.raises(CarrierError) as caught:
        await phone.carrier.instruct(Streamless(ringing.state.sid), (Say("Hello"),))
    assert caught.value.kind == "refused"
    over = await phone.live()
    over.hang_up_person()
    await over.until_over()
    with pytest.raises(CarrierError) as caught:
        await phone.carrier.instruct(Streamless(over.state.sid), (Say("Hello"),))
    assert caught.value.kind == "gone"


async def test_instructions_replace_what_a_call_does(phone: Line) -> None:
    call = await phone.live()
    await phone.carrier.instruct(Streamless(call.state.sid), (Say("Which day?"), Hangup()))
    await call.until_over()
    assert [spoken.text for spoken in call.spoken] == ["Which day?"] and call.codes() == []


async def test_instructions_over_4000_characters_are_refused_with_a_sentence_and_not_sent(phone: Line) -> None:
    """Trap 1.1/inline-limit."""
    call = await phone.live()
    with pytest.raises(CarrierError) as caught:
        await phone.carrier.instruct(Streamless(call.state.sid), (Say("word " * 900),))
    assert caught.value.kind == "refused" and "4000" in str(caught.value) and phone.sent("update") == []


async def test_a_transfer_ends_the_stream_with_stop_and_connects_the_caller(phone: Line) -> None:
    """Trap 1.2/interrupts."""
    desk = phone.desk
    connect = phone.carrier.render((Connect(desk.socket_url(), "t"),))
    desk.documents["/voice/webhook"] = connect.body.decode()
    desk.documents["/over"] = "<Response><Hangup/></Response>"
    call = await phone.dial()
    media = await desk.stream()
    await phone.carrier.transfer(call.state.sid, Transfer(HALLO, OUR_NUMBER, desk.url("/over"), ring_seconds=9))
    await media.until(lambda: media.of("stop"))
    await call.until(lambda: call.transfers and call.transfers[0].answered_at is not None)
    assert call.transfers[0].to_number == HALLO and not call.state.over
    assert 'timeout="9"' in phone.sent("update")[0]["Twiml"]


async def test_a_change_whose_outcome_is_unknown_is_not_sent_again(phone: Line) -> None:
    call = await phone.live()
    phone.far.fail("update", "500-after")
    with pytest.raises(CarrierError) as caught:
        await phone.carrier.transfer(call.state.sid, Transfer(NEVER, OUR_NUMBER, phone.desk.url("/over")))
    assert caught.value.kind == "unknown" and len(phone.sent("update")) == 1
    await call.until(lambda: call.transfers)


async def test_a_lost_stream_is_opened_again_in_the_same_call(phone: Line) -> None:
    """Traps 1.4/connect-blocks, 1.5/31921 and 1.5/no-reconnect."""
    desk = phone.desk
    first = Connect(desk.socket_url(), "first", again_url=desk.url("/again"))
    desk.documents["/voice/webhook"] = phone.carrier.render((first,)).body.decode()
    call = await phone.dial()
    await (await desk.stream()).socket.close()
    await call.until(lambda: 31921 in call.codes())
    await phone.carrier.reopen_stream(Streamless(call.state.sid), Connect(desk.socket_url(), "second"))
    media = await desk.stream(1)
    assert media.of("start")[0]["start"]["customParameters"] == {"token": "second"} and not call.state.over


async def test_an_id_that_is_none_of_twilios_never_gets_into_a_path(phone: Line) -> None:
    for odd in ("CA1/../Accounts", "CA 1", "", "CA" + "1" * 100):
        assert not (await phone.carrier.status(odd or "?")).live
        await phone.carrier.hang_up(odd or "?")
    assert phone.far.requests == []


@pytest.mark.parametrize(
    ("status", "live", "reason"),
    [
        ("queued", True, None),
        ("initiated", True, None),
        ("ringing", True, None),
        ("in-progress", True, None),
        ("completed", False, State.COMPLETED),
        ("busy", False, State.BUSY),
        ("failed", False, State.FAILED),
        ("no-answer", False, State.NO_ANSWER),
        ("canceled", False, State.HANGUP_BOT),
        ("parked", True, None),
    ],
)
def test_every_status_is_read_and_an_unknown_one_ends_nothing(status: str, live: bool, reason: State | None) -> None:
    """Trap 1.1/statuses."""
    found = to_status(TwilioCall(SID, status, answered_by="human", duration_s=12))
    assert (found.live, found.reason, found.raw) == (live, reason, status)
    assert found.facts["answered_by"] == "human"


# what the far end sends is what we read


async def test_what_twilio_sends_during_a_call_verifies_and_is_understood(phone: Line) -> None:
    carrier, desk = phone.carrier, phone.desk
    document = carrier.render((Connect(desk.socket_url(), "t", status_url=desk.url("/voice/webhook?flow=stream")),))
    desk.documents["/voice/webhook"] = document.body.decode()
    call = await phone.dial(HALLO, detect_machine="answer")
    media = await desk.stream()
    await desk.until(lambda: desk.of("/voice/webhook?callId=c1&flow=machine"))
    await carrier.hang_up(call.state.sid)
    await call.until_over()
    await desk.until(lambda: len(desk.webhooks) == 8)
    types = set()
    for hook in desk.webhooks:
        request = WebhookRequest("POST", hook.url, hook.headers, hook.body)
        verdict = carrier.verify(request, NOW_MS)
        assert verdict.ok, verdict.why
        read = carrier.parse(request)
        assert read.provider_call_id == call.state.sid
        types.add(read.type)
    assert types == {"initiated", "ringing", "answered", "machine", "ended", "ignored"}
    headers = {name.lower(): value for name, value in media.headers.items()}
    assert carrier.verify_upgrade(WebhookRequest("GET", media.url, headers, b""), NOW_MS).ok
    assert call.codes() == []
