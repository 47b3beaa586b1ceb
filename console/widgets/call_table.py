"""The call table: who waits to be let in, then other live calls as they began, then ended ones, the newest first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from textual import events
from textual.binding import Binding
from textual.message import Message
from textual.strip import Strip

from console.board import Board
from console.facts import Levels
from console.paint import Row
from console.text import clock_text, fit
from console.widgets.lines import LinePane
from console.words import AWAY_LOOK, DIRECTION_SYMBOLS, attention, look_of, number_text
from engine.client import Call, Need

BARS: Final = " ▁▂▃▄▅▆▇█"
WIDE: Final = 38
"""Cells from which a row has room for the state word beside the meter."""
_SEPARATOR: Final = ""


@dataclass(frozen=True, slots=True)
class Filter:
    """What the operator wants to see: words that must all match, or must not when the text begins with `!`."""

    text: str = ""

    def matches(self, call: Call) -> bool:
        """By number, state, direction and the words that were said."""
        wanted, inverse = self.text.casefold().removeprefix("!").split(), self.text.startswith("!")
        if not wanted:
            return True
        look = look_of(call)
        numbers = f"{call.peer} {call.transferred_to}"
        facts = f"{numbers} {call.state.value} {look.word} {look.full} {call.direction} {call.provider}".casefold()

        def said(word: str) -> bool:
            return any(word in line.text.casefold() for line in call.transcript)

        return all(word in facts or said(word) for word in wanted) is not inverse


def meter(levels: Levels, wide: bool) -> Row:
    """Both channels as tiny bars: the caller's, then ours."""
    count = 3 if wide else 1
    caller = "".join(BARS[max(1, level)] for level in levels.caller[-count:])
    agent = "".join(BARS[max(1, level)] for level in levels.agent[-count:])
    return ((f"{caller} ", "meter-caller"), (agent, "meter-agent"), ("" if wide else " ", "text"))


def call_row(
    call: Call,
    now: int,
    width: int,
    *,
    levels: Levels | None,
    need: Need | None,
    masked: bool,
    adrift: bool = False,
) -> Row:
    """One call in `width` cells. Times are epoch ms.

    A wide row has the state word and the meter; in a narrow one the meter takes the word's place. Why the call needs
    a person (`need`) stands in the place of its state. `R`: it is recorded.
    `adrift`: the engine is out of reach, so that nobody knows whether a live call still is.
    """
    live = call.live and not adrift
    look = look_of(call, adrift=adrift)
    wide = width >= WIDE
    began = call.answered_at or call.started_at
    seconds = ((call.ended_at or (now if live else call.last_at)) - began) / 1000
    body = "text" if live else "ended"
    alert = need is not None and live
    named = alert and not call.waiting and not call.transferred_to
    word = f" {fit(need.word if named and need else look.word, 9)}" if wide else ""
    ink = "bad" if named else look.ink
    when = f" {clock_text(seconds)} "
    tail: Row
    if call.transferred_to and wide:
        ends = f"{AWAY_LOOK.symbol} …{number_text(call.transferred_to, masked)[-4:]}"
        tail = ((ends, "warn" if live else "dim"),)
    elif levels is not None and live and not call.transferred_to:
        tail = meter(levels, wide)
    else:
        tail = ((" " * 7, "text"),) if wide else ((fit(look.short, 4), look.ink),)
    taken = 1 + len(word) + len(when) + 3 + (7 if wide else 4) + 2
    return (
        (look.symbol, look.ink),
        (word, ink),
        (when, body),
        (fit(number_text(call.peer, masked), max(8, width - taken)), body),
        (f" {DIRECTION_SYMBOLS[call.direction]} ", "caller" if call.direction == "inbound" else "agent"),
        *tail,
        ("R" if live and call.recording == "on" else " ", "bad"),
        ("!" if alert else " ", "bad"),
    )


