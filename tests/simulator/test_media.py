"""The media socket over a real WebSocket, seen from the engine's side."""

from __future__ import annotations

import asyncio
import time

import pytest

from engine.media.levels import level_db
from engine.simulator.faults import GARBAGE
from engine.simulator.ticker import TICK_S
from tests.simulator.conftest import PRESSER, Start
from tests.simulator.office import LIMIT_S, Stream

LOUD = bytes([0x20, 0xA0] * 80)
"""20 ms of a loud square wave."""


async def heard_ms(stream: Stream, ms: int) -> None:
    await stream.until(lambda: len(stream.of("media")) * 20 >= ms)


async def test_a_stream_starts_with_the_token_and_sends_frames_at_real_pace(start: Start) -> None:
    line = await start()
    call_id = await line.ring_in("Quick sink")
    stream = await line.office.stream()
    await heard_ms(stream, 1000)
    assert [frame["event"] for frame in stream.frames[:3]] == ["connected", "start", "media"]
    start_frame = stream.frames[1]["start"]
    assert start_frame["callSid"] == call_id
    assert start_frame["customParameters"] == {"token": f"for {call_id}"}
    media = stream.of("media")[:50]
    assert [frame["media"]["chunk"] for frame in media] == [str(n) for n in range(1, 51)]
    assert [frame["media"]["timestamp"] for frame in media] == [str(n * 20) for n in range(1, 51)]
    assert [int(frame["sequenceNumber"]) for frame in media] == list(range(2, 52))
    took = stream.arrivals[51] - stream.arrivals[2]
    assert 49 * TICK_S - 0.1 < took < 49 * TICK_S + 1.0
    assert len(stream.audio()) == 160 * len(stream.of("media"))
    assert -70 < level_db(stream.audio()[:8000]) < -50, "the quiet of a telephone line"


async def test_a_mark_comes_back_when_its_audio_has_been_played_and_not_before(start: Start) -> None:
    line = await start()
    await line.ring_in("Quick sink")
    stream = await line.office.stream()
    sent_at = time.monotonic()
    await stream.play(LOUD * 25)
    await stream.mark("half a second")
    await stream.until(lambda: stream.of("mark"))
    assert 0.48 <= time.monotonic() - sent_at < 2
    assert stream.of("mark")[0]["mark"] == {"name": "half a second"}


async def test_clear_returns_all_pending_marks_at_once_and_silences_the_rest(start: Start) -> None:
    line = await start()
    call_id = await line.ring_in("Quick sink")
    stream = await line.office.stream()
    await stream.play(LOUD * 500)
    await stream.mark("a")
    await stream.mark("b")
    await stream.send(event="clear")
    await stream.until(lambda: len(stream.of("mark")) == 2)
    assert [frame["mark"]["name"] for frame in stream.of("mark")] == ["a", "b"]
    await heard_ms(stream, 600)
    heard = (await line.report(call_id))["heard"]
    assert heard["loud_ms"] < 300


async def test_what_the_person_heard_is_reported(start: Start) -> None:
    line = await start()
    call_id = await line.ring_in("Quick sink")
    stream = await line.office.stream()
    await stream.play(LOUD * 20)
    await stream.mark("end")
    await stream.until(lambda: stream.of("mark"))
    heard = (await line.report(call_id))["heard"]
    assert heard["audio_ms"] == heard["loud_ms"] == 400
    assert heard["first_ms"] <= 1000 and heard["peak_db"] > -30


async def test_frames_against_the_protocol_are_reported_with_twilios_numbers_and_ignored(start: Start) -> None:
    line = await start()
    call_id = await line.ring_in("Quick sink")
    stream = await line.office.stream()
    await stream.socket.send_str("{")
    await stream.socket.send_bytes(b"\x00")
    await stream.send(event="bogus")
    await stream.mark("still alive")
    await stream.until(lambda: stream.of("mark"))
    errors = (await line.report(call_id))["streams"][0]["errors"]
    assert [error.split()[0] for error in errors] == ["31924", "31950", "31951"]


async def test_keys_arrive_on_the_stream_and_as_webhooks_when_there_is_none(start: Start) -> None:
    line = await start()
    await line.dial(PRESSER)
    stream = await line.office.stream()
    await stream.until(lambda: len(stream.of("dtmf")) == 3)
    assert [frame["dtmf"]["digit"] for frame in stream.of("dtmf")] == ["1", "2", "#"]
    assert line.office.of("call.dtmf") == []

    await line.dial(PRESSER, ref="ours-2", document=[{"verb": "pause", "seconds": 5}])
    await line.office.until(lambda: len(line.office.of("call.dtmf")) == 3)
    assert [webhook["digits"] for webhook in line.office.of("call.dtmf")] == ["1", "2", "#"]


