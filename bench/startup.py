"""How soon `voicecall` answers: `--help`, and the first paint of the console and of the demo on a terminal.

    python bench/startup.py

Help is timed from start to end of the process, between runs of `python -c pass`. A first paint is the moment at
which the screen's first words reach the terminal (120x40), measured from the start of the process; beside it stands
a Textual application that shows one word. Figures are medians; each start has a new, empty state folder. A first run
of each, which compiles Python's bytecode, is not counted.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
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
RUNS: Final = {
    "python -c pass": [sys.executable, "-c", "pass"],
    "voicecall --help": [*voicecall(), "--help"],
}
SCREENS: Final = {
    "empty Textual": ([sys.executable, "-c", EMPTY], "painted"),
    "voicecall": ([*voicecall()], "EXPOSURE"),
    "voicecall demo": ([*voicecall(), "demo"], "EXPOSURE"),
}
"""What is started -> the command, and a word of its first paint."""


def environment(cache: str) -> dict[str, str]:
    """Where Python keeps its bytecode in `cache`, whatever this machine's habits are."""
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**inherited, "PYTHONPYCACHEPREFIX": cache}


def run_ms(command: Sequence[str], cache: str) -> float:
    """Milliseconds from the start to the end of a process."""
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environment(cache))
    return (time.perf_counter() - began) * 1000


def paint_ms(command: Sequence[str], word: str, cache: str) -> float:
    """Milliseconds from the start of a process to its first paint."""
    with tempfile.TemporaryDirectory() as folder:
        settings = {**environment(cache), "VOICECALL_STATE_DIR": folder, "XDG_CONFIG_HOME": folder}
        with Terminal(command, settings) as terminal:
            painted = terminal.wait_for(lambda text: word.casefold() in text.casefold(), PAINT_SECONDS)
            return (painted - terminal.started) * 1000


def medians(measures: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, float]:
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
    with tempfile.TemporaryDirectory() as cache:
        helps = medians({name: partial(run_ms, command, cache) for name, command in RUNS.items()}, options.rounds)
        screens = {name: partial(paint_ms, *screen, cache) for name, screen in SCREENS.items()}
        paints = medians(screens, options.paints) if options.paints else {}
    lines = [_line(name, value, "python -c pass", helps) for name, value in helps.items()]
    lines += [_line(f"first paint: {name}", value, "empty Textual", paints) for name, value in paints.items()]
    figures = helps | {f"first paint: {name}": value for name, value in paints.items()}
    show(lines, {"medianMs": figures}, options.json)


def _line(name: str, value: float, other: str, figures: dict[str, float]) -> str:
    return f"{name:28s}{value:6.0f} ms  {value / figures[other]:.1f} x {other}"


if __name__ == "__main__":
    main()
