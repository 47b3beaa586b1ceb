"""The bottom line: what each key does. Every hint can be clicked, and one that makes no sense now is grey."""

from __future__ import annotations

from collections.abc import Sequence

from textual import events
from textual.message import Message

from console.keys import Command, Registry, key_label
from console.paint import Row, row_width
from console.widgets.lines import Panel


def hint_rows(
    commands: Sequence[Command], available: frozenset[str], width: int
) -> tuple[Row, list[tuple[int, int, str]]]:
    """The row, and where in it (first and last cell) which command stands. The least important make room."""
    shown = list(commands)
    while shown and row_width(_row(shown, available)[0]) > width:
        shown.remove(max(shown[:-2] or shown, key=lambda command: command.hint))
    return _row(shown, available)


def _row(commands: Sequence[Command], available: frozenset[str]) -> tuple[Row, list[tuple[int, int, str]]]:
    spans: list[tuple[str, str]] = [(" ", "text")]
    places: list[tuple[int, int, str]] = []
    at = 1
    for command in commands:
        usable = command.name in available
        label = key_label(command.keys[0]) if command.keys else ":"
        spans += [
            (label, "key" if usable else "off"),
            (f" {command.label}", "dim" if usable else "off"),
            ("  ", "text"),
        ]
        length = row_width(spans[-3:-1])
        places.append((at, at + length, command.name))
        at += length + 2
    return tuple(spans[:-1] if places else spans), places


class Hints(Panel):
    """Shows the footer's commands."""

    DEFAULT_CSS = "Hints { height: 1; background: $panel; }"

    class Chosen(Message):
        """A hint was clicked."""

        def __init__(self, name: str) -> None:
            super().__init__()
            self.name = name

    def __init__(self, registry: Registry) -> None:
        super().__init__(id="hints")
        self.registry = registry
        self.available: frozenset[str] = frozenset()
        self.hidden: frozenset[str] = frozenset()
        self._places: list[tuple[int, int, str]] = []
        self._notice: Row | None = None

    def show(self, available: frozenset[str], hidden: frozenset[str] = frozenset()) -> None:
        """Draw the hints; commands outside `available` are grey, those in `hidden` are not there."""
        if (available, hidden) != (self.available, self.hidden):
            self.available, self.hidden = available, hidden
            self.redraw()

    def say(self, notice: Row | None) -> None:
        """Have a notice stand here instead of the hints; None ends that."""
        if notice != self._notice:
            self._notice = notice
            self.redraw()

    def draw(self, width: int, height: int) -> Sequence[Row]:
        if self._notice is not None:
            self._places = []
            return [self._notice]
        row, self._places = hint_rows(self.registry.hints(self.hidden), self.available, width)
        return [row]

    class Dismissed(Message):
        """The notice was clicked."""

    def on_click(self, event: events.Click) -> None:
        if self._notice is not None:
            self.post_message(self.Dismissed())
            return
        for start, end, name in self._places:
            if start <= event.x < end:
                self.post_message(self.Chosen(name))
                return
