"""Every piece of sound gets its place on one clock, whatever network, carrier and disk do."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from engine.media.tape import LEFT, MAX_WAITING, RIGHT, Tape

FRAME = bytes(range(160))


def placed(tape: Tape, channel: int) -> list[tuple[int, int | None]]:
    return [(at, None if sound is None else len(sound)) for at, side, sound in tape.take() if side == channel]


def test_frames_of_the_caller_follow_each_other_however_unevenly_they_come() -> None:
    tape = Tape(100.0)
    for index, late in enumerate([0, 7, 3, 0, 15, 2]):
        tape.caller(FRAME, index * 20, 101.02 + index * 0.02 + late / 1000)
    assert placed(tape, LEFT) == [(8000 + index * 160, 160) for index in range(6)]


def test_seconds_that_a_network_held_back_stand_where_they_were_said() -> None:
    tape = Tape(100.0)
    for index in range(50):
        tape.caller(FRAME, index * 20, 100.02 + index * 0.02)
    for index in range(50, 200):
        tape.caller(FRAME, index * 20, 104.02)  # three seconds at once
    for index in range(200, 250):
        tape.caller(FRAME, index * 20, 100.02 + index * 0.02)
    assert placed(tape, LEFT) == [(index * 160, 160) for index in range(250)]


def test_frames_that_got_lost_leave_a_gap() -> None:
    tape = Tape(0.0)
    tape.caller(FRAME, 0, 0.02)
    tape.caller(FRAME, 200, 0.22)
    assert placed(tape, LEFT) == [(0, 160), (1600, 160)]


def test_another_stream_counts_from_its_own_start() -> None:
    tape = Tape(0.0)
    tape.caller(FRAME, 5000, 0.02)
    tape.new_stream()
    tape.caller(FRAME, 0, 1.02)
    assert placed(tape, LEFT) == [(0, 160), (8000, 160)]


def test_a_carrier_whose_clock_is_slow_does_not_run_away() -> None:
    tape = Tape(0.0)
    for index in range(30_000):  # ten minutes, one part in a thousand slow
        tape.caller(FRAME, index * 20, 0.02 + index * 0.02 * 1.001)
        at = tape.take()[0][0]
        assert abs(at / 8000 - index * 0.02 * 1.001) < 0.08


def test_our_side_stands_where_it_is_heard_and_ends_where_it_was_cleared() -> None:
    tape = Tape(10.0)
    for index in range(8):
        tape.agent(FRAME, 11.0 + index * 0.02)
    tape.silenced(11.05)
    tape.agent(FRAME, 11.06)
    assert placed(tape, RIGHT) == [*((8000 + index * 160, 160) for index in range(8)), (8400, None), (8400, 160)]


def test_what_was_under_way_when_it_began_is_kept_from_there_on() -> None:
    tape = Tape(10.0)
    tape.agent(FRAME, 9.99)
    tape.agent(FRAME, 9.0)
    assert placed(tape, RIGHT) == [(0, 80)]


def test_a_disk_that_does_not_take_it_costs_no_more_than_a_bound_and_is_counted() -> None:
    tape = Tape(0.0)
    for index in range(MAX_WAITING + 10):
        tape.agent(FRAME, index * 0.02)
    tape.silenced(1.0)
    assert tape.lost == 10 * 160
    assert len(tape.take()) == MAX_WAITING + 1
    tape.agent(FRAME, 99.0)
    assert len(tape.take()) == 1 and tape.lost == 10 * 160


@given(st.lists(st.tuples(st.integers(-(10**12), 10**12), st.floats(0, 4000)), max_size=50))
def test_no_time_that_a_carrier_makes_up_puts_a_frame_far_from_now(frames: list[tuple[int, float]]) -> None:
    tape = Tape(0.0)
    for at_ms, now in sorted(frames, key=lambda frame: frame[1]):
        tape.caller(FRAME, at_ms, now)
        for at, _, sound in tape.take():
            assert at >= 0 and sound
            assert now * 8000 - 31 * 8000 <= at <= now * 8000 + 1000
