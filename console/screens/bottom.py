"""The bottom lines of the main screen: what is typed or, while nothing is, hints, notices and what is under way."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from console.keys import Typed
from console.notices import notice_rows
from console.widgets.call_table import CallTable
from console.widgets.hints import Hints
from console.widgets.prompt import Mode, Prompt
from console.words import mask_numbers
from engine.client import Call

if TYPE_CHECKING:
    from console.screens.main import MainScreen

ROOMY: Final = 100
"""Cells from which a text that is typed and the hint beside it both have room."""


def under_way(screen: MainScreen, call: Call | None) -> str:
    """What was asked for a call and is not done yet."""
    pending = screen.acts.pending_on(call.call_id) if call else None
    return (
        f"… {mask_numbers(pending.what, screen.masked)} {time.monotonic() - pending.since:.0f} s" if pending else ""
    )


def show_idle(screen: MainScreen) -> None:
    """What the sleeping prompt says."""
    wanted, key = screen.query_one(CallTable).filter.text, screen.registry.key
    speaks = "" if "speak" in screen.hidden else f"{key('speak')} speaks in the selected call, "
    keys = f"{speaks}{key('command')} runs a command, {key('help')} helps"
    text = f"filter: {wanted}   (Esc clears it)" if wanted else keys
    if screen.size.width < ROOMY and (doing := under_way(screen, screen.call)):
        text = doing  # the line above the transcript may have no room for it
    screen.query_one(Prompt).idle(text)


def paint_notice(screen: MainScreen) -> None:
    """The newest notice in the line of the sleeping prompt and, if it is longer, that of the hints."""
    prompt, hints = screen.query_one(Prompt), screen.query_one(Hints)
    asleep = prompt.mode is None
    rows = notice_rows(screen.notices.up(time.monotonic()), screen.size.width, 2 if asleep else 1)
    prompt.say(rows[0] if rows and asleep else None)
    below = rows[1:] if asleep else rows
    hints.say(below[0] if below else None)


def prompt_hint(screen: MainScreen, mode: Mode, text: str) -> str:
    """What stands beside a text that is typed."""
    if mode != "command":
        hint = "Enter sends, Esc leaves" if mode != "filter" else "Enter keeps, Esc clears"
        return "" if text and screen.size.width < ROOMY else hint
    parsed = screen.registry.parse(text) if text.strip() else ""
    return parsed.command.usage if isinstance(parsed, Typed) else ""
