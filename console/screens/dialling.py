"""Placing a call from the main screen: at once when the whole number was typed, else by the dialog."""

from __future__ import annotations

from typing import TYPE_CHECKING

from console.acts import Outcome
from console.screens.dial import DialDialog, DialRequest, judge_number, tidy_number
from console.widgets.call_table import CallTable
from console.words import number_text

if TYPE_CHECKING:
    from console.screens.controls import Controls


def dial(controls: Controls, argument: str) -> None:
    """Dial what was typed after the command, or ask for what is missing."""
    number, _, message = argument.partition(" ")
    screen = controls.screen
    if number and judge_number(number).state == "good":
        to = tidy_number(number)
        request = screen.acts.dial(to, message.strip(), "conversation", "")
        controls.perform("dial", request, lambda outcome: _dialled(controls, outcome.answer, to))
        return

    async def place(request: DialRequest) -> Outcome:
        outcome = await screen.acts.dial(request.to, request.message, request.mode, request.dtmf)
        if outcome.ok:
            screen.expect_typing()
            controls.tell(_dialled(controls, outcome.answer, request.to))
        elif dialog not in screen.app.screen_stack:
            controls.refused("dial", outcome)  # it was left while the carrier was asked
        return outcome

    dialog = DialDialog(place, number, message.strip())
    screen.app.push_screen(dialog)


def _dialled(controls: Controls, call_id: str, number: str) -> str:
    """Select the call as soon as it is here; what to tell."""
    controls.screen.paint()
    controls.screen.query_one(CallTable).select(call_id)
    return f"dialling {number_text(number, controls.screen.masked)}"
