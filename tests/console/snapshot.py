"""Pictures of the screen as text: what a reader sees, row by row, and the colour of each stretch that has a name.

A snapshot is a text file beside the tests. `UPDATE_SNAPSHOTS=1 pytest tests/console` writes them anew; look at the
difference before you commit it.
"""

from __future__ import annotations

import difflib
import os
from pathlib import Path

from tests.console.harness import Bench

FOLDER = Path(__file__).parent / "snapshots"


def picture(made: Bench) -> str:
    """The screen as text between borders, so that trailing space is seen."""
    width, height = made.app.size
    rows = made.lines()
    body = [f"|{row.ljust(width)}|" for row in rows[:height]]
    return "\n".join([f"{width}x{height}", *body, ""])


def styles(made: Bench, *words: str) -> str:
    """How the first place of each word is drawn: foreground, background, bold, italic."""
    found: list[str] = []
    strips = made.app.screen._compositor.render_strips()
    for word in words:
        segment = next((part for strip in strips for part in strip if word in part.text), None)
        style = segment.style if segment else None
        looks = "absent" if style is None else f"{_name(style.color)} on {_name(style.bgcolor)}"
        if style is not None:
            looks += " bold" * bool(style.bold) + " italic" * bool(style.italic)
        found.append(f"{word}: {looks}")
    return "\n".join([*found, ""])


def _name(colour: object) -> str:
    return str(getattr(colour, "name", None) or "default")


def check(name: str, got: str) -> None:
    """Compare with the stored snapshot `name`."""
    path = FOLDER / f"{name}.txt"
    if os.environ.get("UPDATE_SNAPSHOTS"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(got, encoding="utf-8")
        return
    wanted = path.read_text(encoding="utf-8") if path.exists() else ""
    if got != wanted:
        change = "\n".join(difflib.unified_diff(wanted.splitlines(), got.splitlines(), "stored", "now", lineterm=""))
        raise AssertionError(f"the screen {name!r} changed; UPDATE_SNAPSHOTS=1 accepts it\n{change}")
