from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.media.twilio_wire import TwilioWire
from engine.media.wire import Connected, DtmfReceived, MarkReturned, MediaFrame, Started, Stopped
from engine.simulator.frames import BadFrame, ClearAudio, FrameWriter, PlayAudio, PlayMark, read_frame


def test_frames_are_twilios_to_the_letter() -> None:
    writer = FrameWriter("MZ1", "CA1", "AC1")
    assert json.loads(writer.connected()) == {"event": "connected", "protocol": "Call", "version": "1.0.0"}
    assert json.loads(writer.start("t0k")) == {
        "event": "start",
        "sequenceNumber": "1",
        "streamSid": "MZ1",
        "start": {
            "accountSid": "AC1",
            "streamSid": "MZ1",
            "callSid": "CA1",
            "tracks": ["inbound"],
            "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
            "customParameters": {"token": "t0k"},
        },
    }
    assert json.loads(writer.media("AAAA", 20)) == {
        "event": "media",
        "sequenceNumber": "2",
        "streamSid": "MZ1",
        "media": {"track": "inbound", "chunk": "1", "timestamp": "20", "payload": "AAAA"},
    }
    assert json.loads(writer.mark("m1")) == {
        "event": "mark",
        "sequenceNumber": "3",
        "streamSid": "MZ1",
        "mark": {"name": "m1"},
    }
    assert json.loads(writer.dtmf("1")) == {
        "event": "dtmf",
        "sequenceNumber": "4",
        "streamSid": "MZ1",
        "dtmf": {"track": "inbound_track", "digit": "1"},
    }
    assert json.loads(writer.media("BBBB", 40))["media"]["chunk"] == "2"
    assert json.loads(writer.stop()) == {
        "event": "stop",
        "sequenceNumber": "6",
        "streamSid": "MZ1",
        "stop": {"accountSid": "AC1", "callSid": "CA1"},
    }


def test_the_engines_own_codec_reads_them() -> None:
    writer, wire = FrameWriter("MZ1", "CA1", "AC1"), TwilioWire()
    payload = base64.b64encode(b"\x7f" * 160).decode()
    assert wire.receive(writer.connected()) == Connected()
    assert isinstance(wire.receive(writer.start("t")), Started)
    assert wire.receive(writer.media(payload, 20)) == MediaFrame(b"\x7f" * 160, 20)
    assert wire.receive(writer.mark("m")) == MarkReturned("m")
    assert wire.receive(writer.dtmf("#")) == DtmfReceived("#")
    assert wire.receive(writer.stop()) == Stopped()


def test_what_the_engines_codec_writes_is_read() -> None:
    wire = TwilioWire()
    wire.receive(FrameWriter("MZ1", "CA1", "AC1").start("t"))
    assert read_frame(wire.media(b"\x01\x02").decode(), "MZ1") == PlayAudio(b"\x01\x02")
    assert read_frame(wire.mark('odd "name"').decode(), "MZ1") == PlayMark('odd "name"')
    assert read_frame(wire.clear().decode(), "MZ1") == ClearAudio()


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        ("no JSON", 31924),
        ("[1]", 31951),
        ('{"event":"media","streamSid":"MZ2","media":{"payload":"AAAA"}}', 31951),
        ('{"event":"media","media":{"payload":"AAAA"}}', 31951),
        ('{"event":"media","streamSid":"MZ1","media":{"payload":"AAAA","track":"outbound"}}', 31951),
        ('{"event":"media","streamSid":"MZ1","media":{"payload":"AAA"}}', 31951),
        ('{"event":"media","streamSid":"MZ1","media":{"payload":17}}', 31951),
        ('{"event":"mark","streamSid":"MZ1","mark":{"name":5}}', 31951),
        ('{"event":"clear","streamSid":"MZ1","why":"x"}', 31951),
        ('{"event":"stop","streamSid":"MZ1"}', 31951),
    ],
)
def test_what_twilio_would_complain_about_is_complained_about(frame: str, code: int) -> None:
    answer = read_frame(frame, "MZ1")
    assert isinstance(answer, BadFrame) and answer.code == code


@given(
    st.one_of(st.text(), st.recursive(st.none() | st.text() | st.integers(), st.lists, max_leaves=5).map(json.dumps))
)
def test_no_text_at_all_makes_the_reader_fail(text: str) -> None:
    assert read_frame(text, "MZ1") is not None
