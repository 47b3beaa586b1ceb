"""Placing calls through Twilio: what is sent, what becomes of it, and how a lost dial is found."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any
from urllib.parse import urlsplit

import pytest

from engine.carriers.base import (
    CarrierError,
    DialOrder,
    Hangup,
    LostDial,
    Pause,
    Say,
)
from engine.carriers.twilio import TwilioCarrier
from engine.carriers.twilio_account import Access, TwilioCall, lost_call
from engine.carriers.twilio_signature import SigningKeys
from engine.clock import epoch_ms
from tests.carriers.twilio_far import OUR_NUMBER
from tests.carriers.twilio_line import FAR, HALLO, SINK, Line, line


@pytest.fixture
async def phone() -> AsyncIterator[Line]:
    async with line() as found:
        yield found


# 1.1 Create an outbound call


async def test_a_dial_asks_for_all_four_events_by_post_and_has_both_limits(phone: Line) -> None:
    """Traps 1.1/four-events and 1.1/application."""
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
    """Trap 1.1/ring-limit."""
    await phone.dial(ring_timeout_ms=3_600_000)
    await phone.dial(ring_timeout_ms=0)
    assert [sent["Timeout"] for sent in phone.sent("dial")] == ["600", "1"]


async def test_a_notify_message_goes_inline_and_is_heard_though_no_webhook_reaches_us(phone: Line) -> None:
    """Trap 1.1/url-wins."""
    order = phone.order(inline=(Say("Your table is ready & waiting."), Pause(1), Hangup()))
    dead = dataclasses.replace(order, webhook_url="http://127.0.0.1:9/voice/webhook")
    call = phone.far.calls[await phone.carrier.dial(dead)]
    await call.until_over()
    assert [(spoken.text, spoken.whole) for spoken in call.spoken] == [("Your table is ready & waiting.", True)]
    assert call.spoken[0].voice == "Polly.Joanna" and call.spoken[0].language == "en-US"
    assert phone.desk.webhooks == [] and "Url" not in phone.sent("dial")[0]


async def test_twiml_over_4000_characters_is_asked_for_by_url_instead(phone: Line) -> None:
    """Trap 1.1/inline-limit."""

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
    """Trap 1.1/send-digits."""
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
    """Trap 1.1/send-digits."""
    with pytest.raises(CarrierError) as caught:
        await phone.dial(dtmf_sequence="1;2")
    assert caught.value.kind == "refused" and phone.far.requests == []


@pytest.mark.parametrize(("detect", "parameter"), [("answer", "Enable"), ("message_end", "DetectMessageEnd")])
async def test_machine_detection_is_asynchronous_so_that_nobody_waits_in_silence(
    phone: Line, detect: Any, parameter: str
) -> None:
    """Trap 1.1/amd-waits."""
    await phone.dial(detect_machine=detect)
    sent = phone.sent("dial")[0]
    assert (sent["MachineDetection"], sent["AsyncAmd"]) == (parameter, "true")
    assert sent["AsyncAmdStatusCallback"].endswith("?callId=c1&flow=machine")
    assert sent["AsyncAmdStatusCallbackMethod"] == "POST"


async def test_a_host_name_with_an_underscore_is_refused_before_anything_is_sent(phone: Line) -> None:
    """Trap 1.1/underscore."""
    order = dataclasses.replace(phone.order(), webhook_url="https://my_host.example.com/voice/webhook")
    with pytest.raises(CarrierError) as caught:
        await phone.carrier.dial(order)
    assert caught.value.kind == "refused" and "underscore" in str(caught.value) and phone.far.requests == []


@pytest.mark.parametrize(
    ("to", "code"),
    [("+15005550001", "21211"), ("+15005550002", "21214"), ("+15005550003", "21215"), ("+15005550004", "21216")],
)
async def test_twilios_magic_numbers_are_refused_with_code_and_link(phone: Line, to: str, code: str) -> None:
    """Trap 1.1/magic-numbers."""
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
    """Pains F3 and F10; trap 1.1/20003-20404-20429."""
    async with line(timeout_s=0.4) as phone:
        phone.far.fail("dial", fault)
        with pytest.raises(CarrierError) as caught:
            await phone.dial()
        assert (caught.value.kind, caught.value.code) == (kind, code)
        assert caught.value.hint, "what to do is said with every failure"
        assert len(phone.sent("dial")) == 1 and len(phone.far.calls) == made
        found = await phone.carrier.find(LostDial("c1", OUR_NUMBER, SINK, epoch_ms()))
        assert (found is not None) == bool(made)


async def test_no_connection_at_all_is_worth_another_try(phone: Line) -> None:
    await phone.far.stop_listening()
    with pytest.raises(CarrierError) as caught:
        await phone.dial()
    assert (caught.value.kind, caught.value.code) == ("retry", "not_reached")
    assert f"at {urlsplit(phone.far.base_url).netloc}: " in str(caught.value) and "ssl" not in str(caught.value)
    assert caught.value.hint


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
    """Traps 1.1/strings and 1.1/queue."""
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
