"""Listening can not transmit: there is no way from what listens to what speaks, in types, imports or on the wire."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path
from typing import Protocol

import pytest

from console.sound import hearing
from engine import client
from engine.control import listenings
from engine.live import listening
from engine.media import session

ROOT = Path(__file__).parents[2]
LISTENS = (
    "console/sound/hearing.py",
    "console/sound/mixer.py",
    "console/sound/devices.py",
    "engine/control/listenings.py",
    "engine/live/listening.py",
)
SPEAKS = ("talking", "microphone", "Microphone", "MicrophoneLine", "person", "Person", "Playout", "playout", "lines")


def imported(path: str) -> set[str]:
    """Modules and names that a file imports, wherever in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse((ROOT / path).read_text())):
        if isinstance(node, ast.ImportFrom):
            found |= {*(node.module or "").split("."), *(each.name for each in node.names)}
        elif isinstance(node, ast.Import):
            found |= {part for each in node.names for part in each.name.split(".")}
    return found


def members(protocol: type) -> set[str]:
    return {name for name in vars(protocol) if not name.startswith("_")}


@pytest.mark.parametrize("path", LISTENS)
def test_what_listens_imports_nothing_that_speaks(path: str) -> None:
    assert not imported(path) & set(SPEAKS)


def test_what_listens_is_given_nothing_that_speaks() -> None:
    assert issubclass(hearing.Hears, Protocol) and members(hearing.Hears) == {"listen"}
    assert members(listening.Tapped) == {"add_tap", "remove_tap"}
    assert {name for name in vars(listening.Listener) if not name.startswith("_")} == {"hear", "read", "close", "end"}
    given = inspect.get_annotations(hearing.Hearing.__init__)
    assert given["hears"] == "Hears" and "EngineClient" not in given.values()


def test_a_tap_has_nothing_to_answer_with() -> None:
    returns = str(session.Tap).rpartition(",")[2]
    assert "None" in returns


def test_sound_that_is_sent_to_who_listens_goes_one_way() -> None:
    source = inspect.getsource(listenings)
    assert "decode_voice" not in source and "receive" not in source
    assert "send" not in members(client.AudioFrame)
