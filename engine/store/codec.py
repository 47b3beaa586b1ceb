"""Events as rows. What is published is what a later replay reads: both come from the stored text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import orjson

from engine.calls import EPHEMERAL_TYPES, Draft, Event
from engine.store.errors import StoreError

Row = tuple[int, int, str | None, str, str]
"""seq, at, call_id, type, data as JSON text."""
Unnumbered = tuple[int, str | None, str, str]
"""A row that waits for its seq."""

MAX_DATA_BYTES: Final = 256 * 1024
"""The largest `data` of one event. Facts are small; what is larger is a mistake, or hostile."""
_MAX_DEPTH: Final = 64


def encode(draft: Draft, at: int) -> Unnumbered:
    """The row of a fact, which happened at `at` (epoch ms) unless it says when itself. Raises StoreError."""
    if draft.type in EPHEMERAL_TYPES:
        raise StoreError(f"{draft.type} is ephemeral: it is published, never stored.")
    try:
        data = orjson.dumps(dict(draft.data))
    except TypeError:
        # Text from outside may hold half surrogates or huge numbers; a fact must not be lost for that.
        data = orjson.dumps(_plain(draft.data, draft.type))
    if len(data) > MAX_DATA_BYTES:
        raise StoreError(f"The data of {draft.type} has {len(data)} bytes; an event may have {MAX_DATA_BYTES}.")
    call_id = None if draft.call_id is None else _text(draft.call_id)
    return at if draft.at is None else draft.at, call_id, draft.type, data.decode()


def decode(row: Row) -> Event:
    """The event in a row."""
    seq, at, call_id, kind, data = row
    return Event(seq, at, call_id, kind, orjson.loads(data))


def _plain(value: Any, kind: str, depth: int = 0) -> Any:
    """`value` with what JSON can not carry replaced: half surrogates by "?", integers beyond 64 bit by text."""
    if depth > _MAX_DEPTH:
        raise StoreError(f"The data of {kind} is nested deeper than {_MAX_DEPTH} levels.")
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, Mapping):
        return {_text(str(key)): _plain(item, kind, depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, kind, depth + 1) for item in value]
    if value is None or isinstance(value, bool | float):
        return value
    if isinstance(value, int):
        return value if -(2**63) <= value < 2**64 else str(value)
    raise StoreError(f"The data of {kind} holds a {type(value).__name__}, which JSON can not carry.")


def _text(value: str) -> str:
    return value.encode("utf-8", "replace").decode()