class CallTable(LinePane, can_focus=True):
    """Shows the board's calls; selection stays on its call when rows move."""

    ALLOW_SELECT = False
    DEFAULT_CSS = """
    CallTable { background: $surface; scrollbar-background: $surface; }
    """
    BINDINGS = [
        Binding("j,down", "move(1)", "Next call", show=False, id="next-call"),
        Binding("k,up", "move(-1)", "Previous call", show=False, id="previous-call"),
        Binding("g,home", "first", "First call", show=False, id="first-call"),
        Binding("G,end", "last", "Last call", show=False, id="last-call"),
        Binding("pagedown,ctrl+d", "page(1)", "Page down", show=False, id="page-down"),
        Binding("pageup,ctrl+u", "page(-1)", "Page up", show=False, id="page-up"),
    ]

    class Selected(Message):
        """Another call was chosen. `opened`: with Enter or a second click."""

        def __init__(self, call_id: str | None, opened: bool = False) -> None:
            super().__init__()
            self.call_id = call_id
            self.opened = opened

    def __init__(self, dial_key: str) -> None:
        super().__init__("calls")
        self._dial_key = dial_key
        self.selected: str | None = None
        self.masked = False
        self.filter = Filter()
        self.needs: dict[str, Need] = {}
        """Calls that need a person -> the most urgent reason that nobody has seen yet."""
        self._order: list[str] = []
        self._wanted: str | None = None
        """A call to select when its row appears: a dial is answered before its first event is here."""
        self._cache: dict[str, tuple[object, Row]] = {}
        self._alert_second = -1
        self._adrift = False

    @property
    def alerts(self) -> dict[str, str]:
        """Calls that need a person -> why."""
        return {call_id: need.why for call_id, need in self.needs.items()}

    def show_board(self, board: Board, now: int, *, adrift: bool = False) -> None:
        """Draw the calls of `board` as they are at `now` (epoch ms); `adrift` as in `call_row`."""
        if now // 1000 != self._alert_second or adrift is not self._adrift:
            self._alert_second, self._adrift = now // 1000, adrift
            self.needs = {} if adrift else _needs(board, now)
        self._order = _ordered(board.calls, self.filter)
        self._keep_selection()
        width = self.scrollable_content_region.width
        rows = [self._row(board, call_id, now, width) for call_id in self._order]
        self._cache = {key: self._cache[key] for key in self._order if key in self._cache}
        self.replace_rows(0, rows or _empty_rows(width, bool(self.filter.text), self._dial_key))
        if self._wanted in board.calls:
            wanted, self._wanted = self._wanted, None  # one that the filter hides does not jump in later
            self.select(wanted if wanted in self._order else self.selected)

    def _row(self, board: Board, call_id: str, now: int, width: int) -> Row:
        if call_id == _SEPARATOR:
            return (("── ", "rule"), ("ended ", "dim"), ("─" * max(0, width - 9), "rule"))
        call = board.calls[call_id]
        levels, need = board.levels.get(call_id), self.needs.get(call_id)
        second, chosen = now // 1000 if call.live else 0, call_id == self.selected
        key = (call, levels, need, second, width, self.masked, chosen, self._adrift)
        cached = self._cache.get(call_id)
        if cached is not None and _same(cached[0], key):
            return cached[1]
        marker = ("▌" if call_id == self.selected else " ", "key")
        drawn = call_row(call, now, width - 1, levels=levels, need=need, masked=self.masked, adrift=self._adrift)
        row = (marker, *drawn)
        self._cache[call_id] = (key, row)
        return row

    def _keep_selection(self) -> None:
        if self.selected in self._order:
            return
        first = next((call_id for call_id in self._order if call_id != _SEPARATOR), None)
        if first != self.selected:
            self.selected = first
            self.post_message(self.Selected(first))

    def select(self, call_id: str | None, opened: bool = False) -> None:
        """Choose a call and bring it into view; one that is not here yet, once it is."""
        self._wanted = None if call_id in self._order else call_id
        if call_id == _SEPARATOR or call_id not in self._order:
            return
        before, self.selected = self.selected, call_id
        for key in (before, call_id):
            if key in self._order:
                self._mark(self._order.index(key))
        self._reveal(self._order.index(call_id))
        if before != call_id or opened:
            self.post_message(self.Selected(call_id, opened))

    def _mark(self, index: int) -> None:
        """Move the selection mark without waiting for the next drawing."""
        if index < len(self._rows):
            marker = ("▌" if self._order[index] == self.selected else " ", "key")
            self._rows[index] = (marker, *self._rows[index][1:])
            self.paint_row(index)

    def _reveal(self, index: int) -> None:
        top, height = self.scroll_offset.y, self.size.height
        if index < top:
            self.scroll_to(y=index, animate=False, force=True)
        elif height and index >= top + height:
            self.scroll_to(y=index - height + 1, animate=False, force=True)

    def render_line(self, y: int) -> Strip:
        index = y + self.scroll_offset.y
        row = self._rows[index] if index < len(self._rows) else ()
        cursor = index < len(self._order) and self._order[index] == self.selected
        over = ("cursor" if self.has_focus else "cursor-blurred") if cursor else ""
        return self.strip_of(row, self.scrollable_content_region.width, over)

    def action_move(self, step: int) -> None:
        """Select the next call in a direction, over the separator."""
        index = self._order.index(self.selected) if self.selected in self._order else -1
        index += step
        if 0 <= index < len(self._order) and self._order[index] == _SEPARATOR:
            index += 1 if step > 0 else -1
        if self._order:
            self._select_near(index, -1 if step > 0 else 1)

    def action_page(self, direction: int) -> None:
        self.action_move(direction * max(1, self.size.height - 1))

    def action_first(self) -> None:
        self._select_near(0, 1)

    def action_last(self) -> None:
        self._select_near(len(self._order) - 1, -1)

    def _select_near(self, index: int, fallback: int) -> None:
        index = max(0, min(index, len(self._order) - 1))
        if not self._order:
            return
        if self._order[index] == _SEPARATOR and 0 <= index + fallback < len(self._order):
            index += fallback
        elif self._order[index] == _SEPARATOR:
            index -= fallback
        self.select(self._order[index])

    def on_click(self, event: events.Click) -> None:
        inside = event.get_content_offset(self)
        if inside is None:
            return
        index = inside.y + self.scroll_offset.y
        if index < len(self._order) and self._order[index] != _SEPARATOR:
            self.select(self._order[index], opened=event.chain > 1)

    def on_focus(self) -> None:
        self._paint_selected()

    def on_blur(self) -> None:
        self._paint_selected()

    def _paint_selected(self) -> None:
        if self.selected in self._order:
            self.paint_row(self._order.index(self.selected))