async def test_keys_that_we_play_reach_the_person(start: Start) -> None:
    line = await start()
    call_id = await line.dial("+15550100201", dtmf_sequence="1w2")
    await line.office.stream()
    assert await line.ask("POST", f"/v1/calls/{call_id}/dtmf", {"digits": "3#"}) == (200, {"id": call_id})
    leg = line.exchange.calls[call_id].leg
    assert leg is not None
    stream = line.office.streams[0]
    await stream.until(lambda: leg.heard.digits == "123#")  # looked at with every frame
    assert (await line.report(call_id))["heard"]["digits"] == "123#"


async def test_the_end_of_a_call_is_said_on_the_stream(start: Start) -> None:
    line = await start()
    call_id = await line.ring_in("Quick sink")
    stream = await line.office.stream()
    await line.ask("POST", f"/v1/calls/{call_id}/hangup")
    async with asyncio.timeout(LIMIT_S):
        await stream.closed.wait()
    assert stream.frames[-1]["event"] == "stop"
    assert stream.frames[-1]["stop"]["callSid"] == call_id


async def test_a_lost_stream_leaves_the_call_up_for_a_while_and_can_be_opened_again(start: Start) -> None:
    line = await start(stream_grace_s=LIMIT_S)
    call_id = await line.ring_in("Quick talker")
    first = await line.office.stream(0)
    await heard_ms(first, 200)
    await first.socket.close()
    failed = await line.office.webhook("stream.failed")
    assert failed["call"]["status"] == "in-progress" and "31921" in failed["detail"]
    body = {"url": line.office.stream_url, "token": "again"}
    assert (await line.ask("POST", f"/v1/calls/{call_id}/stream", body))[0] == 200
    second = await line.office.stream(1)
    assert second.stream_id != first.stream_id
    await heard_ms(second, 20)
    assert second.frames[1]["start"]["customParameters"] == {"token": "again"}
    assert second.of("media")[0]["media"]["timestamp"] == "20"
    said = (await line.report(call_id))["said"]
    assert said[0]["whole"] is False, "a part of it went into the void"


async def test_a_call_whose_stream_does_not_come_back_fails(start: Start) -> None:
    line = await start(stream_grace_s=0.1)
    await line.ring_in("Quick sink")
    stream = await line.office.stream()
    await stream.socket.close()
    ended = await line.office.webhook("call.ended")
    assert (ended["call"]["status"], ended["call"]["reason"]) == ("failed", "stream-lost")


async def test_a_stream_that_is_refused_is_a_failed_stream_and_not_the_end(start: Start) -> None:
    line = await start(stream_grace_s=LIMIT_S)
    line.office.refuse_streams = True
    call_id = await line.ring_in("Quick sink")
    failed = await line.office.webhook("stream.failed")
    assert "31920" in failed["detail"] and "503" in failed["detail"]
    line.office.refuse_streams = False
    await line.ask("POST", f"/v1/calls/{call_id}/stream", {"url": line.office.stream_url})
    await line.office.stream()
    assert line.office.bad_upgrades == 0


async def test_a_new_stream_replaces_one_that_is_open(start: Start) -> None:
    line = await start()
    call_id = await line.ring_in("Quick sink")
    first = await line.office.stream(0)
    await line.ask("POST", f"/v1/calls/{call_id}/stream", {"url": line.office.stream_url})
    await line.office.stream(1)
    async with asyncio.timeout(LIMIT_S):
        await first.closed.wait()
    assert first.frames[-1]["event"] == "stop"
    assert line.office.of("stream.failed") == []


async def test_malformed_frames_come_along_on_demand(start: Start) -> None:
    line = await start(faults={"malformed": 1})
    await line.ring_in("Quick sink")
    stream = await line.office.stream()
    await heard_ms(stream, 400)
    garbage = [text for text in stream.texts if text in GARBAGE]
    assert len(garbage) >= 15


async def test_a_stalled_socket_neither_sends_nor_reads_and_then_catches_up(start: Start) -> None:
    line = await start(faults={"stall": 1, "stall_ms": 800})
    await line.ring_in("Quick sink")
    stream = await line.office.stream()
    await stream.until(lambda: len(stream.of("media")) > 350)
    gaps = [after - before for before, after in zip(stream.arrivals, stream.arrivals[1:], strict=False)]
    assert max(gaps) > 0.6
    chunks = [int(frame["media"]["chunk"]) for frame in stream.of("media")]
    assert chunks == list(range(1, len(chunks) + 1)), "nothing is lost, only late"


async def test_a_stream_breaks_on_demand(start: Start) -> None:
    line = await start(faults={"lose_stream": 1}, stream_grace_s=0.1)
    await line.ring_in("Quick sink")
    ended = await line.office.webhook("call.ended")
    assert ended["call"]["reason"] == "stream-lost"
    assert line.office.streams[0].of("stop") == []


async def test_twenty_calls_keep_the_pace_on_one_clock(start: Start) -> None:
    line = await start()
    for _ in range(20):
        await line.ring_in("Quick talker")
    last = await line.office.stream(19)
    await heard_ms(last, 1000)
    for stream in line.office.streams:
        took = stream.arrivals[-1] - stream.arrivals[2]
        assert len(stream.of("media")) * TICK_S == pytest.approx(took, abs=0.3)
