"""The configuration for people and tools: effective values with their origin, JSON Schema, the commented example."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import yaml
from pydantic import SecretStr
from pydantic.fields import FieldInfo

from engine.config.base import Section
from engine.config.bind import dotted
from engine.config.load import Loaded, values
from engine.config.schema import Config
from engine.config.shapes import shape_of

MASK: Final = "********"
_HEADER: Final = """\
# voicecall configuration: every key with its default. Keep only what you change.
#
# Searched in this order: --config, $VOICECALL_CONFIG, ./config.yaml, config.yaml in your user's config folder.
# A key with nothing behind it is not set. ${VAR} is taken from the environment; secrets may also be {file: path},
# relative to this file. OpenClaw's camelCase spelling works for every key. `voicecall config check` tells what
# is wrong, `voicecall config show` which values are in force and where each one came from.
"""


def effective(loaded: Loaded) -> dict[str, dict[str, Any]]:
    """Dotted key -> its `value`, as JSON and with secrets masked, and its `origin`."""
    return {
        dotted(key): {"value": public_value(value), "origin": loaded.origins[dotted(key)]}
        for key, value in values(loaded.config)
    }


def public_value(value: Any) -> Any:
    """One value of the configuration as it may be shown."""
    if isinstance(value, SecretStr):
        return MASK if value.get_secret_value() else ""
    return str(value) if isinstance(value, Path) else value


def json_schema() -> dict[str, Any]:
    """JSON Schema of the file in its snake_case spelling."""
    schema = Config.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "voicecall configuration"}


def example() -> str:
    """The text of `config.example.yaml`."""
    return "\n".join([_HEADER, *_section(Config, Config(), 0, {})]).rstrip() + "\n"


def _section(section: type[Section], defaults: Section, depth: int, seen: dict[type[Section], str]) -> Iterator[str]:
    for name, field in section.model_fields.items():
        yield from _comment(field, depth)
        value = getattr(defaults, name)
        if isinstance(value, Section):
            yield from _subsection(name, value, depth, seen)
        else:
            yield _line(name, value, depth)
            yield from _commented_example(name, field, depth)
        if depth == 0:
            yield ""


def _subsection(name: str, value: Section, depth: int, seen: dict[type[Section], str]) -> Iterator[str]:
    kind = type(value)
    if kind in seen:
        yield f"{_indent(depth)}# The same keys as under `{seen[kind]}`."
    elif kind.model_fields:
        seen[kind] = name
        yield f"{_indent(depth)}{name}:"
        yield from _section(kind, value, depth + 1, seen)
        return
    yield f"{_indent(depth)}{name}: {{}}"


def _comment(field: FieldInfo, depth: int) -> Iterator[str]:
    for line in textwrap.wrap(field.description or "", 108 - 2 * depth):
        yield f"{_indent(depth)}# {line}"


def _commented_example(name: str, field: FieldInfo, depth: int) -> Iterator[str]:
    if not field.examples:
        return
    shape = shape_of(field.annotation)
    section = shape.section or (shape.item.section if shape.item is not None else None)
    text = yaml.safe_dump({name: field.examples[0]}, sort_keys=False, allow_unicode=True, width=200)
    for line in text.splitlines():
        key = line.strip().removeprefix("- ").partition(":")[0]
        known = section.model_fields if section is not None else {}
        words = known[key].description if key in known else None
        yield f"{_indent(depth)}# {line}" + (f"  # {words}" if words else "")


def _line(name: str, value: Any, depth: int) -> str:
    return f"{_indent(depth)}{name}:{'' if value is None else ' ' + _plain(value)}"


def _plain(value: Any) -> str:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, list) and value:
        return str(yaml.safe_dump(value, default_flow_style=True, width=10_000)).strip()
    if isinstance(value, Mapping | list):
        return "{}" if isinstance(value, Mapping) else "[]"
    text: str = yaml.safe_dump(value, width=200)
    return text.removesuffix("...\n").strip()


def _indent(depth: int) -> str:
    return "  " * depth
