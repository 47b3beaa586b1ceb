"""The prompt line: what is typed is said, asked, filtered by, or run as a command.

The call that a line is meant for is fixed when the prompt opens: rows that move meanwhile do not change who hears it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, Literal

from textual import events, on
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.content import Content
from textual.message import Message
from textual.suggester import Suggester
from textual.widgets import Input, Static

from console.paint import Row, crop_row
from console.widgets.lines import Panel

Mode = Literal["speak", "continue", "hint", "filter", "command"]
HISTORY: Final = 100
_TITLES: Final[dict[Mode, str]] = {
    "speak": "speak",
    "continue": "continue",
    "hint": "hint",
    "filter": "filter",
    "command": "command",
}
_PLACEHOLDERS: Final[dict[Mode, str]] = {
    "speak": "what the caller should hear",
    "continue": "what the caller should answer",
    "hint": "what the agent should know or do; the caller does not hear it",
    "filter": "number, state or words; ! for all but those",
    "command": "command, Tab completes",
}
Completer = Callable[[str], str | None]


class CommandSuggester(Suggester):
    """Completes what is typed in command mode."""

    def __init__(self, complete: Completer) -> None:
        super().__init__(use_cache=False, case_sensitive=True)
        self._complete = complete

    async def get_suggestion(self, value: str) -> str | None:
        return self._complete(value)


class PromptInput(Input):
    """An input in which Tab takes the suggestion and the arrows walk through the history."""

    def __init__(self, walk: Callable[[int], None]) -> None:
        super().__init__(compact=True, id="prompt-input", select_on_focus=False)
        self._walk = walk
        self.cursor_blink = False

    async def on_key(self, event: events.Key) -> None:
        if event.key in ("up", "down"):
            event.stop()
            event.prevent_default()
            self._walk(-1 if event.key == "up" else 1)
        elif event.key == "tab" and self._suggestion:
            event.stop()
            event.prevent_default()
            self.value = self._suggestion
            self.cursor_position = len(self.value)


class Idle(Panel):
    """What stands in the prompt's line while nothing is typed: a hint, or a notice."""

    class Dismissed(Message):
        """The notice was clicked."""

    text = ""
    notice: Row | None = None

    def __init__(self) -> None:
        super().__init__(id="prompt-idle")

    def show(self, *, text: str | None = None, notice: Row | None = None) -> None:
        """Another hint, which leaves the notice alone; or another notice."""
        if text is not None:
            self.text = text
        else:
            self.notice = notice
        self.redraw()

    def draw(self, width: int, height: int) -> Sequence[Row]:
        return [self.notice if self.notice is not None else crop_row(((f" {self.text}", "dim"),), width)]

    def on_click(self) -> None:
        if self.notice is not None:
            self.post_message(self.Dismissed())


