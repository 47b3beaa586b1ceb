"""The dial dialog: the number is judged while it is typed, a refusal is shown here and nothing typed is lost."""

from __future__ import annotations

import asyncio
import re
import unicodedata
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import ClassVar, Final, Literal

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widgets import Button, Input, Static

from console.acts import Outcome
from console.screens.dialog import Dialog
from console.text import clean
from engine.client import Mode

E164: Final = re.compile(r"^\+[1-9]\d{6,14}$")
DIGITS: Final = re.compile(r"^[0-9*#A-DwW]*$")
_SPACING: Final = re.compile(r"[\s()./-]")
_LIKE_A_NUMBER: Final = re.compile(r"\+?[ (]*[0-9](?:[ ()./-]*[0-9]){5,}")
MODES: Final[tuple[Mode, ...]] = ("conversation", "notify")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is to be said about a number: `good` can be dialled, `open` may become good, `bad` can not."""

    state: Literal["good", "open", "bad"]
    text: str


@dataclass(frozen=True, slots=True)
class DialRequest:
    """A call to place."""

    to: str
    message: str
    mode: Mode
    dtmf: str


def tidy_number(text: str) -> str:
    """A number as it is dialled: plain digits without spaces, dots, dashes, brackets and `tel:`; 00 becomes +."""
    bare = _SPACING.sub("", unicodedata.normalize("NFKC", text)).removeprefix("tel:")
    return f"+{bare[2:]}" if bare.startswith("00") else bare


def pasted_number(text: str) -> str:
    """The first thing in `text` that looks like a telephone number; else its first line, made printable."""
    lines = [clean(unicodedata.normalize("NFKC", line), 200) for line in text[:4000].splitlines()]
    found = (match.group() for line in lines if (match := _LIKE_A_NUMBER.search(line)) and _whole(line, match))
    return next(found, "") or next(iter(lines), "")


def _whole(line: str, match: re.Match[str]) -> bool:
    """No digit of another script goes on where the match ends: the number would lose it."""
    around = line[max(0, match.start() - 1) : match.start()] + line[match.end() : match.end() + 1]
    return not any(char.isdigit() for char in around)


def judge_number(text: str) -> Verdict:
    """Live feedback on a number while it is typed."""
    number = tidy_number(text)
    if not number:
        return Verdict("open", "a number with country code, like +1 555 010 0142")
    if not number.startswith("+"):
        return Verdict("bad", "begin with + and the country code, like +1 or +49")
    if not number[1:].isascii() or not (number[1:].isdigit() or number == "+"):
        return Verdict("bad", "only digits after the +")
    if number.startswith("+0"):
        return Verdict("bad", "a country code does not begin with 0")
    if len(number) < 8:
        return Verdict("open", "go on …")
    if not E164.match(number):
        return Verdict("bad", "too long: at most 15 digits")
    return Verdict("good", f"✓ {number}")


def region_of(number: str) -> str:
    """What is known about a number's country and length. Slow the first time: not for the loop."""
    import phonenumbers

    try:
        parsed = phonenumbers.parse(number)
    except phonenumbers.NumberParseException:
        return ", an unknown country"
    region = phonenumbers.region_code_for_number(parsed)
    if not phonenumbers.is_possible_number(parsed):
        return f"{' ' + region if region else ''}, but the length is unusual"
    return f" {region}" if region else ""


class NumberInput(Input):
    """Takes the number out of what is pasted."""

    def _on_paste(self, event: events.Paste) -> None:
        event.stop()
        event.prevent_default()
        self.replace(pasted_number(event.text), *self.selection)


