"""The far end is what all of Twilio's tests stand on: it does what Twilio's documentation says."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import aiohttp
import pytest

from tests.carriers.twilio_far import OUR_NUMBER, FarCall, Settings, TwilioFar
from tests.carriers.twilio_far.desk import EMPTY, Desk, Webhook
from tests.carriers.twilio_far.limits import api
from tests.carriers.twilio_far.twiml import Unusable, read_reply, read_twiml

QUICK = {"ring_ms": 20, "think_ms": 20}
PERSON = "+15550100201"
SINK = "+15550100202"
BUSY = "+15550100203"
NEVER = "+15550100204"
MACHINE = "+15550100205"
HANGS_UP = "+15550100206"


def person(number: str, name: str, script: Sequence[str] = (), **manners: Any) -> dict[str, Any]:
    return {"number": number, "name": name, "script": list(script), "manners": {**QUICK, **manners}}


CALLERS = [
    person(PERSON, "Quick", ["Tuesday at ten please."]),
    person(SINK, "Sink", deaf_and_mute=True),
    person(BUSY, "Busy", answers="busy"),
    person(NEVER, "Never", answers="never"),
    person(MACHINE, "Machine", ["Leave a message.", "beep"], machine=True),
    person(HANGS_UP, "Goes", ["I am sorry, but I really have to go now."], machine=True, hangs_up_at=0),
]
STREAM = '<Stream url="{url}"><Parameter name="token" value="t&amp;1"/></Stream>'
CONNECT = f"<Response><Connect>{STREAM}</Connect>{{then}}</Response>"
SHARED = Path(__file__).parents[3] / "shared" / "vectors" / "twilio" / "openapi_calls_conferences_2026-04-14.json"


def settings(**more: Any) -> Settings:
    return Settings(**{"callers": CALLERS, "say_speed": 20, "wait_speed": 20, **more})


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    async with Desk(Settings.auth_token) as desk:
        yield desk


@pytest.fixture
async def far() -> AsyncIterator[TwilioFar]:
    async with TwilioFar(settings()) as far:
        yield far


class Rest:
    """REST by hand, as curl would do it."""

    def __init__(self, far: TwilioFar, http: aiohttp.ClientSession) -> None:
        self.far = far
        self._http = http
        self._account = f"{far.base_url}/2010-04-01/Accounts/{far.settings.account_sid}"

    async def ask(self, method: str, path: str, token: str = "", **form: Any) -> tuple[int, Any]:
        auth = aiohttp.encode_basic_auth(self.far.settings.account_sid, token or self.far.settings.auth_token)
        body = urlencode(form, doseq=True).encode() if method == "POST" else None
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Authorization": auth}
        async with self._http.request(method, self._account + path, data=body, headers=headers) as reply:
            return reply.status, await reply.json()

    async def dial(self, to: str = SINK, **form: Any) -> FarCall:
        status, value = await self.ask("POST", "/Calls.json", To=to, From=OUR_NUMBER, **form)
        assert status == 201, value
        return self.far.calls[value["sid"]]

    async def update(self, call: FarCall, **form: Any) -> tuple[int, Any]:
        return await self.ask("POST", f"/Calls/{call.state.sid}.json", **form)


@pytest.fixture
async def rest(far: TwilioFar) -> AsyncIterator[Rest]:
    async with aiohttp.ClientSession() as http:
        yield Rest(far, http)


def everything(desk: Desk) -> dict[str, Any]:
    return {
        "Url": desk.url("/answer?callId=1"),
        "StatusCallback": desk.url("/status?callId=1"),
        "StatusCallbackEvent": ["initiated", "ringing", "answered", "completed"],
    }


# REST


async def test_only_the_account_is_let_in(rest: Rest) -> None:
    """Trap 1.1/path-and-auth."""
    status, value = await rest.ask("GET", "/Calls.json", token="wrong")
    assert (status, value["code"], value["status"]) == (401, 20003, 401)
    assert value["more_info"] == "https://www.twilio.com/docs/errors/20003"


@pytest.mark.parametrize(
    ("form", "code"),
    [
        ({"To": "12"}, 21211),
        ({"To": ""}, 21201),
        ({"From": "+15550109999"}, 21210),
        ({"From": "nobody"}, 21212),
        ({"To": "+15005550001"}, 21211),
        ({"To": "+5312345678"}, 21215),
        ({"Url": ""}, 21205),
        ({"Url": "ftp://host/"}, 21205),
        ({"StatusCallback": "http://my_host.example/"}, 21205),
        ({"Url": "", "Twiml": "x" * 4001}, 20001),
        ({"Timeout": "601"}, 21208),
        ({"Timeout": "soon"}, 20001),
        ({"Method": "PUT"}, 21209),
        ({"SendDigits": "1" * 33}, 21206),
        ({"MachineDetection": "Maybe"}, 20001),
        ({"Colour": "blue"}, 20001),
    ],
)
async def test_a_dial_that_twilio_would_refuse_is_refused(rest: Rest, form: Mapping[str, str], code: int) -> None:
    order = {"To": SINK, "From": OUR_NUMBER, "Url": "http://127.0.0.1:9/", **form}
    status, value = await rest.ask("POST", "/Calls.json", **order)
    assert (status, value["code"]) == (400, code)
    assert rest.far.calls == {}


async def test_what_twilio_silently_ignores_is_complained_about(rest: Rest, desk: Desk) -> None:
    """Traps 1.1/url-wins and 1.1/application."""
    await rest.dial(Url=desk.url(), Twiml=EMPTY)
    await rest.dial(Url=desk.url(), SendDigits="1", MachineDetection="Enable")
    await rest.dial(Url=desk.url(), StatusCallback=desk.url())
    assert len(rest.far.complaints) == 3


def test_the_parameters_and_fields_are_those_of_the_official_description() -> None:
    if not SHARED.is_file():
        pytest.skip("the OpenAPI description is not here")
    spec = json.loads(SHARED.read_text())
    calls = spec["paths"]["/2010-04-01/Accounts/{AccountSid}/Calls.json"]
    schema = calls["post"]["requestBody"]["content"]["application/x-www-form-urlencoded"]["schema"]
    assert set(schema["properties"]) == set(api()["create"])
    assert set(spec["components"]["schemas"]["api.v2010.account.call"]["properties"]) == set(api()["call_fields"])


async def test_calls_and_notifications_have_the_fields_that_twilio_documents(rest: Rest, desk: Desk) -> None:
    """Trap 1.1/strings."""
    desk.documents["/answer"] = (200, "application/json", b"{}")
    call = await rest.dial(Url=desk.url("/answer"))
    await call.until_over()
    _, value = await rest.ask("GET", f"/Calls/{call.state.sid}.json")
    assert set(api()["call_fields"]) <= set(value)
    _, notes = await rest.ask("GET", f"/Calls/{call.state.sid}/Notifications.json")
    assert set(api()["notification_fields"]) <= set(notes["notifications"][0])
    assert notes["notifications"][0]["error_code"] == "12300"


async def test_calls_are_listed_by_their_numbers_newest_first_and_in_pages(rest: Rest, desk: Desk) -> None:
    made = [(await rest.dial(Url=desk.url())).state.sid for _ in range(3)]
    await rest.dial(BUSY, Url=desk.url())
    query = urlencode({"To": SINK, "From": OUR_NUMBER, "PageSize": "2"})
    _, page = await rest.ask("GET", f"/Calls.json?{query}")
    assert [call["sid"] for call in page["calls"]] == [made[2], made[1]]
    following = page["next_page_uri"].partition("Calls.json")[2]
    _, page = await rest.ask("GET", f"/Calls.json{following}")
    assert [call["sid"] for call in page["calls"]] == [made[0]] and page["next_page_uri"] is None


# the life of a call


async def test_an_outbound_call_reports_its_progress_in_order_and_signed(rest: Rest, desk: Desk) -> None:
    desk.documents["/answer"] = "<Response><Say>Hello</Say></Response>"
    call = await rest.dial(**everything(desk), Timeout="30")
    assert call.state.to_json()["status"] == "queued" and call.state.to_json()["date_created"] is None
    await call.until_over()
    assert all(hook.signed for hook in desk.webhooks)
    said = [hook.params["CallStatus"] for hook in desk.of("/status")]
    assert said == ["initiated", "ringing", "in-progress", "completed"]
    assert [hook.params["SequenceNumber"] for hook in desk.of("/status")] == ["0", "1", "2", "3"]
    last = desk.of("/status")[-1].params
    assert last["CallbackSource"] == "call-progress-events" and last["SipResponseCode"] == "200"
    assert last["ToZip"] == "" and last["Direction"] == "outbound-api"
    voice = desk.of("/answer")[0].params
    assert voice["CallStatus"] == "in-progress" and "CallbackSource" not in voice
    assert [(spoken.text, spoken.whole) for spoken in call.spoken] == [("Hello", True)]


@pytest.mark.parametrize(("to", "status", "sip"), [(BUSY, "busy", "486"), (NEVER, "no-answer", "487")])
async def test_failures_come_as_the_completed_event(rest: Rest, desk: Desk, to: str, status: str, sip: str) -> None:
    call = await rest.dial(to, **everything(desk), Timeout="2")
    await call.until_over()
    last = desk.of("/status")[-1].params
    assert (last["CallStatus"], last["SipResponseCode"], last["CallDuration"]) == (status, sip, "0")
    assert not desk.of("/answer")


async def test_only_the_events_that_were_asked_for_are_reported(rest: Rest, desk: Desk) -> None:
    call = await rest.dial(**{**everything(desk), "StatusCallbackEvent": ["ringing"]})
    await call.until_over()
    assert [hook.params["CallStatus"] for hook in desk.of("/status")] == ["ringing"]


async def test_an_inbound_call_asks_its_numbers_address_and_reports_its_end_to_its_numbers_callback(
    desk: Desk,
) -> None:
    async with TwilioFar(settings(voice_url=desk.url("/in"), status_callback=desk.url("/in?type=status"))) as far:
        desk.documents["/in"] = "<Response><Say>Welcome</Say><Hangup/></Response>"
        call = far.ring_in("Quick")
        await call.until_over()
    first = desk.of("/in")[0].params
    assert (first["Direction"], first["CallStatus"], first["From"]) == ("inbound", "ringing", PERSON)
    assert first["StirVerstat"] and first["CallToken"]
    assert [hook.params["CallStatus"] for hook in desk.of("/in?type=status")] == ["completed"]


async def test_reject_refuses_a_call_before_it_is_answered(desk: Desk) -> None:
    async with TwilioFar(settings(voice_url=desk.url("/in"))) as far:
        desk.documents["/in"] = '<Response><Reject reason="busy"/></Response>'
        call = far.ring_in("Quick")
        await call.until_over()
        assert call.state.status == "busy" and call.state.answered_at is None


async def test_a_pause_first_lets_an_inbound_call_ring_on_and_redirect_asks_again(desk: Desk) -> None:
    async with TwilioFar(settings(voice_url=desk.url("/in"))) as far:
        desk.documents["/in"] = (
            f'<Response><Pause length="2"/><Redirect>{desk.url("/again?x=1")}</Redirect></Response>'
        )
        desk.documents["/again?x=1"] = "<Response><Say>Come in</Say></Response>"
        call = far.ring_in("Quick")
        await call.until_over()
    assert [hook.params["CallStatus"] for hook in desk.of("/again")] == ["ringing"]
    assert call.spoken[0].text == "Come in"


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ((200, "", b"<Response/>"), 12300),
        ((200, "application/json", b"{}"), 12300),
        ((200, "text/xml", b"<Response>"), 12100),
        ((200, "text/xml", b"<Reply/>"), 12102),
        ((200, "text/xml", b"<Response>" + b" " * 65536 + b"</Response>"), 11750),
        ((500, "text/xml", b""), 11200),
        ((404, "text/xml", b""), 11200),
        ((301, "text/xml", b""), 11200),
    ],
)
async def test_a_document_that_can_not_be_used_ends_the_call_and_is_noted(
    rest: Rest, desk: Desk, answer: tuple[int, str, bytes], code: int
) -> None:
    desk.documents["/answer"] = answer
    call = await rest.dial(Url=desk.url("/answer"))
    await call.until_over()
    assert code in call.codes() and call.state.over_because == "no-document"


async def test_an_address_where_nobody_listens_is_tried_twice_and_ends_the_call(rest: Rest) -> None:
    call = await rest.dial(Url="http://127.0.0.1:9/answer")
    await call.until_over()
    assert call.codes() == [11205] and call.of("answer")[0].attempts == 2


async def test_a_fragment_asks_for_retries_and_is_not_sent(rest: Rest, desk: Desk) -> None:
    """Trap 1.3/fragment."""
    replies = iter([(503, "text/xml", b""), (200, "text/xml", b"<Response><Say>Late</Say></Response>")])

    async def answer(_: Webhook) -> tuple[int, str, bytes]:
        return next(replies)

    desk.answer = answer
    call = await rest.dial(Url=desk.url("/answer?a=1") + "#rc=2&rp=5xx")
    await call.until_over()
    assert [hook.url for hook in desk.webhooks] == [desk.url("/answer?a=1")] * 2
    assert len({hook.headers["i-twilio-idempotency-token"] for hook in desk.webhooks}) == 1
    assert call.spoken[0].text == "Late"


# TwiML


def test_unknown_verbs_and_attributes_are_warnings() -> None:
    reading = read_twiml('<Response><Say mood="glad">Hi</Say><Sing/><Pause/></Response>')
    assert [code for code, _ in reading.remarks] == [12200, 12200] and len(reading.verbs) == 2
    assert read_twiml("<Response><Say> </Say></Response>").remarks == [(13520, "Say: Invalid text")]


def test_a_reply_that_is_no_document_is_unusable() -> None:
    with pytest.raises(Unusable) as caught:
        read_reply("text/plain", b"hello")
    assert caught.value.code == 12300
    assert read_reply("text/xml; charset=utf-8", b"<Response/>").verbs == []


async def test_a_gather_understands_the_persons_words_and_reports_them_as_they_grow(rest: Rest, desk: Desk) -> None:
    desk.documents["/answer"] = (
        f'<Response><Gather input="speech dtmf" action="{desk.url("/heard?turn=1")}" timeout="200"'
        f' partialResultCallback="{desk.url("/partial")}" actionOnEmptyResult="true"><Say>Which day?</Say></Gather>'
        "</Response>"
    )
    call = await rest.dial(PERSON, Url=desk.url("/answer"))
    await desk.until(lambda: desk.of("/heard"))
    heard = desk.of("/heard")[0].params
    assert heard["SpeechResult"] == "Hello?" and float(heard["Confidence"]) > 0.5
    assert call.codes() == []


async def test_a_gather_takes_keys_and_a_silence_comes_back_only_when_asked_for(rest: Rest, desk: Desk) -> None:
    def gather(path: str, timeout: int, on_empty: str) -> str:
        action = f'action="{desk.url(path)}" timeout="{timeout}" actionOnEmptyResult="{on_empty}"'
        return f'<Gather input="dtmf speech" {action}/>'

    both = gather("/unheard", 2, "false") + gather("/empty", 2, "true")
    desk.documents["/answer"] = f"<Response>{both}</Response>"
    desk.documents["/empty"] = f"<Response>{gather('/keys', 400, 'true')}</Response>"
    call = await rest.dial(Url=desk.url("/answer"))
    await desk.until(lambda: desk.of("/empty"))
    assert desk.of("/empty")[0].params["SpeechResult"] == "" and not desk.of("/unheard")
    await call.until(lambda: len(call.documents) == 2)
    await call.press("12#")
    await desk.until(lambda: desk.of("/keys"))
    assert desk.of("/keys")[0].params["Digits"] == "12"


async def test_the_person_interrupts_a_prompt(desk: Desk) -> None:
    async with TwilioFar(settings(say_speed=1)) as far, aiohttp.ClientSession() as http:
        desk.documents["/answer"] = (
            f'<Response><Gather input="speech" action="{desk.url("/heard")}" partialResultCallback="'
            f'{desk.url("/partial")}"><Say>{"a long prompt " * 20}</Say></Gather></Response>'
        )
        call = await Rest(far, http).dial(Url=desk.url("/answer"))
        await call.until(lambda: call.spoken)
        await call.hear("yes", "yes but", "yes but when")
        await desk.until(lambda: desk.of("/heard"))
        assert desk.of("/heard")[0].params["SpeechResult"] == "yes but when"
        assert [hook.params["UnstableSpeechResult"] for hook in desk.of("/partial")] == ["yes", "but"]
        assert call.spoken[0].whole is False


async def test_keys_are_played_and_pauses_are_kept(rest: Rest, desk: Desk) -> None:
    desk.documents["/answer"] = '<Response><Play digits="ww12#"/><Pause length="1"/><Hangup/></Response>'
    call = await rest.dial(Url=desk.url("/answer"))
    await call.until_over()
    assert call.leg is not None and call.leg.heard.digits == "12#"


async def test_a_transfer_bridges_two_people_and_tells_how_it_ended(rest: Rest, desk: Desk) -> None:
    dial = f'<Response><Dial callerId="{OUR_NUMBER}" timeout="20" action="{desk.url("/over")}">{{}}</Dial></Response>'
    desk.documents["/answer"] = dial.format(f"<Number>{HANGS_UP}</Number>")
    call = await rest.dial(Url=desk.url("/answer"))
    await desk.until(lambda: desk.of("/over"))
    over = desk.of("/over")[0].params
    assert (over["DialCallStatus"], over["DialBridged"]) == ("completed", "true") and over["DialCallSid"]
    assert call.leg is not None and call.leg.heard.loud_ms > 200

    desk.documents["/answer"] = dial.format(BUSY)
    await rest.dial(Url=desk.url("/answer"))
    await desk.until(lambda: len(desk.of("/over")) == 2)
    assert desk.of("/over")[1].params["DialCallStatus"] == "busy"

    desk.documents["/answer"] = dial.replace(OUR_NUMBER, "+15550109999").format(BUSY)
    call = await rest.dial(Url=desk.url("/answer"))
    await call.until_over()
    assert call.codes() == [13214]


@pytest.mark.parametrize(
    ("to", "kind", "verdict"),
    [
        (PERSON, "Enable", "human"),
        (MACHINE, "Enable", "machine_start"),
        (MACHINE, "DetectMessageEnd", "machine_end_beep"),
    ],
)
async def test_machine_detection_tells_its_verdict_later(
    rest: Rest, desk: Desk, to: str, kind: str, verdict: str
) -> None:
    desk.documents["/answer"] = '<Response><Pause length="600"/></Response>'
    amd = {"MachineDetection": kind, "AsyncAmd": "true", "AsyncAmdStatusCallback": desk.url("/amd")}
    await rest.dial(to, Url=desk.url("/answer"), **amd)
    await desk.until(lambda: desk.of("/amd"))
    assert desk.of("/amd")[0].params["AnsweredBy"] == verdict
    assert "AnsweredBy" not in desk.of("/answer")[0].params


async def test_synchronous_machine_detection_holds_the_first_document_back(rest: Rest, desk: Desk) -> None:
    await rest.dial(PERSON, Url=desk.url("/answer"), MachineDetection="Enable")
    await desk.until(lambda: desk.of("/answer"))
    assert desk.of("/answer")[0].params["AnsweredBy"] == "human"


# changing a call


async def test_a_new_document_replaces_what_runs(rest: Rest, desk: Desk) -> None:
    desk.documents["/answer"] = '<Response><Pause length="2000"/></Response>'
    desk.documents["/new"] = '<Response><Say>new</Say><Pause length="2000"/></Response>'
    call = await rest.dial(Url=desk.url("/answer"))
    status, value = await rest.update(call, Twiml=EMPTY)
    assert (status, value["code"]) == (400, 21220)
    await desk.until(lambda: desk.of("/answer"))
    assert (await rest.update(call, Url=desk.url("/new")))[0] == 200
    await call.until(lambda: call.spoken)
    assert (await rest.update(call, Twiml=EMPTY, Url=desk.url("/new")))[1]["code"] == 20001
    assert (await rest.update(call, Status="canceled"))[1]["code"] == 21220
    assert (await rest.update(call, Status="completed"))[1]["status"] == "completed"
    assert (await rest.update(call, Status="completed"))[1]["code"] == 21220
    status, value = await rest.ask("POST", f"/Calls/CA{'0' * 32}.json", Status="completed")
    assert (status, value["code"]) == (404, 20404)


# streams


async def test_a_stream_is_opened_signed_without_its_query_and_with_its_parameters(rest: Rest, desk: Desk) -> None:
    """Pain D2; trap 1.4/query-dropped."""
    desk.documents["/answer"] = CONNECT.format(url=desk.socket_url("/media?secret=1"), then="")
    call = await rest.dial(Url=desk.url("/answer"))
    media = await desk.stream()
    assert media.signed and media.url == desk.socket_url("/media")
    assert media.frames[0] == {"event": "connected", "protocol": "Call", "version": "1.0.0"}
    start = media.of("start")[0]["start"]
    assert start["customParameters"] == {"token": "t&1"} and start["callSid"] == call.state.sid
    await media.until(lambda: len(media.of("media")) > 5)
    assert media.of("media")[0]["media"]["chunk"] == "1" and media.of("media")[0]["sequenceNumber"] == "2"
    await call.press("5")
    await media.until(lambda: media.of("dtmf"))
    assert media.of("dtmf")[0]["dtmf"] == {"track": "inbound_track", "digit": "5"}


async def test_audio_is_played_on_the_far_clock_and_marks_come_back_when_it_was_heard(rest: Rest, desk: Desk) -> None:
    desk.documents["/answer"] = CONNECT.format(url=desk.socket_url(), then="")
    call = await rest.dial(Url=desk.url("/answer"))
    media = await desk.stream()
    began = asyncio.get_running_loop().time()
    await media.play(b"\x10" * 1600)
    await media.send("mark", mark={"name": "first"})
    await media.until(lambda: media.of("mark"))
    assert asyncio.get_running_loop().time() - began > 0.15
    await media.play(b"\x10" * 80_000)
    await media.send("mark", mark={"name": "cut"})
    await media.send("clear")
    await media.until(lambda: len(media.of("mark")) == 2)
    assert call.streams[0].clears == 1 and call.codes() == []


async def test_frames_that_twilio_does_not_know_are_noted_once_by_their_number(rest: Rest, desk: Desk) -> None:
    """Trap 1.5/31950."""
    desk.documents["/answer"] = CONNECT.format(url=desk.socket_url(), then="")
    call = await rest.dial(Url=desk.url("/answer"))
    media = await desk.stream()
    for _ in range(2):
        await media.send("clear", why="extra")
        await media.socket.send_str('{"event":"clear","streamSid":"MZ0"}')
        await media.socket.send_bytes(b"audio")
        await media.socket.send_str("no json")
    await media.socket.close()
    await call.until_over()
    assert sorted(call.codes()) == [31921, 31924, 31950, 31951]


async def test_when_we_close_the_stream_the_next_verb_runs(rest: Rest, desk: Desk) -> None:
    desk.documents["/answer"] = CONNECT.format(url=desk.socket_url(), then="<Say>Still here</Say>")
    call = await rest.dial(Url=desk.url("/answer"))
    media = await desk.stream()
    await media.socket.close()
    await call.until_over()
    assert call.spoken[0].text == "Still here" and 31921 in call.codes()


async def test_a_connect_with_an_action_asks_it_when_the_stream_is_over(rest: Rest, desk: Desk) -> None:
    desk.documents["/answer"] = CONNECT.format(url=desk.socket_url(), then="").replace(
        "<Connect>", f'<Connect action="{desk.url("/after")}">'
    )
    await rest.dial(Url=desk.url("/answer"))
    await (await desk.stream()).socket.close()
    await desk.until(lambda: desk.of("/after"))
    assert desk.of("/after")[0].params["StreamSid"] == desk.media[0].stream_sid


async def test_a_new_document_ends_the_stream_with_stop(rest: Rest, desk: Desk) -> None:
    desk.documents["/answer"] = CONNECT.format(url=desk.socket_url(), then="")
    call = await rest.dial(Url=desk.url("/answer"))
    media = await desk.stream()
    await rest.update(call, Twiml='<Response><Pause length="2000"/></Response>')
    await media.until(lambda: media.of("stop"))
    await media.closed.wait()
    assert not call.state.over and 31921 not in call.codes()


@pytest.mark.parametrize(
    ("url", "code"),
    [("ws://127.0.0.1:9/m", 31902), ("https://127.0.0.1:9/", 31922), ("ws://far.example/", 31922)],
)
async def test_a_stream_that_does_not_come_about_is_noted_and_told(
    rest: Rest, desk: Desk, url: str, code: int
) -> None:
    stream = f'<Stream url="{url}" statusCallback="{desk.url("/stream")}"/>'
    desk.documents["/answer"] = f"<Response><Connect>{stream}</Connect></Response>"
    call = await rest.dial(Url=desk.url("/answer"))
    await call.until_over()
    await desk.until(lambda: desk.of("/stream"))
    told = desk.of("/stream")[0].params
    assert call.codes() == [code] and told["StreamEvent"] == "stream-error" and str(code) in told["StreamError"]


async def test_a_stream_can_break_without_a_word_and_start_twice(rest: Rest, desk: Desk) -> None:
    desk.documents["/answer"] = CONNECT.format(url=desk.socket_url(), then='<Pause length="2000"/>')
    call = await rest.dial(Url=desk.url("/answer"))
    media = await desk.stream()
    socket = await call.until_stream()
    socket.start_again()
    socket.inject('{"event":"of a test"}')
    await media.until(lambda: len(media.of("start")) == 2 and media.of("of a test"))
    socket.lose()
    await media.closed.wait()
    assert media.socket.close_code == 1006 and not media.of("stop")
    await call.until(lambda: 31903 in call.codes())
    assert not call.state.over


async def test_an_old_stream_can_be_closed_late_when_the_new_one_is_up(desk: Desk) -> None:
    """Trap 1.5/one-stream."""
    async with TwilioFar(settings(close_late_s=0.5)) as far, aiohttp.ClientSession() as http:
        rest = Rest(far, http)
        document = CONNECT.format(url=desk.socket_url(), then="")
        desk.documents["/answer"] = document
        call = await rest.dial(Url=desk.url("/answer"))
        old = await desk.stream()
        await rest.update(call, Twiml=document)
        new = await desk.stream(1)
        assert old.of("stop") and not old.closed.is_set() and new.stream_sid != old.stream_sid
        await old.closed.wait()
        assert not new.closed.is_set() and call.codes() == []


async def test_an_upgrade_that_is_refused_is_31920(rest: Rest, desk: Desk) -> None:
    desk.refuse_streams = True
    desk.documents["/answer"] = CONNECT.format(url=desk.socket_url(), then="")
    call = await rest.dial(Url=desk.url("/answer"))
    await call.until_over()
    assert call.codes() == [31920]


# faults and settings


async def test_webhooks_can_be_doubled_with_the_same_signature_dropped_and_reordered(rest: Rest, desk: Desk) -> None:
    rest.far.webhook_faults.duplicate.add("initiated")
    rest.far.webhook_faults.drop.add("ringing")
    rest.far.webhook_faults.hold.add("answered")
    call = await rest.dial(**everything(desk))
    await call.until_over()
    await desk.until(lambda: len(desk.of("/status")) == 4)
    statuses = [hook.params["CallStatus"] for hook in desk.of("/status")]
    assert statuses == ["initiated", "initiated", "completed", "in-progress"]
    assert len({hook.headers["x-twilio-signature"] for hook in desk.of("/status")[:2]}) == 1


async def test_a_webhook_whose_answer_is_lost_comes_again_byte_for_byte(rest: Rest, desk: Desk) -> None:
    rest.far.webhook_faults.retry.add("answer")
    call = await rest.dial(**everything(desk))
    await call.until_over()
    first, second = desk.of("/answer")
    assert (first.body, first.headers["x-twilio-signature"]) == (second.body, second.headers["x-twilio-signature"])


@pytest.mark.parametrize(
    ("fault", "status", "made"),
    [("20429", 429, 0), ("20404", 404, 0), ("500-before", 500, 0), ("500-after", 500, 1), ("html-502-after", 502, 1)],
)
async def test_rest_fails_before_or_after_it_took_effect(
    far: TwilioFar, desk: Desk, fault: Any, status: int, made: int
) -> None:
    far.fail("dial", fault)
    headers = {"Authorization": aiohttp.encode_basic_auth(far.settings.account_sid, far.settings.auth_token)}
    url = f"{far.base_url}/2010-04-01/Accounts/{far.settings.account_sid}/Calls.json"
    form = {"To": SINK, "From": OUR_NUMBER, "Url": desk.url()}
    async with aiohttp.ClientSession() as http, http.post(url, data=form, headers=headers) as reply:
        assert (reply.status, len(far.calls)) == (status, made)


async def test_a_public_address_is_signed_and_reached_through_its_tunnel(desk: Desk) -> None:
    desk.public = "https://calls.example.com"
    routes = {"https://calls.example.com": desk.base_url}
    async with TwilioFar(settings(voice_url=desk.url("/in?x=1"), routes=routes, plain_ws=False)) as far:
        desk.documents["/in"] = CONNECT.format(url=desk.socket_url(), then="")
        far.ring_in("Sink")
        media = await desk.stream()
        assert media.url == "wss://calls.example.com/media" and media.signed
        assert desk.webhooks[0].signed and desk.webhooks[0].headers["host"] == "calls.example.com"


async def test_a_shared_key_signs_with_sha256_and_is_named(desk: Desk) -> None:
    desk.shared_secret = "shared"
    async with TwilioFar(settings(voice_url=desk.url("/in"), signing_key=("KS1", "shared"))) as far:
        await far.ring_in("Quick").until_over()
    hook = desk.webhooks[0]
    assert hook.signed and hook.headers["x-twilio-webhooks-signature-settings"] == "key=KS1,algorithm=HMAC_SHA256"


async def test_it_runs_by_hand() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.carriers.twilio_far", "--port", "0", "--tones", stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(20):
            shown = json.loads(await process.stdout.readline())
        async with aiohttp.ClientSession() as http:
            async with http.post(f"{shown['base_url']}/sim/inbound", json={"person": "Anna Miller"}) as reply:
                assert reply.status == 201
            async with http.get(f"{shown['base_url']}/sim/report") as reply:
                assert (await reply.json())["calls"][0]["person"] == "Anna Miller"
    finally:
        process.terminate()
        assert await process.wait() == 0
