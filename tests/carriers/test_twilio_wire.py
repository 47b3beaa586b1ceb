"""What Twilio's webhooks say. Each trap of Twilio's that shows in a webhook has a test that names it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args
from urllib.parse import urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.calls import State
from engine.carriers.base import CarrierEvent, WebhookRequest
from engine.carriers.links import Flow, link
from engine.carriers.twilio_wire import MAX_BODY, parse

URL = "https://calls.example.com/voice/webhook"
SID = "CA00000000000000000000000000000001"
RECORDED: Mapping[str, Any] = json.loads(
    (Path(__file__).parents[1] / "fixtures/twilio_status_callbacks.json").read_text()
)
CALL = {"CallSid": SID, "AccountSid": "AC1", "From": "+15550100", "To": "+15550101", "ApiVersion": "2010-04-01"}
IN = {**CALL, "Direction": "inbound"}
OUT = {**CALL, "Direction": "outbound-api"}
SHORT = {"CallSid": SID, "AccountSid": "AC1"}
"""Some callbacks say nothing of the call but its id."""
ASKING: tuple[Flow, ...] = ("answer", "hold", "connect", "listen", "transfer")
ENDS = ["completed", "busy", "no-answer", "failed", "canceled"]


def read(form: Mapping[str, str] | bytes, url: str = URL) -> CarrierEvent:
    body = form if isinstance(form, bytes) else urlencode(form).encode()
    return parse(WebhookRequest("POST", url, {}, body))


def flow(name: Flow, **more: str) -> str:
    return link(URL, name, "ours-1", **more)


class TestCallsThatComeIn:
    def test_want_a_document_and_carry_what_the_carrier_says_about_the_number(self) -> None:
        """Trap 1.3/directions."""
        event = read({**IN, "CallStatus": "ringing", "StirVerstat": "TN-Validation-Passed-A", "CallToken": "{}"})
        assert event == CarrierEvent(
            "incoming",
            SID,
            direction="inbound",
            from_number="+15550100",
            to_number="+15550101",
            wants_document=True,
            attestation="TN-Validation-Passed-A",
            raw_type="voice ringing",
        )

    @pytest.mark.parametrize(
        "number",
        [
            "anonymous",
            "Anonymous",
            "+266696687",
            "266696687",
            "RESTRICTED",
            "+7378742833",
            "sip:anonymous@anonymous.invalid",
        ],
    )
    def test_hidden_numbers_are_no_numbers(self, number: str) -> None:
        assert read({**IN, "CallStatus": "ringing", "From": number}).from_number == ""

    @pytest.mark.parametrize("number", ["+15550100", "sip:ann@example.com", "client:ann", "+2666966870"])
    def test_other_numbers_are_as_they_are(self, number: str) -> None:
        assert read({**IN, "CallStatus": "ringing", "From": number}).from_number == number

    def test_handed_over_by_another_application_come_in_although_they_are_answered(self) -> None:
        """A Studio flow redirects a call that is in progress to our voice URL."""
        assert read({**IN, "CallStatus": "in-progress"}).type == "incoming"
        assert read({**IN, "CallStatus": "in-progress"}, flow("answer")).type == "asks"


class TestCallsThatWePlaced:
    def test_are_answered_with_a_document_wanted(self) -> None:
        """Trap 1.3/directions."""
        event = read({**OUT, "CallStatus": "in-progress"}, flow("answer"))
        assert (event.type, event.wants_document, event.call_id) == ("answered", True, "ours-1")
        assert (event.direction, event.from_number) == ("outbound", "+15550100")

    def test_say_who_answered_when_detection_was_waited_for(self) -> None:
        """Trap 1.3/amd-values."""
        event = read({**OUT, "CallStatus": "in-progress", "AnsweredBy": "machine_start"}, flow("answer"))
        assert event.answered_by == "machine"

    def test_answered_may_come_twice_but_a_document_is_wanted_once(self) -> None:
        """Trap 1.3/shared-url. Voice request and status callback may share an address: CallbackSource tells them
        apart."""
        form = {**OUT, "CallStatus": "in-progress", "CallbackSource": "call-progress-events", "SequenceNumber": "2"}
        for url in (URL, flow("answer"), flow("status")):
            event = read(form, url)
            assert (event.type, event.wants_document) == ("answered", False)


class TestProgress:
    @pytest.mark.parametrize(
        ("status", "type_"),
        [("queued", "initiated"), ("initiated", "initiated"), ("ringing", "ringing"), ("in-progress", "answered")],
    )
    def test_goes_forward_without_a_document(self, status: str, type_: str) -> None:
        event = read({**OUT, "CallStatus": status}, flow("status"))
        assert (event.type, event.wants_document, event.call_id) == (type_, False, "ours-1")
        assert event.raw_type == f"status {status}"

    @pytest.mark.parametrize(
        ("status", "reason"),
        [
            ("completed", State.COMPLETED),
            ("busy", State.BUSY),
            ("no-answer", State.NO_ANSWER),
            ("failed", State.FAILED),
            ("canceled", State.HANGUP_BOT),
        ],
    )
    def test_failures_come_as_the_completed_event(self, status: str, reason: State) -> None:
        """Trap 1.3/failures-as-completed."""
        event = read({**OUT, "CallStatus": status}, flow("status"))
        assert (event.type, event.reason, event.wants_document) == ("ended", reason, False)

    def test_of_a_number_is_told_at_its_own_status_callback(self) -> None:
        """Trap 1.3/number-status. A number's callback knows no id of ours: ?type=status is all that it has."""
        event = read({**IN, "CallStatus": "completed", "CallDuration": "7"}, f"{URL}?type=status")
        assert (event.type, event.call_id, event.duration_s) == ("ended", "", 7)

    def test_duration_is_taken_in_seconds_not_in_minutes(self) -> None:
        """Trap 1.3/minutes."""
        form = {**OUT, "CallStatus": "completed", "CallDuration": "49", "Duration": "1", "SipResponseCode": "200"}
        event = read(form, flow("status"))
        assert (event.duration_s, event.detail) == (49, "")
        for nonsense in ("", "x", "-1", "٣"):
            assert read({**form, "CallDuration": nonsense}, flow("status")).duration_s is None

    def test_a_status_of_a_later_version_is_ignored_with_its_name(self) -> None:
        event = read({**OUT, "CallStatus": "teleporting"}, flow("status"))
        assert (event.type, event.wants_document) == ("ignored", False) and "teleporting" in event.detail

    def test_recorded_bodies(self) -> None:
        """Traps 1.3/recorded and 1.6/get."""
        by_id = {each["id"]: read(each["body"].encode(), flow("status")) for each in RECORDED["bodies"]}
        human, busy = by_id["completed_human"], by_id["busy_sip486"]
        assert (human.reason, human.duration_s, human.answered_by) == (State.COMPLETED, 49, "human")
        assert (busy.reason, busy.duration_s, busy.detail) == (State.BUSY, 0, "SIP 486")
        assert by_id["completed_human_get"].duration_s == 42
        for event in by_id.values():
            assert (event.type, event.direction, event.from_number) == (
                "ended",
                "outbound",
                "+15005550001",
            )
            assert event.provider_call_id.startswith("CA0000") and event.call_id == "ours-1"


