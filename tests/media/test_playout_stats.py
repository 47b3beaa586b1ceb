"""Lateness figures that can be summed over calls."""

from __future__ import annotations

from engine.media.playout_stats import PlayoutStats


def counted(*late_ms: int) -> PlayoutStats:
    stats = PlayoutStats()
    for ms in late_ms:
        stats.count(ms)
    return stats


def test_no_frames_are_on_time() -> None:
    assert PlayoutStats().to_json() == {
        "sent": 0,
        "late": 0,
        "p50LateMs": 0,
        "p99LateMs": 0,
        "underRuns": 0,
        "gaps": 0,
        "silenceMs": 0,
    }


def test_percentiles_are_over_all_calls() -> None:
    total = PlayoutStats.merged([counted(*[0] * 98), counted(30, 70), PlayoutStats(under_runs=2, silence_ms=40)])
    figures = total.to_json()
    assert (figures["sent"], figures["late"], figures["p50LateMs"], figures["p99LateMs"]) == (100, 2, 0, 30)
    assert (figures["underRuns"], figures["silenceMs"]) == (2, 40)


def test_a_lateness_beyond_measure_is_counted_once() -> None:
    stats = counted(10**7, 10**8)
    assert stats.late == 2
    assert len(stats.lateness) == 1
