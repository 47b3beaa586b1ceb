"""Deciding about a caller who waits to be let in: at once, about the one that the banner shows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from console.acts import Outcome
from console.widgets.call_table import CallTable
from console.widgets.waiting import WaitingBanner
from console.words import number_text
from engine.client import Decision

if TYPE_CHECKING:
    from console.screens.controls import Controls

_SAID: Final[dict[Decision, str]] = {
    "once": "{} is let in",
    "always": "{} is let in, now and always",
    "no": "{} is turned away",
}


def decide(controls: Controls, verdict: Decision) -> None:
    """Let the caller in whom the operator sees waiting, or not.

    Somebody who came up in this very moment is not meant: the operator has not seen them yet.
    """
    screen = controls.screen
    target = screen.query_one(WaitingBanner).target
    call = screen.board.calls.get(target or "")
    if call is None or not call.live or not call.waiting:
        controls.warn("nobody waits to be let in" if call is None else "this caller waits no more")
        return
    said = _SAID[verdict].format(number_text(call.peer, screen.masked))

    def done(_: Outcome) -> str:
        if verdict != "no" and (screen.call is None or not screen.call.live):
            screen.query_one(CallTable).select(call.call_id)  # nobody else is being talked to
        return said

    controls.perform("admit", screen.acts.admit(call.call_id, verdict), done)
