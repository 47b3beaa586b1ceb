"""How soon `voicecall` answers: `--help`, and the first paint of the console and of the demo on a terminal.

    python bench/startup.py

Help is timed from start to end of the process, between runs of `python -c pass`. A first paint is the moment at
which the screen's first words reach the terminal (120x40), measured from the start of the process; beside it stands
a Textual application that shows one word. Figures are medians; each start has a new, empty state folder.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.common import arguments, show, voicecall  # noqa: E402
from bench.terminal import Terminal  # noqa: E402

PAINT_SECONDS: Final = 60.0
EMPTY: Final = """
from textual.app import App
from textual.widgets import Static

class Empty(App):
    def compose(self):
        yield Static("painted")

Empty().run()
"""
SCREENS: Final = {
    "empty Textual": ([sys.executable, "-c", EMPTY], "painted"),
    "voicecall": ([*voicecall()], "EXPOSURE"),
    "voicecall demo": ([*voicecall(), "demo"], "EXPOSURE"),
}
"""What is started -> the command, and a word of its first paint."""


def run_ms(command: Sequence[str]) -> float:
    """Milliseconds from the start to the end of a process."""
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return (time.perf_counter() - began) * 1000


def paint_ms(command: Sequence[str], word: str) -> float:
    """Milliseconds from the start of a process to its first paint."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "VOICECALL_STATE_DIR": folder, "XDG_CONFIG_HOME": folder}
        with Terminal(command, environment) as terminal:
            painted = terminal.wait_for(lambda text: word.casefold() in text.casefold(), PAINT_SECONDS)
            return (painted - terminal.started) * 1000


def medians(measures: dict[str, Callable[[], float]], rounds: int) -> dict[str, float]:
    """The median of each measure, taken in turns so that a busy moment hits all of them."""
    taken: dict[str, list[float]] = {name: [] for name in measures}
    for measure in measures.values():
        measure()  # the first time reads files that later ones find in memory
    for _ in range(rounds):
        for name, measure in measures.items():
            taken[name].append(measure())
    return {name: round(statistics.median(values), 1) for name, values in taken.items()}


def main() -> None:
    parser = arguments(__doc__ or "")
    parser.add_argument("--rounds", type=int, default=15, help="runs of --help (default 15)")
    parser.add_argument("--paints", type=int, default=5, help="starts of each screen (default 5; 0: none)")
    options = parser.parse_args()
    figures = medians(
        {
            "python -c pass": partial(run_ms, [sys.executable, "-c", "pass"]),
            "voicecall --help": partial(run_ms, [*voicecall(), "--help"]),
        },
        options.rounds,
    )
    lines = [
        f"voicecall --help             {figures['voicecall --help']:7.0f} ms  "
        f"{figures['voicecall --help'] / figures['python -c pass']:.1f} x python -c pass "
        f"({figures['python -c pass']:.0f} ms)"
    ]
    if options.paints:
        paints = medians({name: partial(paint_ms, *screen) for name, screen in SCREENS.items()}, options.paints)
        for name, value in paints.items():
            ratio = value / paints["empty Textual"]
            lines.append(f"first paint, {name:16s}{value:7.0f} ms  {ratio:.1f} x empty Textual")
            figures[f"first paint: {name}"] = value
    show(lines, {"medianMs": figures}, options.json)


if __name__ == "__main__":
    main()
