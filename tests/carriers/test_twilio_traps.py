"""The table of Twilio's traps is complete, and every test in it exists and names what it proves."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import pytest

from engine.carriers.twilio_errors import explain
from tests.carriers.twilio_pains import ELSEWHERE, PAINS
from tests.carriers.twilio_traps import TRAPS

TESTS = Path(__file__).parents[1]
NOTES = Path(__file__).parents[3] / "shared/reference"
COUNTS = {"A": 13, "B": 8, "C": 10, "D": 9, "E": 8, "F": 13}
"""How many pains there are of each kind."""
CLAIMS = [(what, proof) for table in (TRAPS, PAINS) for what, (_, proofs) in table.items() for proof in proofs]
Function = ast.FunctionDef | ast.AsyncFunctionDef


@cache
def functions(file: str) -> Mapping[str, Function]:
    """Every test of a file: `test` or `Class::test`."""
    found: dict[str, Function] = {}
    for node in ast.parse((TESTS / f"{file}.py").read_text(encoding="utf-8")).body:
        inside = node.body if isinstance(node, ast.ClassDef) else [node]
        prefix = f"{node.name}::" if isinstance(node, ast.ClassDef) else ""
        found |= {prefix + each.name: each for each in inside if isinstance(each, Function)}
    return found


def names(function: Function, what: str) -> bool:
    """Whether a test's name or docstring says what it is about."""
    if what in re.findall(r"[A-F][0-9]+|[0-9.]+/[0-9a-z-]*[0-9a-z]", ast.get_docstring(function) or ""):
        return True
    return what.lower() in function.name.split("_")


@pytest.mark.parametrize(("what", "proof"), CLAIMS, ids=[f"{what} {proof}" for what, proof in CLAIMS])
def test_every_test_of_the_table_exists_and_names_what_it_proves(what: str, proof: str) -> None:
    file, _, name = proof.partition("::")
    found = functions(file)
    assert name in found, f"tests/{file}.py has no {name}"
    assert name.rpartition("::")[2].startswith("test_")
    assert names(found[name], what), f"{name} does not say that it proves {what}"


def test_each_pain_is_proved_or_belongs_elsewhere() -> None:
    assert not PAINS.keys() & ELSEWHERE.keys()
    assert {*PAINS, *ELSEWHERE} == {f"{kind}{n}" for kind, count in COUNTS.items() for n in range(1, count + 1)}
    assert all(words and proofs for words, proofs in (*TRAPS.values(), *PAINS.values()))


def test_each_section_of_the_interface_has_traps() -> None:
    assert {what.partition("/")[0] for what in TRAPS} == {f"1.{section}" for section in range(1, 8)}


@pytest.mark.skipif(not NOTES.is_dir(), reason="the notes are not beside this repository")
def test_the_notes_hold_nothing_that_the_table_does_not() -> None:
    pains = re.findall(r"^([A-F][0-9]+)\. ", (NOTES / "openclaw-user-pains.md").read_text(), re.MULTILINE)
    assert set(pains) == {*PAINS, *ELSEWHERE}
    notes = (NOTES / "carrier-protocols.md").read_text()
    twilio = notes[notes.index("### 1.1 ") : notes.index("\n## 2")]
    codes = re.search(r"### 1\.7 .*?\n(.*?)64xxx", twilio, re.DOTALL)
    assert codes is not None
    for code in re.findall(r"\b[0-9]{5}\b", codes[1]):
        assert explain(int(code)) or code in ("31900", "31960"), f"{code} is not explained"
