"""The two kinds of widget that draw rows themselves, line by line, and repaint only rows that changed.

`Panel` has as many rows as cells and no scrolling; `LinePane` scrolls. Neither ever hands text to markup.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.geometry import Region, Size
from textual.reactive import Reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.widget import Widget

from console.paint import INKS, Row, row_width

INK_CLASSES = {f"ink--{ink}" for ink in (*INKS, "cursor", "cursor-blurred")}
"""Component classes of the screen that these widgets are on. One node has them all: styling thirty classes again for
every widget is most of what a start would cost."""
_BACKED = frozenset({"alarm", "badge"})
"""Inks with a background of their own; the others are written on the widget's."""


class Inked(Widget):
    """Turns rows into strips in the theme's colours."""

    lines_rendered = 0
    """Rows drawn so far: what a repaint cost, for tests and benchmarks."""

    _ink_styles: dict[str, Style] | None = None
    _base: Style | None = None

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._ink_styles = self._base = None

    def ink_style(self, ink: str) -> Style:
        """The look of an ink."""
        if self._ink_styles is None:
            self._ink_styles = {}
        style = self._ink_styles.get(ink)
        if style is None:
            style = self.screen.get_component_rich_style(f"ink--{ink}")
            if ink not in _BACKED and not ink.startswith("cursor"):
                style += Style(bgcolor=self.rich_style.bgcolor)
            self._ink_styles[ink] = style
        return style

    def strip_of(self, row: Row, width: int, over: str = "") -> Strip:
        """A row as a strip of exactly `width` cells. `over` is an ink that is laid over all of it (the cursor)."""
        self.lines_rendered += 1
        segments = [Segment(text, self.ink_style(ink)) for text, ink in row]
        if self._base is None:
            self._base = self.rich_style  # Textual makes it anew each time, out of all ancestors
        strip = Strip(segments, row_width(row)).crop_extend(0, width, self._base)
        if not over:
            return strip
        overlay = Style(bgcolor=self.ink_style(over).bgcolor)
        return Strip([Segment(text, (style or Style()) + overlay) for text, style, _ in strip], strip.cell_length)


class Panel(Inked):
    """A panel of fixed rows that it makes anew from what it was told last (`draw`)."""

    ALLOW_SELECT = False

    _lines: Sequence[Row] = ()

    def draw(self, width: int, height: int) -> Sequence[Row]:
        """The rows for a space of `width` by `height` cells. Override this."""
        raise NotImplementedError

    def redraw(self) -> None:
        """Call when what is shown may have changed: only rows that differ are painted."""
        width, height = self.size
        if not width or not height:
            return
        before, self._lines = self._lines, self.draw(width, height)[:height]
        for y, (old, new) in enumerate(zip_longest(before, self._lines)):
            if old != new:
                self.refresh(Region(0, y, width, 1))

    def render_line(self, y: int) -> Strip:
        row = self._lines[y] if y < len(self._lines) else ()
        return self.strip_of(row, self.size.width)

    def on_resize(self, event: events.Resize) -> None:
        self._lines = ()
        self.redraw()
        self.refresh()


class LinePane(Inked, ScrollView):
    """A scrolling pane of rows. Its bar is always there, so that text never has to be wrapped again for it."""

    DEFAULT_CSS = """
    LinePane {
        overflow-x: hidden; overflow-y: scroll; scrollbar-size-vertical: 1;
        scrollbar-color: $rule; scrollbar-color-hover: $primary; scrollbar-color-active: $primary;
    }
    """

    virtual_size = Reactive(Size(0, 0))
    """Textual's own asks for a layout of the whole screen (20 ms) for each row that comes; here nothing needs one."""

    def __init__(self, pane_id: str) -> None:
        super().__init__(id=pane_id)
        self._rows: list[Row] = []

    @property
    def row_count(self) -> int:
        return len(self._rows)

    def replace_rows(self, start: int, rows: Sequence[Row]) -> None:
        """Put `rows` in place of everything from row `start` on, and paint what differs."""
        before = self._rows[start:]
        self._rows[start:] = rows
        differs = [start + at for at, (old, new) in enumerate(zip_longest(before, rows)) if old != new]
        self._paint_rows(differs)
        if len(before) != len(rows):
            self.virtual_size = Size(0, len(self._rows))
            self._scroll_update(self.virtual_size)

    def _paint_rows(self, indices: Sequence[int]) -> None:
        """Paint rows again. Neighbours go together: each stretch costs Textual as much as several rows."""
        first = last = -1
        for index in [*indices, -1]:
            if first >= 0 and index == last + 1:
                last = index
                continue
            top = max(0, first - self.scroll_offset.y)
            height = min(self.size.height, last + 1 - self.scroll_offset.y) - top
            if first >= 0 and height > 0:
                self.refresh(Region(0, top, self.size.width, height))
            first = last = index

    def paint_row(self, index: int) -> None:
        """Paint one row again, if it is in view."""
        y = index - self.scroll_offset.y
        if 0 <= y < self.size.height:
            self.refresh(Region(0, y, self.size.width, 1))
