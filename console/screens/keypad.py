"""The keypad: digits for the selected call, typed or clicked, sent with Enter."""

from __future__ import annotations

from typing import ClassVar, Final

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widgets import Button, Input, Static

from console.screens.dial import DIGITS
from console.screens.dialog import Dialog

KEYS: Final = "123456789*0#"
MAX_DIGITS: Final = 64


class KeypadDialog(Dialog[str]):
    """Returns the digits to send, or "" when it was left."""

    BINDINGS: ClassVar = [Binding("escape", "leave", show=False)]

    def __init__(self, to: str) -> None:
        super().__init__()
        self._to = to

    def compose(self) -> ComposeResult:
        box = Input(
            id="keypad-digits",
            placeholder="0-9 * # A-D, w waits",
            compact=True,
            max_length=MAX_DIGITS,
            restrict=DIGITS.pattern,
        )
        box.cursor_blink = False
        with Vertical(classes="dialog"):
            yield Static(Content(f"Send keys to {self._to}"), classes="dialog-title", markup=False)
            with Horizontal(classes="dialog-row"):
                yield box
            with Vertical(classes="keypad"):
                for index, key in enumerate(KEYS):
                    button = Button(Content(key), id=f"keypad-{index}")
                    button.can_focus = False
                    yield button
            with Horizontal(classes="dialog-buttons"):
                yield Button(Content("Send"), id="keypad-send")
                yield Button(Content("Cancel"), id="keypad-cancel")

    def on_mount(self) -> None:
        self.set_focus(self.query_one(Input))

    @on(Button.Pressed, ".keypad Button")
    def _clicked(self, event: Button.Pressed) -> None:
        index = int((event.button.id or "").removeprefix("keypad-"))
        self.query_one(Input).insert_text_at_cursor(KEYS[index])

    @on(Input.Submitted)
    @on(Button.Pressed, "#keypad-send")
    def _send(self) -> None:
        self.answer(self.query_one(Input).value)

    @on(Button.Pressed, "#keypad-cancel")
    def action_leave(self) -> None:
        """Leave without sending."""
        self.answer("")