class TestWhatIsAskedDuringACall:
    @pytest.mark.parametrize("name", ["hold", "connect"])
    @pytest.mark.parametrize("status", ["ringing", "in-progress"])
    def test_is_the_next_document(self, name: Flow, status: str) -> None:
        event = read({**IN, "CallStatus": status}, flow(name, n="x"))
        assert (event.type, event.wants_document, event.call_id) == ("asks", True, "ours-1")

    def test_speech_answers_the_turn_that_listened(self) -> None:
        """Trap 1.3/gather."""
        form = {**IN, "CallStatus": "in-progress", "SpeechResult": " Thursday, please. ", "Confidence": "0.9"}
        event = read(form, flow("listen", turn="t-7"))
        assert (event.type, event.text, event.turn) == ("speech", "Thursday, please.", "t-7")
        assert event.wants_document

    def test_keys_come_with_the_one_that_finished_them(self) -> None:
        """Trap 1.3/gather."""
        form = {**IN, "CallStatus": "in-progress", "Digits": "12", "msg": "Gather End"}
        for finisher, digits in (("#", "12#"), ("", "12"), ("timeout", "12")):
            event = read({**form, "FinishedOnKey": finisher}, flow("listen", turn="t"))
            assert (event.type, event.digits, event.turn) == ("dtmf", digits, "t")
            assert event.wants_document
        with pytest.raises(ValueError, match="keys"):
            read({**form, "Digits": "<12>"}, flow("listen"))

    @pytest.mark.parametrize("heard", [{}, {"SpeechResult": ""}, {"SpeechResult": "  ", "Digits": ""}])
    def test_silence_wants_a_document_too(self, heard: Mapping[str, str]) -> None:
        """Trap 1.3/gather."""
        event = read({**IN, "CallStatus": "in-progress", **heard}, flow("listen", turn="t"))
        assert (event.type, event.turn, event.wants_document) == ("silence", "t", True)

    def test_the_last_words_of_a_caller_who_hung_up_are_kept(self) -> None:
        form = {**IN, "CallStatus": "completed", "SpeechResult": "Bye"}
        assert read(form, flow("listen")).type == "speech"
        assert read({**form, "SpeechResult": ""}, flow("listen")).type == "ended"

    def test_partial_speech_wants_nothing(self) -> None:
        """Trap 1.3/gather."""
        form = {**CALL, "StableSpeechResult": "I would", "UnstableSpeechResult": "like", "Stability": "0.8"}
        event = read(form, flow("partial", turn="t"))
        assert (event.type, event.text, event.turn, event.wants_document) == ("partial", "I would like", "t", False)
        assert read(SHORT, flow("partial")).text == ""

    @pytest.mark.parametrize(
        ("outcome", "reached"),
        [
            ("completed", True),
            ("answered", True),
            ("busy", False),
            ("no-answer", False),
            ("failed", False),
            ("canceled", False),
        ],
    )
    def test_a_transfer_is_over(self, outcome: str, reached: bool) -> None:
        """Trap 1.3/dial-status."""
        form = {**IN, "CallStatus": "in-progress", "DialCallStatus": outcome, "DialCallSid": "CA2"}
        event = read(form, flow("transfer"))
        assert (event.type, event.reached, event.detail) == ("transfer_over", reached, outcome)
        assert event.wants_document and event.provider_call_id == SID

    def test_a_caller_who_hangs_up_during_a_transfer_is_not_ours_again(self) -> None:
        """Trap 1.3/dial-status."""
        event = read({**IN, "CallStatus": "completed", "DialCallStatus": "completed"}, flow("transfer"))
        assert (event.type, event.reason) == ("ended", State.COMPLETED) and "transfer" in event.detail

    @pytest.mark.parametrize("name", ASKING)
    @pytest.mark.parametrize("form", [IN, OUT], ids=["in", "out"])
    @pytest.mark.parametrize("status", ["queued", "ringing", "in-progress"])
    def test_a2_no_request_for_instructions_is_answered_with_nothing(
        self, name: Flow, form: Mapping[str, str], status: str
    ) -> None:
        """Trap 1.3/11770. An empty document ends the call, so it must be known that one is wanted."""
        event = read({**form, "CallStatus": status, "DialCallStatus": "busy"}, flow(name))
        assert event.wants_document and event.type != "ignored"
        assert read({**form, "CallStatus": status}, f"{URL}?flow=unheard-of").wants_document

    @pytest.mark.parametrize("name", ASKING)
    @pytest.mark.parametrize("status", ENDS)
    def test_a_call_that_is_over_wants_nothing(self, name: Flow, status: str) -> None:
        event = read({**IN, "CallStatus": status, "DialCallStatus": "busy"}, flow(name))
        assert (event.type, event.wants_document) == ("ended", False)


