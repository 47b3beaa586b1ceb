"""From the document's tree to settings: each value at its own snake_case path, with where it came from.

Working on a flat table of paths keeps the rest simple: a key that is set twice in two spellings, the merge of
`messages.tts` under `tts`, environment fallbacks and provenance are all operations on paths.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, assert_never

from engine.config.base import Section
from engine.config.document import Listing, Mark, Scalar, Table, Tree
from engine.config.expand import Expanded, ExpandError, expand, local_path, secret_reference
from engine.config.names import nearest, resolve
from engine.config.problems import Problem
from engine.config.shapes import Shape, field_shapes

Key = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Setting:
    """One value. `mark` is None when it is not from the file; `env` names the variables it was made from."""

    value: Any
    mark: Mark | None = None
    env: tuple[str, ...] = ()


def dotted(key: Key) -> str:
    return ".".join(str(part) for part in key)


class Binder:
    """Walks a tree along the schema. Collects `settings`, `problems` and `notes`; never raises for bad input."""

    def __init__(self, env: Mapping[str, str], folder: Path) -> None:
        self.settings: dict[Key, Setting] = {}
        self.marks: dict[Key, Mark] = {}
        self.problems: list[Problem] = []
        self.notes: list[Problem] = []
        self._env = env
        self._folder = folder

    def section(self, section: type[Section], tree: Tree, at: Key = ()) -> None:
        """Bind a mapping to the fields of `section`."""
        table = self._table(tree, at)
        shapes = field_shapes(section)
        for written, entry in (table.entries if table else {}).items():
            if (name := resolve(written, shapes)) is not None:
                self._value(shapes[name], entry.value, (*at, name), entry.mark)
            elif (name := resolve(written, section.moved)) is not None:
                target = section.moved[name]
                self._value(_shape_at(section, target), entry.value, (*at, *target), entry.mark)
            elif (name := resolve(written, section.ignored)) is not None:
                self._note(entry.mark, (*at, written), f"ignored: {section.ignored[name]}")
            elif (name := resolve(written, section.retired)) is not None:
                self.complain(entry.mark, (*at, written), "this key is not used here", section.retired[name])
            else:
                self._unknown(entry.mark, (*at, written), (*shapes, *section.moved))

    def complain(self, mark: Mark, key: Key, message: str, hint: str = "") -> None:
        self.problems.append(Problem(mark.line, mark.column, dotted(key), message, hint))

    def _value(self, shape: Shape, tree: Tree, at: Key, mark: Mark) -> None:
        self.marks.setdefault(at, mark)
        if isinstance(tree, Scalar) and tree.value is None:
            return  # `key:` with nothing behind it is a key that is not set
        match shape.kind:
            case "section":
                assert shape.section is not None
                self.section(shape.section, tree, at)
            case "sections":
                assert shape.section is not None
                self._sections(shape.section, tree, at)
            case "table":
                self._free_table(tree, at, mark)
            case "list":
                assert shape.item is not None
                self._list(shape.item, tree, at, mark)
            case "secret" | "text" | "path" | "flag" | "number":
                self._set(at, self._single(shape, tree, at), mark)
            case _:
                assert_never(shape.kind)

    def _sections(self, section: type[Section], tree: Tree, at: Key) -> None:
        table = self._table(tree, at)
        for name, entry in (table.entries if table else {}).items():
            self._set((*at, name), Setting({}, entry.mark), entry.mark)
            if not (isinstance(entry.value, Scalar) and entry.value.value is None):
                self.section(section, entry.value, (*at, name))

    def _free_table(self, tree: Tree, at: Key, mark: Mark) -> None:
        table = self._table(tree, at)
        if table is not None and not table.entries:
            self._set(at, Setting({}, mark), mark)
        for name, entry in (table.entries if table else {}).items():
            self._set((*at, name), self._single(Shape("text"), entry.value, (*at, name)), entry.mark)

    def _list(self, item: Shape, tree: Tree, at: Key, mark: Mark) -> None:
        if not isinstance(tree, Listing):
            self.complain(tree.mark, at, "must be a list", "write [one, two], or one item per line after a dash")
            return
        for index, element in enumerate(tree.items):
            self.marks[(*at, index)] = element.mark
        if item.section is not None:
            self._set(at, Setting([], mark), mark)
            for index, element in enumerate(tree.items):
                self._set((*at, index), Setting({}, element.mark), element.mark)
                self.section(item.section, element, (*at, index))
            return
        singles = [self._single(item, element, (*at, index)) for index, element in enumerate(tree.items)]
        values = [single.value for single in singles if single is not None]
        names = tuple(name for single in singles if single is not None for name in single.env)
        self._set(at, Setting(values, mark, names), mark)

    def _single(self, shape: Shape, tree: Tree, at: Key) -> Setting | None:
        try:
            if isinstance(tree, Table) and shape.kind == "secret":
                return _from_text(secret_reference(tree, self._env, self._folder), tree.mark)
            if not isinstance(tree, Scalar):
                self.complain(tree.mark, at, "must be a single value", "put a text with a colon in quotes")
                return None
            return self._scalar(shape, tree, at)
        except ExpandError as error:
            self.complain(tree.mark, at, str(error), error.hint)
            return None

    def _scalar(self, shape: Shape, scalar: Scalar, at: Key) -> Setting | None:
        if isinstance(scalar.value, str) or shape.kind in ("text", "secret", "path"):
            expanded = expand(scalar.text, self._env)
            if shape.kind == "path":
                return Setting(local_path(expanded.text, self._folder), scalar.mark, expanded.names)
            return _from_text(expanded, scalar.mark)
        if isinstance(scalar.value, bool) and shape.kind == "number":
            self.complain(scalar.mark, at, f"must be a number, not {scalar.text}")
            return None
        return Setting(scalar.value, scalar.mark)

    def _set(self, at: Key, setting: Setting | None, mark: Mark) -> None:
        if setting is None:
            return
        earlier = self.settings.get(at)
        if earlier is not None:
            where = f" on line {earlier.mark.line}" if earlier.mark is not None else ""
            self.complain(mark, at, f"the key is already given{where}, in another spelling")
            return
        self.settings[at] = setting
        self.marks[at] = setting.mark or mark

    def _table(self, tree: Tree, at: Key) -> Table | None:
        if isinstance(tree, Table):
            return tree
        self.complain(tree.mark, at, "must be a mapping", "write its keys below it, indented")
        return None

    def _unknown(self, mark: Mark, key: Key, known: Iterable[str]) -> None:
        close = nearest(str(key[-1]), known)
        self.complain(mark, key, "unknown key", f"did you mean {close}?" if close else "")

    def _note(self, mark: Mark, key: Key, message: str) -> None:
        self.notes.append(Problem(mark.line, mark.column, dotted(key), message))


def _from_text(expanded: Expanded, mark: Mark) -> Setting:
    return Setting(expanded.text, mark, expanded.names)


def _shape_at(section: type[Section], path: tuple[str, ...]) -> Shape:
    shape = field_shapes(section)[path[0]]
    for name in path[1:]:
        assert shape.section is not None
        shape = field_shapes(shape.section)[name]
    return shape


def nested(settings: Mapping[Key, Setting]) -> dict[str, Any]:
    """The settings as nested dicts and lists, for validation."""
    root: dict[Any, Any] = {}
    for key in sorted(settings, key=len):
        here = root
        for part in key[:-1]:
            here = here.setdefault(part, {})
        value = settings[key].value
        here[key[-1]] = {} if value == {} or (*key, 0) in settings else value
    return {str(name): _with_lists(value) for name, value in root.items()}


def _with_lists(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    if value and all(isinstance(name, int) for name in value):
        return [_with_lists(value[index]) for index in sorted(value)]
    return {name: _with_lists(item) for name, item in value.items()}
