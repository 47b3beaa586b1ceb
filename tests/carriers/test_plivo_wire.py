"""What Plivo's callbacks say: recorded ones, each kind by POST and by GET, and what can not be Plivo's."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.calls import State
from engine.carriers.base import CarrierEvent, Transfer, WebhookRequest
from engine.carriers.links import link
from engine.carriers.plivo_numbers import from_plivo, to_plivo
from engine.carriers.plivo_wire import ordering, parse

RECORDED = {
    item["id"]: item
    for item in json.loads((Path(__file__).parents[1] / "fixtures" / "plivo_recorded_callbacks.json").read_text())[
        "bodies"
    ]
}
URL = "https://calls.example.com/voice/webhook"
UUID = "38cb006a-e25d-4455-9862-27550dbea7e9"
BASE = {"CallUUID": UUID, "CallStatus": "in-progress", "Direction": "outbound"}
BASE |= {"From": "15550100001", "To": "15550100002"}


def read(url: str, form: dict[str, str], method: str = "POST") -> CarrierEvent:
    if method == "GET":
        merged = f"{url}{'&' if '?' in url else '?'}{urlencode(form)}"
        return parse(WebhookRequest("GET", merged, {}, b""))
    return parse(WebhookRequest("POST", url, {}, urlencode(form).encode()))


# recorded


def test_a_recorded_answer_is_an_answer() -> None:
    body = RECORDED["answer_post_outbound"]["body"].encode()
    event = parse(WebhookRequest("POST", link(URL, "answer", "c1"), {}, body))
    assert (event.type, event.call_id, event.direction) == ("answered", "c1", "outbound")
    assert (event.from_number, event.to_number) == ("+15550100001", "+15550100002")
    assert event.provider_call_id == UUID and event.dialled_as == "" and event.wants_document


def test_a_recorded_end_tells_how_long_it_was_what_it_cost_and_who_hung_up() -> None:
    body = RECORDED["hangup_post_outbound_completed"]["body"].encode()
    for flow in ("status", "answer"):  # hangup_url is the answer address where none was given
        event = parse(WebhookRequest("POST", link(URL, flow, "c1"), {}, body))
        assert (event.type, event.reason, event.duration_s) == ("ended", State.COMPLETED, 66)
        assert (event.hung_up, event.cost, event.wants_document) == ("callee", "0.01000 USD", False)


def test_a_recorded_answer_by_get_keeps_plivos_names_and_ours_apart() -> None:
    _, _, query = RECORDED["answer_get_outbound_with_own_query"]["path_query"].partition("?")
    event = parse(WebhookRequest("GET", f"{URL}?{query}&callId=c1&flow=answer", {}, b""))
    assert (event.type, event.call_id, event.direction, event.to_number) == (
        "answered",
        "c1",
        "outbound",
        "+15550100002",
    )


def test_a_recorded_stream_that_was_dropped_is_one_that_failed() -> None:
    event = read(link(URL, "stream", "c1"), RECORDED["stream_dropped_status_callback"]["params"])
    assert event.type == "stream_failed" and "disconnected" in event.detail and event.raw_type == "DroppedStream"


def test_both_sets_of_names_for_a_streams_life_are_known() -> None:
    documented = RECORDED["stream_status_documented_other_scheme"]["params_examples"]
    types = [
        read(link(URL, "stream", "c1"), {"CallUUID": UUID} | {k: str(v) for k, v in item.items()})
        for item in documented
    ]
    assert [event.type for event in types] == ["ignored", "ignored", "stream_failed"]
    assert "connection_failed" in types[2].detail and "completed" in types[1].detail
    for name in ("StartStream", "StopStream", "DegradedStream", "SomethingNew"):
        event = read(link(URL, "stream", "c1"), {"CallUUID": UUID, "Event": name})
        assert event.type == "ignored" and name in event.detail


# each kind, by POST and by GET

CASES: list[tuple[str, str, dict[str, str], dict[str, Any]]] = [
    ("ring", link(URL, "status", "c1"), {"Event": "Ring", "CallStatus": "ringing"}, {"type": "ringing"}),
    ("busy", link(URL, "status", "c1"), {"Event": "Hangup", "CallStatus": "busy", "HangupCauseCode": "3010"},
     {"type": "ended", "reason": State.BUSY}),
    ("no answer", link(URL, "status", "c1"), {"Event": "Hangup", "CallStatus": "timeout", "HangupCauseCode": "6010"},
     {"type": "ended", "reason": State.NO_ANSWER}),
    ("cancelled", link(URL, "status", "c1"), {"Event": "Hangup", "CallStatus": "cancel", "HangupCauseCode": "1000"},
     {"type": "ended", "reason": State.HANGUP_BOT}),
    ("unreached", link(URL, "status", "c1"), {"Event": "Hangup", "CallStatus": "failed", "HangupCauseCode": "7011"},
     {"type": "ended", "reason": State.FAILED}),
    ("incoming", URL, {"Direction": "inbound", "CallStatus": "ringing", "STIRVerification": "Verified",
     "STIRAttestation": "A"}, {"type": "incoming", "attestation": "Verified A", "wants_document": True}),
    ("anonymous", URL, {"Direction": "inbound", "CallStatus": "ringing", "From": "anonymous"},
     {"type": "incoming", "from_number": ""}),
    ("asks", link(URL, "connect", "c1", n="tok"), {}, {"type": "asks", "turn": "tok", "wants_document": True}),
    ("hold", link(URL, "hold", "c1", at="1"), {"CallStatus": "ringing", "Direction": "inbound"},
     {"type": "asks", "wants_document": True}),
    ("speech", link(URL, "listen", "c1", turn="t"), {"InputType": "speech", "Speech": "Tuesday", "Digits": ""},
     {"type": "speech", "text": "Tuesday", "turn": "t", "wants_document": True}),
    ("keys", link(URL, "listen", "c1", turn="t"), {"InputType": "dtmf", "Speech": "", "Digits": "12#"},
     {"type": "dtmf", "digits": "12#", "turn": "t"}),
    ("silence", link(URL, "listen", "c1", turn="t"), {}, {"type": "silence", "turn": "t", "wants_document": True}),
    ("partial", link(URL, "partial", "c1", turn="t"), {"StableSpeech": "I need", "UnstableSpeech": "an"},
     {"type": "partial", "text": "I need an", "wants_document": False}),
    ("machine", link(URL, "machine", "c1"), {"Event": "MachineDetection", "Machine": "true"},
     {"type": "machine", "answered_by": "machine"}),
    ("transfer taken", link(URL, "transfer", "c1"), {"DialStatus": "completed"},
     {"type": "transfer_over", "reached": True, "wants_document": True}),
    ("transfer not taken", link(URL, "transfer", "c1"), {"DialStatus": "busy"},
     {"type": "transfer_over", "reached": False, "detail": "busy"}),
    ("gone meanwhile", link(URL, "transfer", "c1"), {"DialStatus": "completed", "CallStatus": "completed"},
     {"type": "ended", "reason": State.COMPLETED}),
    ("renamed", link(URL, "status", "c1"), {"Event": "Ring", "CallStatus": "ringing", "RequestUUID": "9834029e-58b6"},
     {"type": "ringing", "dialled_as": "9834029e-58b6"}),
]  # fmt: skip


@pytest.mark.parametrize("method", ["POST", "GET"])
@pytest.mark.parametrize(("name", "url", "form", "expected"), CASES, ids=[case[0] for case in CASES])
def test_each_kind_is_read(method: str, name: str, url: str, form: dict[str, str], expected: dict[str, Any]) -> None:
    event = read(url, BASE | form, method)
    assert {key: getattr(event, key) for key in expected} == expected
    assert event.provider_call_id == UUID


@pytest.mark.parametrize("method", ["POST", "GET"])
def test_the_address_of_a_transfer_says_all_of_it_and_where_its_end_is_told(method: str) -> None:
    order = Transfer("+15550100100", "+15550100000", link(URL, "transfer", "c1"), 25)
    event = read(ordering(order), BASE, method)
    assert (event.type, event.ordered, event.wants_document) == ("fetches", (order,), True)


# what is not Plivo's


@pytest.mark.parametrize(
    ("url", "form"),
    [
        (URL, {}),
        (URL, {"CallUUID": "../x"}),
        (URL, BASE | {"CallStatus": "initiated"}),
        (URL, {key: value for key, value in BASE.items() if key != "Direction"}),
        (URL, BASE | {"Direction": "sideways"}),
        (link(URL, "listen", "c1"), BASE | {"Digits": "12x"}),
        (link(URL, "machine", "c1"), BASE | {"Event": "MachineDetection"}),
        (link(URL, "transfer", "c1"), BASE),
        (link(URL, "transfer", "c1", dial="1", ring="x"), BASE),
        (link(URL, "status", "c1"), {key: value for key, value in BASE.items() if key != "CallStatus"}),
        (URL, BASE | {"From": "1" * 300}),
    ],
)
def test_what_can_not_be_plivos_is_a_value_error(url: str, form: dict[str, str]) -> None:
    with pytest.raises(ValueError):
        read(url, form)


@given(
    st.dictionaries(st.sampled_from([*BASE, "Event", "Digits", "Speech", "DialStatus"]), st.text(max_size=20)),
    st.sampled_from(["answer", "status", "listen", "transfer", "stream", "machine", "connect"]),
)
def test_no_parameters_at_all_raise_anything_else(form: dict[str, str], flow: Any) -> None:
    text = {name: value.encode("utf-8", "replace").decode() for name, value in form.items()}
    with contextlib.suppress(ValueError):
        read(link(URL, flow, "c1"), text)


@pytest.mark.parametrize(
    ("plivo", "ours"),
    [
        ("15550100001", "+15550100001"),
        ("+15550100001", "+15550100001"),
        ("sip:alice@phone.plivo.com", "sip:alice@phone.plivo.com"),
        ("sip:anonymous@anonymous.invalid", ""),
        ("anonymous", ""),
        ("Restricted", ""),
        ("12345", "12345"),
        ("", ""),
    ],
)
def test_numbers_are_the_same_both_ways(plivo: str, ours: str) -> None:
    assert from_plivo(plivo) == ours
    if ours.startswith("+"):
        assert to_plivo(ours) == plivo.removeprefix("+") and from_plivo(to_plivo(ours)) == ours
