"""What Telnyx's webhooks say: its own examples, what live systems send besides, and any JSON at all."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.calls import State
from engine.carriers.base import CarrierEvent, WebhookRequest
from engine.carriers.telnyx_wire import HANGUP_REASONS, ClientState, parse, read_state
from tests.carriers.telnyx_far.spec import VECTORS

EXAMPLES = VECTORS / "webhook_examples_from_openapi.json"
ID = "v3:MdI91X4lWFEs7IgbBEOT9M4AigoY08M0WWZFISt1Yw2axZ_IiE4pqg"
READ = {
    "call.answered": "answered",
    "call.cost": "cost",
    "call.dtmf.received": "dtmf",
    "call.hangup": "ended",
    "call.initiated": "incoming",
    "call.machine.detection.ended": "machine",
    "call.machine.greeting.ended": "machine",
    "call.machine.premium.detection.ended": "machine",
    "call.machine.premium.greeting.ended": "machine",
    "call.speak.ended": "said",
    "call.transcription": "speech",
    "streaming.failed": "stream_failed",
}
"""The other examples are only noted."""


def asked(body: object) -> WebhookRequest:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return WebhookRequest("POST", "https://calls.example.com/hook", {}, raw)


def read(name: str, **payload: Any) -> CarrierEvent:
    full = {"call_control_id": ID, **payload}
    return parse(asked({"data": {"event_type": name, "id": "e", "payload": full}}))


def ours(flow: Any = "", value: str = "") -> dict[str, str]:
    return {"client_state": ClientState("c1", flow, value).encode()}


@pytest.mark.skipif(not EXAMPLES.is_file(), reason="the shared vectors are not there")
def test_each_of_telnyx_own_examples_is_read() -> None:
    examples = json.loads(EXAMPLES.read_text())["events"]
    found = {}
    for example in examples.values():
        payload = example.get("data", {}).get("payload", {})
        if "machine" in str(example) and "call_control_id" not in payload:
            payload["client_state"] = ClientState("c1").encode()  # these name no call, so ours has to
        event = parse(asked(example))
        found[event.raw_type] = event
        assert event.type == READ.get(event.raw_type, "ignored"), event.raw_type
        ours = "c1" if event.type == "machine" and not event.provider_call_id else ""
        assert event.call_id == ours, "somebody else's client_state is not ours"
    assert len(examples) == 40 and set(READ) <= set(found)
    assert found["call.cost"].cost.endswith("USD") and found["call.cost"].duration_s == 120
    assert found["call.hangup"].reason is State.BUSY and found["call.hangup"].detail == "call rejected (SIP 603)"
    assert found["call.transcription"].text == "hello this is a test speech"
    assert "connection failed" in found["streaming.failed"].detail


@pytest.mark.parametrize(
    ("cause", "reason"),
    [
        ("normal_clearing", State.COMPLETED),
        ("time_limit", State.TIMEOUT),
        ("originator_cancel", State.HANGUP_BOT),
        ("user_busy", State.BUSY),
        ("busy", State.BUSY),
        ("timeout", State.NO_ANSWER),
        ("no_answer", State.NO_ANSWER),
        ("not_found", State.FAILED),
        ("unallocated_number", State.FAILED),
        ("unspecified", State.FAILED),
        ("machine_detected", State.VOICEMAIL),
        ("something_new", State.FAILED),
        (None, State.FAILED),
        (42, State.FAILED),
    ],
)
def test_every_cause_is_an_end_and_an_unknown_one_failed(cause: Any, reason: State) -> None:
    event = read("call.hangup", hangup_cause=cause, call_quality_stats=None)
    assert (event.type, event.reason) == ("ended", reason)
    if cause == "something_new":
        assert event.detail == "something new"


def test_every_reason_is_the_end_of_a_call() -> None:
    assert all(reason.terminal for reason in HANGUP_REASONS.values())


@pytest.mark.parametrize(
    ("source", "known"), [("caller", "caller"), ("callee", "callee"), ("unknown", ""), (None, "")]
)
def test_who_hung_up_is_kept_where_telnyx_knows(source: Any, known: str) -> None:
    assert read("call.hangup", hangup_cause="normal_clearing", hangup_source=source).hung_up == known


@pytest.mark.parametrize(
    ("name", "result", "who"),
    [
        ("call.machine.detection.ended", "human", "human"),
        ("call.machine.detection.ended", "not_sure", "unknown"),
        ("call.machine.premium.detection.ended", "human_residence", "human"),
        ("call.machine.premium.detection.ended", "human_business", "human"),
        ("call.machine.premium.detection.ended", "silence", "unknown"),
        ("call.machine.premium.detection.ended", "fax_detected", "fax"),
        ("call.machine.premium.detection.ended", "machine", "machine"),
        ("call.machine.premium.greeting.ended", "beep_detected", "machine_end"),
        ("call.machine.greeting.ended", "ended", "machine_end"),
        ("call.machine.greeting.ended", "not_sure", "machine_end"),
    ],
)
def test_who_answered_is_read_from_both_detections(name: str, result: str, who: str) -> None:
    assert read(name, result=result).answered_by == who


def test_the_answer_asks_only_where_nothing_went_with_the_dial() -> None:
    assert not read("call.answered", **ours()).wants_document
    assert read("call.answered", **ours("answer")).wants_document


def test_an_incoming_call_is_nobodys_yet() -> None:
    event = read("call.initiated", direction="incoming", **ours(), **{"from": "+15550100142", "to": "+15550100000"})
    assert (event.type, event.call_id, event.from_number, event.wants_document) == (
        "incoming",
        "",
        "+15550100142",
        True,
    )


def test_what_was_said_names_its_document_and_a_call_that_broke_off_says_nothing() -> None:
    assert read("call.speak.ended", status="completed", **ours("turn", "tok")).turn == "tok"
    assert read("call.speak.ended", status="call_hangup", **ours("turn", "tok")).type == "ignored"


def test_our_own_voice_and_silence_are_not_the_caller() -> None:
    own = {"transcript": "Hello", "is_final": True, "transcription_track": "outbound"}
    assert read("call.transcription", transcription_data=own).type == "ignored"
    assert read("call.transcription", transcription_data={"transcript": " ", "is_final": True}).type == "ignored"
    assert read("call.transcription").type == "ignored"


def test_the_other_leg_of_a_transfer_never_ends_the_call_itself() -> None:
    leg = ours("leg", "v3:first")
    for name in (
        "call.initiated",
        "call.answered",
        "call.bridged",
        "call.dtmf.received",
        "call.machine.detection.ended",
    ):
        event = read(name, direction="outgoing", **leg)
        assert (event.type, event.call_id) == ("ignored", "")
    busy = read("call.hangup", hangup_cause="user_busy", **leg)
    assert (busy.type, busy.provider_call_id, busy.reached, busy.wants_document) == (
        "transfer_over",
        "v3:first",
        False,
        True,
    )
    assert read("call.hangup", hangup_cause="normal_clearing", **leg).reached


@pytest.mark.parametrize(
    "state",
    [
        None,
        "",
        7,
        "%",
        b64encode(b"\xff\xfe").decode(),
        b64encode(b"have a nice day =]").decode(),
        "x" * 5000,
        b64encode(b"c1 nothing value").decode(),
        b64encode(b"../x").decode(),
    ],
)
def test_a_client_state_that_is_not_ours_is_none(state: object) -> None:
    """Pain T3."""
    assert read_state(state) == ClientState()
    assert read("call.answered", client_state=state).call_id == ""


@pytest.mark.parametrize(
    "state", [ClientState("c1"), ClientState("c-2", "answer"), ClientState("c3", "leg", "v3:a_b=")]
)
def test_a_client_state_comes_back_as_it_was(state: ClientState) -> None:
    assert read_state(state.encode()) == state


def test_a_bare_call_id_is_what_openclaw_writes() -> None:
    assert ClientState("c1").encode() == b64encode(b"c1").decode()


OLD = {
    "record_type": "event",
    "id": "e",
    "event_type": "call_initiated",
    "created_at": "2018-02-02T22:25:27.521992Z",
    "payload": {"call_control_id": ID, "direction": "incoming", "state": "parked"},
}


@pytest.mark.parametrize("body", [OLD, b"event_type=call_initiated&call_control_id=v3%3Aabc&direction=incoming"])
def test_version_1_is_recognised_and_named(body: Any) -> None:
    event = parse(asked(body))
    assert event.type == "trouble" and "API version 1" in event.detail and event.provider_call_id.startswith("v3:")


def test_a_texml_application_is_named() -> None:
    event = parse(asked(b"CallSid=v3%3Aabc&AccountSid=x&From=%2B1555"))
    assert event.type == "trouble" and "TeXML" in event.detail


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"null", b'"x"', b"{}", {"data": {}}, {"data": {"event_type": 7}}]
)
def test_nonsense_is_a_value_error(body: Any) -> None:
    with pytest.raises(ValueError):
        parse(asked(body))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=10,
)


@given(
    name=st.sampled_from([*READ, "call.bridged", "x"]),
    payload=st.dictionaries(
        st.sampled_from(
            [
                "call_control_id",
                "client_state",
                "hangup_cause",
                "hangup_source",
                "digit",
                "result",
                "from",
                "direction",
                "transcription_data",
                "status",
                "cost_parts",
                "total_cost",
                "failure_reason",
            ]
        ),
        JSON,
    ),
)
def test_no_payload_at_all_breaks_it(name: str, payload: dict[str, Any]) -> None:
    event = parse(asked({"data": {"event_type": name, "payload": payload}}))
    assert event.type in {*READ.values(), "ignored", "ringing", "partial", "transfer_over"}
    assert all(text.isprintable() for text in (event.detail, event.from_number, event.digits, event.text, event.cost))
