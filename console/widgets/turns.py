"""Turn timings: how long each stage of the last turns took, as bars on one scale, and the latest as a waterfall."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from console.paint import Row, crop_row, row_width
from console.text import clean, fit
from console.widgets.lines import Panel
from engine.client import Call, is_over_budget

GLYPHS: Final = "█▓▒"
"""Neighbouring stages differ by glyph too, for screens without colour."""
TALL: Final = 8
"""Rows from which the latest turn is drawn as a waterfall."""
HEAD: Final = 15
"""Cells of a turn's number and sum."""
BAR_MIN: Final = 8
_TOTALS: Final = frozenset({"total", "sum"})
Turn = Mapping[str, int]


def stages_of(turn: Turn) -> list[tuple[str, int]]:
    """The stages of a turn in order, in ms, without its sum."""
    return [(clean(name, 16), max(0, ms)) for name, ms in turn.items() if name not in _TOTALS]


def total_of(turn: Turn) -> int:
    """Milliseconds from the caller's last voiced sample to the reply."""
    for name in _TOTALS:
        if name in turn:
            return max(0, turn[name])
    return sum(ms for _, ms in stages_of(turn))


def turn_rows(call: Call | None, width: int, height: int) -> list[Row]:
    """The last turns in the space there is, the newest first."""
    if call is None or not call.turns:
        return [((" no turn yet", "off"),)]
    latest = len(call.turns)
    rows = [*_waterfall(call.turns[-1], latest, width), ()] if height >= TALL else []
    table = len(_columns(call.turns[-1])) + HEAD + BAR_MIN + 2
    tabled = height - len(rows) > 1 and width >= table
    if tabled:
        rows.append(_heading(call.turns[-1], width))
    shown = range(latest, max(0, latest - (height - len(rows))), -1)
    scale = max((total_of(call.turns[number - 1]) for number in shown), default=1) or 1
    line = _table_line if tabled else _short_line
    rows.extend(line(call.turns[number - 1], number, scale, width) for number in shown)
    return [crop_row(row, width) for row in rows[:height]]


def _columns(turn: Turn) -> str:
    return "".join(f"{name:>{_column(name)}}" for name, _ in stages_of(turn))


def _column(name: str) -> int:
    return max(4, len(name)) + 1


def _heading(turn: Turn, width: int) -> Row:
    stages = enumerate(stages_of(turn))
    names = [(f"{name:>{_column(name)}}", f"stage-{index % 6}") for index, (name, _) in stages]
    return crop_row(((f"{'total':>{HEAD}}", "dim"), *names, ("   ms", "dim")), width)


def _table_line(turn: Turn, number: int, scale: int, width: int) -> Row:
    values = [_time(name, ms, _column(name), "dim") for name, ms in stages_of(turn)]
    head: Row = ((f" turn {number:<3}", "dim"), (f"{total_of(turn):>{HEAD - 9}}", "text"))
    bar = max(BAR_MIN, min(60, width - HEAD - len(_columns(turn)) - 3))
    return crop_row((*head, *values, ("  ", "text"), *_bar(turn, scale, bar)), width)


def _short_line(turn: Turn, number: int, scale: int, width: int) -> Row:
    name, ms = max(stages_of(turn), key=lambda stage: stage[1], default=("", 0))
    head: Row = ((f" turn {number} ", "dim"), (f"{total_of(turn)} ms ", "text"))
    slowest: Row = ((f" {name}", "dim"), _time(name, ms, len(str(ms)) + 1, "dim"))
    bar = max(BAR_MIN, width - row_width(head) - row_width(slowest) - 1)
    return crop_row((*head, *_bar(turn, scale, bar), *slowest), width)


def _bar(turn: Turn, scale: int, width: int) -> Row:
    spans: list[tuple[str, str]] = []
    drawn = passed = 0
    for index, (_, ms) in enumerate(stages_of(turn)):
        passed += ms
        end = min(width, round(passed * width / scale))
        spans.append((_glyph(index) * max(0, end - drawn), f"stage-{index % 6}"))
        drawn = max(drawn, end)
    return (*spans, (" " * (width - drawn), "text"))


def _waterfall(turn: Turn, number: int, width: int) -> list[Row]:
    stages = stages_of(turn)
    scale = sum(ms for _, ms in stages) or 1
    bar_width = max(8, width - 22)
    rows: list[Row] = [((f" turn {number}", "title"), (f"  {total_of(turn)} ms", "text"))]
    passed = 0
    for index, (name, ms) in enumerate(stages):
        start = round(passed * bar_width / scale)
        passed += ms
        length = max(1 if ms else 0, round(passed * bar_width / scale) - start)
        bar = (" " * start + _glyph(index) * length).ljust(bar_width)[:bar_width]
        rows.append(((f" {fit(name, 11)} ", "dim"), (bar, f"stage-{index % 6}"), _time(name, ms, 6)))
    return rows


def _time(name: str, ms: int, width: int, ink: str = "text") -> tuple[str, str]:
    """How long a stage took; marked where that is over its budget."""
    return (f"{f'{ms}!':>{width}}", "warn") if is_over_budget(name, ms) else (f"{ms:>{width}}", ink)


def _glyph(index: int) -> str:
    return GLYPHS[index % len(GLYPHS)]


class Turns(Panel):
    """Shows the turns of the selected call."""

    DEFAULT_CSS = "Turns { height: 2; }"

    call: Call | None = None

    def show(self, call: Call | None) -> None:
        """Draw the turns of `call`."""
        self.call = call
        self.redraw()

    def draw(self, width: int, height: int) -> Sequence[Row]:
        return turn_rows(self.call, width, height)
