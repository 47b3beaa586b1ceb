"""What a brain is told of a call: its lines as they were heard, keys, and silences. Pure.

Lines of ours that nobody heard are left out, and of one that was cut only the heard part is told. A caller who said
nothing for long between two lines of ours was silent; how long is estimated, since only the beginnings are known.
"""

from __future__ import annotations

from collections.abc import Sequence
from heapq import merge
from typing import Final

from engine.calls import Call
from engine.calls.call import Line
from engine.live.lines import estimated_ms
from engine.speech.ports import Conversation, EarlierCall, Said

SILENCE_MS: Final = 8000
"""A silence that is worth telling."""
KEYS_APART_MS: Final = 4000
"""Keys pressed closer together are one entry."""


def conversation(call: Call, earlier: Sequence[EarlierCall] = (), heard: str = "") -> Conversation:
    """The call for a brain. `heard`: what the caller just said, in case the record does not know it yet."""
    lines = told(call)
    if heard and not any(line.speaker == "caller" and line.text == heard for line in lines[-4:]):
        lines.append(Said("caller", heard))
    lines = _answerable(lines)
    return Conversation(
        call_id=call.call_id,
        direction=call.direction,
        from_number=call.from_number,
        to_number=call.to_number,
        lines=lines,
        purpose=call.message if call.direction == "outbound" else "",
        began_at=call.started_at,
        earlier=earlier,
    )


def _answerable(lines: list[Said]) -> list[Said]:
    """Hints that came after the caller's last words stand before them: what is answered stands last."""
    last = len(lines)
    while last and lines[last - 1].kind == "hint":
        last -= 1
    if last == len(lines) or not last or lines[last - 1].speaker != "caller":
        return lines
    return [*lines[: last - 1], *lines[last:], lines[last - 1]]


def told(call: Call) -> list[Said]:
    """The lines of a call, oldest first."""
    found: list[Said] = []
    ours: Line | None = None
    """The latest thing that happened, if it was a line of ours."""
    for at, line, keys in _events(call):
        if line is None or line.speaker == "caller":
            ours = None
            found.append(Said("caller", keys, kind="keys") if line is None else Said("caller", line.text))
            continue
        if line.hint:
            found.append(Said("operator", line.text, kind="hint"))
            continue
        if ours is not None and (quiet := at - ours.at - estimated_ms(ours.text)) >= SILENCE_MS:
            found.append(Said("caller", str(round(quiet / 1000)), kind="silence"))
        ours = line
        found.append(Said(line.speaker, line.text, line.cut))
    return found


def _events(call: Call) -> list[tuple[int, Line | None, str]]:
    """Lines and keys in their order; of lines that began while the caller spoke, theirs is the later one."""
    lines = [(line.at, line, "") for line in call.transcript if line.text]
    order: list[tuple[int, Line | None, str]] = []
    latest = 0
    for at, line, _ in lines:  # as they became known, which is not always as they began
        latest = max(latest, at)
        order.append((latest, line, ""))
    presses = [(at, None, digits) for at, digits in _together(call.pressed)]
    return list(merge(order, presses, key=lambda event: event[0]))


def _together(pressed: Sequence[tuple[int, str]]) -> list[tuple[int, str]]:
    """Keys that belong together, with the time of the last."""
    found: list[tuple[int, str]] = []
    for at, digits in pressed:
        if found and at - found[-1][0] <= KEYS_APART_MS:
            digits = found.pop()[1] + digits
        found.append((at, digits))
    return found
