"""From a key press to its paint, on a terminal (120x40), with N live calls in the engine of the same process.

    python bench/keys.py --calls 100

Two kinds of keys, pressed at irregular times: `j` and `k` in the call table, until the line above the transcript
shows the next call's number; and letters in the prompt, until they stand there. The calls are those of
bench/calls.py: everybody talks without a pause, and the screen is busy.
"""

from __future__ import annotations

import random
import re
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.calls import LIMIT_SECONDS, Rig, rig  # noqa: E402
from bench.common import arguments, percentile, show  # noqa: E402
from bench.terminal import Terminal  # noqa: E402

SHOWN: Final = re.compile(r"(\+1555012\d{4}) +(?:outbound|[►●◉◐◌])")
"""The selected call above the transcript."""
PAINT_SECONDS: Final = 10.0
WORD: Final = "abcdefghijklmnopqrstuvwxyz"


def pressed_to_painted(terminal: Terminal, keys: str, seen: Callable[[str], bool]) -> float:
    """Milliseconds from pressing `keys` until `seen`."""
    pressed = time.perf_counter()
    terminal.press(keys)
    return (terminal.wait_for(seen, PAINT_SECONDS) - pressed) * 1000


class Selected:
    """The call that the screen shows, as far as it was painted."""

    def __init__(self) -> None:
        self.number = ""

    def changed(self, text: str) -> bool:
        """Whether `text` shows another call; that one is the selected one from then on."""
        others = [number for number in SHOWN.findall(text) if number != self.number]
        if others:
            self.number = others[-1]
        return bool(others)


def move(running: Rig, terminal: Terminal, presses: int, calls: int) -> list[float]:
    """Walk down and up the call table."""
    selected = Selected()
    pressed_to_painted(terminal, "g", selected.changed)  # the call that warmed up stands last, and is selected
    took: list[float] = []
    for index in range(presses):
        _pause(running)
        down = index % (2 * calls - 2) < calls - 1
        took.append(pressed_to_painted(terminal, "j" if down else "k", selected.changed))
    return took


def type_words(running: Rig, terminal: Terminal, presses: int) -> list[float]:
    """Type into the prompt, and take it all back now and then."""
    took: list[float] = []
    terminal.press(":")
    for index in range(presses):
        _pause(running)
        place = index % len(WORD)
        if place == 0 and index:
            terminal.press("\x15")
            _pause(running)
        wanted = WORD[: place + 1]
        took.append(pressed_to_painted(terminal, WORD[place], partial(_holds, wanted)))
    terminal.press("\x1b")
    return took


def _holds(wanted: str, text: str) -> bool:
    return wanted in text


def _pause(running: Rig) -> None:
    running.drain(random.uniform(0.08, 0.2))


def figures(took: list[float]) -> dict[str, Any]:
    return {
        "presses": len(took),
        "p50Ms": round(percentile(took, 0.5), 1),
        "p99Ms": round(percentile(took, 0.99), 1),
        "maxMs": round(max(took), 1),
    }


def main() -> None:
    parser = arguments(__doc__ or "")
    parser.add_argument("--calls", type=int, default=100)
    parser.add_argument("--presses", type=int, default=200, help="of each kind (default 200)")
    parser.add_argument("--settle", type=float, default=5, help="seconds before the first key (default 5)")
    options = parser.parse_args()
    with rig(options.calls, 0, screen=True, more=["--settle", str(options.settle)]) as running:
        running.wait_for("up", LIMIT_SECONDS)
        assert running.terminal is not None
        every = {
            "next call": figures(move(running, running.terminal, options.presses, options.calls)),
            "letter": figures(type_words(running, running.terminal, options.presses)),
        }
    lines = [
        f"{name:10s} p50 {each['p50Ms']:6.1f} ms  p99 {each['p99Ms']:6.1f} ms  max {each['maxMs']:6.1f} ms"
        for name, each in every.items()
    ]
    show(lines, {"calls": options.calls, **every}, options.json)


if __name__ == "__main__":
    main()
