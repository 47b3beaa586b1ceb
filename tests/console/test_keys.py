"""One registry: what is typed, pressed, hinted and helped is the same list of commands."""

from __future__ import annotations

from typing import cast

import pytest

from console.keys import COMMANDS, PANE_COMMANDS, Registry, Typed, key_label
from console.paint import plain
from console.screens.controls import Controls
from console.screens.main import MainScreen
from console.widgets.hints import hint_rows


def test_every_command_has_a_handler_and_every_handler_a_command() -> None:
    controls = Controls(cast(MainScreen, None))
    assert set(controls.handlers) == {command.name for command in COMMANDS} - PANE_COMMANDS


def test_no_key_means_two_things() -> None:
    keys = [key for command in COMMANDS if command.name not in PANE_COMMANDS for key in command.keys]
    assert len(keys) == len(set(keys))


@pytest.mark.parametrize(
    ("line", "name", "argument"),
    [
        ("dial +15550100142 hello there", "dial", "+15550100142 hello there"),
        (":say  good morning ", "speak", "good morning"),
        ("end", "end", ""),
        ("theme paper", "theme", "paper"),
    ],
)
def test_lines_are_understood(line: str, name: str, argument: str) -> None:
    typed = Registry().parse(line)
    assert isinstance(typed, Typed)
    assert (typed.command.name, typed.argument) == (name, argument)


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("", "type a command"),
        ("spaek hi", "did you mean 'speak'?"),
        ("mask +1555", "mask takes nothing after it"),
        ("xyzzy", "there is no command 'xyzzy'"),
    ],
)
def test_lines_that_are_not_understood_say_what_to_do(line: str, sentence: str) -> None:
    assert sentence in str(Registry().parse(line))


def test_completion_offers_names_and_then_arguments() -> None:
    registry = Registry()
    choices = {"theme": ["harbour", "paper"]}
    assert registry.complete("the", choices) == "theme"
    assert registry.complete("theme p", choices) == "theme paper"
    assert registry.complete("theme x", choices) is None
    assert registry.complete("", choices) is None


def test_other_keys_are_taken_and_mistakes_are_named() -> None:
    registry, problems = Registry().with_keys({"speak": "S, ctrl+s", "call.dial": "ctrl+n", "sepak": "x", "end": "q"})
    assert registry.get("speak").keys == ("S", "ctrl+s")
    assert registry.get("dial").keys == ("ctrl+n",)
    assert problems == [
        "console.keys: no command 'sepak', did you mean 'speak'?",
        "console.keys: q is both end and quit",
    ]


def test_the_footer_sheds_what_matters_least_and_keeps_help_and_quit() -> None:
    registry = Registry()
    wide, _ = hint_rows(registry.hints(), frozenset(), 200)
    row, places = hint_rows(registry.hints(), frozenset(), 40)
    assert [command.name for command in registry.hints() if command.label not in plain(wide)] == []
    assert len(plain(row)) <= 40
    assert [name for _, _, name in places][-2:] == ["help", "quit"]
    for start, end, name in places:
        command = registry.get(name)
        assert plain(row)[start:end] == f"{key_label(command.keys[0])} {command.label}"
