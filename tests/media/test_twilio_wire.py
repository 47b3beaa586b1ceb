"""Twilio's frames: the recorded stream, the exact shapes that we send, and any bytes at all."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.media.audio import PHONE
from engine.media.twilio_wire import TwilioWire
from engine.media.wire import (
    Connected,
    DtmfReceived,
    MarkReturned,
    MediaFrame,
    Refused,
    Started,
    Stopped,
)

RECORDED = [
    json.loads(line)
    for line in (Path(__file__).parent.parent / "fixtures/twilio_media_stream_2019.jsonl").read_text().splitlines()
][1:]
AUDIO = bytes(range(160))
STREAM = "MZ00000000000000000000000000000001"


def frame(event: str, **fields: Any) -> bytes:
    return json.dumps({"event": event, "sequenceNumber": "2", "streamSid": STREAM, **fields}).encode()


def media(**fields: Any) -> bytes:
    body = {"track": "inbound", "chunk": "1", "timestamp": "102", "payload": base64.b64encode(AUDIO).decode()}
    return frame("media", media={**body, **fields})


def start(**fields: Any) -> bytes:
    body = {"streamSid": STREAM, "callSid": "CA1", "mediaFormat": RECORDED[1]["start"]["mediaFormat"]}
    return frame("start", start={**body, **fields})


@pytest.fixture
def wire() -> TwilioWire:
    wire = TwilioWire()
    assert isinstance(wire.receive(start()), Started)
    return wire


def test_the_recorded_stream_reads_as_it_was() -> None:
    """Trap 1.5/strings."""
    wire = TwilioWire()
    RECORDED[2]["media"]["payload"] = base64.b64encode(AUDIO).decode()
    events = [wire.receive(json.dumps(message)) for message in RECORDED]
    assert events == [
        Connected(),
        Started(STREAM, "CA00000000000000000000000000000001", PHONE, {"hello": "HelloValue"}),
        MediaFrame(AUDIO, 102),
        Stopped(),
    ]


def test_marks_and_keys_are_read(wire: TwilioWire) -> None:
    """Trap 1.5/keys-in."""
    assert wire.receive(frame("mark", mark={"name": "m1"})) == MarkReturned("m1")
    assert wire.receive(frame("dtmf", dtmf={"track": "inbound_track", "digit": "#"})) == DtmfReceived("#")


def test_frames_to_twilio_hold_exactly_the_documented_fields(wire: TwilioWire) -> None:
    """Trap 1.5/31951."""
    assert json.loads(wire.media(AUDIO)) == {
        "event": "media",
        "streamSid": STREAM,
        "media": {"payload": base64.b64encode(AUDIO).decode()},
    }
    assert json.loads(wire.mark('m"1')) == {"event": "mark", "streamSid": STREAM, "mark": {"name": 'm"1'}}
    assert json.loads(wire.clear()) == {"event": "clear", "streamSid": STREAM}


def test_nothing_can_be_sent_before_the_stream_has_a_name() -> None:
    sends: list[Callable[[TwilioWire], bytes]] = [lambda w: w.media(AUDIO), lambda w: w.mark("m"), TwilioWire.clear]
    for send in sends:
        with pytest.raises(RuntimeError, match="before the carrier's start"):
            send(TwilioWire())


@pytest.mark.parametrize(
    "bad",
    [
        b"",
        b"\xff\xfe",
        b"[]",
        b"null",
        b"[" * 100_000,
        frame("unheard-of"),
        frame("media"),
        media(payload=None),
        media(payload="not base64!"),
        media(payload=""),
        media(track="outbound"),
        media(timestamp="soon"),
        media(timestamp="9" * 5000),
        media(timestamp=-1),
        media().replace(STREAM.encode(), b"MZother"),
        frame("mark", mark={"name": 7}),
        frame("mark", mark=[]),
        frame("dtmf", dtmf={"digit": "12"}),
        frame("dtmf"),
        start(),
    ],
)
def test_what_is_not_in_the_protocol_is_refused_and_the_stream_goes_on(wire: TwilioWire, bad: bytes) -> None:
    """Traps 1.5/strings and 1.5/one-stream."""
    assert isinstance(wire.receive(bad), Refused)
    assert wire.receive(media()) == MediaFrame(AUDIO, 102)


@pytest.mark.parametrize(
    "bad",
    [
        media(),
        frame("stop"),
        start(streamSid="MZother"),
        start(callSid=""),
        start(callSid=None),
        start(mediaFormat={"encoding": "audio/x-l16", "sampleRate": 16000, "channels": 1}),
        start(mediaFormat={"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 2}),
        start(mediaFormat="mulaw"),
        frame("start"),
    ],
)
def test_a_stream_starts_only_with_a_sound_start(bad: bytes) -> None:
    """Trap 1.5/codec."""
    wire = TwilioWire()
    assert isinstance(wire.receive(bad), Refused)
    assert isinstance(wire.receive(start()), Started)


def test_only_text_parameters_are_kept(wire: TwilioWire) -> None:
    started = TwilioWire().receive(start(customParameters={"token": "t", "n": 1, "o": {}}))
    assert isinstance(started, Started)
    assert started.parameters == {"token": "t"}


def test_frames_without_a_timestamp_follow_each_other(wire: TwilioWire) -> None:
    bare = frame("media", media={"payload": base64.b64encode(AUDIO).decode()})
    assert [wire.receive(bare) for _ in range(3)] == [MediaFrame(AUDIO, at) for at in (0, 20, 40)]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
EVENTS = st.sampled_from(["connected", "start", "media", "mark", "dtmf", "stop"])
KEYS = st.sampled_from(["event", "streamSid", "start", "media", "mark", "dtmf", "stop"])
SHAPES = st.builds(
    lambda event, fields: {"event": event, **fields}, EVENTS, st.dictionaries(KEYS, json_values, max_size=4)
)


@given(st.binary(max_size=200) | st.text(max_size=200))
def test_any_bytes_are_refused_and_nothing_is_raised(garbage: bytes | str) -> None:
    assert isinstance(TwilioWire().receive(garbage), Refused)


@given(st.lists(SHAPES, max_size=4))
def test_any_json_of_nearly_the_right_shape_raises_nothing(messages: list[dict[str, Any]]) -> None:
    wire = TwilioWire()
    for message in messages:
        wire.receive(json.dumps(message))
        wire.receive(json.dumps({**message, "streamSid": STREAM}))
    wire.receive(start())
    for message in messages:
        wire.receive(json.dumps(message))


@given(st.binary(min_size=1, max_size=2000), st.integers(0, 10**9))
def test_audio_survives_the_wire(audio: bytes, at_ms: int) -> None:
    wire = TwilioWire()
    wire.receive(start())
    sent = json.loads(wire.media(audio))["media"]["payload"]
    assert wire.receive(media(payload=sent, timestamp=str(at_ms))) == MediaFrame(audio, at_ms)
