"""Two small panels: the count of unread rows under a transcript, and the excuse of a screen that is too small."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from textual.message import Message

from console.paint import Row, crop_row
from console.text import count_text
from console.widgets.lines import Panel

MIN_WIDTH: Final = 60
MIN_HEIGHT: Final = 16


class Unread(Panel):
    """Says how much is new below; a click goes there."""

    class Clicked(Message):
        """Go to the end."""

    count = 0

    def show(self, count: int) -> None:
        """Draw the count; 0 hides the line."""
        self.count = count
        self.set_class(count > 0, "-some")
        self.redraw()

    def draw(self, width: int, height: int) -> Sequence[Row]:
        return [crop_row(((f" ▼ +{self.count} new", "key"), ("  G or a click follows the call", "dim")), width)]

    def on_click(self) -> None:
        self.post_message(self.Clicked())


class TooSmall(Panel):
    """Stands in for the whole screen below 60 by 16 cells."""

    live = 0

    def __init__(self, quit_key: str) -> None:
        super().__init__(id="too-small")
        self._quit_key = quit_key

    def draw(self, width: int, height: int) -> Sequence[Row]:
        size = self.app.size
        words = [
            f"This terminal is {size.width} by {size.height}.",
            f"voicecall needs {MIN_WIDTH} by {MIN_HEIGHT}.",
            f"{count_text(self.live, 'call')} live, untouched.",
            f"{self._quit_key} leaves; no call ends by it.",
        ]
        rows: list[Row] = [()] * max(0, (height - len(words)) // 2)
        return [*rows, *(crop_row(((f" {word}", "text"),), width) for word in words)]
