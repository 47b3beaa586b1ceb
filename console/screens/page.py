"""A page over the desk: rows that are made for the width there is, scrolled with the usual keys, left with Esc."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding
from textual.screen import Screen
from textual.strip import Strip

from console.keys import Command, Registry
from console.paint import Row, crop_row
from console.widgets.hints import Hints
from console.widgets.lines import INK_CLASSES, LinePane, Panel

MakeRows = Callable[[int], Sequence[Row]]
Run = Callable[[str], None]


class Pane(LinePane, can_focus=True):
    """The rows."""

    ALLOW_SELECT = False
    DEFAULT_CSS = """
    Pane { background: $surface; scrollbar-background: $surface; height: 1fr; }
    """
    BINDINGS = [
        Binding("j,down", "scroll_down", show=False),
        Binding("k,up", "scroll_up", show=False),
        Binding("g,home", "scroll_home", show=False),
        Binding("G,end", "scroll_end", show=False),
        Binding("pagedown,ctrl+d,space", "page_down", show=False),
        Binding("pageup,ctrl+u", "page_up", show=False),
    ]

    def __init__(self, make: MakeRows) -> None:
        super().__init__("page")
        self._make = make

    def on_resize(self) -> None:
        self.replace_rows(0, self._make(self.scrollable_content_region.width))

    def render_line(self, y: int) -> Strip:
        index = y + self.scroll_offset.y
        row = self._rows[index] if index < len(self._rows) else ()
        return self.strip_of(row, self.scrollable_content_region.width)


class Title(Panel):
    """The line on top."""

    DEFAULT_CSS = "Title { height: 1; background: $panel; }"

    row: Row = ()

    def say(self, row: Row) -> None:
        if row != self.row:
            self.row = row
            self.redraw()

    def draw(self, width: int, height: int) -> Sequence[Row]:
        return [crop_row(self.row, width)]


class PageScreen(Screen[None]):
    """One page. `commands` are its keys; `run` is told which was pressed, but for those that leave. `run_line` takes
    what the palette has beside them."""

    CSS_PATH = "desk.tcss"
    COMPONENT_CLASSES = INK_CLASSES
    AUTO_FOCUS = "#page"
    BINDINGS: ClassVar = [Binding("escape,q,w", "leave", show=False)]

    def __init__(self, title: str, make: MakeRows, commands: Sequence[Command], run: Run, run_line: Run) -> None:
        super().__init__()
        self._heading = title
        self._make = make
        self.registry = Registry(commands)
        self.themes: tuple[str, ...] = ()
        self.hidden: frozenset[str] = frozenset()
        self._run_command = run
        self._run_line = run_line
        for command in commands:
            for key in command.keys if command.name != "back" else ():
                self._bindings.bind(key, f"run('{command.name}')", show=False)

    def compose(self) -> ComposeResult:
        yield Title(id="desk-title")
        yield Pane(self._make)
        yield Hints(self.registry)

    def on_mount(self) -> None:
        self.query_one(Title).say(((f" {self._heading}", "title"),))
        self.query_one(Hints).show(frozenset(command.name for command in self.registry.commands))

    def redraw(self) -> None:
        """Make the rows anew."""
        self.query_one(Pane).on_resize()

    def action_leave(self) -> None:
        self.dismiss()

    def run_line(self, line: str) -> None:
        """A line from the palette: a command of the page, or a theme."""
        if line in self.registry:
            self._run_command(self.registry.get(line).name)
        else:
            self._run_line(line)

    def action_run(self, name: str) -> None:
        self._run_command(name)

    def on_hints_chosen(self, event: Hints.Chosen) -> None:
        if event.name == "back":
            self.action_leave()
        else:
            self._run_command(event.name)
