"""The ladder: the chain of facts that a healthy call shows, and where this one hangs and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from console.paint import Row, crop_row, row_width
from console.text import wrap
from console.widgets.lines import Panel
from engine.client import Call, Rung, ladder

MARKS = {"done": ("✓", "good"), "waiting": ("…", "warn"), "missing": ("✗", "bad"), "open": ("·", "off")}
TALL = 8
"""Rows from which the rungs stand below each other."""


def ladder_rows(call: Call | None, now: int, width: int, height: int, alert: str = "", reason: str = "") -> list[Row]:
    """The ladder in the space there is: a list when it is tall, otherwise lines and the cause below.

    `alert` is why this call needs a person, if the ladder itself does not say it. `reason` is why the first rung is
    missing, where more is known than what is usually so.
    """
    if call is None:
        return []
    rungs = ladder(call, now)
    if reason:
        rungs = tuple(replace(rung, why=reason) if rung.state == "missing" else rung for rung in rungs)
    if height >= TALL:
        rows = _tall(call, rungs, now, width, height)
        return [*rows[: height - 2], (), _alert(alert, width)] if alert and not _missing(rungs) else rows
    return _flat(rungs, width, height, alert)


def _missing(rungs: Sequence[Rung]) -> Rung | None:
    return next((rung for rung in rungs if rung.state == "missing"), None)


def _flat(rungs: Sequence[Rung], width: int, height: int, alert: str) -> list[Row]:
    missing = _missing(rungs)
    cause = [_cause(missing, width)] if missing else [_alert(alert, width)] if alert else []
    if cause and height == 1:
        return cause
    whole = _in_lines(rungs, width)
    if len(whole) + len(cause) <= height:
        return [*whole, *cause]
    done = sum(rung.state == "done" for rung in rungs)
    rest = [span for rung in rungs if rung.state != "done" for span in _rung(rung)]
    return [crop_row(((f" ✓ {done} of {len(rungs)}   ", "good"), *rest), width), *cause][:height]


def _in_lines(rungs: Sequence[Rung], width: int) -> list[Row]:
    lines: list[Row] = [((" ", "text"),)]
    for rung in rungs:
        if row_width((*lines[-1], *_rung(rung))) > width:
            lines.append(((" ", "text"),))
        lines[-1] = (*lines[-1], *_rung(rung))
    return lines


def _rung(rung: Rung) -> Row:
    symbol, ink = MARKS[rung.state]
    return ((f"{rung.name} ", "dim" if rung.state in ("done", "open") else "text"), (f"{symbol} ", ink))


def _cause(rung: Rung, width: int) -> Row:
    return crop_row(((f" ✗ {rung.name}: ", "bad"), (rung.why, "text")), width)


def _alert(alert: str, width: int) -> Row:
    return crop_row(((" ! ", "bad"), (alert, "text")), width)


def _tall(call: Call, rungs: Sequence[Rung], now: int, width: int, height: int) -> list[Row]:
    rows: list[Row] = []
    before = call.started_at
    for rung in rungs:
        symbol, ink = MARKS[rung.state]
        took = f"{max(0, rung.at - before):>6} ms" if rung.at is not None else ""
        if rung.state == "waiting":
            took = f"{max(0, now - before) / 1000:>5.0f} s of {rung.deadline_ms / 1000:.0f}"
        name_ink = "off" if rung.state == "open" else "text"
        rows.append(((f" {symbol} ", ink), (f"{rung.name:<11}", name_ink), (took, "dim")))
        if rung.state == "missing":
            rows.extend(((f"   {rung.why[start:end]}", "bad"),) for start, end in wrap(rung.why, width - 4))
        before = rung.at if rung.at is not None else before
    return [crop_row(row, width) for row in rows][:height]


class Ladder(Panel):
    """Shows the ladder of the selected call."""

    DEFAULT_CSS = "Ladder { height: 2; }"

    call: Call | None = None
    now = 0
    alert = ""
    reason = ""

    def show(self, call: Call | None, now: int, alert: str, reason: str = "") -> None:
        """Draw the ladder of `call` at `now` (epoch ms); see `ladder_rows`."""
        self.call, self.now, self.alert, self.reason = call, now, alert, reason
        self.redraw()

    def draw(self, width: int, height: int) -> Sequence[Row]:
        return ladder_rows(self.call, self.now, width, height, self.alert, self.reason)
