"""Telnyx's frames: the documented stream, both codecs, chunks out of order, what we send, and any bytes at all."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.media.audio import PHONE
from engine.media.g711 import alaw_to_mulaw, mulaw_to_alaw
from engine.media.telnyx_wire import MAX_EARLY, TelnyxWire
from engine.media.wire import (
    Connected,
    DtmfReceived,
    MarkReturned,
    MediaFrame,
    Refused,
    Started,
    Stopped,
    Trouble,
    Waits,
    WireEvent,
)

DOCUMENTED = [
    json.loads(line)
    for line in (Path(__file__).parent.parent / "fixtures/telnyx_media_stream_documented.jsonl")
    .read_text()
    .splitlines()
][1:]
AUDIO = bytes(range(160))


def frame(event: str, **fields: Any) -> bytes:
    return json.dumps({"event": event, "sequence_number": "2", "stream_id": "s1", **fields}).encode()


def start(encoding: str = "PCMU", rate: object = 8000, channels: object = 1, **more: Any) -> bytes:
    format_ = {"encoding": encoding, "sample_rate": rate, "channels": channels}
    return frame("start", start={"call_control_id": "v3:abc=", "media_format": format_, **more})


def media(chunk: object = "1", payload: bytes = AUDIO, **more: Any) -> bytes:
    body = {"track": "inbound", "chunk": chunk, "timestamp": "20", "payload": base64.b64encode(payload).decode()}
    return frame("media", media={**body, **more})


def started(encoding: str = "PCMU", sends: Any = "PCMU") -> TelnyxWire:
    wire = TelnyxWire(sends)
    assert isinstance(wire.receive(start(encoding)), Started)
    return wire


def played(events: list[WireEvent]) -> bytes:
    return b"".join(event.payload for event in events if isinstance(event, MediaFrame))


def test_the_documented_stream_is_read() -> None:
    wire = TelnyxWire()
    DOCUMENTED[2]["media"]["payload"] = base64.b64encode(AUDIO).decode()
    events = [wire.receive(json.dumps(frame)) for frame in DOCUMENTED]
    assert [type(event) for event in events] == [
        Connected,
        Started,
        MediaFrame,
        DtmfReceived,
        MarkReturned,
        Trouble,
        Stopped,
    ]
    begun, trouble = events[1], events[5]
    assert isinstance(begun, Started) and begun.provider_call_id.startswith("v2:") and begun.format == PHONE
    assert trouble == Trouble("100005 rate_limit_reached")


@pytest.mark.parametrize("encoding", ["PCMU", "audio/x-mulaw", "pcmu"])
def test_mu_law_comes_as_it_is(encoding: str) -> None:
    assert started(encoding).receive(media()) == MediaFrame(AUDIO, 20)


@pytest.mark.parametrize("encoding", ["PCMA", "audio/x-alaw"])
def test_a_law_is_translated_both_ways_as_told(encoding: str) -> None:
    wire = started(encoding, "PCMA")
    assert wire.receive(media()) == MediaFrame(alaw_to_mulaw(AUDIO), 20)
    sent = json.loads(wire.media(AUDIO))["media"]["payload"]
    assert base64.b64decode(sent) == mulaw_to_alaw(AUDIO)


def test_what_comes_does_not_decide_what_goes() -> None:
    assert base64.b64decode(json.loads(started("PCMA", "PCMU").media(AUDIO))["media"]["payload"]) == AUDIO


@pytest.mark.parametrize(
    ("format_", "word"),
    [
        (("G722", 8000, 1), "G722"),
        (("OPUS", 16000, 1), "OPUS"),
        (("L16", 16000, 1), "L16"),
        (("PCMU", 16000, 1), "16000"),
        (("PCMU", 8000, 2), "2 channels"),
    ],
)
def test_other_audio_is_named_and_not_used(format_: Any, word: str) -> None:
    begun = TelnyxWire().receive(start(*format_))
    assert isinstance(begun, Started) and word in begun.unusable


def test_a_start_without_a_format_is_not_guessed_at() -> None:
    begun = TelnyxWire().receive(frame("start", start={"call_control_id": "v3:a"}))
    assert isinstance(begun, Started) and begun.unusable


def test_what_we_send_names_no_stream_and_has_the_documented_keys_only() -> None:
    wire = TelnyxWire()
    assert json.loads(wire.media(AUDIO)) == {"event": "media", "media": {"payload": base64.b64encode(AUDIO).decode()}}
    assert json.loads(wire.mark('a"b')) == {"event": "mark", "mark": {"name": 'a"b'}}
    assert json.loads(wire.clear()) == {"event": "clear"}


def test_chunks_that_swapped_places_are_put_right() -> None:
    wire = started()
    parts = [bytes([at]) * 160 for at in range(6)]
    events = [wire.receive(media(str(at + 1), parts[at])) for at in (0, 2, 1, 5, 4, 3)]
    assert [type(event) for event in events] == [MediaFrame, Waits, MediaFrame, Waits, Waits, MediaFrame]
    assert played(events) == b"".join(parts)


def test_a_chunk_that_never_comes_is_not_waited_for_for_long() -> None:
    wire = started()
    wire.receive(media("1"))
    events = [wire.receive(media(str(at), bytes([at]) * 160)) for at in range(3, 3 + MAX_EARLY + 1)]
    assert [type(event) for event in events] == [*[Waits] * MAX_EARLY, MediaFrame]
    assert played(events) == b"".join(bytes([at]) * 160 for at in range(3, 3 + MAX_EARLY + 1))
    assert isinstance(wire.receive(media("2")), Refused), "too late"
    assert isinstance(wire.receive(media(str(3 + MAX_EARLY + 1))), MediaFrame)


@given(seed=st.integers(0, 10_000), count=st.integers(1, 60))
def test_any_shuffle_within_the_window_loses_nothing(seed: int, count: int) -> None:
    rng, wire = Random(seed), started()
    order = sorted(range(1, count), key=lambda at: at + rng.random() * (MAX_EARLY - 1))
    events = [wire.receive(media(str(at), bytes([at]) * 8)) for at in [0, *order]]
    assert played(events) == b"".join(bytes([at]) * 8 for at in range(count))


def test_frames_that_count_nothing_come_as_they_are() -> None:
    wire = started()
    for chunk in (None, "x", -1, 1.5):
        assert isinstance(wire.receive(media(chunk)), MediaFrame)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'{"event":"media"}',
        frame("media", media={"payload": "%"}),
        frame("media", media=[]),
        frame("media", media={"payload": ""}),
        media(track="outbound"),
        media(timestamp="x"),
        frame("mark"),
        frame("x"),
        frame("dtmf", dtmf={"digit": "x"}),
        frame("stop", stream_id="s2"),
        media(stream_id="s2"),
        start(),
    ],
)
def test_what_is_not_in_the_protocol_is_refused(text: bytes) -> None:
    wire = started()
    found = wire.receive(text if b'"stream_id": "s2"' not in text else text.replace(b"s1", b"s2"))
    assert isinstance(found, Refused | MediaFrame)


@pytest.mark.parametrize("text", [media(), frame("mark", mark={"name": "m"}), frame("stop")])
def test_nothing_comes_before_start(text: bytes) -> None:
    assert isinstance(TelnyxWire().receive(text), Refused)


@pytest.mark.parametrize(
    "parameters",
    [[{"name": "token", "value": "t"}, {"name": 7}, "x"], {"token": "t", "x": 7}],
    ids=["list", "mapping"],
)
def test_custom_parameters_are_read_in_either_shape(parameters: Any) -> None:
    begun = TelnyxWire().receive(start(custom_parameters=parameters))
    assert isinstance(begun, Started) and begun.parameters == {"token": "t"}


@pytest.mark.parametrize("payload", [None, [], "x", {}, {"code": {"a": 1}}, {"title": "a\x1b[0m\n" + "x" * 999}])
def test_an_error_frame_without_sense_is_still_one_line(payload: Any) -> None:
    found = TelnyxWire().receive(frame("error", payload=payload))
    assert isinstance(found, Trouble) and found.why.isprintable() and 0 < len(found.why) <= 200


@given(st.one_of(st.binary(max_size=200), st.text(max_size=200)))
def test_no_bytes_at_all_raise(text: bytes | str) -> None:
    for wire in (TelnyxWire(), started()):
        wire.receive(text)
