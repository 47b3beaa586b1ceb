"""Pacing, marks, cuts and endings of our voice, in virtual time against a carrier that really plays."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from engine.media.audio import FRAME_BYTES
from engine.media.g711 import silence
from engine.media.playout import MAX_LINE_SECONDS, MAX_LINES, Playout, PlayoutFull
from engine.media.ticker import PERIOD, Ticker
from tests.media.carrier import PlayingCarrier, started_wire
from tests.virtual_time import virtual_loop, virtual_time


def speech(ms: int, byte: int = 0x55) -> bytes:
    return bytes((byte,)) * (8 * ms)


class Rig:
    """One stream: a playout, the carrier that plays it, and everything that was reported."""

    def __init__(self, playout: Playout, carrier: PlayingCarrier) -> None:
        self.playout = playout
        self.carrier = carrier
        self.reports: list[tuple[object, ...]] = []
        self.progress: list[int] = []
        self.over = asyncio.Semaphore(0)
        playout.on_started = lambda say_id: self.reports.append(("started", say_id))
        playout.on_progress = lambda say_id, ms: self.progress.append(ms)
        playout.on_heard = self._heard

    def _heard(self, say_id: str, ms: int, confirmed: bool) -> None:
        self.reports.append(("heard", say_id, ms, confirmed))
        self.over.release()

    def say(self, say_id: str, ms: int) -> None:
        self.playout.begin(say_id)
        self.playout.push(say_id, speech(ms))
        self.playout.finish(say_id)

    async def heard(self) -> None:
        """Wait for the next line to be over."""
        await self.over.acquire()


@asynccontextmanager
async def rig(lead_ms: int = 100, delay: float = 0.0) -> AsyncIterator[Rig]:
    loop = virtual_loop()
    ticker = Ticker(loop.time)
    carrier = PlayingCarrier(loop, delay)
    playout = Playout(started_wire(), carrier.take, ticker, lead_ms=lead_ms)

    async def return_marks() -> None:
        while True:
            playout.mark_returned(await carrier.returned.get())

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(ticker.run()), group.create_task(return_marks())]
        yield Rig(playout, carrier)
        for task in tasks:
            task.cancel()


@virtual_time
async def test_the_lead_leaves_at_once_and_then_one_frame_every_twenty_ms() -> None:
    """Trap 1.5/31931."""
    async with rig(lead_ms=100) as r:
        r.say("a", 1000)
        assert [at for at, _ in r.carrier.frames] == [0.0] * 5
        await r.heard()
    times = [at for at, _ in r.carrier.frames]
    assert len(times) == 50
    gaps = [later - earlier for earlier, later in zip(times[5:], times[6:], strict=False)]
    assert gaps == pytest.approx([PERIOD] * len(gaps))
    assert r.carrier.silence == 0
    assert max(index * PERIOD - at for index, at in enumerate(times)) <= 0.121, "lead plus one tick, at most"


@virtual_time
async def test_ten_minutes_do_not_drift() -> None:
    """Pain A6."""
    async with rig() as r:
        for minute in range(10):
            r.say(str(minute), 60_000)
            if minute >= 5:
                await r.heard()
        for _ in range(5):
            await r.heard()
        assert virtual_loop().time() == pytest.approx(600, abs=0.001)
    assert len(r.carrier.frames) == 30_000
    assert r.carrier.silence == 0
    assert r.playout.stats.to_json()["late"] == 0


@virtual_time
async def test_a_late_tick_sends_what_it_missed_and_nothing_is_heard_of_it() -> None:
    """Pain A6."""
    async with rig(lead_ms=100) as r:
        r.say("a", 2000)
        await asyncio.sleep(0.5)
        virtual_loop().spend(0.08)
        before = len(r.carrier.frames)
        await asyncio.sleep(0.02)
        assert len(r.carrier.frames) - before == 5, "four missed ticks and the present one"
        await r.heard()
        assert virtual_loop().time() == pytest.approx(2.0, abs=0.001), "the time was won back"
    assert r.carrier.silence == 0
    stats = r.playout.stats
    assert (stats.gaps, stats.under_runs) == (0, 0)
    assert stats.late == 3, "80, 60 and 40 ms late are late; 20 ms is on the border"


@virtual_time
async def test_being_later_than_the_lead_is_counted_as_a_gap() -> None:
    async with rig(lead_ms=100) as r:
        r.say("a", 2000)
        await asyncio.sleep(0.5)
        virtual_loop().spend(0.3)
        await r.heard()
    assert r.playout.stats.gaps == 1
    assert r.playout.stats.silence_ms == pytest.approx(r.carrier.silence * 1000, abs=1)
    assert 0.18 <= r.carrier.silence <= 0.22


@virtual_time
async def test_a_voice_that_falls_behind_is_an_under_run_and_goes_on() -> None:
    """Pain A6."""
    async with rig(lead_ms=100) as r:
        r.playout.begin("a")
        r.playout.push("a", speech(200))
        await asyncio.sleep(0.7)
        r.playout.push("a", speech(200))
        assert len(r.carrier.frames) == 15, "what comes late leaves at once"
        r.playout.finish("a")
        await r.heard()
    assert r.reports == [("started", "a"), ("heard", "a", 400, True)]
    stats = r.playout.stats
    assert (stats.under_runs, stats.gaps, stats.late) == (1, 0, 0)
    assert stats.silence_ms == 500
    assert r.carrier.silence == pytest.approx(0.5)


@virtual_time
async def test_a_voice_that_only_just_keeps_up_is_no_under_run() -> None:
    async with rig(lead_ms=100) as r:
        r.playout.begin("a")
        for _ in range(50):
            r.playout.push("a", speech(20))
            await asyncio.sleep(0.02)
        r.playout.finish("a")
        await r.heard()
    assert r.playout.stats.under_runs == 0
    assert r.carrier.silence == pytest.approx(0, abs=1e-9)


@virtual_time
async def test_any_pieces_arrive_as_whole_frames_in_order() -> None:
    audio = bytes(range(256)) * 10
    async with rig() as r:
        r.playout.begin("a")
        for at in range(0, len(audio), 7):
            r.playout.push("a", audio[at : at + 7])
        r.playout.finish("a")
        await r.heard()
    sent = [frame for _, frame in r.carrier.frames]
    assert {len(frame) for frame in sent} == {FRAME_BYTES}
    assert b"".join(sent) == audio
    assert r.reports[-1] == ("heard", "a", 320, True)


@virtual_time
async def test_the_last_frame_is_filled_up_with_silence_that_nobody_counts() -> None:
    async with rig() as r:
        r.say("a", 30)
        await r.heard()
    assert [frame for _, frame in r.carrier.frames] == [speech(20), speech(10) + silence(10)]
    assert r.reports[-1] == ("heard", "a", 30, True)


@virtual_time
async def test_marks_tell_the_start_then_every_260_ms_and_the_end() -> None:
    async with rig() as r:
        r.say("a", 1000)
        await r.heard()
    assert r.progress == [20, 280, 540, 800]
    assert len(r.carrier.marks) == 5


@virtual_time
async def test_lines_follow_each_other_without_a_gap() -> None:
    async with rig() as r:
        r.say("a", 300)
        r.say("b", 300)
        await r.heard()
        assert virtual_loop().time() == pytest.approx(0.3)
        await r.heard()
        assert virtual_loop().time() == pytest.approx(0.6)
    assert r.carrier.silence == 0
    assert [report for report in r.reports if report[0] == "heard"] == [
        ("heard", "a", 300, True),
        ("heard", "b", 300, True),
    ]


@virtual_time
async def test_a_line_after_a_pause_starts_with_a_normal_lead() -> None:
    async with rig(lead_ms=100) as r:
        r.say("a", 300)
        await r.heard()
        await asyncio.sleep(5)
        before = len(r.carrier.frames)
        r.say("b", 1000)
        assert len(r.carrier.frames) - before == 5


@virtual_time
async def test_a_line_whose_end_comes_late_does_not_swell_the_next_lead() -> None:
    async with rig(lead_ms=100) as r:
        r.playout.begin("a")
        r.playout.push("a", speech(100))
        await asyncio.sleep(3)
        before = len(r.carrier.frames)
        r.playout.begin("b")
        r.playout.push("b", speech(1000))
        r.playout.finish("a")
        assert len(r.carrier.frames) - before == 5
    assert r.playout.stats.under_runs == 0, "the line was only not closed yet: nothing was missing in it"


@virtual_time
async def test_clear_empties_everything_and_tells_what_was_heard() -> None:
    """Pain C3; trap 1.5/clear."""
    async with rig(lead_ms=100) as r:
        r.say("a", 2000)
        r.say("b", 500)
        await asyncio.sleep(0.75)
        assert r.playout.playing == "a"
        assert r.playout.clear() == ("a", 750)
        sent = len(r.carrier.frames)
        await asyncio.sleep(5)
        assert (len(r.carrier.frames), r.carrier.clears) == (sent, 1)
    assert r.reports == [("started", "a")], "marks that came back because of the clear are not heard"
    assert r.playout.stats.late_marks >= 1


@virtual_time
async def test_what_was_heard_is_never_beyond_a_mark_that_is_not_back() -> None:
    async with rig(lead_ms=200) as r:
        r.carrier.deaf_to_marks = True
        r.say("a", 2000)
        await asyncio.sleep(1.0)
        assert r.playout.clear() == ("a", 20)


@virtual_time
async def test_a_far_carrier_is_not_credited_with_the_way() -> None:
    async with rig(delay=0.15) as r:
        r.say("a", 3000)
        await asyncio.sleep(2.0)
        cut = r.playout.clear()
        assert cut is not None and 1800 <= cut[1] <= 1860


@virtual_time
async def test_a_line_is_pushed_to_after_its_cut_without_harm() -> None:
    async with rig() as r:
        r.playout.begin("a")
        r.playout.push("a", speech(500))
        r.playout.clear()
        sent = len(r.carrier.frames)
        r.playout.push("a", speech(500))
        r.playout.finish("a")
        await asyncio.sleep(3)
        assert len(r.carrier.frames) == sent
        r.say("b", 100)
        await r.heard()
    assert r.reports == [("started", "a"), ("started", "b"), ("heard", "b", 100, True)]


@virtual_time
async def test_clear_of_a_silent_stream_sends_nothing() -> None:
    async with rig() as r:
        assert r.playout.clear() is None
        r.say("a", 100)
        await r.heard()
        assert r.playout.clear() is None
    assert r.carrier.clears == 0


@virtual_time
async def test_a_line_that_was_over_when_the_cut_came_was_heard() -> None:
    async with rig(delay=0.1) as r:
        r.say("a", 300)
        r.say("b", 1000)
        await asyncio.sleep(0.38)
        assert r.playout.clear() is not None
    assert [report for report in r.reports if report[0] == "heard"] in ([], [("heard", "a", 300, False)])


@virtual_time
async def test_a_mark_that_never_returns_is_given_up_after_two_seconds() -> None:
    async with rig() as r:
        r.carrier.deaf_to_marks = True
        r.say("a", 500)
        await r.heard()
        assert virtual_loop().time() == pytest.approx(2.5, abs=0.03)
    assert r.reports[-1] == ("heard", "a", 500, False)


@virtual_time
async def test_a_lost_mark_is_implied_by_a_later_one() -> None:
    async with rig() as r:
        r.carrier.deaf_to_marks = True
        r.say("a", 100)
        r.say("b", 100)
        await asyncio.sleep(0.2)
        r.playout.mark_returned(r.carrier.marks[-1][1])
        assert [report[:2] for report in r.reports if report[0] == "heard"] == [("heard", "a"), ("heard", "b")]


@virtual_time
async def test_a_dropped_line_leaves_room_for_the_next() -> None:
    async with rig() as r:
        r.say("a", 400)
        r.playout.begin("never finished")
        r.say("c", 200)
        r.playout.drop("never finished")
        await r.heard()
        await r.heard()
        assert virtual_loop().time() == pytest.approx(0.6)
        r.playout.begin("starved")
        await asyncio.sleep(0.1)
        r.playout.drop("starved")
        await asyncio.sleep(0.1)
        r.playout.begin("broken")
        r.playout.push("broken", speech(1000))
        r.playout.drop("broken")
        r.say("d", 200)
        await r.heard()
    assert [report[1] for report in r.reports if report[0] == "heard"] == ["a", "c", "d"]


@virtual_time
async def test_a_line_without_audio_ends_when_its_turn_comes() -> None:
    async with rig() as r:
        r.say("a", 100)
        r.say("empty", 0)
        await r.heard()
        await r.heard()
    assert r.reports[-1] == ("heard", "empty", 0, True)


@virtual_time
async def test_a_voice_that_fell_silent_does_not_hold_the_next_line_for_ever() -> None:
    async with rig() as r:
        r.playout.begin("nothing")
        r.say("a", 200)
        await r.heard()
        await r.heard()
        r.playout.begin("half")
        r.playout.push("half", speech(200))
        r.say("b", 200)
        await r.heard()
        await r.heard()
        assert virtual_loop().time() == pytest.approx(60.5, abs=0.5)
    assert [report[1:] for report in r.reports if report[0] == "heard"] == [
        ("nothing", 0, True),
        ("a", 200, True),
        ("half", 200, True),
        ("b", 200, True),
    ]


@virtual_time
async def test_what_waits_is_bounded() -> None:
    async with rig() as r:
        r.say("plays", 1000)
        for index in range(MAX_LINES):
            r.playout.begin(str(index))
        with pytest.raises(PlayoutFull, match="lines wait"):
            r.playout.begin("one more")
        with pytest.raises(PlayoutFull, match="audio wait"):
            r.playout.push("1", speech(1) * (MAX_LINE_SECONDS * 1000 + 1))
        r.playout.drop("7")
        with pytest.raises(ValueError, match="begun already"):
            r.playout.begin("1")


@virtual_time
async def test_a_callback_may_cut_and_speak_again() -> None:
    async with rig() as r:

        def again(say_id: str) -> None:
            if say_id == "a":
                r.playout.clear()
                r.say("b", 200)

        r.playout.on_started = again
        r.say("a", 1000)
        await r.heard()
    assert r.reports == [("heard", "b", 200, True)]


@pytest.mark.parametrize("lead_ms", [0, 59, 201])
def test_a_lead_outside_its_range_is_refused(lead_ms: int) -> None:
    with pytest.raises(ValueError, match="lead"):
        Playout(started_wire(), lambda _: None, Ticker(), lead_ms=lead_ms)
