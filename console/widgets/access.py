"""Who can reach which path: a table with a line for each, and what is asked of those who come."""

from __future__ import annotations

from collections.abc import Sequence

from console.hooks import WHO, Access
from console.paint import Row, crop_row
from console.text import fit
from console.widgets.lines import Panel
from console.words import Look

MAX_ROWS = 6
WIDE = 100


def access_rows(table: Sequence[Access], width: int) -> list[Row]:
    """The table in `width` cells. A path that is too long keeps its end."""
    if not table:
        return [crop_row(((" who reaches what is not known yet", "dim"),), width)]
    wide = width >= WIDE
    path = 32 if wide else 20
    head = f" {'WHO REACHES':<{path}} {'':<10} {'BY' if wide else 'THEY NEED'}"
    rows: list[Row] = [crop_row(((head, "title"),), width)]
    for each in table[:MAX_ROWS]:
        look = WHO.get(each.who, Look("?", each.who or "unknown", "warn"))
        shown = each.path if len(each.path) <= path else f"…{each.path[1 - path :]}"
        bare = each.guard.startswith("NOTHING")
        spans: list[tuple[str, str]] = [
            (f" {fit(shown, path)} ", "text"),
            (f"{look.symbol} {fit(look.word, 8)} ", look.ink),
        ]
        if wide:
            by = max(24, (width - path - 14) // 2)
            spans.append((f"{fit(each.by, by)} ", "dim"))
        spans.append((f"needs: {each.guard}" if wide else each.guard, "bad" if bare else "text"))
        rows.append(crop_row(tuple(spans), width))
    return rows


class AccessPanel(Panel):
    """Shows the table; as high as it has rows."""

    DEFAULT_CSS = "AccessPanel { height: 2; background: $panel; }"

    table: tuple[Access, ...] = ()

    def show(self, table: tuple[Access, ...]) -> None:
        """Draw this table."""
        if table != self.table:
            self.table = table
            self.styles.height = len(table[:MAX_ROWS]) + 1
            self.redraw()

    def draw(self, width: int, height: int) -> Sequence[Row]:
        return access_rows(self.table, width)
