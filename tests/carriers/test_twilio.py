"""Twilio's adapter against the far end that behaves like Twilio, over real sockets."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest

from engine.calls import State
from engine.carriers.base import (
    CarrierError,
    CarrierEvent,
    Connect,
    DialOrder,
    Hangup,
    LostDial,
    Pause,
    Say,
    Streamless,
    Transfer,
    WebhookRequest,
)
from engine.carriers.links import link
from engine.carriers.twilio import TwilioCarrier
from engine.carriers.twilio_account import Access, TwilioCall, lost_call, notice, to_status
from engine.carriers.twilio_signature import SigningKeys
from engine.clock import epoch_ms
from engine.simulator.frames import FrameWriter
from tests.carriers.conformance import DOCUMENTS, NATIVE_DOCUMENTS, Bench, CarrierConformance
from tests.carriers.twilio_far import OUR_NUMBER, FarCall, Settings, TwilioFar
from tests.carriers.twilio_far.desk import Desk
from tests.carriers.twilio_far.twiml import read_twiml
from tests.carriers.twilio_far.webhooks import signature_headers

URL = "http://127.0.0.1:3334/voice/webhook"
SID = "CA" + "1" * 32
SINK = "+15550100201"
HALLO = "+15550100202"
NEVER = "+15550100203"
QUICK = {"ring_ms": 20, "think_ms": 20}
CALLERS: list[dict[str, Any]] = [
    {"number": SINK, "name": "Sink", "manners": {**QUICK, "deaf_and_mute": True}},
    {"number": HALLO, "name": "Hello", "manners": QUICK},
    {"number": NEVER, "name": "Never", "manners": {**QUICK, "answers": "never"}},
]
NOW_MS = 1_795_000_000_000
FAR = Settings(callers=CALLERS, say_speed=20, wait_speed=20)


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


@dataclass
class Line:
    """A carrier, the far end and our side of it."""

    carrier: TwilioCarrier
    far: TwilioFar
    desk: Desk

    def order(self, to: str = SINK, **more: Any) -> DialOrder:
        url = self.desk.url("/voice/webhook")
        return DialOrder("c1", OUR_NUMBER, to, url, **{"ring_timeout_ms": 30_000, "max_duration_seconds": 60, **more})

    async def dial(self, to: str = SINK, **more: Any) -> FarCall:
        return self.far.calls[await self.carrier.dial(self.order(to, **more))]

    async def live(self) -> FarCall:
        """A call that was answered and stays up."""
        call = await self.dial()
        await call.until(lambda: call.documents)
        return call

    def sent(self, operation: str) -> list[dict[str, str]]:
        """The forms of our requests of one kind."""
        asked = [request.form for request in self.far.requests if request.operation == operation]
        return [{name: values[0] for name, values in form.items()} for form in asked]


@asynccontextmanager
async def line(settings: Settings = FAR, timeout_s: float = 5.0) -> AsyncIterator[Line]:
    async with AsyncExitStack() as stack:
        desk = await stack.enter_async_context(Desk(settings.auth_token))
        desk.documents["/voice/webhook"] = '<Response><Pause length="1200"/></Response>'
        far = await stack.enter_async_context(TwilioFar(settings))
        carrier = TwilioCarrier(
            Access(settings.account_sid, settings.auth_token, base_url=far.base_url, timeout_s=timeout_s),
            SigningKeys((settings.auth_token,), {}),
            voice="Polly.Joanna",
            language="en-US",
            change_pauses_s=(0.01, 0.02),
            find_pauses_s=(0.02,),
        )
        await carrier.open()
        stack.push_async_callback(carrier.close)
        yield Line(carrier, far, desk)
        assert far.complaints == [], "Twilio would have ignored a part of a request"


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
        document = {**DOCUMENTS, **NATIVE_DOCUMENTS}[name]
        reply = bench.carrier.render(document)
        reading = read_twiml(reply.body)
        assert reply.content_type == "text/xml" and reading.remarks == [] and reading.verbs


# 1.1 Create an outbound call


async def test_a_dial_asks_for_all_four_events_by_post_and_has_both_limits(phone: Line) -> None:
    await phone.carrier.dial(phone.order(ring_timeout_ms=25_400, max_duration_seconds=77))
    form = phone.far.requests[0].form
    assert form["StatusCallbackEvent"] == ["initiated", "ringing", "answered", "completed"]
    sent = phone.sent("dial")[0]
    webhook_url = phone.desk.url("/voice/webhook")
    assert sent["StatusCallback"] == f"{webhook_url}?callId=c1&type=status"
    assert sent["Url"] == f"{webhook_url}?callId=c1&flow=answer"
    assert (sent["Method"], sent["StatusCallbackMethod"]) == ("POST", "POST")
    assert (sent["Timeout"], sent["TimeLimit"]) == ("26", "77")
    assert not {"Twiml", "SendDigits", "MachineDetection", "ApplicationSid"} & sent.keys()


async def test_a_ring_timeout_over_ten_minutes_is_the_longest_that_twilio_takes(phone: Line) -> None:
    await phone.dial(ring_timeout_ms=3_600_000)
    await phone.dial(ring_timeout_ms=0)
    assert [sent["Timeout"] for sent in phone.sent("dial")] == ["600", "1"]


async def test_a_notify_message_goes_inline_and_is_heard_though_no_webhook_reaches_us(phone: Line) -> None:
    order = phone.order(inline=(Say("Your table is ready & waiting."), Pause(1), Hangup()))
    dead = dataclasses.replace(order, webhook_url="http://127.0.0.1:9/voice/webhook")
    call = phone.far.calls[await phone.carrier.dial(dead)]
    await call.until_over()
    assert [(spoken.text, spoken.whole) for spoken in call.spoken] == [("Your table is ready & waiting.", True)]
    assert call.spoken[0].voice == "Polly.Joanna" and call.spoken[0].language == "en-US"
    assert phone.desk.webhooks == [] and "Url" not in phone.sent("dial")[0]


async def test_twiml_over_4000_characters_is_asked_for_by_url_instead(phone: Line) -> None:
    def order(length: int) -> DialOrder:
        return phone.order(inline=(Say("x" * length),))

    await phone.carrier.dial(order(3000))
    room = 4000 - len(phone.sent("dial")[0]["Twiml"])
    await phone.carrier.dial(order(3000 + room))
    await phone.carrier.dial(order(3000 + room + 1))
    inline, longest, too_long = phone.sent("dial")
    assert len(longest["Twiml"]) == 4000 and "Url" not in inline
    assert "Twiml" not in too_long and "flow=answer" in too_long["Url"]


async def test_keys_go_as_a_document_because_senddigits_would_switch_machine_detection_off(phone: Line) -> None:
    call = await phone.dial(HALLO, dtmf_sequence="ww12#", detect_machine="answer")
    await phone.desk.until(lambda: phone.desk.of("/voice/webhook?callId=c1&flow=answer"))
    await phone.desk.until(lambda: phone.desk.of("/voice/webhook?callId=c1&flow=machine"))
    assert call.leg is not None and call.leg.heard.digits == "12#"
    assert phone.desk.of("/voice/webhook?callId=c1&flow=machine")[0].params["AnsweredBy"] == "human"
    assert "SendDigits" not in phone.sent("dial")[0]


async def test_keys_come_before_an_inline_message(phone: Line) -> None:
    call = await phone.dial(dtmf_sequence="1", inline=(Say("Hello"), Hangup()))
    await call.until_over()
    assert call.leg is not None and call.leg.heard.digits == "1" and call.spoken[0].text == "Hello"
    twiml = phone.sent("dial")[0]["Twiml"]
    assert twiml.index("<Play") < twiml.index("<Say")


async def test_keys_that_are_none_are_refused_before_anything_is_sent(phone: Line) -> None:
    with pytest.raises(CarrierError) as caught:
        await phone.dial(dtmf_sequence="1;2")
    assert caught.value.kind == "refused" and phone.far.requests == []


@pytest.mark.parametrize(("detect", "parameter"), [("answer", "Enable"), ("message_end", "DetectMessageEnd")])
async def test_machine_detection_is_asynchronous_so_that_nobody_waits_in_silence(
    phone: Line, detect: Any, parameter: str
) -> None:
    await phone.dial(detect_machine=detect)
    sent = phone.sent("dial")[0]
    assert (sent["MachineDetection"], sent["AsyncAmd"]) == (parameter, "true")
    assert sent["AsyncAmdStatusCallback"].endswith("?callId=c1&flow=machine")
    assert sent["AsyncAmdStatusCallbackMethod"] == "POST"


async def test_a_host_name_with_an_underscore_is_refused_before_anything_is_sent(phone: Line) -> None:
    order = dataclasses.replace(phone.order(), webhook_url="https://my_host.example.com/voice/webhook")
    with pytest.raises(CarrierError) as caught:
        await phone.carrier.dial(order)
    assert caught.value.kind == "refused" and "underscore" in str(caught.value) and phone.far.requests == []


@pytest.mark.parametrize(
    ("to", "code"),
    [("+15005550001", "21211"), ("+15005550002", "21214"), ("+15005550003", "21215"), ("+15005550004", "21216")],
)
async def test_twilios_magic_numbers_are_refused_with_code_and_link(phone: Line, to: str, code: str) -> None:
    with pytest.raises(CarrierError) as caught:
        await phone.dial(to)
    error = caught.value
    assert (error.kind, error.code, error.link) == ("refused", code, f"https://www.twilio.com/docs/errors/{code}")


@pytest.mark.parametrize(
    ("fault", "kind", "code", "made"),
    [
        ("20003", "refused", "20003", 0),
        ("20404", "refused", "20404", 0),
        ("20429", "retry", "20429", 0),
        ("10004", "retry", "10004", 0),
        ("500-before", "unknown", "20500", 0),
        ("500-after", "unknown", "20500", 1),
        ("html-502-after", "unknown", "502", 1),
        ("lost-before", "unknown", "connection_lost", 0),
        ("lost-after", "unknown", "connection_lost", 1),
        ("timeout-before", "unknown", "timeout", 0),
        ("timeout-after", "unknown", "timeout", 1),
        ("garbage-after", "unknown", "bad_answer", 1),
        ("redirect", "refused", "302", 0),
    ],
)
async def test_a_dial_is_sent_once_whatever_becomes_of_it(fault: Any, kind: str, code: str, made: int) -> None:
    async with line(timeout_s=0.4) as phone:
        phone.far.fail("dial", fault)
        with pytest.raises(CarrierError) as caught:
            await phone.dial()
        assert (caught.value.kind, caught.value.code) == (kind, code)
        assert len(phone.sent("dial")) == 1 and len(phone.far.calls) == made
        found = await phone.carrier.find(LostDial("c1", OUR_NUMBER, SINK, epoch_ms()))
        assert (found is not None) == bool(made)


async def test_no_connection_at_all_is_worth_another_try(phone: Line) -> None:
    await phone.far.stop_listening()
    with pytest.raises(CarrierError) as caught:
        await phone.dial()
    assert (caught.value.kind, caught.value.code) == ("retry", "not_reached")


# a dial with an uncertain outcome


async def test_a_lost_dial_is_found_by_an_engine_that_knows_it_only_from_its_log(phone: Line) -> None:
    order = phone.order()
    phone.far.fail("dial", "lost-after")
    dialled_at = epoch_ms()
    with pytest.raises(CarrierError):
        await phone.carrier.dial(order)
    async with AsyncExitStack() as stack:
        access = Access(FAR.account_sid, FAR.auth_token, base_url=phone.far.base_url)
        restarted = TwilioCarrier(access, SigningKeys((FAR.auth_token,), {}), voice="", language="")
        await restarted.open()
        stack.push_async_callback(restarted.close)
        lost = LostDial("c1", OUR_NUMBER, SINK, dialled_at)
        assert await restarted.find(lost) == phone.far.call().state.sid
        assert await restarted.find(dataclasses.replace(lost, to_number=HALLO, dialled_at=0)) is None


async def test_a_queued_call_has_no_dates_yet_and_is_found_all_the_same() -> None:
    async with line(dataclasses.replace(FAR, queue_s=30)) as phone:
        call = await phone.dial()
        assert call.state.to_json()["date_created"] is None
        assert await phone.carrier.find(LostDial("c1", OUR_NUMBER, SINK, epoch_ms())) == call.state.sid
        assert (await phone.carrier.status(call.state.sid)).live


async def test_a_call_that_is_listed_a_moment_late_is_waited_for(phone: Line) -> None:
    call = await phone.dial()
    phone.far.empty_lists = 1
    assert await phone.carrier.find(LostDial("c1", OUR_NUMBER, SINK, epoch_ms())) == call.state.sid
    phone.far.empty_lists = 1
    assert await phone.carrier.find(LostDial("c1", OUR_NUMBER, SINK, epoch_ms() - 21_000)) is None
    assert len(phone.sent("list")) == 3


def listed(sid: str, made_at: int | None, **more: Any) -> TwilioCall:
    fields = {"direction": "outbound-api", "from_number": OUR_NUMBER, "to_number": SINK, **more}
    return TwilioCall(sid, "in-progress", made_at=made_at, **fields)


def test_a_lost_dial_is_the_nearest_call_between_its_numbers_that_nobody_else_owns() -> None:
    lost = LostDial("c1", OUR_NUMBER, SINK, 1_000_000, owned=("CA3",))
    calls = [
        listed("CA1", 1_009_000),
        listed("CA2", 1_002_000),
        listed("CA3", 1_000_000),
        listed("CA4", 1_000_000, to_number=HALLO),
        listed("CA5", 1_000_000, from_number="+15550100999"),
        listed("CA6", 1_000_000, direction="inbound"),
        listed("CA7", 900_000),
        listed("CA8", 1_061_000),
    ]
    assert lost_call(calls, lost, 0) == "CA2"
    assert lost_call(calls[2:], lost, 0) is None
    assert lost_call([listed("CA9", None)], lost, 0) == "CA9"


def test_a_lost_dial_is_found_though_our_clock_is_an_hour_late() -> None:
    lost = LostDial("c1", OUR_NUMBER, SINK, 1_000_000)
    theirs = [listed("CA1", 1_000_000 + 3_600_000)]
    assert lost_call(theirs, lost, 0) is None and lost_call(theirs, lost, 3_600_400) == "CA1"


# 1.2 Change a live call


async def test_completed_hangs_up_a_call_in_any_state(phone: Line) -> None:
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
    async with line(dataclasses.replace(FAR, ended_is_404=as_404)) as phone:
        call = await phone.live()
        call.hang_up_person()
        await call.until_over()
        await phone.carrier.hang_up(call.state.sid)


async def test_21220_on_a_live_call_is_tried_again_a_moment_later(phone: Line) -> None:
    call = await phone.live()
    phone.far.fail("update", "21220", times=2)
    await phone.carrier.hang_up(call.state.sid)
    assert call.state.over and len(phone.sent("update")) == 3


async def test_21220_that_stays_is_an_error_and_no_end_of_the_call(phone: Line) -> None:
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
    call = await phone.live()
    with pytest.raises(CarrierError) as caught:
        await phone.carrier.instruct(Streamless(call.state.sid), (Say("word " * 900),))
    assert caught.value.kind == "refused" and "4000" in str(caught.value) and phone.sent("update") == []


async def test_a_transfer_ends_the_stream_with_stop_and_connects_the_caller(phone: Line) -> None:
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
    found = to_status(TwilioCall(SID, status, answered_by="human", duration_s=12))
    assert (found.live, found.reason, found.raw) == (live, reason, status)
    assert found.facts == {"answered_by": "human", "duration_s": 12}


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


# 1.7 Error codes users meet


async def test_trouble_with_a_stream_is_told_with_its_number_and_what_to_do(phone: Line) -> None:
    phone.desk.refuse_streams = True
    document = phone.carrier.render((Connect(phone.desk.socket_url(), "t"),))
    phone.desk.documents["/voice/webhook"] = document.body.decode()
    call = await phone.dial()
    await call.until_over()
    notes = await phone.carrier.notifications(call.state.sid)
    assert [(note.code, note.error) for note in notes] == [("31920", True)]
    assert "Handshake Error" in notes[0].message and "101" in notes[0].message
    assert notes[0].link.endswith("/31920") and notes[0].url == phone.desk.socket_url()
    assert notes[0].at is not None and abs(notes[0].at - epoch_ms()) < 60_000


async def test_trouble_with_a_document_is_told_too(phone: Line) -> None:
    phone.desk.documents["/voice/webhook"] = (200, "application/json", b"{}")
    call = await phone.dial()
    await call.until_over()
    assert [note.code for note in await phone.carrier.notifications(call.state.sid)] == ["12300"]


def test_a_notice_is_read_whichever_way_its_text_is_written() -> None:
    query = notice("NO1", "11200", "0", "LogLevel=ERROR&Msg=Got+HTTP+502&httpResponse=502", "", None, "")
    words = notice("NO1", "99999", "1", "Something new", "", None, "")
    assert query.message.startswith("Got HTTP 502; ") and query.link.endswith("/11200") and query.error
    assert (words.message, words.error) == ("Something new", False)
    assert notice("NO1", "", "0", "", "", None, "").message


# the account, for setup


async def test_setup_reads_the_account_and_its_number_and_writes_the_addresses(phone: Line) -> None:
    carrier = phone.carrier
    account = await carrier.account()
    assert (account.sid, account.status, account.type) == (FAR.account_sid, "active", "Full")
    number = await carrier.number(OUR_NUMBER)
    assert number is not None and number.voice and number.voice_url == ""
    changed = await carrier.set_number_urls(number.sid, URL, f"{URL}?type=status")
    assert changed == await carrier.number(OUR_NUMBER)
    assert (changed.voice_url, changed.voice_method) == (URL, "POST")
    assert (changed.status_callback, changed.status_callback_method) == (f"{URL}?type=status", "POST")


async def test_a_number_that_only_holds_ours_is_not_ours(phone: Line) -> None:
    phone.far.add_number(OUR_NUMBER + "1")
    number = await phone.carrier.number(OUR_NUMBER)
    assert number is not None and number.number == OUR_NUMBER
    assert await phone.carrier.number("+1555010") is None


async def test_geo_permissions_are_read_where_twilio_tells_them(phone: Line) -> None:
    assert await phone.carrier.dialing_permission("US") is True
    assert await phone.carrier.dialing_permission("CU") is False
    assert await phone.carrier.dialing_permission("ZZ") is None
    phone.far.fail("permission", "20003")
    assert await phone.carrier.dialing_permission("US") is None


async def test_twilios_clock_is_known_to_about_a_second(phone: Line) -> None:
    phone.far.ahead_s = 600
    assert abs(await phone.carrier.server_time() - epoch_ms() - 600_000) < 1500


async def test_wrong_credentials_say_what_to_check(phone: Line) -> None:
    access = Access(FAR.account_sid, "wrong", base_url=phone.far.base_url)
    carrier = TwilioCarrier(access, SigningKeys(("wrong",), {}), voice="", language="")
    await carrier.open()
    with pytest.raises(CarrierError) as caught:
        await carrier.account()
    await carrier.close()
    assert caught.value.code == "20003" and "twilio.auth_token" in str(caught.value)


# the SDK


@pytest.mark.parametrize(
    ("region", "edge", "host"),
    [
        ("", "", "api.twilio.com"),
        ("ie1", "dublin", "api.dublin.ie1.twilio.com"),
        ("ie1", "", "api.dublin.ie1.twilio.com"),
        ("au1", "", "api.sydney.au1.twilio.com"),
        ("", "frankfurt", "api.frankfurt.us1.twilio.com"),
    ],
)
async def test_region_and_edge_are_both_in_the_host_name_and_the_environment_has_no_say(
    monkeypatch: pytest.MonkeyPatch, region: str, edge: str, host: str
) -> None:
    from engine.carriers import twilio_rest

    asked: list[str] = []

    async def request(self: object, method: str, url: str, **_: object) -> None:
        asked.append(urlsplit(url).hostname or "")
        raise TimeoutError

    monkeypatch.setenv("TWILIO_REGION", "br1")
    monkeypatch.setenv("TWILIO_EDGE", "sao-paulo")
    monkeypatch.setattr(twilio_rest._Http, "request", request)
    rest = twilio_rest.TwilioRest(Access(FAR.account_sid, "token", region, edge))
    with pytest.raises(CarrierError):
        await rest.account()
    await rest.close()
    assert asked == [host]


async def test_a_base_url_may_have_a_path_of_its_own(phone: Line) -> None:
    access = Access(FAR.account_sid, FAR.auth_token, base_url=f"{phone.far.base_url}/proxy/")
    carrier = TwilioCarrier(access, SigningKeys((), {}), voice="", language="")
    await carrier.open()
    with pytest.raises(CarrierError) as caught:
        await carrier.account()
    await carrier.close()
    assert caught.value.code == "404"  # the far end has nothing below /proxy


def test_the_sdk_is_imported_when_a_carrier_is_opened_and_not_before() -> None:
    code = "import sys, engine.carriers.twilio, engine.carriers.factory; print('twilio.rest' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
