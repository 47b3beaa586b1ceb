"""What carriers' JSON frames have in common: ids, counters, marks and keys as they stand on the wire. Pure."""

from __future__ import annotations

from typing import Any, Final, TypeGuard

from engine.media.wire import DtmfReceived, MarkReturned, Refused, WireEvent

MAX_ID: Final = 128
_DIGITS: Final = frozenset("0123456789*#ABCD")


def is_id(value: object, longest: int = MAX_ID) -> TypeGuard[str]:
    """Whether a field names something."""
    return type(value) is str and 0 < len(value) <= longest and value.isprintable()


def counter(value: object, digits: int) -> int | None:
    """A counter of the wire (a string of at most so many digits, or a number) as a number."""
    if type(value) is str and len(value) <= digits and value.isascii() and value.isdecimal():
        return int(value)
    return value if type(value) is int and value >= 0 else None


def mark_returned(frame: dict[str, Any], longest: int = MAX_ID) -> WireEvent:
    """`{"mark": {"name": ...}}`"""
    mark = frame.get("mark")
    name = mark.get("name") if type(mark) is dict else None
    return MarkReturned(name) if is_id(name, longest) else Refused("mark without a usable name")


def dtmf_received(frame: dict[str, Any]) -> WireEvent:
    """`{"dtmf": {"digit": ...}}`"""
    dtmf = frame.get("dtmf")
    digit = dtmf.get("digit") if type(dtmf) is dict else None
    if type(digit) is str and digit.upper() in _DIGITS:
        return DtmfReceived(digit.upper())
    return Refused("dtmf without a digit")


def misplaced(stream_id: str | None) -> Refused:
    """A frame that is not of the stream that has begun, if one has."""
    return Refused("frame before start" if stream_id is None else "frame of another stream")