class Prompt(Horizontal):
    """One line that is asleep until a mode is opened."""

    DEFAULT_CSS = """
    Prompt { height: 1; background: $background; }
    Prompt > #prompt-label { width: auto; color: $key; text-style: bold; padding: 0 1; }
    Prompt > #prompt-idle { width: 1fr; height: 1; }
    Prompt > #prompt-hint { width: auto; color: $text-muted; padding: 0 1; }
    Prompt.-refused > #prompt-hint { max-width: 70%; color: $text-error; text-wrap: nowrap; text-overflow: ellipsis; }
    Prompt > #prompt-input { width: 1fr; background: $background; padding: 0; }
    """

    class Submitted(Message):
        """A line was entered."""

        def __init__(self, mode: Mode, text: str, call_id: str | None) -> None:
            super().__init__()
            self.mode = mode
            self.text = text
            self.call_id = call_id

    class Refused(Message):
        """A line was entered that can not be sent."""

        def __init__(self, mode: Mode, why: str) -> None:
            super().__init__()
            self.mode = mode
            self.why = why

    class Edited(Message):
        """The text changed while it is being typed."""

        def __init__(self, mode: Mode, text: str) -> None:
            super().__init__()
            self.mode = mode
            self.text = text

    class Closed(Message):
        """The prompt went back to sleep. `cancelled`: with Esc."""

        def __init__(self, mode: Mode, cancelled: bool) -> None:
            super().__init__()
            self.mode = mode
            self.cancelled = cancelled

    def __init__(self, complete: Completer, hint: Callable[[Mode, str], str]) -> None:
        super().__init__(id="prompt")
        self.mode: Mode | None = None
        self.call_id: str | None = None
        self.refusal = ""
        """Why what is typed can not be sent."""
        self._hint = hint
        self._suggester = CommandSuggester(complete)
        self._history: dict[Mode, deque[str]] = {mode: deque(maxlen=HISTORY) for mode in _TITLES}
        self._place = 0

    def compose(self) -> ComposeResult:
        yield Static(id="prompt-label", markup=False)
        yield PromptInput(self._walk)
        yield Static(id="prompt-hint", markup=False)
        yield Idle()

    @property
    def input(self) -> PromptInput:
        return self.query_one(PromptInput)

    def idle(self, text: str) -> None:
        """What the sleeping prompt says."""
        self.query_one(Idle).show(text=text)

    def say(self, notice: Row | None) -> None:
        """Have a notice stand here while the prompt sleeps; None ends that."""
        self.query_one(Idle).show(notice=notice)

    def open(
        self, mode: Mode, *, call_id: str | None = None, to: str = "", text: str = "", refusal: str = ""
    ) -> None:
        """Wake up in `mode`; `call_id` and `to` (as it is shown) say whom a spoken line is for.

        With a `refusal` the line is taken, kept and never sent: it catches what is typed blindly.
        """
        self.mode, self.call_id, self.refusal = mode, call_id, refusal
        self.set_class(bool(refusal), "-refused")
        self._place = len(self._history[mode])
        self.query_one("#prompt-label", Static).update(Content(f"{_TITLES[mode]}{' to ' + to if to else ''} ›"))
        box = self.input
        box.suggester = self._suggester if mode == "command" else None
        box.placeholder = _PLACEHOLDERS[mode]
        box.value = text
        box.cursor_position = len(text)
        self._wake(True)
        self.screen.set_focus(box)  # at once and not later: the next key may be in the queue already
        self._show_hint(text)

    def close(self, cancelled: bool = False) -> None:
        """Go back to sleep."""
        mode, self.mode = self.mode, None
        if mode is None:
            return
        self._wake(False)
        self.input.value = ""
        self.post_message(self.Closed(mode, cancelled))

    def _wake(self, awake: bool) -> None:
        for child in self.children:
            child.display = awake is not (child.id == "prompt-idle")

    def on_mount(self) -> None:
        self._wake(False)

    def _show_hint(self, text: str) -> None:
        if self.mode is not None:
            hint = f"✗ {self.refusal}" if self.refusal else self._hint(self.mode, text)
            self.query_one("#prompt-hint", Static).update(Content(hint))

    def _walk(self, step: int) -> None:
        if self.mode is None:
            return
        history = self._history[self.mode]
        self._place = max(0, min(len(history), self._place + step))
        self.input.value = history[self._place] if self._place < len(history) else ""
        self.input.cursor_position = len(self.input.value)

    @on(Input.Changed)
    def _changed(self, event: Input.Changed) -> None:
        event.stop()
        if self.mode is not None:
            self._show_hint(event.value)
            self.post_message(self.Edited(self.mode, event.value))

    @on(Input.Submitted)
    def _entered(self, event: Input.Submitted) -> None:
        event.stop()
        mode, call_id, text = self.mode, self.call_id, event.value.strip()
        if mode is None:
            return
        if text:
            self._history[mode].append(text)
        if self.refusal:
            self.post_message(self.Refused(mode, self.refusal))
            return
        self.close()
        self.post_message(self.Submitted(mode, text, call_id))
