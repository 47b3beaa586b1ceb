"""The transcript of one call: what was said, by whom, what was heard of it, and what else happened in between.

Rows are made from immutable items (the record's own lines, notes, the growing partial, lines that wait to be spoken).
Between two drawings items are compared by identity, so the work is proportional to what changed, not to the length
of the call. The pane follows its end until the reader scrolls; then it holds still and counts what is new below.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final, TypeAlias

from textual.binding import Binding
from textual.geometry import Size
from textual.message import Message
from textual.selection import Selection
from textual.strip import Strip

from console.board import Board
from console.facts import Note, Partial, Unsaid
from console.paint import Row, plain, recolour, slice_row
from console.text import clean, wrap
from console.widgets.lines import LinePane
from console.words import SPEAKER_LOOKS, mask_numbers
from engine.client import Call, Line, Queued, State

Item: TypeAlias = Line | Note | Partial | Queued | Unsaid
NAME_WIDTH: Final = 11
"""Cells of symbol, speaker and a space."""
TIME_WIDTH: Final = 9
TIMED: Final = 56
"""Cells from which a row has room for the time of day."""
_CUT: Final = " ─\u00a0cut\u00a0─ "
"""Its own spaces do not break, so that it is never torn; they are drawn as spaces."""


def items_of(board: Board, call: Call) -> list[Item]:
    """Everything that the transcript of `call` shows, by when it began."""
    partial = board.partials.get(call.call_id)
    notes: Sequence[Note | Unsaid] = board.notes.get(call.call_id, ())
    began: list[Line | Note | Unsaid | Partial] = [*notes, *call.in_order, *([partial] if partial else [])]
    return [*sorted(began, key=lambda item: item.at), *call.queued.values()]


def item_rows(item: Item, width: int, *, masked: bool = False) -> list[Row]:
    """One item as wrapped rows of at most `width` cells. What was said is never masked: it is what was said."""
    match item:
        case Note():
            mark = "!" if item.bad else "·"
            text = mask_numbers(item.text, masked)
            return _laid_out(item.at, (f"{mark} ", "bad" if item.bad else "note"), ((text, "note"),), width)
        case Partial():
            look = SPEAKER_LOOKS["caller"]
            return _laid_out(
                item.at, (f"{look.symbol} {look.word}", look.ink), ((item.text + "▌", "partial"),), width
            )
        case Unsaid():
            look = SPEAKER_LOOKS["operator"]
            unsaid = ((clean(item.text), "unheard"), (f" (not said: {clean(item.why)})", "bad"))
            return _laid_out(item.at, (f"{look.symbol} {look.word}", look.ink), unsaid, width)
        case Queued():
            look = SPEAKER_LOOKS[item.speaker]
            waits = (("… ", "dim"), (clean(item.text), "unheard"), (" (waiting)", "dim"))
            return _laid_out(0, (f"{look.symbol} {look.word}", "dim"), waits, width)
        case Line():
            look = SPEAKER_LOOKS[item.speaker]
            return _laid_out(item.at, (f"{look.symbol} {look.word}", look.ink), _spoken(item), width)


def _spoken(line: Line) -> Row:
    text = clean(line.text)
    if line.hint:
        return (("hint: ", "dim"), (text, "note"))
    body = "operator" if line.speaker == "operator" else "text"
    if line.cut:
        return ((text, body), (_CUT if text else _CUT.lstrip(), "cut"), (clean(line.unheard), "unheard"))
    return ((text, body), (" …", "agent")) if line.playing else ((text, body),)


def _laid_out(at: int, name: tuple[str, str], text: Row, width: int) -> list[Row]:
    timed = width >= TIMED
    when = time.strftime("%H:%M:%S ", time.localtime(at / 1000)) if at else " " * TIME_WIDTH
    head: Row = (((when, "dim"),) if timed else ()) + ((name[0].ljust(NAME_WIDTH), name[1]),)
    indent = (" " * (NAME_WIDTH + (TIME_WIDTH if timed else 0)), "text")
    lines = wrap(plain(text), width - len(indent[0]))
    text = tuple((part.replace("\u00a0", " "), ink) for part, ink in text)
    return [
        ((*head, *slice_row(text, start, end)) if index == 0 else (indent, *slice_row(text, start, end)))
        for index, (start, end) in enumerate(lines)
    ]


def empty_text(call: Call | None) -> str:
    """What stands where nothing was said."""
    if call is None:
        return " No call is selected."
    if call.live and call.answered_at is None:
        return (
            " Ringing; nothing was said yet." if call.state is State.RINGING else " Starting; nothing was said yet."
        )
    return " Nothing was said yet." if call.live else " Nothing was said."


class Transcript(LinePane, can_focus=True):
    """Shows one call of the board."""

    DEFAULT_CSS = """
    Transcript { background: $background; scrollbar-background: $background; }
    """
    BINDINGS = [
        Binding("j,down", "scroll_down", "Scroll down", show=False, id="scroll-down"),
        Binding("k,up", "scroll_up", "Scroll up", show=False, id="scroll-up"),
        Binding("g,home", "scroll_home", "Start of the call", show=False, id="scroll-start"),
        Binding("G,end", "follow", "Follow the call", show=False, id="follow"),
        Binding("pagedown,ctrl+d", "page_down", "Page down", show=False, id="page-down"),
        Binding("pageup,ctrl+u", "page_up", "Page up", show=False, id="page-up"),
    ]

    class Unread(Message):
        """How many rows are new below what the reader looks at; 0 when following."""

        def __init__(self, count: int) -> None:
            super().__init__()
            self.count = count

    def __init__(self) -> None:
        super().__init__("transcript")
        self.call_id: str | None = None
        self.unread = 0
        self._items: list[Item] = []
        self._starts: list[int] = []
        self._width = 0
        self._masked = False
        self._empty = empty_text(None)
        self._following = True
        self._placing = False

    @property
    def following(self) -> bool:
        """The pane stays at the end of the call."""
        return self._following

    def show_call(self, board: Board, call: Call | None, *, masked: bool = False) -> None:
        """Draw `call`; a different one than before begins at its end."""
        call_id = call.call_id if call else None
        items = items_of(board, call) if call else []
        width = self.scrollable_content_region.width
        if (call_id, width, masked) != (self.call_id, self._width, self._masked):
            if call_id != self.call_id:
                self._following = True
            self.call_id, self._width, self._masked = call_id, width, masked
            self._items, self._starts = [], []
            self.replace_rows(0, ())
        self._say_empty(empty_text(call))
        self._update(items)

    def _say_empty(self, text: str) -> None:
        if text != self._empty:
            self._empty = text
            if not self.row_count:
                self.refresh()

    def _update(self, items: list[Item]) -> None:
        kept = 0
        for old, new in zip(self._items, items, strict=False):
            if old is not new:
                break
            kept += 1
        if kept == len(items) == len(self._items):
            return
        start = self._starts[kept] if kept < len(self._starts) else self.row_count
        starts = self._starts[:kept]
        rows: list[Row] = []
        for item in items[kept:]:
            starts.append(start + len(rows))
            rows.extend(item_rows(item, self._width, masked=self._masked))
        grown = start + len(rows) - self.row_count
        if not self.row_count or not rows:
            self.refresh()  # the word for an empty transcript comes or goes
        self._items, self._starts = items, starts
        self.replace_rows(start, rows)
        if self._following:
            self._to_end()
        elif grown > 0:
            self._set_unread(self.unread + grown)

    def _to_end(self) -> None:
        self._placing = True
        self.scroll_to(y=max(0, self.row_count - self.size.height), animate=False, force=True)
        self._placing = False
        self._set_unread(0)

    def _set_unread(self, count: int) -> None:
        if count != self.unread:
            self.unread = count
            self.post_message(self.Unread(count))

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        if self._placing or round(old_value) == round(new_value):
            return
        self._following = new_value >= self.row_count - self.size.height
        if self._following:
            self._set_unread(0)

    def watch_virtual_size(self, old_size: Size, new_size: Size) -> None:
        self.call_after_refresh(self._stay_at_end)

    def _stay_at_end(self) -> None:
        if self._following:  # still: the reader may have scrolled meanwhile
            self._to_end()

    def on_resize(self) -> None:
        self.post_message(self.Resized())

    class Resized(Message):
        """The text must be wrapped again."""

    def action_follow(self) -> None:
        """Go to the end and stay there."""
        self._following = True
        self._to_end()

    def plain_text(self) -> str:
        """The whole transcript as text."""
        return "\n".join(plain(row).rstrip() for row in self._rows)

    def last_line(self) -> str:
        """The latest item in view, unwrapped, without time and name."""
        bottom = min(self.row_count, self.scroll_offset.y + self.size.height)
        for index in range(len(self._starts) - 1, -1, -1):
            if self._starts[index] < bottom:
                return clean(self._items[index].text)
        return ""

    def render_line(self, y: int) -> Strip:
        index = y + self.scroll_offset.y
        row = self._rows[index] if index < len(self._rows) else ()
        if not self._rows and y == 1:
            row = ((self._empty, "dim"),)
        selection = self.text_selection
        if selection is not None and (span := selection.get_span(index)) is not None:
            row = recolour(row, span[0], span[1], "badge")
        return self.strip_of(row, self.scrollable_content_region.width).apply_offsets(0, index)

    def get_selection(self, selection: Selection) -> tuple[str, str] | None:
        return selection.extract(self.plain_text()), "\n"

    def selection_updated(self, selection: Selection | None) -> None:
        self.refresh()
