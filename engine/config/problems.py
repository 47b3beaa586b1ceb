"""What is wrong with a configuration, said so that it can be put right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Problem:
    """One fault. `line` and `column` count from 1; 0 means that it has no place in the file."""

    line: int
    column: int
    key: str
    message: str
    hint: str = ""

    def describe(self, path: Path | None) -> str:
        """`file:line:column: key: message (hint)`."""
        place = str(path) if path is not None else "configuration"
        if self.line:
            place += f":{self.line}:{self.column}"
        text = f"{place}: {self.key}: {self.message}" if self.key else f"{place}: {self.message}"
        return f"{text} ({self.hint})" if self.hint else text


@dataclass(frozen=True, slots=True)
class Finding:
    """Something about a configuration that could be read. `key` is dotted."""

    key: str
    message: str
    hint: str = ""


class ConfigError(Exception):
    """The configuration can not be used. All faults that were found are in `problems`, in the file's order."""

    def __init__(self, path: Path | None, problems: Sequence[Problem]) -> None:
        self.path = path
        self.problems: list[Problem] = sorted(problems, key=lambda problem: (problem.line, problem.column))
        super().__init__("\n".join(problem.describe(path) for problem in self.problems))