def _needs(board: Board, now: int) -> dict[str, Need]:
    found: dict[str, Need] = {}
    for call in board.live:
        urgent = next((need for need in attention(call, now) if not need.quiet), None)
        if urgent is not None:
            found[call.call_id] = urgent
    return found


def _same(before: object, now: tuple[object, ...]) -> bool:
    """Call records are compared by identity: the fold makes a new one whenever something changed."""
    return isinstance(before, tuple) and before[0] is now[0] and before[1:] == now[1:]


def _ordered(calls: Mapping[str, Call], wanted: Filter) -> list[str]:
    chosen: Sequence[Call] = [call for call in calls.values() if wanted.matches(call)]
    going = [call for call in chosen if call.live]
    live = sorted(going, key=lambda call: (not call.waiting, call.started_at, call.call_id))
    ended = sorted((call for call in chosen if not call.live), key=lambda call: (-(call.ended_at or 0), call.call_id))
    separator = [_SEPARATOR] if ended else []
    return [*(call.call_id for call in live), *separator, *(call.call_id for call in ended)]


def _empty_rows(width: int, filtered: bool, dial_key: str) -> list[Row]:
    if filtered:
        return [((" no call matches", "dim"),), ((" Esc clears the filter", "dim"),)]
    words = ("", " No calls yet.", "", f" {dial_key} dials a number;", " callers appear here.")
    return [((fit(word, width), "dim"),) for word in words]
