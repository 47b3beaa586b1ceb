"""Levels in dBFS."""

from __future__ import annotations

import math

import pytest

from engine.media.g711 import SILENT_FRAME
from engine.media.levels import FLOOR_DB, LevelMeter, level_db
from tests.media.tones import tone


def test_silence_and_nothing_are_the_floor() -> None:
    assert level_db(SILENT_FRAME) == FLOOR_DB
    assert level_db(b"") == FLOOR_DB


@pytest.mark.parametrize("peak_db", [-3, -20, -40])
def test_a_sine_reads_three_decibels_under_its_peak(peak_db: int) -> None:
    peak = 32767 * 10 ** (peak_db / 20)
    assert level_db(tone(1000, 1000, peak)) == pytest.approx(peak_db - 3.01, abs=0.2)


def test_the_meter_reads_what_came_since_it_was_read() -> None:
    meter = LevelMeter()
    meter.feed(tone(1000, 20, 10_000))
    loud = meter.read()
    assert loud == pytest.approx(20 * math.log10(10_000 / 32768) - 3, abs=0.3)
    assert meter.read() == FLOOR_DB


def test_the_meter_forgets_what_nobody_looked_at() -> None:
    meter = LevelMeter(frames=3)
    meter.feed(tone(1000, 20, 10_000))
    for _ in range(3):
        meter.feed(SILENT_FRAME)
    assert meter.read() == FLOOR_DB
