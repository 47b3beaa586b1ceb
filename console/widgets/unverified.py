"""The red line that no screen is without while webhooks are not verified."""

from __future__ import annotations

from textual.content import Content
from textual.screen import Screen
from textual.widgets import Static

from console.words import UNVERIFIED


class Unverified(Static):
    """One line at the very top of a screen."""

    DEFAULT_CSS = """
    Unverified {
        dock: top; height: 1; width: 100%; background: $alarm; color: $alarm-text; text-style: bold; padding: 0 1;
    }
    """

    def __init__(self) -> None:
        super().__init__(Content(f"! {UNVERIFIED}"), markup=False)


def keep_warning(screen: Screen[object], unverified: bool) -> None:
    """Put the line on `screen`, or take it away. Again is harmless."""
    lines = screen.query(Unverified)
    if unverified and not lines:
        screen.mount(Unverified())
    elif not unverified and lines:
        lines.remove()
