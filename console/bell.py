"""Calling for the operator: the terminal's bell, and a notification of the desktop where that is wanted."""

from __future__ import annotations

import os
from typing import Any

from textual.app import App

from console.text import clean

MAX_WORDS = 120


def notification(words: str, *, tmux: bool = False) -> str:
    """OSC 9 (iTerm2, WezTerm, kitty, Windows Terminal) and OSC 777 (rxvt, foot, VTE), as written to the terminal.

    tmux hands them on when `allow-passthrough` is on: wrapped, with every escape doubled.
    """
    said = clean(words, MAX_WORDS).replace(";", ",")
    sequences = f"\x1b]9;voicecall: {said}\x07\x1b]777;notify;voicecall;{said}\x07"
    return f"\x1bPtmux;{sequences.replace(chr(27), chr(27) * 2)}\x1b\\" if tmux else sequences


def alert(app: App[Any], words: str, *, desktop: bool = False) -> None:
    """Ring, and tell the desktop. Says why, and no number: a notification is read by whoever passes."""
    app.bell()
    driver = app._driver
    if desktop and driver is not None and not app.is_headless:
        driver.write(notification(words, tmux="TMUX" in os.environ))
