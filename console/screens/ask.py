"""A question with a few answers: one letter each, the safe one has the focus, Esc and `n` give none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Button, Static


@dataclass(frozen=True, slots=True)
class Choice:
    """One answer. `danger` is drawn as a warning; `safe` has the focus."""

    key: str
    label: str
    value: str
    danger: bool = False
    safe: bool = False


class Ask(ModalScreen[str]):
    """Asks and returns the value of the answer, or "" for none."""

    CSS_PATH = "dialogs.tcss"
    BINDINGS: ClassVar = [
        Binding("escape", "leave", show=False),
        Binding("left,up", "app.focus_previous", show=False),
        Binding("right,down", "app.focus_next", show=False),
    ]

    def __init__(self, title: str, lines: Sequence[str], choices: Sequence[Choice]) -> None:
        super().__init__()
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
        self.set_focus(self.query_one(f"#choice-{self._safe.value}", Button))

    @property
    def _safe(self) -> Choice:
        return next((choice for choice in self._choices if choice.safe), self._choices[0])

    def action_leave(self) -> None:
        """Nothing was answered, nothing happens."""
        self.dismiss("")

    def on_key(self, event: events.Key) -> None:
        for choice in self._choices:
            if event.character is not None and event.character.casefold() == choice.key.casefold():
                event.stop()
                self.dismiss(choice.value)
                return
        if event.character in ("n", "N"):
            event.stop()
            self.action_leave()

    @on(Button.Pressed)
    def _pressed(self, event: Button.Pressed) -> None:
        event.stop()
        self.dismiss((event.button.id or "").removeprefix("choice-"))
