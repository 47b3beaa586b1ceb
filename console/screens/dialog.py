"""What all dialogs share: an answer is given once, and nothing is drawn where there is no room for it."""

from __future__ import annotations

from typing import TypeVar

from textual import events
from textual.screen import ModalScreen

from console.widgets.small import MIN_HEIGHT, MIN_WIDTH

Answer = TypeVar("Answer")


class Dialog(ModalScreen[Answer]):
    """A screen that ends with an answer."""

    CSS_PATH = "dialogs.tcss"
    _answered = False

    def answer(self, value: Answer) -> None:
        """End with `value`. Keys come in bursts: only the first answer counts."""
        if not self._answered:
            self._answered = True
            self.dismiss(value)

    def on_resize(self, event: events.Resize) -> None:
        self.set_class(event.size.width < MIN_WIDTH or event.size.height < MIN_HEIGHT, "-too-small")
