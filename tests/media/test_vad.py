"""The gate opens for voices and for nothing that lasts."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.media.audio import FRAME_BYTES, FRAME_MS
from engine.media.vad import NOTHING_DB, QUIET_FLOOR_DB, SILENT_DB, Gate, GateFrame, NoiseFloor
from tests.media import sounds
from tests.media.sounds import Samples, frames


def judge(*parts: Samples) -> list[GateFrame]:
    gate = Gate()
    return [gate.frame(frame) for frame in frames(*parts)]


def first_open_ms(judged: list[GateFrame]) -> int | None:
    return next((index * FRAME_MS for index, frame in enumerate(judged, 1) if frame.open), None)


def open_ms(judged: list[GateFrame]) -> int:
    return sum(frame.open for frame in judged) * FRAME_MS


def test_digital_silence_is_silent_and_shut() -> None:
    gate = Gate()
    judged = [gate.frame(b"\xff" * FRAME_BYTES) for _ in range(200)]
    assert not any(frame.open or frame.voiced for frame in judged)
    assert judged[-1].level_db == SILENT_DB


@pytest.mark.parametrize("db", [-60, -45, -29, -20])
@pytest.mark.parametrize("slope", [0.0, 0.5, 1.0], ids=["white", "pink", "brown"])
def test_room_tone_does_not_hold_the_gate_open_at_any_level(slope: float, db: float) -> None:
    """Pain C2."""
    judged = judge(sounds.noise(10, db, slope))
    assert open_ms(judged[:50]) <= 500
    assert open_ms(judged[50:]) == 0


@pytest.mark.parametrize("hz", [50, 100, 120, 440, 1000])
def test_a_hum_or_a_tone_does_not_hold_the_gate_open(hz: float) -> None:
    judged = judge(sounds.tone(5, hz, -20))
    assert open_ms(judged[:50]) <= 500
    assert open_ms(judged[50:]) == 0


@pytest.mark.parametrize("before", [sounds.digital_silence(3), sounds.noise(3, -60, 0.5)], ids=["menu", "quiet room"])
def test_room_tone_that_sets_in_later_is_learned_too(before: Samples) -> None:
    judged = judge(before, sounds.noise(6, -30, 0.5))
    assert open_ms(judged) <= 1500
    assert not any(frame.open for frame in judged[-150:])


@pytest.mark.parametrize("text", ["Book a table for four.", "Yes, please.", "Six.", "Four people."])
def test_quiet_speech_over_a_quiet_line_opens_the_gate_within_60_ms(text: str) -> None:
    voice = sounds.over(sounds.spoken(text, db=-35), -60)
    judged = judge(sounds.noise(2, -60, 0.5), voice, sounds.noise(2, -60, 0.5, seed=8))
    opened = first_open_ms(judged)
    assert opened is not None
    assert 2000 < opened <= 2060
    assert not any(frame.open for frame in judged[-50:])


def test_speech_is_heard_over_loud_room_tone() -> None:
    voice = sounds.over(sounds.spoken("Good morning, I need to move my appointment.", db=-18), -36)
    judged = judge(sounds.noise(3, -36, 0.5), voice, sounds.noise(2, -36, 0.5, seed=8))
    during = judged[150:-100]
    assert open_ms(during) >= 0.8 * len(during) * FRAME_MS
    assert not any(frame.open for frame in judged[50:150])


@pytest.mark.parametrize("word", ["Yes.", "No."])
def test_a_single_short_word_straight_after_pick_up_is_heard(word: str) -> None:
    judged = judge(sounds.spoken(word, db=-20), sounds.digital_silence(1))
    opened = first_open_ms(judged)
    assert opened is not None
    assert opened <= 100
    assert not judged[-1].open


@pytest.mark.parametrize("name", ["two_cities.wav", "beckett.wav"])
def test_real_people_keep_the_gate_open_while_they_speak_and_not_in_their_pauses(name: str) -> None:
    judged = judge(sounds.recorded(name))
    loud = [frame for frame in judged if frame.level_db > -35]
    assert sum(frame.open for frame in loud) / len(loud) > 0.95
    assert 0.6 < sum(frame.open for frame in judged) / len(judged) < 0.9
    assert judged[-1].floor_db < -50


def test_a_click_does_not_open_the_gate() -> None:
    click = sounds.noise(1, -60, 0.5)
    click[4000:4020] = 20_000
    assert open_ms(judge(sounds.noise(2, -60, 0.5), click)) == 0


def test_the_gate_shuts_after_its_hangover() -> None:
    speech = list(frames(sounds.noise(1, -60), sounds.spoken("Hello there.", db=-25)))
    gate = Gate(hangover_ms=100)
    judged = [gate.frame(frame) for frame in speech]
    quiet = [gate.frame(b"\xff" * FRAME_BYTES) for _ in range(20)]
    assert any(frame.open for frame in judged)
    assert sum(frame.open for frame in quiet) <= 100 // FRAME_MS


def test_digital_silence_between_words_does_not_lower_the_floor() -> None:
    floor = NoiseFloor()
    for _ in range(100):
        before = floor.update(-40.0)
    assert floor.update(SILENT_DB) == before == pytest.approx(-40.0)


def test_the_floor_falls_at_once_and_rises_slowly() -> None:
    floor = NoiseFloor()
    for _ in range(100):
        floor.update(-35.0)
    assert [floor.update(-60.0) for _ in range(5)][-1] < -55.0
    risen = [floor.update(-30.0) for _ in range(90)]
    assert risen[40] < -50.0
    assert risen[-1] == pytest.approx(-30.0, abs=0.5)


@given(st.lists(st.floats(SILENT_DB, 3.0), max_size=300))
def test_the_floor_stays_between_its_limits_whatever_comes(levels: list[float]) -> None:
    floor = NoiseFloor()
    for level in levels:
        value = floor.update(level)
        assert QUIET_FLOOR_DB <= value <= max(0.0, max(levels))
        if level < NOTHING_DB:
            assert floor.value == value


@settings(max_examples=50)
@given(st.lists(st.binary(min_size=FRAME_BYTES, max_size=FRAME_BYTES), max_size=40))
def test_any_bytes_are_judged_and_the_same_bytes_the_same_way(payloads: list[bytes]) -> None:
    one, other = Gate(), Gate()
    assert [one.frame(payload) for payload in payloads] == [other.frame(payload) for payload in payloads]


@pytest.mark.parametrize("size", [0, 1, 159, 161, 320])
def test_a_frame_of_another_length_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match="160 bytes"):
        Gate().frame(b"\xff" * size)


def test_a_frame_costs_microseconds() -> None:
    payloads = list(frames(sounds.noise(4, -30, 0.5)))
    best = 1.0
    for _ in range(5):
        gate = Gate()
        began = time.perf_counter()
        for payload in payloads:
            gate.frame(payload)
        best = min(best, (time.perf_counter() - began) / len(payloads))
    assert best < 30e-6, "about 4 us on an idle machine; the limit leaves room for a busy one"