class TestBesideACall:
    @pytest.mark.parametrize(
        ("said", "meant"),
        [
            ("human", "human"),
            ("fax", "fax"),
            ("unknown", "unknown"),
            ("machine_start", "machine"),
            ("machine_end_beep", "machine_end"),
            ("machine_end_silence", "machine_end"),
            ("machine_end_other", "machine_end"),
            ("robot", "unknown"),
        ],
    )
    def test_the_verdict_of_machine_detection(self, said: str, meant: str) -> None:
        """Trap 1.3/amd-values."""
        event = read({**SHORT, "AnsweredBy": said, "MachineDetectionDuration": "2400"}, flow("machine"))
        assert (event.type, event.answered_by, event.call_id) == ("machine", meant, "ours-1")
        assert not event.wants_document and event.direction is None

    def test_a_stream_that_failed_keeps_twilios_code_and_words(self) -> None:
        """Trap 1.3/stream-events."""
        form = {**SHORT, "StreamSid": "MZ1", "StreamEvent": "stream-error", "Timestamp": "2026-01-01T00:00:00Z"}
        event = read({**form, "StreamError": "Stream - Protocol error", "StreamErrorCode": "31924"}, flow("stream"))
        assert (event.type, event.detail) == ("stream_failed", "31924 Stream - Protocol error")
        assert not event.wants_document
        assert read(form, flow("stream")).detail

    @pytest.mark.parametrize("what", ["stream-started", "stream-stopped", "stream-sang", ""])
    def test_other_news_of_a_stream_is_ignored_with_its_name(self, what: str) -> None:
        """Trap 1.3/stream-events."""
        event = read({**SHORT, "StreamEvent": what}, flow("stream"))
        assert event.type == "ignored" and (what or "nothing") in event.detail

    @pytest.mark.parametrize(
        ("code", "type_"), [("31921", "stream_failed"), ("31951", "stream_failed"), ("11200", "ignored")]
    )
    def test_an_alert_of_the_debugger_belongs_to_its_call(self, code: str, type_: str) -> None:
        note = {"resource_sid": SID, "error_code": code, "more_info": {"Msg": "it broke"}, "webhook": {}}
        form = {"Sid": "NO1", "AccountSid": "AC1", "Level": "Error", "PayloadType": "application/json"}
        event = read({**form, "Payload": json.dumps(note)})
        assert (event.type, event.provider_call_id) == (type_, SID) and f"{code} it broke" in event.detail
        assert not event.wants_document
        other = read({**form, "Payload": json.dumps({**note, "resource_sid": "SM1", "more_info": 7})})
        assert (other.type, other.provider_call_id) == ("ignored", "") and code in other.detail

    @pytest.mark.parametrize("payload", ["", "{", "[]", "null", "{}", '{"error": 1}', "[" * 9000])
    def test_an_alert_that_is_none_is_refused(self, payload: str) -> None:
        with pytest.raises(ValueError, match="alert"):
            read({"Payload": payload})


