"""Drawing without widgets: a row is a tuple of `(text, ink)`.

Inks are names; the theme decides what they look like (`ink.tcss`). Rows are plain values, so what the screen shows is
made by pure functions, two rows can be compared, and only rows that differ are painted again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, TypeAlias

from rich.cells import cell_len, set_cell_size

Span: TypeAlias = tuple[str, str]
Row: TypeAlias = tuple[Span, ...]

INKS: Final = (
    "text",
    "dim",
    "title",
    "good",
    "warn",
    "bad",
    "alarm",
    "key",
    "off",
    "badge",
    "live",
    "ringing",
    "ended",
    "failed",
    "caller",
    "agent",
    "operator",
    "partial",
    "cut",
    "unheard",
    "note",
    "meter-caller",
    "meter-agent",
    "rule",
    "open",
    "closed",
    "stage-0",
    "stage-1",
    "stage-2",
    "stage-3",
    "stage-4",
    "stage-5",
)
"""Every ink there is; `ink.tcss` gives each a look."""


def row_width(row: Iterable[Span]) -> int:
    """Cells that a row takes."""
    return sum(cell_len(text) for text, _ in row)


def plain(row: Iterable[Span]) -> str:
    """The text of a row without its inks."""
    return "".join(text for text, _ in row)


def slice_row(row: Iterable[Span], start: int, end: int) -> Row:
    """The characters `start` to `end` of a row."""
    spans: list[Span] = []
    at = 0
    for text, ink in row:
        part = text[max(0, start - at) : max(0, end - at)]
        if part:
            spans.append((part, ink))
        at += len(text)
    return tuple(spans)


def crop_row(row: Iterable[Span], width: int) -> Row:
    """A row in at most `width` cells, with an ellipsis where it was cut."""
    spans = tuple(row)
    if row_width(spans) <= width:
        return spans
    kept: list[Span] = []
    room = width - 1
    for text, ink in spans:
        cells = cell_len(text)
        if cells > room:
            kept.append((set_cell_size(text, max(0, room)) + "…", ink))
            break
        kept.append((text, ink))
        room -= cells
    return tuple(kept)


def recolour(row: Iterable[Span], start: int, end: int, ink: str) -> Row:
    """The row with the characters `start` to `end` (-1: to its end) in another ink."""
    spans = tuple(row)
    length = len(plain(spans))
    end = length if end == -1 else end
    return (
        *slice_row(spans, 0, start),
        *((text, ink) for text, _ in slice_row(spans, start, end)),
        *slice_row(spans, end, length),
    )


Part: TypeAlias = tuple[int, Row]
"""Something for a status line, with a priority: the highest numbers are left out first when room is short."""


def pack(left: Sequence[Part], right: Sequence[Part], width: int, gap: str = "  ") -> Row:
    """One line of `width` cells: `left` parts, space, `right` parts; the least important make room."""
    kept: set[int] = set()
    room = width
    for part in sorted((part for part in (*left, *right) if part[1]), key=lambda part: part[0]):
        cells = row_width(part[1]) + (len(gap) if kept else 0)
        if cells <= room or not kept:
            kept.add(id(part))
            room -= cells
    lefts = _joined([part for part in left if id(part) in kept], gap)
    rights = _joined([part for part in right if id(part) in kept], gap)
    space = width - row_width(lefts) - row_width(rights)
    return crop_row((*lefts, (" " * max(0, space), "text"), *rights), width)


def _joined(parts: Sequence[Part], gap: str) -> Row:
    spans: list[Span] = []
    for _, row in parts:
        if spans:
            spans.append((gap, "text"))
        spans.extend(row)
    return tuple(spans)
