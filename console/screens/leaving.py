"""Leaving the console: what becomes of live calls is asked, and never decided by leaving."""

from __future__ import annotations

from typing import TYPE_CHECKING

from console.options import ExitChoice
from console.screens.ask import Ask, Choice
from console.text import count_text

if TYPE_CHECKING:
    from console.screens.main import MainScreen


def leave(screen: MainScreen) -> None:
    """Leave, after a question where calls are live. Without room for a question live calls are left running."""
    live = len(screen.board.live)
    attached = screen.options.attached
    if live == 0 or attached:
        screen.app.exit(ExitChoice.DETACH if attached else ExitChoice.STOP_ENGINE)
        return
    if screen.too_small:
        screen.app.exit(ExitChoice.DETACH)
        return
    choices = (
        Choice("l", "Leave them running", "detach", safe=True),
        Choice("e", "End them and stop", "stop", danger=True),
        Choice("c", "Cancel", "cancel"),
    )
    words = ["Left running, the engine goes on without a screen;", "`voicecall attach` comes back to it."]

    def chosen(answer: str | None) -> None:
        if answer == "detach":
            screen.app.exit(ExitChoice.DETACH)
        elif answer == "stop":
            screen.app.exit(ExitChoice.STOP_ENGINE)

    title = f"{count_text(live, 'call is', 'calls are')} live."
    screen.app.push_screen(Ask(title, words, choices, pause=screen.options.typing_pause), chosen)
