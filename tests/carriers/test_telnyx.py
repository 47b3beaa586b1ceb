"""Telnyx's adapter against the far end that behaves like Telnyx: conformance, and commanding a live call."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from engine.calls import State
from engine.carriers.base import (
    CarrierError,
    CarrierEvent,
    Connect,
    Document,
    Hangup,
    Listen,
    Reject,
    Say,
    Streamless,
    Transfer,
    WebhookRequest,
)
from engine.carriers.telnyx_account import to_status
from engine.carriers.telnyx_wire import ClientState, read_state
from tests.carriers.conformance import Bench, CarrierConformance
from tests.carriers.telnyx_far import OUR_NUMBER, Settings
from tests.carriers.telnyx_far.webhooks import signed
from tests.carriers.telnyx_line import BUSY, FAR, HALLO, MACHINE, NEVER, SINK, TOKEN, Line, line

URL = "http://127.0.0.1:3334/voice/webhook"
ID = "v3:MdI91X4lWFEs7IgbBEOT9M4AigoY08M0WWZFISt1Yw2axZ_IiE4pqg="
NOW_MS = 1_795_000_000_000
COUNT = iter(range(1, 10_000))


def webhook(name: str, **payload: Any) -> WebhookRequest:
    full = {"call_control_id": ID, "from": OUR_NUMBER, "to": SINK, **payload}
    data = {"event_type": name, "id": f"event-{next(COUNT)}", "payload": full, "record_type": "event"}
    body = json.dumps({"data": data, "meta": {"attempt": 1}}).encode()
    return WebhookRequest("POST", URL, headers_of(body), body)


def headers_of(body: bytes) -> dict[str, str]:
    return signed(Settings().signing_key, body, NOW_MS / 1000)


def event(type_: Any, name: str, ours: str = "ours-1", **more: Any) -> CarrierEvent:
    fields: dict[str, Any] = {"direction": None, "from_number": OUR_NUMBER, "to_number": SINK, **more}
    return CarrierEvent(type_, ID, ours, raw_type=name, **fields)


OURS = {"client_state": ClientState("ours-1").encode()}
WEBHOOKS = {
    "incoming": (
        webhook("call.initiated", direction="incoming", client_state=None, shaken_stir_attestation="A"),
        event("incoming", "call.initiated", "", direction="inbound", wants_document=True, attestation="A"),
    ),
    "dialling": (
        webhook("call.initiated", direction="outgoing", **OURS),
        event("ringing", "call.initiated", direction="outbound"),
    ),
    "answered": (webhook("call.answered", **OURS), event("answered", "call.answered")),
    "answered, asks": (
        webhook("call.answered", client_state=ClientState("ours-1", "answer").encode()),
        event("answered", "call.answered", wants_document=True),
    ),
    "key": (webhook("call.dtmf.received", digit="#", **OURS), event("dtmf", "call.dtmf.received", digits="#")),
    "hang-up": (
        webhook("call.hangup", hangup_cause="normal_clearing", hangup_source="callee", **OURS),
        event("ended", "call.hangup", reason=State.COMPLETED, hung_up="callee"),
    ),
    "busy": (
        webhook("call.hangup", hangup_cause="user_busy", sip_hangup_cause="486", **OURS),
        event("ended", "call.hangup", reason=State.BUSY, detail="user busy (SIP 486)"),
    ),
    "words": (
        webhook("call.transcription", transcription_data={"transcript": " Yes, ", "is_final": True}, **OURS),
        event("speech", "call.transcription", text="Yes,"),
    ),
    "unknown": (webhook("call.something.new", **OURS), event("ignored", "call.something.new")),
}


class FarEnd:
    """The far end as the suite drives it."""

    def __init__(self, phone: Line) -> None:
        self._far = phone.far

    def calls(self) -> int:
        return len(self._far.calls)

    async def lose_reply(self) -> None:
        self._far.fail("dial", "lost-after")

    async def refuse(self) -> None:
        self._far.fail("dial", "429", 2)

    async def go_away(self) -> None:
        await self._far.stop_listening()

    async def until_live(self, provider_call_id: str) -> None:
        call = self._far.calls[provider_call_id]
        await call.until(lambda: call.answered_at)


START = {
    "event": "start",
    "sequence_number": "1",
    "start": {"call_control_id": ID, "media_format": {"encoding": "PCMU", "sample_rate": 8000, "channels": 1}},
    "stream_id": "s1",
}
MEDIA = {"track": "inbound", "chunk": "1", "timestamp": "20", "payload": "//8="}
FRAMES = [
    {"event": "connected", "version": "1.0.0"},
    START,
    {"event": "media", "sequence_number": "2", "media": MEDIA, "stream_id": "s1"},
    {"event": "mark", "stream_id": "s1", "mark": {"name": "m1"}},
    {"event": "stop", "sequence_number": "3", "stop": {"call_control_id": ID}, "stream_id": "s1"},
]


@pytest.fixture
async def phone() -> AsyncIterator[Line]:
    async with line() as made:
        yield made


class TestConformance(CarrierConformance):
    @pytest.fixture
    async def bench(self) -> AsyncIterator[Bench]:
        async with line() as made:
            yield Bench(
                carrier=made.carrier,
                far=FarEnd(made),
                now_ms=NOW_MS,
                webhooks=WEBHOOKS,
                upgrade=None,
                signature_headers=made.carrier.signature_headers,
                order=made.order(),
                stream_frames=[json.dumps(frame) for frame in FRAMES],
                connect=made.desk.connect("again-0123456789abcdef"),
                signs_url=False,
            )


async def test_a_dial_carries_its_stream_and_what_identifies_it(phone: Line) -> None:
    call = await phone.dial(HALLO, inline=(phone.desk.connect(),), dtmf_sequence="1p2,3", max_duration_seconds=5)
    orders = call.orders
    assert (orders["timeout_secs"], orders["time_limit_secs"]) == (30, 30)
    assert (orders["stream_bidirectional_mode"], orders["stream_bidirectional_target_legs"]) == ("rtp", "self")
    assert orders["stream_url"].endswith(f"/media/{TOKEN}") and orders["stream_auth_token"] == TOKEN
    assert read_state(orders["client_state"]) == ClientState("c1")
    media = await phone.desk.stream()
    assert media.path == f"/media/{TOKEN}" and media.of("start")[0]["start"]["call_control_id"] == call.id
    assert call.keys == "123"


async def test_a_dial_without_a_stream_asks_at_the_answer(phone: Line) -> None:
    await phone.live()
    await phone.desk.until(lambda: phone.desk.of("call.answered"))
    read = [phone.carrier.parse(hook) for hook in phone.desk.hooks]
    assert [(found.type, found.wants_document) for found in read] == [("ringing", False), ("answered", True)]


@pytest.mark.parametrize("detection", ["standard", "premium"])
async def test_a_machine_is_told_from_a_person_and_its_greeting_from_its_beep(detection: Any) -> None:
    async with line(detection=detection) as phone:
        call = await phone.dial(MACHINE, detect_machine="message_end")
        wanted = "greeting_end" if detection == "standard" else "premium"
        assert call.orders["answering_machine_detection"] == wanted
        await phone.desk.until(lambda: any("greeting" in found["event_type"] for found in phone.desk.events))
        read = [phone.carrier.parse(hook) for hook in phone.desk.hooks]
        assert [found.answered_by for found in read if found.type == "machine"] == ["machine", "machine_end"]


@pytest.mark.parametrize(
    ("to", "reason"), [(BUSY, State.BUSY), (NEVER, State.NO_ANSWER)], ids=["busy", "nobody answers"]
)
async def test_a_call_that_nobody_takes_ends_with_the_reason(phone: Line, to: str, reason: State) -> None:
    call = await phone.dial(to, ring_timeout_ms=5000)
    await call.until_over()
    assert phone.carrier.parse(phone.desk.hooks[-1]).reason is reason


async def test_an_inbound_call_is_answered_with_its_stream_in_one_command(phone: Line) -> None:
    call = phone.far.ring_in("Hello")
    document: Document = (dataclasses.replace(phone.desk.connect(), status_url=f"{URL}?callId=c7&flow=stream"),)
    await phone.carrier.answer(call.id, document)
    await phone.carrier.answer(call.id, document)
    await phone.desk.stream()
    assert [action for action, _ in call.commands] == ["answer"]
    assert read_state(call.client_state) == ClientState("c7")
    assert "stream_auth_token" not in call.sent("answer")[0]


async def test_what_is_told_before_the_answer_came_about_is_told_again(phone: Line) -> None:
    """90034: the answer is on its way."""
    call = phone.far.ring_in("Hello")
    listen = Listen(f"{URL}?callId=c7&flow=listen&turn=tok", f"{URL}?x=1", "Good morning.")
    await phone.carrier.answer(call.id, (listen,))
    assert [action for action, _ in call.commands] == ["answer", "speak", "transcription_start"]
    assert call.spoken[0].text == "Good morning."
    await call.hear("Hello, I", "Hello, I have a question.")
    await phone.desk.until(
        lambda: phone.desk.of("call.speak.ended") and len(phone.desk.of("call.transcription")) == 2
    )
    read = {found.type: found for found in map(phone.carrier.parse, phone.desk.hooks)}
    assert read["said"].turn == "tok" and read["said"].call_id == "c7"
    assert (read["partial"].text, read["speech"].text) == ("Hello, I", "Hello, I have a question.")


async def test_a_newer_line_replaces_what_is_said_and_none_is_silence(phone: Line) -> None:
    call = await phone.live()
    for turn, prompt in (("one", "A long line. " * 200), ("two", "A short one."), ("three", "")):
        listen = Listen(f"{URL}?callId=c1&flow=listen&turn={turn}", f"{URL}?x", prompt)
        await phone.carrier.instruct(Streamless(call.id), (listen,))
    assert [spoken.stopped for spoken in call.spoken] == [True, True]
    assert len(call.sent("transcription_start")) == 1


async def test_a_line_that_is_too_long_for_one_command_is_said_in_parts(phone: Line) -> None:
    call = await phone.live()
    text = "This is a sentence of a long line. " * 110
    await phone.carrier.instruct(Streamless(call.id), (Say(text), Hangup()))
    parts = [spoken.text for spoken in call.spoken]
    assert len(parts) == 2 and " ".join(parts) == text.strip() and all(part.endswith(".") for part in parts)
    assert not call.over, "whoever hears that it was said hangs up"


@pytest.mark.parametrize(
    ("document", "cause"), [((Reject(),), "call_rejected"), ((Reject("busy"),), "user_busy")], ids=str
)
async def test_an_inbound_call_is_rejected_unanswered(phone: Line, document: Document, cause: str) -> None:
    call = phone.far.ring_in("Hello")
    await phone.carrier.answer(call.id, document)
    await call.until_over()
    assert (call.hangup_cause, call.answered_at) == (cause, None)


async def test_keys_are_sent_without_losing_the_stream(phone: Line) -> None:
    call = await phone.live(inline=(phone.desk.connect(),))
    await call.until_stream()
    await phone.carrier.send_dtmf(call.id, "12p#")
    await phone.carrier.send_dtmf(call.id, "12p#")
    assert call.keys == "12#12#" and call.socket is not None


async def test_a_lost_stream_is_opened_again_in_the_same_call(phone: Line) -> None:
    call = await phone.live(inline=(phone.desk.connect(),))
    (await call.until_stream()).lose()
    await phone.desk.until(lambda: phone.desk.of("streaming.failed"))
    again = Connect(phone.desk.connect().url, "second-0123456789abcdef")
    await phone.carrier.reopen_stream(Streamless(call.id), again)
    media = await phone.desk.stream(1)
    assert media.path.endswith("second-0123456789abcdef") and not call.over
    assert media.headers["Authorization"] == "Bearer second-0123456789abcdef"


async def test_a_transfer_that_nobody_takes_is_told_about_the_call_itself(phone: Line) -> None:
    call = await phone.live(inline=(phone.desk.connect(),))
    await call.until_stream()
    await phone.carrier.transfer(
        call.id, Transfer(BUSY, OUR_NUMBER, f"{phone.desk.base_url}/x?callId=c1&flow=transfer")
    )
    await phone.desk.until(lambda: len(phone.desk.of("call.hangup")) == 1)
    read = [phone.carrier.parse(hook) for hook in phone.desk.hooks]
    over = next(found for found in read if found.type == "transfer_over")
    assert (over.provider_call_id, over.call_id, over.reached, over.detail) == (call.id, "c1", False, "user busy")
    assert not call.over and call.socket is None, "the stream was let go of"


async def test_a_transfer_that_somebody_took_ends_the_call(phone: Line) -> None:
    call = await phone.live()
    await phone.carrier.transfer(call.id, Transfer(HALLO, OUR_NUMBER, f"{phone.desk.base_url}/x?callId=c1"))
    other = call.transfers[0]
    await other.until(lambda: other.of("call.bridged"))
    other.hang_up_person()
    await call.until_over()
    await other.until_over()
    read = [phone.carrier.parse(hook) for hook in phone.desk.hooks]
    assert [found.reached for found in read if found.type == "transfer_over"] == [True]
    assert [found.provider_call_id for found in read if found.type == "ended"] == [call.id]


@pytest.mark.parametrize("fault", ["503-after", "503-before", "lost-after"])
async def test_a_command_that_may_not_have_arrived_is_sent_again_with_the_same_id(phone: Line, fault: Any) -> None:
    call = await phone.live()
    phone.far.fail("send_dtmf", fault)
    await phone.carrier.send_dtmf(call.id, "5")
    assert call.keys == "5"
    ids = [asked.body["command_id"] for asked in phone.far.requests if asked.operation == "send_dtmf"]
    assert len(ids) == 2 and len(set(ids)) == 1


async def test_hanging_up_what_is_over_is_a_success(phone: Line) -> None:
    call = await phone.live()
    phone.far.fail("hangup", "90018")
    await phone.carrier.hang_up(call.id)
    await phone.carrier.hang_up("v3:nobody")


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ("503-after", "unknown"),
        ("503-before", "unknown"),
        ("garbage-after", "unknown"),
        ("html-502-before", "unknown"),
        ("401", "refused"),
        ("403", "refused"),
        ("429", "retry"),
    ],
)
async def test_a_dial_is_sent_once_whatever_happens(phone: Line, fault: Any, kind: str) -> None:
    phone.far.fail("dial", fault)
    with pytest.raises(CarrierError) as caught:
        await phone.carrier.dial(phone.order())
    assert caught.value.kind == kind and caught.value.hint
    assert len([asked for asked in phone.far.requests if asked.operation == "dial"]) == 1


async def test_a_dial_that_was_made_just_now_is_found_when_it_is_listed(phone: Line) -> None:
    from tests.carriers.conformance import lost

    phone.far.empty_lists = 1
    call = await phone.dial()
    assert await phone.carrier.find(lost(phone.order())) == call.id


async def test_an_answer_that_takes_too_long_is_given_up(phone: Line) -> None:
    async with line(timeout_s=0.3) as slow:
        slow.far.fail("dial", "timeout-after")
        with pytest.raises(CarrierError) as caught:
            await slow.carrier.dial(slow.order())
        assert (caught.value.kind, caught.value.code) == ("unknown", "timeout")


async def test_an_id_that_is_none_of_telnyx_never_gets_into_a_path(phone: Line) -> None:
    for odd in ("v3:1/../../calls", "v3 1", "", "x" * 300, "v3:é"):
        assert not (await phone.carrier.status(odd)).live
        await phone.carrier.hang_up(odd)
    assert phone.far.requests == []


def test_a_call_without_an_end_is_not_over() -> None:
    assert to_status({"is_alive": False, "call_duration": 0}).live, "a call that was dialled just now"
    assert to_status({}).live
    over = to_status({"is_alive": False, "end_time": "2026-01-01T00:00:00Z", "call_duration": 12})
    assert (over.live, over.reason, over.duration_s) == (False, State.COMPLETED, 12)
    unanswered = to_status({"is_alive": False, "end_time": "2026-01-01T00:00:00Z", "call_duration": 0})
    assert (unanswered.live, unanswered.reason) == (False, State.NO_ANSWER)


async def test_what_telnyx_sends_during_a_call_verifies_and_is_understood() -> None:
    settings = dataclasses.replace(FAR, call_cost=True)
    async with line(settings) as phone:
        phone.far.webhook_faults.duplicate = {"call.answered"}
        call = await phone.live(HALLO, inline=(phone.desk.connect(),), detect_machine="answer")
        await call.until_stream()
        await call.press("7")
        await phone.desk.until(lambda: phone.desk.of("call.machine.detection.ended"))
        await phone.carrier.hang_up(call.id)
        await call.until_over()
        now = __import__("time").time() * 1000
        keys: dict[str, list[str]] = {}
        types = set()
        for hook in phone.desk.hooks:
            verdict = phone.carrier.verify(hook, round(now))
            assert verdict.ok, verdict.why
            read = phone.carrier.parse(hook)
            assert call.id == read.provider_call_id or (read.type, read.call_id) == ("machine", "c1")
            keys.setdefault(verdict.replay_key, []).append(read.raw_type)
            types.add(read.type)
        assert types == {"ringing", "answered", "dtmf", "machine", "ended", "cost", "ignored"}
        assert [names for names in keys.values() if len(names) > 1] == [["call.answered"] * 2]


async def test_nothing_that_is_secret_stands_in_an_error(phone: Line) -> None:
    phone.far.fail("dial", "401")
    with pytest.raises(CarrierError) as caught:
        await phone.carrier.dial(phone.order())
    assert FAR.api_key not in str(caught.value) + caught.value.hint


async def test_a_carrier_that_is_not_open_asks_for_nothing() -> None:
    async with line() as phone:
        await phone.carrier.close()
        with pytest.raises(CarrierError):
            await asyncio.wait_for(phone.carrier.status(ID), 5)
