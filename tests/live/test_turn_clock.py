from __future__ import annotations

from engine.live.turn_clock import STAGES, Point, TurnClock

POINTS: tuple[Point, ...] = ("voiced", "ended", "text", "words", "sentence", "audio", "frame", "mark")


def test_a_turn_has_no_stages_until_every_point_is_known() -> None:
    clock = TurnClock(1)
    for point in POINTS[:-1]:
        clock.reach(point, 1.0)
        assert clock.stages() is None
    clock.reach("mark", 2.0)
    assert clock.stages() is not None


def test_the_stages_add_up_to_the_whole_turn() -> None:
    """Pains B1 and B8."""
    clock = TurnClock(1)
    for index, point in enumerate(POINTS):
        clock.reach(point, 1000.0 + index * index * 10)
    stages = clock.stages()
    assert stages is not None
    assert tuple(stages)[:-1] == STAGES
    assert stages["total"] == sum(stages[name] for name in STAGES) == 490


def test_only_the_first_time_a_point_is_reached_counts() -> None:
    clock = TurnClock(1)
    clock.reach("voiced", 5.0)
    clock.reach("voiced", 9.0)
    assert clock.points["voiced"] == 5.0


def test_a_point_that_came_before_its_predecessor_takes_no_time() -> None:
    clock = TurnClock(1)
    for point in POINTS:
        clock.reach(point, 100.0)
    clock.points["words"] = 50.0
    stages = clock.stages()
    assert stages is not None
    assert min(stages.values()) >= 0


def test_what_people_take_is_no_stage() -> None:
    """Pain B8: the caller speaks again, then our earlier line still plays."""
    clock = TurnClock(1)
    for at, point in enumerate(POINTS):
        clock.reach(point, at * 100.0)
    clock.exclude(310.0, 390.0)
    clock.blocked(520.0)
    clock.unblocked(600.0)
    clock.unblocked(900.0)
    stages = clock.stages()
    assert stages is not None
    assert (stages["agent"], stages["sentence"], stages["send"], stages["total"]) == (100, 20, 20, 540)
    assert clock.waited_ms == 160


def test_nothing_was_waited_for_while_a_turn_is_under_way() -> None:
    clock = TurnClock(1)
    clock.reach("voiced", 0.0)
    clock.exclude(10.0, 5.0)
    assert clock.waited_ms == 0
