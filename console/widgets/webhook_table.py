"""The list of the webhook desk, newest first. It follows what comes until the reader moves; then it holds still."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from textual import events
from textual.binding import Binding
from textual.message import Message
from textual.strip import Strip

from console.hooks import Hook
from console.paint import Row, crop_row
from console.text import fit
from console.widgets.lines import LinePane, Panel
from console.words import mask_numbers

WIDE = 110
"""Cells from which a row has room for method and path."""
CallName = Callable[[str], str]


def hook_row(hook: Hook, width: int, call: str, *, masked: bool) -> Row:
    """One request in `width` cells. `call`: what its call is called, empty for none."""
    look = hook.look
    when = time.strftime("%H:%M:%S", time.localtime(hook.at / 1000))
    where: Row = ()
    taken = 63
    if width >= WIDE:
        path = max(20, (width - 70) // 3)
        where = ((f"{fit(hook.method, 4)} {fit(mask_numbers(hook.path, masked), path)} ", "dim"),)
        taken += path + 6
    status = f"{hook.status:>3}" if hook.status else "  –"
    return (
        (f"{look.symbol} {fit(look.word, 7)} ", look.ink),
        (f"{when} ", "text"),
        *where,
        (f"{fit(hook.type or '–', 15)} ", "text" if hook.type else "dim"),
        (f"{status} ", "bad" if hook.status >= 400 else "text"),
        (f"{hook.ms:>5} ms ", "text"),
        (f"{fit(call or '–', 13)} ", "text" if call else "dim"),
        (
            fit(mask_numbers(hook.outcome, masked), max(4, width - taken)),
            "bad" if hook.status >= 400 else "dim",
        ),
    )


def chosen_rows(hook: Hook | None, width: int, *, masked: bool) -> list[Row]:
    """The selected request in two lines: where it came to, and what came of it or why nothing did."""
    if hook is None:
        return []
    came = f" {hook.method} {mask_numbers(hook.path, masked)} from {hook.peer or 'nobody knows where'}"
    said = f" {hook.look.symbol} {hook.look.word}: {mask_numbers(hook.outcome, masked)}"
    return [crop_row(((came, "dim"),), width - 1), crop_row(((said, hook.look.ink),), width - 1)]


class Chosen(Panel):
    """Shows those two lines: in a narrow terminal the list has no room for them."""

    DEFAULT_CSS = "Chosen { height: 2; background: $panel; }"

    hook: Hook | None = None
    masked = False

    def show(self, hook: Hook | None, masked: bool) -> None:
        """Draw this request."""
        if (hook, masked) != (self.hook, self.masked):
            self.hook, self.masked = hook, masked
            self.redraw()

    def draw(self, width: int, height: int) -> Sequence[Row]:
        return chosen_rows(self.hook, width, masked=self.masked)


class WebhookTable(LinePane, can_focus=True):
    """Shows requests; the selection stays on its request when others come."""

    ALLOW_SELECT = False
    DEFAULT_CSS = """
    WebhookTable { background: $surface; scrollbar-background: $surface; }
    """
    BINDINGS = [
        Binding("j,down", "move(1)", "Older", show=False),
        Binding("k,up", "move(-1)", "Newer", show=False),
        Binding("g,home", "follow", "Newest, and follow", show=False),
        Binding("G,end", "last", "Oldest", show=False),
        Binding("pagedown,ctrl+d", "page(1)", "Page down", show=False),
        Binding("pageup,ctrl+u", "page(-1)", "Page up", show=False),
        Binding("enter", "open", "Details", show=False),
    ]

    class Opened(Message):
        """The selected request shall be shown in full."""

    class AtEnd(Message):
        """The oldest row that is here was reached."""

    class Changed(Message):
        """Another request is selected, or it follows what comes, or no longer does."""

    def __init__(self) -> None:
        super().__init__("webhooks")
        self.hooks: list[Hook] = []
        self.selected: int | None = None
        self.following = True
        self.unseen = 0
        """Requests that came while it holds still."""
        self.masked = False
        self.note = "no webhooks yet"
        self.call_name: CallName = lambda call_id: call_id[:8]

    @property
    def hook(self) -> Hook | None:
        """The selected request."""
        return next((hook for hook in self.hooks if hook.id == self.selected), None)

    def show(self, hooks: Sequence[Hook]) -> None:
        """Draw these requests, newest first."""
        known = self.hooks[0].id if self.hooks else 0
        fresh = sum(1 for hook in hooks if hook.id > known) if self.hooks else 0
        self.hooks = list(hooks)
        if self.following or self.hook is None:
            self.selected = self.hooks[0].id if self.hooks else None
        if not self.following:
            self.unseen += fresh
        self.redraw()
        if self.following:
            self.scroll_to(y=0, animate=False, force=True)
        elif fresh:
            self.scroll_to(y=self.scroll_offset.y + fresh, animate=False, force=True)

    def clear(self) -> None:
        """Forget all rows; whatever is shown next is new."""
        self.hooks, self.selected, self.unseen, self.following = [], None, 0, True
        self.redraw()

    def redraw(self) -> None:
        """Make all rows anew; only those that differ are painted."""
        self.post_message(self.Changed())
        width = self.scrollable_content_region.width
        rows: list[Row] = [self._row(hook, width) for hook in self.hooks]
        self.replace_rows(0, rows or [((fit(f" {self.note}", width), "dim"),)])

    def _row(self, hook: Hook, width: int) -> Row:
        call = self.call_name(hook.call_id) if hook.call_id else ""
        marker = ("▌" if hook.id == self.selected else " ", "key")
        return (marker, *hook_row(hook, width - 1, mask_numbers(call, self.masked), masked=self.masked))

    def render_line(self, y: int) -> Strip:
        index = y + self.scroll_offset.y
        row = self._rows[index] if index < len(self._rows) else ()
        cursor = index < len(self.hooks) and self.hooks[index].id == self.selected
        return self.strip_of(row, self.scrollable_content_region.width, "cursor" if cursor else "")

    def hold(self) -> None:
        """The reader looks at something: stay there."""
        if self.following:
            self.following = False
            self.post_message(self.Changed())

    def action_follow(self) -> None:
        """To the newest, and follow what comes."""
        self.following, self.unseen = True, 0
        self.show(self.hooks)
        self.post_message(self.Changed())

    def action_move(self, step: int) -> None:
        index = self._index()
        if not self.hooks:
            return
        self.hold()
        self._select(index + step)

    def action_page(self, direction: int) -> None:
        self.action_move(direction * max(1, self.size.height - 1))

    def action_last(self) -> None:
        self.action_move(len(self.hooks))

    def action_open(self) -> None:
        if self.hook is not None:
            self.hold()
            self.post_message(self.Opened())

    def _index(self) -> int:
        return next((index for index, hook in enumerate(self.hooks) if hook.id == self.selected), 0)

    def _select(self, index: int) -> None:
        index = max(0, min(index, len(self.hooks) - 1))
        self.selected = self.hooks[index].id
        self.redraw()
        top, height = self.scroll_offset.y, self.size.height
        if index < top:
            self.scroll_to(y=index, animate=False, force=True)
        elif height and index >= top + height:
            self.scroll_to(y=index - height + 1, animate=False, force=True)
        if index == len(self.hooks) - 1:
            self.post_message(self.AtEnd())

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        self.hold()

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        self.hold()

    def on_click(self, event: events.Click) -> None:
        inside = event.get_content_offset(self)
        if inside is None:
            return
        index = inside.y + self.scroll_offset.y
        if index < len(self.hooks):
            self.hold()
            self._select(index)
            if event.chain > 1:
                self.post_message(self.Opened())

    def on_resize(self) -> None:
        self.redraw()