class DialDialog(Dialog[str]):
    """Asks for a call and places it with `dial`; returns the call's id, or "" when it was left."""

    BINDINGS: ClassVar = [
        Binding("escape", "leave", show=False),
        Binding("ctrl+t", "mode", show=False),
        Binding("down", "app.focus_next", show=False),
        Binding("up", "app.focus_previous", show=False),
    ]

    def __init__(self, dial: Callable[[DialRequest], Awaitable[Outcome]], to: str = "", message: str = "") -> None:
        super().__init__()
        self._dial = dial
        self._to = to
        self._message = message
        self._mode: Mode = "conversation"
        self._busy = False
        self._said = ""

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Static(Content("Place a call"), classes="dialog-title", markup=False)
            yield from self._row(
                "Number", NumberInput(self._to, id="dial-to", placeholder="+15550100142", compact=True)
            )
            yield from self._row(
                "Message", Input(self._message, id="dial-message", placeholder="what is said first", compact=True)
            )
            with Horizontal(classes="dialog-row"):
                yield Static(Content("Mode"), classes="dialog-label", markup=False)
                yield Button("", id="dial-mode")
            yield from self._row(
                "Keys", Input(id="dial-dtmf", placeholder="sent after the answer, w waits", compact=True)
            )
            yield Static(id="dial-state", classes="dialog-state", markup=False)
            with Horizontal(classes="dialog-buttons"):
                yield Button(Content("Dial"), id="dial-go")
                yield Button(Content("Cancel"), id="dial-cancel")

    def _row(self, label: str, box: Input) -> ComposeResult:
        box.cursor_blink = False
        with Horizontal(classes="dialog-row"):
            yield Static(Content(label), classes="dialog-label", markup=False)
            yield box

    def on_mount(self) -> None:
        self._show_mode()
        self._judge()
        self.set_focus(self.query_one("#dial-to", Input))

    def on_key(self, event: events.Key) -> None:
        """A digit that was typed before the number had the focus is not lost."""
        box = self.query_one("#dial-to", Input)
        if event.is_printable and event.character and self.focused is box:
            event.stop()
            box.insert_text_at_cursor(event.character)

    def _show_mode(self) -> None:
        words = {
            "conversation": "conversation: talk, listen, answer",
            "notify": "notify: say the message, hang up",
        }
        self.query_one("#dial-mode", Button).label = Content(f"{words[self._mode]}  (ctrl+t)")

    def _show_state(self, text: str, look: str) -> None:
        state = self.query_one("#dial-state", Static)
        state.set_class(look == "good", "-good")
        state.set_class(look == "bad", "-bad")
        state.update(Content(text))
        self._said = text

    def _judge(self) -> bool:
        """Show what is wrong, if anything; True when it can be dialled."""
        verdict = judge_number(self.query_one("#dial-to", Input).value)
        keys = self.query_one("#dial-dtmf", Input).value
        if verdict.state == "good" and not DIGITS.match(keys):
            verdict = Verdict("bad", "keys are 0-9 * # A-D, and w or W to wait")
        if verdict.state == "good" and keys and self._mode == "notify":
            verdict = Verdict("bad", "keys need a conversation (ctrl+t): a notice is said and over")
        self._show_state(verdict.text, verdict.state)
        if verdict.state == "good":
            self.run_worker(self._show_region(verdict), group="region", exclusive=True, exit_on_error=False)
        return verdict.state == "good"

    async def _show_region(self, verdict: Verdict) -> None:
        number = tidy_number(self.query_one("#dial-to", Input).value)
        region = await asyncio.to_thread(region_of, number)
        if self._said == verdict.text:
            self._show_state(verdict.text + region, verdict.state)

    @on(Input.Changed)
    def _typed(self) -> None:
        if not self._busy:
            self._judge()

    @on(Button.Pressed, "#dial-mode")
    def action_mode(self) -> None:
        """The other mode."""
        self._mode = MODES[1 - MODES.index(self._mode)]
        self._show_mode()
        if not self._busy:
            self._judge()

    @on(Button.Pressed, "#dial-cancel")
    def action_leave(self) -> None:
        """Leave without a call; one that was asked for already goes on."""
        self.answer("")

    @on(Input.Submitted, "#dial-to")
    def _on_to_message(self) -> None:
        """Enter after a good number goes on to the message, which may be left empty."""
        message = self.query_one("#dial-message", Input)
        if self._judge() and not message.value:
            message.focus()
        else:
            self._go()

    @on(Input.Submitted, "#dial-message")
    @on(Input.Submitted, "#dial-dtmf")
    @on(Button.Pressed, "#dial-go")
    def _go(self) -> None:
        if self._busy or not self._judge():
            self.query_one("#dial-to", Input).focus()
            return
        self._busy = True
        self._show_state("asking the carrier …", "open")
        # the application's worker: it goes on when the dialog is left
        self.app.run_worker(self._place(self._request()), group="dial", exit_on_error=False)

    def _request(self) -> DialRequest:
        return DialRequest(
            tidy_number(self.query_one("#dial-to", Input).value),
            self.query_one("#dial-message", Input).value.strip(),
            self._mode,
            self.query_one("#dial-dtmf", Input).value,
        )

    async def _place(self, request: DialRequest) -> None:
        outcome = await self._dial(request)
        self._busy = False
        if self not in self.app.screen_stack:
            return
        if outcome.ok:
            self.answer(outcome.answer)
        else:
            self._show_state(f"✗ {outcome.code}: {outcome.sentence}", "bad")
