"""Connecting a caller with another number: it is typed after the command, judged, and asked about once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from console.screens.ask import GONE, Ask, Choice
from console.screens.dial import judge_number, tidy_number
from console.widgets.prompt import Prompt
from console.words import number_text

if TYPE_CHECKING:
    from console.screens.controls import Controls


def transfer(controls: Controls, argument: str) -> None:
    """Ask whether the selected call goes to the number that was typed; have it typed where it is missing."""
    screen, call = controls.screen, controls.screen.call
    if call is None:
        return
    verdict = judge_number(argument)
    if not argument:
        screen.query_one(Prompt).open("command", text="transfer ")
        return
    if verdict.state != "good":
        controls.warn(f"transfer: {verdict.text if verdict.state == 'bad' else 'the number is too short'}")
        return
    to = tidy_number(argument)
    shown = number_text(to, screen.masked)

    def chosen(answer: str | None) -> None:
        if answer == GONE:
            controls.warn("the call is over: nobody was put through")
        elif answer == "transfer":
            said = f"put through to {shown}: it comes back if nobody answers"
            controls.perform("transfer", screen.acts.transfer(call.call_id, to), lambda _: said)

    choices = (Choice("n", "Keep", "keep", safe=True), Choice("y", "Put through", "transfer", danger=True))
    words = [f"{number_text(call.peer, screen.masked)} will talk to {shown}, and we are silent."]
    question = Ask(
        "Put this caller through?",
        words,
        choices,
        pause=screen.options.typing_pause,
        matters=lambda: screen.is_live(call.call_id),
    )
    screen.app.push_screen(question, chosen)
