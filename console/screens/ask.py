"""A question with a few answers: one letter each, the safe one has the focus, Esc and `n` give none.

Letters that belong to a text which somebody is typing answer nothing: what can not be undone wants a letter of its
own, after a pause.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Final

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widgets import Button, Static

from console.screens.dialog import Dialog

GONE: Final = "gone"
LOOK_SECONDS: Final = 0.2


@dataclass(frozen=True, slots=True)
class Choice:
    """One answer. `danger` is drawn as a warning; `safe` has the focus."""

    key: str
    label: str
    value: str
    danger: bool = False
    safe: bool = False


class Ask(Dialog[str]):
    """Asks and returns the value of the answer, or "" for none, or GONE when the question answered itself."""

    BINDINGS: ClassVar = [
        Binding("escape", "leave", show=False),
        Binding("left,up", "app.focus_previous", show=False),
        Binding("right,down", "app.focus_next", show=False),
    ]

    def __init__(
        self,
        title: str,
        lines: Sequence[str],
        choices: Sequence[Choice],
        *,
        pause: float = 0.0,
        matters: Callable[[], bool] = lambda: True,
    ) -> None:
        """`pause`: seconds without a key before a dangerous letter counts. `matters`: whether to go on asking."""
        super().__init__()
        self._pause = pause
        self._matters = matters
        self._last_key = time.monotonic()
        self._title = title
        self._question = lines
        self._choices = choices

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Static(Content(self._title), classes="dialog-title", markup=False)
            for line in self._question:
                yield Static(Content(line), classes="dialog-line", markup=False)
            with Horizontal(classes="dialog-buttons"):
                for choice in self._choices:
                    label = Content.assemble((choice.key, "bold underline"), "  ", choice.label)
                    yield Button(label, id=f"choice-{choice.value}", classes="-danger" if choice.danger else "")

    def on_mount(self) -> None:
        self.set_interval(LOOK_SECONDS, self._look)
        self.set_focus(self.query_one(f"#choice-{self._safe.value}", Button))

    @property
    def _safe(self) -> Choice:
        return next((choice for choice in self._choices if choice.safe), self._choices[0])

    def action_leave(self) -> None:
        """Nothing was answered, nothing happens."""
        self.answer("")

    def _look(self) -> None:
        if not self._matters():
            self.answer(GONE)

    def on_key(self, event: events.Key) -> None:
        quiet = time.monotonic() - self._last_key
        self._last_key = time.monotonic()
        for choice in self._choices:
            if event.character is not None and event.character.casefold() == choice.key.casefold():
                event.stop()
                if not choice.danger or quiet >= self._pause:
                    self.answer(choice.value)
                return
        if event.character in ("n", "N"):
            event.stop()
            self.action_leave()

    @on(Button.Pressed)
    def _pressed(self, event: Button.Pressed) -> None:
        event.stop()
        self.answer((event.button.id or "").removeprefix("choice-"))
