from __future__ import annotations

import asyncio
import math
from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.media.dtmf import EDGE_MS, GAP_MS, PAUSES_MS, TONE_MS, TONES_HZ, duration_ms, pressed, tones
from engine.media.g711 import mulaw_to_pcm16, silence
from engine.media.playout import Playout
from engine.media.ticker import Ticker
from tests.media.carrier import PlayingCarrier, started_wire
from tests.media.dtmf_ear import keys_in, peak
from tests.media.tones import tone
from tests.virtual_time import virtual_time

KEYS = "0123456789ABCD*#"
FULL_PEAK, FULL_DBM0 = 32124, 3.17


def pcm_of(mulaw: bytes) -> array[int]:
    return array("h", mulaw_to_pcm16(mulaw))


@pytest.mark.parametrize(
    ("key", "low", "high"), [("1", 697, 1209), ("6", 770, 1477), ("0", 941, 1336), ("*", 941, 1209), ("D", 941, 1633)]
)
def test_each_key_has_the_two_tones_of_its_row_and_column(key: str, low: int, high: int) -> None:
    assert TONES_HZ[key] == (low, high)
    assert sorted(TONES_HZ) == sorted(KEYS)


@pytest.mark.parametrize("key", KEYS)
def test_the_high_tone_is_at_minus_9_and_the_low_one_at_minus_11_dbm0(key: str) -> None:
    edge = 8 * EDGE_MS
    middle = pcm_of(tones(key))[edge : 8 * TONE_MS - edge]
    levels = [20 * math.log10(peak(middle, hz) / FULL_PEAK) + FULL_DBM0 for hz in TONES_HZ[key]]
    assert levels == pytest.approx([-11, -9], abs=0.3)


def test_a_key_sounds_for_100_ms_and_rests_for_100_ms() -> None:
    sound = tones("5")
    assert len(sound) == 8 * (TONE_MS + GAP_MS) == 1600
    assert sound[8 * TONE_MS :] == silence(GAP_MS)
    assert max(map(abs, pcm_of(sound[:800]))) > 10_000


def test_a_key_begins_and_ends_softly() -> None:
    pcm = pcm_of(tones("9"))
    assert abs(pcm[0]) < 100 and abs(pcm[799]) < 100
    assert max(map(abs, pcm[:8])) < 2000, "a millisecond after its start it is still faint"
    steps = [abs(pcm[at + 1] - pcm[at]) for at in (*range(8), *range(790, 798))]
    assert max(steps) < 2000, "no click"


@pytest.mark.parametrize(("pause", "ms"), [("w", 500), ("p", 500), ("W", 1000), ("P", 1000), (",", 1000)])
def test_pauses_are_silence(pause: str, ms: int) -> None:
    assert tones(pause) == silence(ms)
    assert duration_ms(pause) == ms


@given(st.text(KEYS, max_size=12))
def test_a_receiver_takes_the_keys_out_again(digits: str) -> None:
    assert keys_in(tones(digits)) == digits


@given(st.text(KEYS + "wWpP,", max_size=12))
def test_pauses_between_keys_do_not_disturb_them(digits: str) -> None:
    sound = tones(digits)
    assert keys_in(sound) == "".join(digit for digit in digits if digit not in PAUSES_MS)
    assert len(sound) == 8 * duration_ms(digits)


@given(st.text(KEYS + "wW,", max_size=20), st.integers(0, 25_000))
def test_what_was_pressed_by_some_time_is_what_a_receiver_has_heard_by_then(digits: str, ms: int) -> None:
    done = pressed(digits, ms)
    assert digits.startswith(done)
    assert duration_ms(done) <= ms + GAP_MS
    rest = digits[len(done) :]
    if rest:
        assert duration_ms(done) + (PAUSES_MS.get(rest[0]) or TONE_MS) > ms


@pytest.mark.parametrize("wrong", ["x", "1 2", "E", "١", "a"])
def test_what_is_no_key_is_refused(wrong: str) -> None:
    with pytest.raises(ValueError, match="no key of a telephone"):
        tones(wrong)


def test_the_receiver_of_these_tests_takes_nothing_else_for_a_key() -> None:
    assert keys_in(tone(697, 500)) == ""
    assert keys_in(tone(440, 500)) == ""
    assert keys_in(silence(500)) == ""
    assert keys_in(tones("1")[: 8 * 40]) == "", "a tone of 40 ms is too short for two blocks"


@virtual_time
async def test_keys_come_out_of_a_media_stream_as_they_went_in() -> None:
    loop = asyncio.get_running_loop()
    carrier = PlayingCarrier(loop)
    ticker = Ticker(loop.time)
    playout = Playout(started_wire(), carrier.take, ticker)
    heard: asyncio.Queue[tuple[str, bool]] = asyncio.Queue()
    playout.on_heard = lambda say_id, ms, confirmed: heard.put_nowait((say_id, confirmed))
    ticking = asyncio.create_task(ticker.run())
    playout.begin("keys")
    playout.push("keys", tones("1w23#"))
    playout.finish("keys")
    while heard.empty():
        playout.mark_returned(await carrier.returned.get())
    assert await heard.get() == ("keys", True)
    assert loop.time() >= duration_ms("1w23#") / 1000, "the last mark came when all was played, not before"
    assert keys_in(b"".join(audio for _, audio in carrier.frames)) == "123#"
    ticking.cancel()
