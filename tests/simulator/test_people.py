from __future__ import annotations

from random import Random
from typing import Any

import pytest

from engine.simulator.cast import CAST, Cast
from engine.simulator.people import Beep, Keys, Line, Manners, read_step


def test_the_cast_has_distinct_numbers_names_and_enough_voices() -> None:
    assert len({person.number for person in CAST}) == len(CAST)
    assert len({person.name for person in CAST}) == len(CAST)
    talkers = [person for person in CAST if person.texts()]
    assert len({person.voice for person in talkers}) >= 10
    assert all(person.number.startswith("+15550100") for person in CAST)


def test_everybody_who_calls_for_something_says_three_to_six_things() -> None:
    for person in Cast().callers():
        if person.manners.silent_from is None and person.manners.hangs_up_at is None:
            said = [step for step in person.script if isinstance(step, Line)] + [person.goodbye]
            assert 3 <= len(said) <= 6, person.name


def test_people_are_found_by_number_and_by_name() -> None:
    cast = Cast()
    anna = cast.find("anna miller")
    assert anna is not None and cast.find(anna.number) is anna
    assert cast.find("nobody") is None


def test_a_strangers_number_is_answered_by_somebody_polite_and_always_the_same_by_seed() -> None:
    cast = Cast()
    first = cast.at("+15559990000", Random("1:7:who"))
    assert first == cast.at("+15559990000", Random("1:7:who"))
    assert first.manners == Manners() and not first.calls_us


def test_the_configuration_changes_one_of_the_cast_and_adds_others() -> None:
    cast = Cast(
        [
            {"number": "+15550100101", "script": ["Hi.", "keys: 1#", "beep"], "manners": ["busy"]},
            {"number": "+15550100142", "name": "Ada", "voice": "anna", "script": ["Hello."], "manners": "hesitates"},
        ]
    )
    anna, ada = cast.find("+15550100101"), cast.find("Ada")
    assert anna is not None and anna.name == "Anna Miller" and anna.manners.answers == "busy"
    assert anna.script == (Line("Hi."), Keys("1#"), Beep())
    assert ada is not None and ada.manners.hesitates and ada in cast.callers()


@pytest.mark.parametrize(
    ("caller", "says"),
    [
        ({"name": "No number"}, "needs a number"),
        ({"number": "+15550100142", "manners": ["rude"]}, "unknown manners 'rude'"),
        ({"number": "+15550100142", "manners": {"patience": 5}}, "unknown manner 'patience'"),
        ({"number": "+15550100142", "manners": {"think_ms": [9, 1]}}, "think_ms"),
        ({"number": "+15550100142", "manners": {"answers": "maybe"}}, "answers is one of"),
        ({"number": "+15550100142", "script": ["keys: x"]}, "keys are"),
        ({"number": "+15550100142", "script": [""]}, "empty"),
    ],
)
def test_a_wrong_entry_is_refused_and_changes_nothing(caller: dict[str, Any], says: str) -> None:
    cast = Cast()
    before = cast.everybody()
    with pytest.raises(ValueError, match=says):
        cast.add([{"number": "+15550100143", "name": "Good"}, caller])
    assert cast.everybody() == before


def test_only_hesitant_people_stop_in_their_lines() -> None:
    line = read_step("I want ... to come.")
    assert isinstance(line, Line)
    assert line.parts(hesitates=True) == ("I want", "to come.")
    assert line.parts(hesitates=False) == ("I want to come.",)
