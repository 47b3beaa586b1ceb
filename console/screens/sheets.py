"""Sheets of text over the main screen: the help, made from the registry, and the log of what was asked for."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import ClassVar, Final

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static

from console.abilities import Abilities
from console.facts import Act
from console.keys import GROUPS, Registry, key_label
from console.screens.dialog import Dialog
from console.text import clean
from console.words import mask_numbers

KEYS_WIDTH: Final = 17
USAGE_WIDTH: Final = 100
"""Cells from which the help shows how a command is typed, too."""


class Sheet(Dialog[None]):
    """A scrolling page that any of the usual keys closes."""

    BINDINGS: ClassVar = [
        Binding("escape,q,question_mark,f1,L,enter", "leave", show=False),
        Binding("j,down", "scroll('down')", show=False),
        Binding("k,up", "scroll('up')", show=False),
        Binding("pagedown,ctrl+d,space", "scroll('page_down')", show=False),
        Binding("pageup,ctrl+u", "scroll('page_up')", show=False),
        Binding("g,home", "scroll('home')", show=False),
        Binding("G,end", "scroll('end')", show=False),
    ]
    heading = ""

    def content(self) -> Content:
        """The page. Override this."""
        raise NotImplementedError

    def compose(self) -> ComposeResult:
        with VerticalScroll(classes="sheet") as sheet:
            sheet.border_title = Content(self.heading)
            sheet.border_subtitle = Content("Esc closes")
            yield Static(self.content(), classes="sheet-body", markup=False)

    def action_leave(self) -> None:
        self.answer(None)

    def action_scroll(self, where: str) -> None:
        getattr(self.query_one(VerticalScroll), f"scroll_{where}")(animate=False)


class HelpScreen(Sheet):
    """Every key and command, by group."""

    heading = "keys and commands"

    def __init__(self, registry: Registry, carrier: Abilities) -> None:
        super().__init__()
        self._registry = registry
        self._carrier = carrier

    def content(self) -> Content:
        wide = self.app.size.width >= USAGE_WIDTH
        return Content.assemble(*_help_parts(self._registry, self._carrier, wide), *_carrier_parts(self._carrier))


def _own_line(keys: str) -> str:
    return f"   {keys}\n   {'':<{KEYS_WIDTH}} "


def _help_parts(registry: Registry, carrier: Abilities, usage: bool) -> Iterable[str | tuple[str, str]]:
    for group, title in GROUPS.items():
        yield (f"\n {title}\n", "bold")
        for command in registry.offered(carrier.hidden(registry.commands)):
            if command.group != group:
                continue
            keys = " ".join(key_label(key) for key in command.keys)
            yield (f"   {keys:<{KEYS_WIDTH}} " if len(keys) <= KEYS_WIDTH else _own_line(keys), "bold $key")
            yield f"{command.help}"
            yield (f"   {command.usage}\n" if command.typed and usage else "\n", "$text-muted")
    yield ("\n Symbols\n", "bold")
    yield "   ◌ ◐ starting, ringing   ◈ waiting to be let in   ! look here\n"
    yield "   ◉ ● answered, live   ► speaking   ‖ on hold   ⇢ put through\n"
    yield "   ✓ ended   ✗ failed   ◍ machine\n"
    yield "   ◂ inbound, the caller   ▸ outbound, the agent   ◆ the operator\n"


def _carrier_parts(carrier: Abilities) -> Iterable[str | tuple[str, str]]:
    can, can_not = carrier.lists
    if can or can_not:
        yield (f"\n The carrier: {carrier.name}\n", "bold")
        yield from (f"   ✓ {said}\n" for said in can)
        yield from ((f"   – {said}\n", "$text-muted") for said in can_not)


class LogScreen(Sheet):
    """What was asked of the engine, newest first."""

    heading = "what was asked of the engine"

    def __init__(self, acts: Sequence[Act], masked: bool) -> None:
        super().__init__()
        self._acts = acts
        self._masked = masked

    def content(self) -> Content:
        if not self._acts:
            return Content("\n nothing yet")
        return Content.assemble(*(part for act in reversed(self._acts) for part in _act_parts(act, self._masked)))


def _act_parts(act: Act, masked: bool) -> Iterable[str | tuple[str, str]]:
    mark, style = {True: ("✓", "$text-success"), False: ("✗", "$text-error"), None: ("…", "$text-warning")}[act.ok]
    yield (time.strftime(" %H:%M:%S ", time.localtime(act.at / 1000)), "$text-muted")
    yield (f"{mark} ", style)
    yield f"{clean(act.who, 20):<10} {mask_numbers(clean(act.what, 80), masked)}"
    yield (f"  {mask_numbers(clean(act.outcome, 400), masked)}\n", "$text-muted" if act.ok else style)
