"""Streams of live Twilio calls that break, start twice, hold nonsense, or are closed when the next one is up."""

from __future__ import annotations

from pathlib import Path

from tests.engine.twilio_rig import BUSY, SINK, live


async def test_a_stream_that_breaks_is_opened_again_and_the_call_goes_on(tmp_path: Path) -> None:
    """Pain F9; traps 1.5/no-reconnect and 1.5/socket-errors: Twilio opens none by itself, and says 31903."""
    async with live(tmp_path) as at:
        call, far = await at.dial(SINK, "Hello there.")
        await at.until(call, lambda call: "heard" in call.rungs)
        assert far.socket is not None
        far.socket.lose()
        await far.until(lambda: len(far.streams) == 2 and far.streams[1].started)
        await at.engine.speak(call.call_id, "Here I am again.", "cli")
        now = at.engine.call(call.call_id)
        assert now is not None and now.live
        assert [(line.text, line.cut) for line in now.transcript] == [
            ("Hello there.", False),
            ("Here I am again.", False),
        ]
        types = await at.types(call)
        assert types.count("stream.lost") == 1 and types.count("stream.resumed") == 1
        assert far.codes() == [31903]
        first, second = (stream.parameters["token"] for stream in far.streams)
        assert first != second


async def test_a_line_that_plays_when_the_stream_breaks_keeps_what_was_heard(tmp_path: Path) -> None:
    """Pains C4 and F9."""
    line = "This sentence is long enough to be in the middle of it when the line breaks. " * 3
    async with live(tmp_path) as at:
        call, far = await at.dial(SINK, line.strip())
        await at.until(call, lambda call: any(said.playing for said in call.transcript))
        await at.until(call, lambda _: len(far.streams[0].marks_out) > 3)
        assert far.socket is not None
        far.socket.lose()
        cut = await at.until(call, lambda call: any(said.cut for said in call.transcript))
        said = cut.transcript[0]
        assert said.cut and said.text and line.startswith(said.text) and len(said.text) < len(line.strip())
        await far.until(lambda: len(far.streams) == 2 and far.streams[1].started)


async def test_a_second_start_and_frames_of_nobody_change_nothing(tmp_path: Path) -> None:
    """Trap 1.5/one-stream: both have been seen; neither ends the stream, and no greeting is said again."""
    async with live(tmp_path) as at:
        call, far = await at.dial(SINK, "Hello there.")
        await at.until(call, lambda call: "heard" in call.rungs)
        socket = far.socket
        assert socket is not None
        socket.start_again()
        for nonsense in ('{"event":"of a later version"}', "[]", "{", '{"event":"media","streamSid":"MZother"}'):
            socket.inject(nonsense)
        await far.press("7")
        await at.engine.speak(call.call_id, "Are you still there?", "cli")
        now = at.engine.call(call.call_id)
        assert now is not None
        assert [said.text for said in now.transcript if said.text] == ["Hello there.", "Are you still there?"]
        types = await at.types(call)
        assert types.count("stream.opened") == 1 and "dtmf.received" in types
        assert far.socket is socket and far.codes() == []


async def test_an_old_stream_that_is_closed_late_leaves_the_new_one_alone(tmp_path: Path) -> None:
    """Trap 1.5/one-stream."""
    async with live(tmp_path, settings={"close_late_s": 0.6}) as at:
        call, far = await at.dial(SINK, "Hello there.")
        await at.until(call, lambda call: "heard" in call.rungs)
        await at.engine.transfer(call.call_id, BUSY, "cli")
        await far.until(lambda: len(far.streams) == 2 and far.streams[1].started)
        await at.engine.speak(call.call_id, "This line lasts until the first socket is closed. " * 2, "cli")
        now = at.engine.call(call.call_id)
        assert now is not None and now.live and not now.transcript[-1].cut
        types = await at.types(call)
        assert "stream.lost" not in types and far.streams[1].close_code is None and far.codes() == []
