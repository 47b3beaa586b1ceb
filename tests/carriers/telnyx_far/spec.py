"""Holds requests against Telnyx's OpenAPI description, where the shared vectors are; else nothing is checked."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

VECTORS = Path(__file__).resolve().parents[4] / "shared/vectors/telnyx"
SPEC = VECTORS / "openapi_call_control_2026-07-16.json"
_TYPES: Mapping[str, type | tuple[type, ...]] = {
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "array": list,
    "object": dict,
}


@cache
def _document() -> Any:
    return json.loads(SPEC.read_text()) if SPEC.is_file() else None


def violations(path: str, body: Mapping[str, Any]) -> list[str]:
    """What Telnyx's description of `POST path` says against a body. `path` as the description writes it."""
    document = _document()
    if document is None:
        return []
    operation = document["paths"].get(path, {}).get("post")
    if operation is None:
        return [f"there is no POST {path}"]
    schema = operation["requestBody"]["content"]["application/json"]["schema"]
    return list(_check(schema, body, ""))


def _resolve(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    while "$ref" in schema:
        found = _document()
        for part in schema["$ref"].removeprefix("#/").split("/"):
            found = found[part]
        schema = found
    return schema


def _check(schema: Mapping[str, Any], value: Any, at: str) -> Iterator[str]:
    schema = _resolve(schema)
    for kind in ("oneOf", "anyOf"):
        if kind in schema:
            tried = [list(_check(option, value, at)) for option in schema[kind]]
            if all(tried):
                yield min(tried, key=len)[0]
            return
    if "allOf" in schema:
        for part in schema["allOf"]:
            yield from _check(part, value, at)
        return
    expected = _TYPES.get(schema.get("type", ""))
    wrong_bool = isinstance(value, bool) and schema.get("type") in ("integer", "number")
    if expected is not None and (not isinstance(value, expected) or wrong_bool):
        yield f"{at or 'the body'} is not of type {schema['type']}"
        return
    if "enum" in schema and value not in schema["enum"]:
        yield f"{at} is {value!r}, which is none of {schema['enum']}"
    if isinstance(value, str) and not schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", 1 << 30):
        yield f"{at} has {len(value)} characters"
    if isinstance(value, int | float) and not (
        schema.get("minimum", float("-inf")) <= value <= schema.get("maximum", float("inf"))
    ):
        yield f"{at} is {value}, out of range"
    if isinstance(value, list) and "items" in schema:
        for index, item in enumerate(value):
            yield from _check(schema["items"], item, f"{at}/{index}")
    if isinstance(value, dict) and "properties" in schema:
        yield from _check_object(schema, value, at)


def _check_object(schema: Mapping[str, Any], value: Mapping[str, Any], at: str) -> Iterator[str]:
    for name in schema.get("required", ()):
        if name not in value:
            yield f"{at}/{name} is missing"
    for name, item in value.items():
        if name in schema["properties"]:
            yield from _check(schema["properties"][name], item, f"{at}/{name}")
        elif schema.get("additionalProperties", False) in (False, None):
            yield f"{at}/{name} is not known"
