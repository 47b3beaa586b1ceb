"""The main screen: lays the widgets out and paints them from the board, ten times a second and only what changed."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Container, Vertical
from textual.content import Content
from textual.screen import Screen
from textual.widgets import Input

from console.acts import Acts
from console.bell import alert
from console.board import Board
from console.feed import Feed
from console.keys import COMMANDS, PANE_COMMANDS, Registry, Typed
from console.monitor import Monitor
from console.notices import Notices
from console.options import ConsoleOptions
from console.screens.bottom import paint_notice, prompt_hint, show_idle, under_way
from console.screens.controls import Controls
from console.screens.sounding import Sounding, floor_holder
from console.screens.view import (
    PAINT_SECONDS,
    LagMeter,
    adrift,
    alarms,
    available,
    choices,
    exposure_facts,
    header_facts,
    reason_of,
)
from console.widgets.call_header import CallHeader
from console.widgets.call_table import CallTable, Filter
from console.widgets.exposure import ExposurePanel
from console.widgets.header import Banner, Header
from console.widgets.hints import Hints
from console.widgets.ladder import Ladder
from console.widgets.lines import INK_CLASSES
from console.widgets.prompt import Idle, Prompt
from console.widgets.small import MIN_HEIGHT, MIN_WIDTH, TooSmall, Unread
from console.widgets.sound import SoundBar
from console.widgets.transcript import Transcript
from console.widgets.turns import Turns
from console.widgets.waiting import WaitingBanner, find_stranger
from console.words import mask_numbers
from engine.client import Call, Need


class MainScreen(Screen[None]):
    """Calls on the left, the selected one on the right, the way in from outside below."""

    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (100, "-normal"), (160, "-wide")]
    AUTO_FOCUS = "#calls"
    COMPONENT_CLASSES = INK_CLASSES
    BINDINGS = [
        Binding(
            ",".join(command.keys), f"run('{command.name}')", command.help, show=False, id=command.name, priority=True
        )
        for command in COMMANDS
        if command.keys and command.name not in PANE_COMMANDS
    ]

    def __init__(
        self,
        registry: Registry,
        board: Board,
        feed: Feed,
        acts: Acts,
        options: ConsoleOptions,
        themes: Sequence[str],
        notices: Notices,
        monitor: Monitor,
    ) -> None:
        super().__init__()
        self.themes = tuple(themes)
        self.registry = registry
        self.notices = notices
        self.monitor = monitor
        self.board = board
        self.feed = feed
        self.acts = acts
        self.options = options
        self.masked = options.mask_numbers
        self.frozen: Board | None = None
        self.sounding = Sounding(self)
        self.controls = Controls(self)
        self.lag = LagMeter()
        self._painted: tuple[object, ...] = ()
        self._levels = -1
        """The board's version whose levels were painted."""
        self._typing_until = 0.0
        """Monotonic seconds: letters before it belong to a text, not to commands."""
        self._heard: frozenset[str] = frozenset()
        """Waiting callers for whom the bell rang."""
        self._rung: dict[str, tuple[str, int]] | None = None
        """Call -> the reason why it needs a person for which the bell rang, and since when."""

    def compose(self) -> ComposeResult:
        yield Header(id="header")
        yield Banner(id="banner")
        yield WaitingBanner(self.registry)
        yield SoundBar(self.registry)
        with Container(id="body"):
            yield CallTable(self.registry.key("dial"))
            with Vertical(id="talk"):
                yield CallHeader(id="call-header")
                yield Transcript()
                yield Unread(id="unread")
            with Vertical(id="facts"):
                yield Ladder(id="ladder")
                yield Turns(id="turns")
        yield ExposurePanel(id="exposure")
        yield Prompt(self._complete, partial(prompt_hint, self))
        yield Hints(self.registry)
        yield TooSmall(self.registry.key("quit"))

    def on_mount(self) -> None:
        self.query_one(CallTable).border_title = Content("calls")
        self.query_one("#talk").border_title = Content("transcript")
        self.query_one("#facts").border_title = Content("ladder and turns")
        show_idle(self)
        self.set_interval(PAINT_SECONDS, self._tick)

    # -- painting -----------------------------------------------------------------------------

    @property
    def shown(self) -> Board:
        """The board that is painted: the frozen picture, if there is one."""
        return self.frozen or self.board

    @property
    def adrift(self) -> bool:
        """What becomes of live calls is not known just now."""
        return adrift(self.feed.link, self.board)

    @property
    def call(self) -> Call | None:
        """The selected call as it is now, not as a frozen picture shows it."""
        selected = self.query_one(CallTable).selected
        return self.board.calls.get(selected) if selected else None

    @property
    def hidden(self) -> frozenset[str]:
        """Commands that are not offered, because no call of this carrier could do them."""
        return self.feed.carrier.hidden(self.registry.commands)

    @property
    def too_small(self) -> bool:
        """The terminal has no room for anything but a notice that says so."""
        return self.has_class("-too-small")

    def _tick(self) -> None:
        self.lag.tick(time.monotonic())
        now = self.options.clock()
        self.sounding.paint()
        paint_notice(self)
        state = (self.board.facts, self.feed.link, self.feed.health, now // 1000, len(self.acts.pending))
        if state != self._painted:
            self._painted = state
            self.paint(now)
        elif self._levels != self.board.version:
            self._paint_levels(now)

    def _paint_levels(self, now: int) -> None:
        """Nothing but levels has changed: they stand in the table and above the transcript."""
        self._levels = self.board.version
        if self.frozen is None:
            table = self.query_one(CallTable)
            table.show_board(self.board, now, adrift=self.adrift)
            self.query_one(CallHeader).show_levels(self.board.levels.get(table.selected or ""))

    def paint(self, now: int | None = None) -> None:
        """Bring every widget up to date; each repaints only the rows that differ."""
        now = self.options.clock() if now is None else now
        self._levels = self.board.version
        table = self.query_one(CallTable)
        table.masked = self.masked
        if self.frozen is None:
            table.show_board(self.board, now, adrift=self.adrift)
            self._paint_call(now)
            self._ring(table.needs)
        self._paint_waiting(now)
        self._paint_surroundings(now, len(table.alerts))
        paint_notice(self)

    def _paint_call(self, now: int) -> None:
        table = self.query_one(CallTable)
        call = self.shown.calls.get(table.selected or "")
        alert = mask_numbers(table.alerts.get(call.call_id, "") if call else "", self.masked)
        header = self.query_one(CallHeader)
        levels = self.shown.levels.get(call.call_id) if call else None
        header.show(
            call,
            now,
            masked=self.masked,
            pending=under_way(self, call),
            alert=alert,
            adrift=self.adrift,
            levels=levels,
            holder=floor_holder(call, self.options.me) if call else "",
        )
        self.query_one(Transcript).show_call(self.shown, call, masked=self.masked)
        reason = mask_numbers(reason_of(self.shown, call, now), self.masked) if call else ""
        self.query_one(Ladder).show(call, now, alert, reason)
        self.query_one(Turns).show(call)
        self.query_one(Hints).show(available(self.registry, self.call, self.feed.carrier), self.hidden)

    def _ring(self, found: Mapping[str, Need]) -> None:
        """Once for each call that begins to need somebody, or needs somebody for another reason."""
        rung = {key: (need.kind, need.since) for key, need in found.items() if need.kind != "waiting"}
        known = rung if self._rung is None else self._rung  # what is there when a console opens is seen, not heard
        news = [key for key, why in rung.items() if known.get(key) != why]
        self._rung = rung
        if news and self.options.alerts != "off":
            alert(self.app, found[news[0]].why, desktop=self.options.alerts == "desktop")

    def _paint_waiting(self, now: int) -> None:
        """Who waits is shown as it is now, whatever is frozen, filtered or selected; the bell rings for a new one."""
        waiting = frozenset() if self.adrift else frozenset(call.call_id for call in self.board.live if call.waiting)
        selected = self.query_one(CallTable).selected
        stranger = find_stranger(self.board, selected) if waiting else None
        self.query_one(WaitingBanner).show(stranger, now, masked=self.masked)
        if waiting - self._heard:
            self.app.bell()
            if self.app.screen is not self:  # the banner is behind a dialog
                self.app.notify("a caller waits to be let in", severity="warning", markup=False)
        self._heard = waiting

    def _paint_surroundings(self, now: int, alerts: int) -> None:
        link, health = self.feed.link, self.feed.health
        facts = header_facts(
            self.board, link, health, lag_ms=self.lag.worst_ms, dropped=self.feed.dropped, alerts=alerts, now=now
        )
        self.query_one(Header).show(replace(facts, frozen=self.frozen is not None, masked=self.masked))
        self.query_one(Banner).show(alarms(link, self.board, health))
        self.query_one(ExposurePanel).show(exposure_facts(self.board, health, self.feed.carrier))
        show_idle(self)
        self.query_one(TooSmall).live = facts.live + facts.ringing

    @on(Hints.Dismissed)
    @on(Idle.Dismissed)
    def _notice_read(self) -> None:
        self.notices.dismiss()
        paint_notice(self)

    def on_resize(self, event: events.Resize) -> None:
        small = event.size.width < MIN_WIDTH or event.size.height < MIN_HEIGHT
        self.set_class(small, "-too-small")
        if small:
            self.query_one(TooSmall).redraw()

    @on(Transcript.Resized)
    def _rewrap(self) -> None:
        self.paint()

    @on(CallTable.Selected)
    def _selected(self, event: CallTable.Selected) -> None:
        if self.frozen is None:
            self.query_one(CallTable).show_board(self.board, self.options.clock(), adrift=self.adrift)
        self._paint_call(self.options.clock())
        self._paint_waiting(self.options.clock())
        self.sounding.follow()
        if event.opened:
            self.query_one(Transcript).focus()

    @on(Transcript.Unread)
    def _unread(self, event: Transcript.Unread) -> None:
        self.query_one(Unread).show(event.count)

    @on(Unread.Clicked)
    def _follow(self) -> None:
        self.query_one(Transcript).action_follow()

    # -- commands -----------------------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """While a line is typed its keys are text.

        The bindings have priority so that a command takes effect before the next key is handed out: whoever types
        `:dial` fast, or pastes it, must not have `d` open the keypad.
        """
        typing = isinstance(self.focused, Input)
        return not (action == "run" and typing and parameters[0] not in ("back", "palette"))

    def action_run(self, name: str) -> None:
        """A key was pressed."""
        now = time.monotonic()
        if now < self._typing_until:
            self._typing_until = max(self._typing_until, now + self.options.typing_pause)
            return
        self.controls.run(self.registry.get(name), "")

    def expect_typing(self) -> None:
        """A dialog went away by itself, perhaps while somebody types: the rest of that text is no command."""
        self._typing_until = time.monotonic() + 3 * self.options.typing_pause

    def is_live(self, call_id: str) -> bool:
        """Whether a call goes on, as far as is known."""
        call = self.board.calls.get(call_id)
        return call is not None and call.live

    def run_line(self, line: str) -> None:
        """A line was typed after `:`, or chosen in the palette."""
        parsed = self.registry.parse(line)
        if isinstance(parsed, Typed):
            self.controls.run(parsed.command, parsed.argument)
        else:
            self.controls.warn(parsed)

    @on(Hints.Chosen)
    def _hint_chosen(self, event: Hints.Chosen) -> None:
        self.action_run(event.name)

    @on(Prompt.Submitted)
    def _entered(self, event: Prompt.Submitted) -> None:
        self.controls.entered(event.mode, event.text, event.call_id)

    @on(Prompt.Refused)
    def _refused(self, event: Prompt.Refused) -> None:
        self.controls.warn(f"{event.mode}: {event.why}")

    @on(Prompt.Edited)
    def _edited(self, event: Prompt.Edited) -> None:
        if event.mode == "filter":
            self.controls.filter(event.text)

    @on(Prompt.Closed)
    def _prompt_closed(self, event: Prompt.Closed) -> None:
        if event.mode == "filter" and event.cancelled:
            self.controls.filter("")
        show_idle(self)
        if isinstance(self.app.screen, MainScreen) and self.query_one(Prompt).mode is None:
            self.query_one(CallTable).focus()

    def set_filter(self, text: str) -> None:
        """Show only calls that match."""
        self.query_one(CallTable).filter = Filter(text)
        show_idle(self)
        self.paint()

    def _complete(self, text: str) -> str | None:
        return self.registry.complete(text, choices(self.themes), self.hidden)
