"""What a field of a section expects, read from its annotation."""

from __future__ import annotations

import types
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import SecretStr

from engine.config.base import Section

Kind = Literal["section", "sections", "table", "list", "secret", "text", "path", "flag", "number"]


@dataclass(frozen=True, slots=True)
class Shape:
    """`section`: a Section. `sections`: a mapping of free keys to Sections. `table`: a mapping of free keys to texts.

    `list`: a list of `item`s. The others are single values.
    """

    kind: Kind
    section: type[Section] | None = None
    item: Shape | None = None


def shape_of(annotation: Any) -> Shape:
    """Read one annotation. Raises TypeError for one that the file format has no form for."""
    origin = get_origin(annotation)
    args = get_args(annotation)
    if origin is Annotated:
        return shape_of(args[0])
    if origin in (Union, types.UnionType):
        (inner,) = [arg for arg in args if arg is not type(None)]
        return shape_of(inner)
    if origin is Literal:
        return Shape("text")
    if origin is list:
        return Shape("list", item=shape_of(args[0]))
    if origin is dict:
        value = shape_of(args[1])
        return Shape("sections", section=value.section) if value.kind == "section" else Shape("table")
    return _plain(annotation)


def _plain(annotation: Any) -> Shape:
    if isinstance(annotation, type):
        if issubclass(annotation, Section):
            return Shape("section", section=annotation)
        kinds: dict[type, Kind] = {
            SecretStr: "secret",
            str: "text",
            Path: "path",
            bool: "flag",
            int: "number",
            float: "number",
        }
        if annotation in kinds:
            return Shape(kinds[annotation])
    raise TypeError(f"no form in the file for {annotation!r}")


def field_shapes(section: type[Section]) -> dict[str, Shape]:
    """Key -> what it expects."""
    return {name: shape_of(field.annotation) for name, field in section.model_fields.items()}
