"""What each command does on the main screen. One method per command of the registry; none waits for the engine."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Final

from console.acts import Outcome
from console.keys import Command
from console.screens.admitting import decide
from console.screens.view import missing_for
from console.text import clean, count_text
from console.widgets.call_table import CallTable
from console.widgets.prompt import Mode, Prompt
from console.widgets.transcript import Transcript
from console.words import STATE_LOOKS, mask_numbers, number_text
from engine.client import Call

if TYPE_CHECKING:
    from console.screens.main import MainScreen

REFUSAL_SECONDS: Final = 15.0
"""A refusal is long enough to be read twice."""
NOTICE_SECONDS: Final = 4.0
SPOKEN: Final[Mapping[str, Mode]] = {"speak": "speak", "continue": "continue", "hint": "hint"}
"""Commands after which a text is typed: it goes into the prompt even if it can not be sent, so that none of its
letters becomes a command."""


class Controls:
    """Runs commands for a main screen."""

    def __init__(self, screen: MainScreen) -> None:
        self.screen = screen
        self.handlers: dict[str, Callable[[str], None]] = {
            "dial": self.dial,
            "speak": self.speak,
            "continue": self.ask,
            "end": self.end,
            "keypad": self.keypad,
            "transfer": self.transfer,
            "admit": lambda _: decide(self, "once"),
            "admit-always": lambda _: decide(self, "always"),
            "reject": lambda _: decide(self, "no"),
            "hold": lambda _: screen.sounding.hold(self),
            "take": lambda _: screen.sounding.take(self),
            "talk": lambda _: screen.sounding.talk(self),
            "latch": lambda _: screen.sounding.latch(self),
            "hand-back": lambda _: screen.sounding.hand_back(self),
            "hint": self.hint,
            "listen": lambda how: screen.sounding.listen(self, how),
            "mute": lambda _: screen.monitor.toggle_muted(),
            "sides": lambda how: screen.sounding.sides(how),
            "louder": lambda percent: screen.sounding.volume(self, percent, 1),
            "quieter": lambda percent: screen.sounding.volume(self, percent, -1),
            "volume": lambda percent: screen.sounding.volume(self, percent, 0),
            "device": lambda name: screen.sounding.device(self, name),
            "microphone": lambda name: screen.sounding.device(self, name, microphone=True),
            "record": self.record,
            "seen": self.seen,
            "filter": self.open_filter,
            "open": self.open,
            "copy": self.copy,
            "copy-transcript": self.copy_transcript,
            "mask": self.mask,
            "freeze": self.freeze,
            "zoom": self.zoom,
            "theme": self.theme,
            "checks": self.checks,
            "webhooks": self.webhooks,
            "log": self.log,
            "command": self.open_command,
            "palette": self.palette,
            "help": self.help,
            "quit": self.quit,
            "back": self.back,
        }

    def run(self, command: Command, argument: str) -> None:
        """Run a command, or say why not."""
        if self.screen.too_small and command.name != "quit":
            return  # nothing may open, or happen unseen, where the notice stands
        missing = missing_for(command, self.screen.call, self.screen.feed.carrier)
        if missing and not argument and (mode := SPOKEN.get(command.name)) is not None:
            self.screen.query_one(Prompt).open(mode, refusal=missing)
        elif missing:
            self.warn(f"{command.name}: {missing}")
        else:
            self.handlers[command.name](argument)

    # -- telling ------------------------------------------------------------------------------

    def tell(self, text: str) -> None:
        """A short notice."""
        self.screen.notify(self._said(text), timeout=NOTICE_SECONDS, markup=False)

    def warn(self, text: str) -> None:
        """Something can not be done as asked."""
        self.screen.notify(self._said(text), severity="warning", timeout=NOTICE_SECONDS * 2, markup=False)

    def refused(self, what: str, outcome: Outcome) -> None:
        """The engine refused."""
        self.screen.notify(
            self._said(outcome.sentence),
            title=clean(f"{what}: {outcome.code}"),
            severity="error",
            timeout=REFUSAL_SECONDS,
            markup=False,
        )

    def perform(self, what: str, request: Awaitable[Outcome], done: Callable[[Outcome], str] | None = None) -> None:
        """Run a request in the background; tell of a refusal, or what `done` says of a success."""

        async def work() -> None:
            outcome = await request
            if not outcome.ok:
                self.refused(what, outcome)
            elif done is not None:
                self.tell(done(outcome))

        self.screen.run_worker(work(), group="acts", exit_on_error=False)

    def _said(self, text: str) -> str:
        return mask_numbers(clean(text), self.screen.masked)

    def _shown_number(self, call: Call) -> str:
        return number_text(call.peer, self.screen.masked)

    # -- calls --------------------------------------------------------------------------------

    def dial(self, argument: str) -> None:
        from console.screens.dialling import dial

        dial(self, argument)

    def speak(self, argument: str) -> None:
        self._say("speak", argument)

    def ask(self, argument: str) -> None:
        self._say("continue", argument)

    def hint(self, argument: str) -> None:
        self._say("hint", argument)

    def _say(self, mode: Mode, text: str) -> None:
        call = self.screen.call
        if call is None:
            return
        if text:
            self.entered(mode, text, call.call_id)
        else:
            self.screen.query_one(Prompt).open(mode, call_id=call.call_id, to=self._shown_number(call))

    def entered(self, mode: Mode, text: str, call_id: str | None) -> None:
        """A line was entered in the prompt."""
        if mode == "command":
            self.screen.run_line(text)
        elif mode == "filter":
            self.filter(text)
        elif text and call_id:
            if mode == "hint":
                self.perform("hint", self.screen.acts.hint(call_id, text), lambda _: "the agent knows")
            elif mode == "speak":
                self.perform("speak", self.screen.acts.speak(call_id, text))
            else:
                self.perform("continue", self.screen.acts.ask(call_id, text), _answered)

    def end(self, argument: str) -> None:
        from console.screens.ask import GONE, Ask, Choice

        call = self.screen.call
        if call is None:
            return
        choices = (Choice("n", "Keep", "keep", safe=True), Choice("y", "End the call", "end", danger=True))

        def chosen(answer: str | None) -> None:
            if answer == GONE:
                self.warn("the call is over already")
            elif answer == "end":
                self.perform("end", self.screen.acts.end(call.call_id), lambda _: "hung up")

        words = [f"{self._shown_number(call)}, {call.direction}, {STATE_LOOKS[call.state].full}"]
        question = Ask(
            "End this call?",
            words,
            choices,
            pause=self.screen.options.typing_pause,
            matters=lambda: self.screen.is_live(call.call_id),
        )
        self.screen.app.push_screen(question, chosen)

    def keypad(self, argument: str) -> None:
        from console.screens.dial import DIGITS
        from console.screens.keypad import KeypadDialog

        call = self.screen.call
        if call is None:
            return

        def send(digits: str | None) -> None:
            if digits:
                self.perform("keys", self.screen.acts.keys(call.call_id, digits), lambda _: f"sent {digits}")

        if argument and DIGITS.match(argument):
            send(argument)
        elif argument:
            self.warn("keys are 0-9 * # A-D, and w or W to wait")
        else:
            self.screen.app.push_screen(KeypadDialog(self._shown_number(call)), send)

    def transfer(self, argument: str) -> None:
        from console.screens.transferring import transfer

        transfer(self, argument)

    def record(self, argument: str) -> None:
        call = self.screen.call
        if call is not None:
            on = call.recording not in ("on", "asked")
            said = "recording" if on else "the recording is stopped, for good"
            self.perform("record", self.screen.acts.record(call.call_id, on), lambda _: said)

    def seen(self, argument: str) -> None:
        call = self.screen.call
        if call is not None:
            self.perform("seen", self.screen.acts.seen(call.call_id), lambda _: "quiet until it happens anew")

    # -- the view -----------------------------------------------------------------------------

    def open_filter(self, argument: str) -> None:
        if argument:
            self.filter(argument)
        else:
            self.screen.query_one(Prompt).open("filter", text=self.screen.query_one(CallTable).filter.text)

    def filter(self, text: str) -> None:
        """Show only calls that match; an empty text shows all."""
        self.screen.set_filter(text)

    def open(self, argument: str) -> None:
        self.screen.query_one(Transcript).focus()

    def copy(self, argument: str) -> None:
        call, transcript = self.screen.call, self.screen.query_one(Transcript)
        selected = self.screen.get_selected_text()
        what = argument or ("selection" if selected else "line" if transcript.has_focus else "number")
        texts = {
            "selection": selected or "",
            "number": call.peer if call else "",
            "line": transcript.last_line(),
            "transcript": transcript.plain_text(),
        }
        if what not in texts:
            self.warn("copy what? number, line or transcript")
        elif not texts[what]:
            self.warn(f"there is no {what} to copy")
        else:
            self.screen.app.copy_to_clipboard(clean(texts[what]) if what != "transcript" else texts[what])
            self.tell(f"copied the {what} ({count_text(len(texts[what]), 'character')})")

    def copy_transcript(self, argument: str) -> None:
        self.copy("transcript")

    def mask(self, argument: str) -> None:
        self.screen.masked = not self.screen.masked
        self.screen.paint()

    def freeze(self, argument: str) -> None:
        self.screen.frozen = None if self.screen.frozen else self.screen.board.copy()
        self.screen.paint()

    def zoom(self, argument: str) -> None:
        wanted = "-zoom-calls" if self.screen.query_one(CallTable).has_focus else "-zoom-talk"
        zoomed = self.screen.has_class("-zoom-calls") or self.screen.has_class("-zoom-talk")
        self.screen.remove_class("-zoom-calls", "-zoom-talk")
        if not zoomed:
            self.screen.add_class(wanted)

    def theme(self, argument: str) -> None:
        app = self.screen.app
        names = self.screen.themes
        if argument and argument not in names:
            self.warn(f"there is no theme {argument!r}, only {', '.join(names)}")
        elif names:
            after = names[(names.index(app.theme) + 1) % len(names)] if app.theme in names else names[0]
            app.theme = argument or after

    def webhooks(self, argument: str) -> None:
        from console.screens.desk import DeskScreen

        self.screen.app.push_screen(DeskScreen(self.screen, self.screen.acts.client, argument))

    # -- the console --------------------------------------------------------------------------

    def log(self, argument: str) -> None:
        from console.screens.sheets import LogScreen

        self.screen.app.push_screen(LogScreen(list(self.screen.board.acts), self.screen.masked))

    def checks(self, argument: str) -> None:
        from console.screens.checks import ChecksScreen

        self.screen.app.push_screen(ChecksScreen(self.screen.acts.checks, self.screen.masked))

    def open_command(self, argument: str) -> None:
        self.screen.query_one(Prompt).open("command")

    def palette(self, argument: str) -> None:
        self.screen.app.action_command_palette()

    def help(self, argument: str) -> None:
        from console.screens.sheets import HelpScreen

        self.screen.app.push_screen(HelpScreen(self.screen.registry, self.screen.feed.carrier))

    def back(self, argument: str) -> None:
        """One level back: prompt, zoom, frozen view, filter, transcript; in this order."""
        screen = self.screen
        prompt = screen.query_one(Prompt)
        if prompt.mode is not None:
            prompt.close(cancelled=True)
        elif screen.has_class("-zoom-calls") or screen.has_class("-zoom-talk"):
            self.zoom("")
        elif screen.frozen is not None:
            self.freeze("")
        elif screen.query_one(CallTable).filter.text:
            self.filter("")
        else:
            screen.query_one(CallTable).focus()

    def quit(self, argument: str) -> None:
        from console.screens.leaving import leave

        leave(self.screen)


def _answered(outcome: Outcome) -> str:
    return f"the caller answered: {outcome.answer}" if outcome.answer else "the caller did not answer"