class TestNonsense:
    @pytest.mark.parametrize(
        "form",
        [
            {},
            {**IN, "CallSid": ""},
            {**IN, "CallSid": "SM00000000000000000000000000000001", "CallStatus": "ringing"},
            {**IN, "CallSid": f"{SID}\n", "CallStatus": "ringing"},
            {**IN, "CallSid": "CA/../x", "CallStatus": "ringing"},
            {**IN, "CallSid": "CA" + "1" * 100, "CallStatus": "ringing"},
            {**IN, "Direction": "sideways", "CallStatus": "ringing"},
            {**CALL, "CallStatus": "ringing"},
            {**IN, "From": "+1" * 200, "CallStatus": "ringing"},
            IN,
            {**IN, "CallStatus": "sleeping"},
        ],
    )
    def test_is_a_value_error(self, form: Mapping[str, str]) -> None:
        with pytest.raises(ValueError):
            read(form)

    @pytest.mark.parametrize(
        ("name", "form"),
        [("status", IN), ("machine", SHORT), ("transfer", {**IN, "CallStatus": "in-progress"}), ("connect", {})],
    )
    def test_of_each_purpose_is_a_value_error(self, name: Flow, form: Mapping[str, str]) -> None:
        with pytest.raises(ValueError):
            read(form, flow(name))

    def test_sizes_are_bounded(self) -> None:
        with pytest.raises(ValueError, match="bytes"):
            read(urlencode({**IN, "CallStatus": "ringing", "x": "y" * MAX_BODY}).encode())
        with pytest.raises(ValueError):
            read({**IN, "CallStatus": "ringing", **{f"p{number}": "" for number in range(600)}})
        with pytest.raises(ValueError, match="turn"):
            read({**IN, "CallStatus": "in-progress"}, flow("listen", turn="t" * 200))
        with pytest.raises(ValueError, match="callId"):
            read({**IN, "CallStatus": "ringing"}, f"{URL}?callId={'1' * 200}")

    names = st.sampled_from(
        ["CallStatus", "Direction", "From", "Digits", "SpeechResult", "DialCallStatus", "AnsweredBy", "StreamEvent",
         "CallbackSource", "CallDuration", "Payload", "FinishedOnKey", "StirVerstat"]
    )  # fmt: skip
    values = st.text(st.characters(codec="utf-8"), max_size=20) | st.sampled_from(
        [
            "inbound",
            "outbound-api",
            "in-progress",
            "completed",
            "ringing",
            "stream-error",
            "call-progress-events",
            "1",
        ]
    )

    @settings(max_examples=500)
    @given(
        form=st.dictionaries(names, values),
        sid=st.sampled_from([SID, "CA1", ""]),
        name=st.sampled_from(get_args(Flow)),
        junk=st.binary(max_size=20),
    )
    def test_of_any_kind_is_an_event_or_a_value_error(
        self, form: Mapping[str, str], sid: str, name: Flow, junk: bytes
    ) -> None:
        body = urlencode({**form, **({"CallSid": sid} if sid else {})}).encode() + b"&" + junk
        try:
            event = read(body, flow(name))
        except ValueError:
            return
        assert event.provider_call_id == sid or "Payload" in form
        assert (event.reason is not None) is (event.type == "ended")
        if event.type in ("incoming", "asks", "speech", "silence", "dtmf", "transfer_over"):
            assert event.wants_document


def test_a_request_that_names_another_account_is_not_read_although_our_token_signed_it() -> None:
    form = {
        "CallSid": "CA" + "1" * 32,
        "AccountSid": "AC" + "2" * 32,
        "CallStatus": "ringing",
        "Direction": "inbound",
    }
    request = WebhookRequest("POST", "https://a.example/voice/webhook", {}, urlencode(form).encode())
    assert parse(request, "AC" + "2" * 32).type == "incoming"
    with pytest.raises(ValueError, match="not the account"):
        parse(request, "AC" + "3" * 32)
