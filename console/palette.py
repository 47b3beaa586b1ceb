"""The command palette (ctrl+p): the registry's commands with their keys, and the themes."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, cast

from textual.command import DiscoveryHit, Hit, Hits, Provider

from console.keys import key_label

if TYPE_CHECKING:
    from console.screens.main import MainScreen


class Commands(Provider):
    """Offers what can be typed after `:`."""

    def _entries(self) -> Iterable[tuple[str, str, str]]:
        """(what is shown, the help, the command line)."""
        screen = cast("MainScreen", self.screen)
        for command in screen.registry.offered(screen.hidden):
            if command.typed:
                keys = ", ".join(key_label(key) for key in command.keys)
                yield f"{command.name}{f' ({keys})' if keys else ''}", command.help, command.name
        for name in screen.themes:  # Textual's own have not all the colours that the screen is drawn with
            yield f"theme: {name}", "Use this theme", f"theme {name}"

    async def discover(self) -> Hits:
        for shown, help_text, line in self._entries():
            if not line.startswith("theme "):
                yield DiscoveryHit(shown, partial(self._run, line), help=help_text)

    async def search(self, query: str) -> Hits:
        matcher = self.matcher(query)
        for shown, help_text, line in self._entries():
            score = max(matcher.match(shown), matcher.match(help_text) * 0.8)
            if score > 0:
                yield Hit(score, matcher.highlight(shown), partial(self._run, line), help=help_text)

    def _run(self, line: str) -> None:
        cast("MainScreen", self.screen).run_line(line)
