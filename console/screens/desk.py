"""The webhook desk: who reaches us where, what came, how it was judged and why, and letting it come again."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar, Final

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.screen import Screen
from textual.widgets import Input

from console.abilities import Abilities
from console.hooks import Hook, Wanted, parse_wanted, read_hooks
from console.keys import Command, Registry
from console.paint import Part, Row, pack
from console.screens.desk_acts import COMMANDS as ONE_WEBHOOK
from console.screens.desk_acts import OneWebhook, asked
from console.screens.page import PageScreen, Title
from console.screens.view import alarms
from console.widgets.access import AccessPanel
from console.widgets.header import Banner
from console.widgets.hints import Hints
from console.widgets.lines import INK_CLASSES
from console.widgets.webhook_table import Chosen, WebhookTable
from console.words import number_text
from engine.client import EngineClient

if TYPE_CHECKING:
    from console.screens.main import MainScreen

PAGE: Final = 100
"""Requests that are asked for at a time."""
MAX_SHOWN: Final = 1000
LOOK_SECONDS: Final = 1.0
COMMANDS: Final = (
    Command("details", ("enter",), "details", "Headers, body, what was signed, what was answered", "view", hint=1),
    Command("filter", ("slash",), "filter", "By words, a verdict, or call:ID", "view", hint=2),
    Command("refused", ("x",), "refused", "Only those that were refused, or all", "view", hint=6),
    Command("follow", ("g", "home"), "newest", "To the newest, and follow what comes", "view", hint=9),
    *ONE_WEBHOOK,
    Command("help", ("question_mark", "f1"), "help", "These keys", "console", hint=10),
    Command("up-down", ("j", "k", "down", "up"), "move", "Older and newer", "moving", typed=False),
    Command("pages", ("pageup", "pagedown", "ctrl+u", "ctrl+d"), "pages", "By pages", "moving", typed=False),
    Command("ends", ("G", "end"), "ends", "To the oldest", "moving", typed=False),
)


class DeskScreen(Screen[None]):
    """A screen of its own over the main one, whose engine, board and choices it shares."""

    CSS_PATH = "desk.tcss"
    COMPONENT_CLASSES = INK_CLASSES
    AUTO_FOCUS = "#webhooks"
    BINDINGS: ClassVar = [
        Binding(",".join(command.keys), f"run('{command.name}')", command.help, show=False)
        for command in COMMANDS
        if command.name not in ("up-down", "pages", "ends", "details", "follow")
    ]

    def __init__(self, main: MainScreen, client: EngineClient, wanted: str = "") -> None:
        super().__init__()
        self.main = main
        self.client = client
        self.one = OneWebhook(self)
        self.registry = Registry(COMMANDS)
        self.themes = main.themes
        self.wanted = self._parse(wanted)
        self.trouble = ""
        """Why the list could not be read."""
        self._reading = False
        self._complete = False
        """There is nothing older than what is here."""

    @property
    def hidden(self) -> frozenset[str]:
        """Every carrier sends webhooks: the palette hides nothing."""
        return frozenset()

    def run_line(self, line: str) -> None:
        """A line from the palette: a command of the desk, or a theme."""
        if line in self.registry:
            self.action_run(self.registry.get(line).name)
        else:
            self.main.run_line(line)

    def compose(self) -> ComposeResult:
        yield Title(id="desk-title")
        yield Banner(id="banner")
        yield AccessPanel(id="access")
        yield WebhookTable()
        yield Chosen()
        yield Input(
            id="desk-filter", compact=True, placeholder="words, refused, ok, replay, call:ID", select_on_focus=False
        )
        yield Hints(self.registry)

    def on_mount(self) -> None:
        table = self.table
        table.masked, table.call_name, table.note = self.main.masked, self._call_name, "reading …"
        table.redraw()
        self.query_one(Hints).show(frozenset(command.name for command in COMMANDS))
        self.set_interval(LOOK_SECONDS, self.look)
        self.paint()
        self.look()

    @property
    def table(self) -> WebhookTable:
        return self.query_one(WebhookTable)

    # -- reading ------------------------------------------------------------------------------

    def look(self) -> None:
        """Ask for what is new, unless an answer is still awaited."""
        self.paint()
        if not self._reading:
            self._reading = True
            self.run_worker(self._read(), group="desk", exit_on_error=False)

    async def _read(self) -> None:
        wanted, table = self.wanted, self.table
        newest = table.hooks[0].id if table.hooks else None
        try:
            found = await self._find(wanted, after=newest)
            if wanted == self.wanted:
                self._complete = self._complete or (newest is None and len(found) < PAGE)
                table.note = "no webhook matches: Esc shows all" if wanted.text else "no webhooks yet"
                if found or newest is None:
                    table.show([*found, *table.hooks][:MAX_SHOWN])
        finally:
            self._reading = False
        if wanted != self.wanted:
            self.look()
        self.paint()

    async def _older(self) -> None:
        table, wanted = self.table, self.wanted
        if self._complete or not table.hooks or len(table.hooks) >= MAX_SHOWN:
            return
        found = await self._find(wanted, before=table.hooks[-1].id)
        if wanted == self.wanted and table.hooks:
            oldest = table.hooks[-1].id
            self._complete = len(found) < PAGE and not self.trouble
            table.show([*table.hooks, *(hook for hook in found if hook.id < oldest)][:MAX_SHOWN])

    async def _find(self, wanted: Wanted, *, before: int | None = None, after: int | None = None) -> list[Hook]:
        ask = self.client.webhooks(PAGE, wanted.call_id, wanted.verdict, wanted.query, before, after)
        found, self.trouble = await asked(ask)
        return read_hooks(found)

    # -- painting -----------------------------------------------------------------------------

    def paint(self) -> None:
        """Bring the lines around the list up to date."""
        health = self.main.feed.health
        self.query_one(Banner).show(alarms(self.main.feed.link, self.main.board, health))
        self.query_one(AccessPanel).show(health.access if health is not None else ())
        self.query_one(Title).say(self._title(self.size.width))
        self.query_one(Chosen).show(self.table.hook, self.main.masked)

    def _title(self, width: int) -> Row:
        table, counts = self.table, (self.main.feed.health.webhooks if self.main.feed.health else None)
        if self.trouble:
            state: Row = ((f" ✗ {self.trouble} ", "bad"),)
        elif table.following:
            state = (("● following", "good"),)
        else:
            new = f" ▲ +{table.unseen} new" if table.unseen else ""
            state = ((f"‖ holds still{new}, g follows", "warn"),)
        total: Row = ()
        if counts is not None:
            ok, replays, refused = counts
            total = (
                (f"{ok} ok · {replays} replayed · ", "text"),
                (f"{refused} refused", "bad" if refused else "text"),
            )
        filtered: Row = ((f"filter: {self.wanted.text}", "key"),) if self.wanted.text else ()
        left: list[Part] = [(0, ((" WEBHOOKS", "title"),)), (2, total), (1, filtered)]
        masked: Row = ((" MASKED ", "badge"),) if self.main.masked else ()
        return pack(left, [(3, masked), (0, state)], max(20, width - 1))

    def _call_name(self, call_id: str) -> str:
        call = self.main.board.calls.get(call_id)
        return number_text(call.peer, self.main.masked) if call is not None and call.peer else call_id[:8]

    @on(WebhookTable.Changed)
    def _table_changed(self) -> None:
        self.paint()

    @on(WebhookTable.AtEnd)
    def _at_end(self) -> None:
        self.run_worker(self._older(), group="older", exclusive=True, exit_on_error=False)

    # -- commands -----------------------------------------------------------------------------

    def action_run(self, name: str) -> None:
        """A key was pressed, or a hint clicked."""
        handlers: dict[str, Callable[[], None]] = {
            "details": self.details,
            "filter": self.open_filter,
            "refused": self.refused,
            "follow": self.table.action_follow,
            "mask": self.mask,
            "help": self.help,
            "back": self.back,
        }
        if name in handlers:
            handlers[name]()
        elif self.table.hook is not None:
            self.table.hold()
            self.one.do(name, self.table.hook.id)

    @on(Hints.Chosen)
    def _chosen(self, event: Hints.Chosen) -> None:
        self.action_run(event.name)

    @on(WebhookTable.Opened)
    def details(self) -> None:
        if (hook := self.table.hook) is not None:
            self.one.details(hook.id)

    def open_filter(self) -> None:
        field = self.query_one("#desk-filter", Input)
        field.value = self.wanted.text
        field.cursor_position = len(field.value)
        field.add_class("-open")
        field.focus()

    @on(Input.Submitted)
    def _filter(self, event: Input.Submitted) -> None:
        self._close_filter()
        self.want(self._parse(event.value))

    def _close_filter(self) -> None:
        self.query_one("#desk-filter", Input).remove_class("-open")
        self.table.focus()

    def refused(self) -> None:
        self.want(Wanted() if self.wanted.verdict == "refused" else Wanted("refused"))

    def want(self, wanted: Wanted) -> None:
        """Show only these."""
        if wanted != self.wanted:
            self.wanted, self._complete = wanted, False
            self.table.note = "reading …"
            self.table.clear()
            self.look()
        self.paint()

    def mask(self) -> None:
        """The choice of the main screen, which keeps it."""
        self.main.masked = self.table.masked = not self.main.masked
        self.main.paint()
        self.table.redraw()
        self.paint()
        if isinstance(self.app.screen, PageScreen):
            self.app.screen.redraw()

    def help(self) -> None:
        from console.screens.sheets import HelpScreen

        self.app.push_screen(HelpScreen(self.registry, Abilities()))

    def back(self) -> None:
        """One level back: what is typed, the filter, the desk."""
        if self.query_one("#desk-filter", Input).has_class("-open"):
            self._close_filter()
        elif self.wanted.text:
            self.want(Wanted())
        else:
            self.dismiss()

    def _parse(self, text: str) -> Wanted:
        return parse_wanted(text, self.main.board.calls)
