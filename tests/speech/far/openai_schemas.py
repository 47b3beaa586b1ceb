"""Holds events against OpenAI's published schemas: just as much of JSON Schema as those use."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

SPEC = Path(__file__).parents[4] / "shared/vectors/openai/realtime_schemas_2026-08-21.json"


@cache
def _schemas() -> Mapping[str, Any]:
    schemas: dict[str, Any] = json.loads(SPEC.read_text())["components"]
    inner: dict[str, Any] = schemas.get("schemas", schemas)
    return inner


def available() -> bool:
    """The specification is on this machine."""
    return SPEC.is_file()


def problems(name: str, value: Any) -> list[str]:
    """What is wrong with a value that should be as the schema of that name says."""
    return list(_check({"$ref": f"#/{name}"}, value, "$"))


def client_event_problems(event: Mapping[str, Any]) -> list[str]:
    """What is wrong with an event that a client sent."""
    if not available():
        return []
    found = {
        "session.update": "RealtimeClientEventSessionUpdate",
        "input_audio_buffer.append": "RealtimeClientEventInputAudioBufferAppend",
        "input_audio_buffer.commit": "RealtimeClientEventInputAudioBufferCommit",
        "input_audio_buffer.clear": "RealtimeClientEventInputAudioBufferClear",
    }.get(str(event.get("type")))
    if found is None:
        return [f"$.type: {event.get('type')!r} is no event of a transcription session"]
    extra = set(event) - set(_schemas()[found]["properties"])
    return [*problems(found, event), *(f"$.{key}: unknown parameter" for key in sorted(extra))]


def _check(schema: Mapping[str, Any], value: Any, at: str) -> Iterator[str]:
    if "$ref" in schema:
        yield from _check(_schemas()[schema["$ref"].rsplit("/", 1)[-1]], value, at)
    for key in ("anyOf", "oneOf"):
        if options := schema.get(key):
            results = [list(_check(option, value, at)) for option in options]
            if all(results):
                yield from min(results, key=len)
    if "const" in schema and value != schema["const"]:
        yield f"{at}: {value!r} is not {schema['const']!r}"
    if "enum" in schema and value not in schema["enum"]:
        yield f"{at}: {value!r} is not one of {schema['enum']}"
    if (wanted := schema.get("type")) is not None and not _is(value, wanted):
        yield f"{at}: {value!r} is no {wanted}"
        return
    if isinstance(value, str) and len(value) > schema.get("maxLength", len(value)):
        yield f"{at}: longer than {schema['maxLength']}"
    if isinstance(value, list) and "items" in schema:
        for index, item in enumerate(value):
            yield from _check(schema["items"], item, f"{at}[{index}]")
    if isinstance(value, dict):
        for key in schema.get("required", ()):
            if key not in value:
                yield f"{at}.{key}: missing"
        for key, inner in schema.get("properties", {}).items():
            if key in value:
                yield from _check(inner, value[key], f"{at}.{key}")


def _is(value: Any, wanted: str) -> bool:
    if wanted in ("number", "integer"):
        return isinstance(value, int | float if wanted == "number" else int) and not isinstance(value, bool)
    kinds = {"object": dict, "array": list, "string": str, "boolean": bool, "null": type(None)}
    return isinstance(value, kinds[wanted])
