"""Frames held against the JSON Schema of Plivo's reference (tests/fixtures/plivo_media_stream_schema.json).

The part of JSON Schema draft 7 that it uses, and no more: an unknown keyword is an error of this file.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final
from uuid import UUID

_FIXTURE: Final = Path(__file__).parents[2] / "fixtures" / "plivo_media_stream_schema.json"
_TYPES: Final[Mapping[str, type]] = {"object": dict, "array": list, "string": str, "integer": int}
_KNOWN: Final = frozenset(
    {"type", "required", "properties", "const", "items", "pattern", "minimum", "format", "contentEncoding"}
)


@cache
def _definitions() -> Mapping[str, Any]:
    found: Mapping[str, Any] = json.loads(_FIXTURE.read_text())["definitions"]
    return {rule["properties"]["event"]["const"]: rule for rule in found.values()}


def problems(frame: object) -> list[str]:
    """What is wrong with a frame; `sendDTMF` is documented without a schema."""
    if not isinstance(frame, dict):
        return ["not an object"]
    if frame.get("event") == "sendDTMF":
        whole = set(frame) == {"event", "dtmf"} and re.fullmatch(r"[0-9*#A-D]+", str(frame["dtmf"])) is not None
        return [] if whole else ["sendDTMF wants exactly its digits"]
    rule = _definitions().get(str(frame.get("event")))
    if rule is None:
        return [f"unknown event {frame.get('event')!r}"]
    extra = set(frame) - set(rule["properties"])
    return [*_check(frame, rule, "frame"), *(f"an extra key {name}" for name in sorted(extra))]


def _check(value: Any, rule: Mapping[str, Any], at: str) -> Iterator[str]:
    if unknown := set(rule) - _KNOWN:
        raise AssertionError(f"the schema uses {unknown}, which is not known here")
    if "const" in rule and value != rule["const"]:
        yield f"{at} is not {rule['const']!r}"
    wanted = _TYPES.get(rule.get("type", ""))
    if wanted is not None and (not isinstance(value, wanted) or isinstance(value, bool)):
        yield f"{at} is no {rule['type']}"
        return
    if "pattern" in rule and re.fullmatch(rule["pattern"], value) is None:
        yield f"{at} does not match {rule['pattern']}"
    if "minimum" in rule and value < rule["minimum"]:
        yield f"{at} is below {rule['minimum']}"
    if rule.get("format") == "uuid" and not _is_uuid(value):
        yield f"{at} is no UUID"
    for name in rule.get("required", ()):
        if name not in value:
            yield f"{at} lacks {name}"
    for name, below in rule.get("properties", {}).items():
        if name in value:
            yield from _check(value[name], below, f"{at}.{name}")
    for number, item in enumerate(value if "items" in rule else ()):
        yield from _check(item, rule["items"], f"{at}[{number}]")


def _is_uuid(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True
