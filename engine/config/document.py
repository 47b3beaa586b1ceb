"""A YAML file as a tree that remembers where everything stands.

PyYAML's constructors lose positions, so the composed nodes are read instead: every value keeps its line, its
column and its text as written (`+15550100100` and `off` are a number and a boolean to YAML 1.1, and a telephone
number and a mode to us). Only plain data is accepted: no custom tags, no cycles, no documents without end.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import yaml

from engine.config.problems import Problem

MAX_BYTES: Final = 1 << 20
MAX_NODES: Final = 20_000
MAX_DEPTH: Final = 32
_TAG: Final = "tag:yaml.org,2002:"
_SCALARS: Final = frozenset({_TAG + name for name in ("null", "bool", "int", "float", "str", "timestamp")})

_JSON5_NOISE: Final = re.compile(
    r"""
    "(?:\\.|[^"\\])*" | '(?:\\.|[^'\\])*'   # strings are kept
    | (?<![^\s,{}\[\]])//[^\n]* | /\*.*?\*/     # comments
    | ^[\t\ ]+                                 # indentation
    """,
    re.VERBOSE | re.DOTALL | re.MULTILINE,
)
_BLANK: Final = re.compile(r"[^\n]")


@dataclass(frozen=True, slots=True)
class Mark:
    """A place in the file, both from 1."""

    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Scalar:
    """One value: as YAML understands it, and as it was written."""

    mark: Mark
    value: bool | int | float | str | None
    text: str


@dataclass(frozen=True, slots=True)
class Listing:
    """A sequence."""

    mark: Mark
    items: Sequence[Tree]


@dataclass(frozen=True, slots=True)
class Entry:
    """One key of a mapping and what it holds."""

    mark: Mark
    value: Tree


@dataclass(frozen=True, slots=True)
class Table:
    """A mapping; keys are as written."""

    mark: Mark
    entries: Mapping[str, Entry]


Tree = Scalar | Listing | Table


class DocumentError(Exception):
    """The text is not a usable document."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__(problems[0].message)
        self.problems = problems


def parse_document(data: bytes) -> Tree | None:
    """Read one YAML document; None when there is nothing in it. Raises DocumentError with line and column."""
    if len(data) > MAX_BYTES:
        raise DocumentError([Problem(0, 0, "", f"the file is larger than {MAX_BYTES >> 20} MiB")])
    text = _from_json5(_decode(data))
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        raise DocumentError([_syntax_problem(error)]) from None
    except yaml.reader.ReaderError as error:
        mark = _place(text, int(error.position))
        message = f"the character U+{int(error.character):04X} is not allowed in YAML"
        raise DocumentError([Problem(mark.line, mark.column, "", message)]) from None
    except RecursionError:
        raise DocumentError([Problem(1, 1, "", "the document is nested too deeply")]) from None
    if node is None:
        return None
    reader = _Reader()
    tree = reader.read(node, 0)
    if reader.problems:
        raise DocumentError(reader.problems)
    return tree


def _decode(data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        mark = _place(data[: error.start].decode("utf-8-sig", "replace"), None)
        message = f"byte 0x{data[error.start]:02x} is not UTF-8"
        raise DocumentError([Problem(mark.line, mark.column, "", message, "save the file as UTF-8")]) from None


def _from_json5(text: str) -> str:
    """OpenClaw's files are JSON5: comments and tabs in a document in braces become spaces, and places stay.

    A comment stands free, so that `{url: https://example.com}` keeps its address.
    """
    if not text.lstrip().startswith(("{", "//", "/*")):
        return text
    return _JSON5_NOISE.sub(lambda found: found[0] if found[0][0] in "\"'" else _BLANK.sub(" ", found[0]), text)


def _place(text: str, position: int | None) -> Mark:
    before = text if position is None else text[:position]
    return Mark(before.count("\n") + 1, len(before) - before.rfind("\n"))


def _syntax_problem(error: yaml.MarkedYAMLError) -> Problem:
    mark = error.problem_mark or error.context_mark
    line, column = (mark.line + 1, mark.column + 1) if mark is not None else (0, 0)
    message = ": ".join(part for part in (error.context, error.problem) if part)
    hint = "indent with spaces" if "'\\t'" in message else ""
    return Problem(line, column, "", f"broken YAML: {message}", hint)


def _mark(node: yaml.Node) -> Mark:
    return Mark(node.start_mark.line + 1, node.start_mark.column + 1)


class _Reader:
    """Turns composed nodes into a tree, collecting what it can not accept."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self._constructor = yaml.constructor.SafeConstructor()
        self._nodes = 0

    def read(self, node: yaml.Node, depth: int) -> Tree:
        self._nodes += 1
        if depth > MAX_DEPTH or self._nodes > MAX_NODES:
            mark = _mark(node)
            message = "the document is nested too deeply, or repeats itself too often"
            raise DocumentError([Problem(mark.line, mark.column, "", message)])
        if isinstance(node, yaml.MappingNode):
            return self._table(node, depth)
        if isinstance(node, yaml.SequenceNode):
            return Listing(_mark(node), [self.read(item, depth + 1) for item in node.value])
        assert isinstance(node, yaml.ScalarNode)
        return self._scalar(node)

    def _scalar(self, node: yaml.ScalarNode) -> Scalar:
        mark = _mark(node)
        if node.tag not in _SCALARS:
            self._complain(mark, f"the tag {node.tag!r} is not understood here")
            return Scalar(mark, None, "")
        if node.tag in (_TAG + "str", _TAG + "timestamp"):
            return Scalar(mark, node.value, node.value)
        try:
            value: Any = self._constructor.construct_object(node)
        except (ValueError, yaml.YAMLError):
            value = node.value
        return Scalar(mark, value, node.value)

    def _table(self, node: yaml.MappingNode, depth: int) -> Table:
        entries: dict[str, Entry] = {}
        merged: list[Table] = []
        for key, value in node.value:
            mark = _mark(key)
            if not isinstance(key, yaml.ScalarNode):
                self._complain(mark, "a key must be a plain word")
            elif key.tag == _TAG + "merge":
                merged += self._merged(value, depth)
            elif key.value in entries:
                first = entries[key.value].mark
                self._complain(mark, f"the key is already given on line {first.line}", key.value)
            else:
                entries[key.value] = Entry(mark, self.read(value, depth + 1))
        for table in merged:
            entries = {**table.entries, **entries}
        return Table(_mark(node), entries)

    def _merged(self, node: yaml.Node, depth: int) -> Iterator[Table]:
        """What `<<` brings in; own keys win over it, and earlier tables over later ones."""
        sources = list(node.value) if isinstance(node, yaml.SequenceNode) else [node]
        for source in sources:
            table = self.read(source, depth + 1)
            if isinstance(table, Table):
                yield table
            else:
                self._complain(_mark(source), "`<<` needs a mapping")

    def _complain(self, mark: Mark, message: str, key: str = "") -> None:
        self.problems.append(Problem(mark.line, mark.column, key, message))
