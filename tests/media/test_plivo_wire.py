"""Plivo's audio stream frames, held against the JSON Schema of its reference."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.media.audio import PHONE, AudioFormat
from engine.media.plivo_wire import MAX_CHUNK, PlivoWire
from engine.media.wire import (
    DtmfReceived,
    MarkReturned,
    MediaFrame,
    Noted,
    PressesKeys,
    Refused,
    Started,
    Stopped,
)
from tests.carriers.plivo_far.schema import problems

STREAM = "87654321-4321-4321-4321-cba987654321"
CALL = "12345678-1234-1234-1234-123456789abc"


def start(format_: Any = None, extra: Any = "") -> str:
    format_ = {"encoding": "audio/x-mulaw", "sampleRate": 8000} if format_ is None else format_
    inner = {"callId": CALL, "streamId": STREAM, "accountId": "MA1", "tracks": ["inbound"], "mediaFormat": format_}
    return json.dumps({"event": "start", "sequenceNumber": 1, "start": inner, "extra_headers": extra})


def media(timestamp: Any, payload: str = b64encode(b"\xff" * 160).decode(), **more: Any) -> str:
    inner = {"track": "inbound", "timestamp": timestamp, "chunk": 1, "payload": payload, **more}
    return json.dumps(
        {"event": "media", "sequenceNumber": 2, "streamId": STREAM, "media": inner, "extra_headers": ""}
    )


def started() -> PlivoWire:
    wire = PlivoWire()
    assert isinstance(wire.receive(start()), Started)
    return wire


def test_every_frame_that_we_send_is_in_the_schema() -> None:
    wire = started()
    for frame in (wire.media(b"\xff" * 160), wire.mark('g"1'), wire.clear(), wire.keys("12#*A")):
        assert problems(json.loads(frame)) == []
    assert json.loads(wire.media(b"\x01\x02"))["media"] == {
        "contentType": "audio/x-mulaw",
        "sampleRate": 8000,
        "payload": "AQI=",
    }
    assert isinstance(wire, PressesKeys)


def test_a_chunk_is_never_larger_than_plivo_advises() -> None:
    wire = started()
    assert len(json.loads(wire.media(b"\xff" * MAX_CHUNK))["media"]["payload"]) == 16 * 1024
    with pytest.raises(ValueError):
        wire.media(b"\xff" * (MAX_CHUNK + 1))


def test_audio_needs_no_stream_and_marks_do() -> None:
    wire = PlivoWire()
    assert wire.media(b"\xff")
    with pytest.raises(RuntimeError):
        wire.mark("m")
    with pytest.raises(RuntimeError):
        wire.clear()


def test_the_documented_frames_are_read() -> None:
    wire = started()
    head = {"sequenceNumber": 9, "streamId": STREAM}
    assert wire.receive(json.dumps({"event": "playedStream", **head, "name": "g"})) == MarkReturned("g")
    assert isinstance(wire.receive(json.dumps({"event": "clearedAudio", **head})), Noted)
    dtmf = {"track": "inbound", "digit": "5", "timestamp": "1705312250000"}
    assert wire.receive(json.dumps({"event": "dtmf", **head, "dtmf": dtmf, "extra_headers": ""})) == DtmfReceived("5")
    assert wire.receive(json.dumps({"event": "stop", **head})) == Stopped()


@pytest.mark.parametrize("first", [0, 20, 1_705_312_200_000])
@pytest.mark.parametrize("kind", [int, str])
def test_times_count_from_the_first_frame_whatever_plivo_counts_from(first: int, kind: Any) -> None:
    wire = started()
    places = [wire.receive(media(kind(first + at))) for at in (0, 20, 40, 100)]
    assert [frame.at_ms for frame in places if isinstance(frame, MediaFrame)] == [0, 20, 40, 100]


def test_a_frame_without_a_readable_time_follows_the_one_before() -> None:
    wire = started()
    places = [wire.receive(media(at)) for at in (None, "soon", "5000", 5020)]
    assert [frame.at_ms for frame in places if isinstance(frame, MediaFrame)] == [0, 20, 40, 60]


@pytest.mark.parametrize(
    ("format_", "read"),
    [
        ({"encoding": "audio/x-mulaw", "sampleRate": "8000"}, PHONE),
        ({"encoding": "audio/x-mulaw;rate=8000"}, PHONE),
        ({"encoding": "audio/x-l16", "sampleRate": 16000}, AudioFormat("pcm16", 16000)),
        ({"encoding": "audio/x-mulaw", "sampleRate": 16000}, None),
        ({"encoding": "audio/opus", "sampleRate": 8000}, None),
        ("mulaw", None),
    ],
)
def test_the_format_is_what_the_start_says(format_: Any, read: AudioFormat | None) -> None:
    event = PlivoWire().receive(start(format_))
    assert isinstance(event, Refused) if read is None else isinstance(event, Started) and event.format == read


@pytest.mark.parametrize(
    "extra", ["userId=12345;token=a=b", "userId=12345,token=a=b", '{"userId":"12345","token":"a=b"}']
)
def test_extra_headers_are_read_in_each_of_their_spellings(extra: str) -> None:
    event = PlivoWire().receive(start(extra=extra))
    assert isinstance(event, Started) and event.parameters == {"userId": "12345", "token": "a=b"}


@pytest.mark.parametrize("extra", [None, "", "{", "{}", 7, ";;=", "nothing"])
def test_no_extra_headers_are_none(extra: Any) -> None:
    event = PlivoWire().receive(start(extra=extra))
    assert isinstance(event, Started) and event.parameters == {}


@pytest.mark.parametrize(
    "frame",
    [
        "",
        "{",
        "[]",
        "null",
        "\x00",
        '{"event":"media"}',
        '{"event":"connected"}',
        media("1", "not base64!"),
        media("1", ""),
        media("1", track="outbound"),
        media("1").replace(STREAM, "another"),
        start(),
        json.dumps({"event": "dtmf", "streamId": STREAM, "dtmf": {"digit": "x"}}),
        json.dumps({"event": "playedStream", "streamId": STREAM}),
    ],
)
def test_what_is_not_in_the_protocol_is_refused_and_the_stream_goes_on(frame: str) -> None:
    wire = started()
    assert isinstance(wire.receive(frame), Refused)
    assert isinstance(wire.receive(media("1")), MediaFrame)


@given(st.one_of(st.binary(max_size=200), st.text(max_size=200)))
def test_no_bytes_raise(frame: bytes | str) -> None:
    for wire in (PlivoWire(), started()):
        wire.receive(frame)


NAMES = ["event", "start", "media", "dtmf", "name", "streamId", "payload", "mediaFormat", "extra_headers"]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(NAMES), inner),
    max_leaves=12,
)


@given(JSON, st.sampled_from(["start", "media", "dtmf", "playedStream"]))
def test_no_json_raises(value: Any, event: str) -> None:
    frame = {**value, "event": event} if isinstance(value, dict) else value
    for wire in (PlivoWire(), started()):
        wire.receive(json.dumps(frame))
