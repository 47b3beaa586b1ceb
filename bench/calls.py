"""How punctual our audio is, and what a call costs in memory, at N live calls on the simulated carrier.

    python bench/calls.py --calls 1 20 100 --view headless screen stalled

The agent speaks in every call without a pause, and every caller talks without a pause. Speech is ready-made and
there is no recogniser (see bench/rig.py for what is real and what is not). Lateness is the engine's own count,
against its absolute schedule, in whole ms. `silence` is the carrier's side of it: the share of the callers' time in
which they had nothing of ours to hear. Memory is the engine's process with N calls less the same process after one
call has ended.

Views: headless; screen, the console on a terminal of 120x40 in the engine's process, busy with all calls; stalled,
the same on a terminal that takes nothing for ten seconds of the measurement.
"""

from __future__ import annotations

import argparse
import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.common import ROOT, arguments, show  # noqa: E402
from bench.terminal import Terminal, plain  # noqa: E402

RIG: Final = Path(__file__).resolve().parent / "rig.py"
STALL_SECONDS: Final = 10.0
LIMIT_SECONDS: Final = 120.0
"""What one measurement may take beyond its own seconds."""
FEW: Final = 10


@dataclass(slots=True)
class Rig:
    """A rig process: what it reports, and its terminal where it has one."""

    reports: int
    terminal: Terminal | None = None

    def wait_for(self, phase: str, seconds: float, stalled: bool = False) -> dict[str, Any]:
        """What the rig reports of `phase`. Its terminal is read meanwhile, unless it is `stalled`.

        Raises RuntimeError when the rig ends before, and TimeoutError.
        """
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            if (report := self._read(left, stalled)) is not None and report["phase"] == phase:
                return report
        raise TimeoutError(f"the rig did not report {phase!r} within {seconds:.0f} s")

    def drain(self, seconds: float) -> None:
        """Let the rig work, and take what it paints."""
        deadline = time.monotonic() + seconds
        while self.terminal is not None and (left := deadline - time.monotonic()) > 0:
            self.terminal.read(left)

    def _read(self, seconds: float, stalled: bool) -> dict[str, Any] | None:
        sources: list[int] = [self.reports]
        if self.terminal is not None and not stalled:
            sources.append(self.terminal.fileno())
        ready = select.select(sources, [], [], seconds)[0]
        if self.terminal is not None and self.terminal.fileno() in ready:
            self.terminal.read(0)
        if self.reports not in ready:
            return None
        line = _line(self.reports)
        if not line:
            self.drain(0.5)
            said = plain(self.terminal.tail) if self.terminal is not None else "see above"
            raise RuntimeError(f"the rig ended before it had measured anything: {said}")
        report: dict[str, Any] = json.loads(line)
        return report


def _line(source: int) -> bytes:
    """One line, which the rig writes at once."""
    line = b""
    while not line.endswith(b"\n") and (byte := os.read(source, 1)):
        line += byte
    return line


@contextmanager
def rig(calls: int, seconds: float, *, screen: bool, more: Sequence[str] = ()) -> Iterator[Rig]:
    """A rig with so many calls for so long (0: until the context ends)."""
    reading, writing = os.pipe()
    command = [sys.executable, str(RIG), "--calls", str(calls), "--seconds", str(seconds), *more]
    command += ["--view", "screen" if screen else "headless", "--report-fd", str(writing)]
    try:
        if screen:
            with Terminal(command, os.environ, [writing]) as terminal:
                os.close(writing)
                yield Rig(reading, terminal)
        else:
            child = subprocess.Popen(command, cwd=ROOT, pass_fds=[writing])
            os.close(writing)
            try:
                yield Rig(reading)
                child.wait(LIMIT_SECONDS)
            finally:
                child.kill()
                child.wait()
    finally:
        os.close(reading)


def measure(calls: int, view: str, seconds: float, more: Sequence[str] = ()) -> dict[str, Any]:
    """One measurement in a process of its own."""
    with rig(calls, seconds, screen=view != "headless", more=more) as running:
        running.wait_for("up", LIMIT_SECONDS)
        if view == "stalled":
            time.sleep(min(STALL_SECONDS, seconds))
        figures = running.wait_for("measured", seconds + LIMIT_SECONDS)
    return {"view": view, **figures}


def line(figures: dict[str, Any]) -> str:
    """One measurement as a line. What few calls take is less than a process's memory moves by itself."""
    late, kb = figures["lateMs"], f"{figures['kbPerCall']} kB" if figures["calls"] >= FEW else "-"
    return (
        f"{figures['calls']:5d} {figures['view']:9s}{late['p50']:6d} {late['p99']:4d} {late['max']:5d} ms"
        f"{figures['late20']:8d} of {figures['frames']:<7d}{figures['silencePercent']:6.2f} %"
        f"{figures['engineCpuPercent']:7.0f} %{kb:>10s}"
    )


HEAD: Final = "calls view        p50  p99   max    over 20 ms late    silence    cpu  a call"


def main() -> None:
    parser = arguments(__doc__ or "")
    parser.add_argument("--calls", type=int, nargs="+", default=[1, 20, 100])
    parser.add_argument("--view", nargs="+", choices=["headless", "screen", "stalled"], default=["headless"])
    parser.add_argument("--seconds", type=float, default=20, help="of each measurement (default 20)")
    parser.add_argument("--people", choices=["talker", "sink"], default="talker", help="sink: callers say nothing")
    parser.add_argument("--ramp", type=float, default=15, help="calls placed in a second, before it (default 15)")
    parser.add_argument("--settle", type=float, default=5, help="seconds before each look at memory (default 5)")
    options = parser.parse_args()
    print(HEAD if not options.json else "", end="" if options.json else "\n", flush=True)
    every = [_one(options, calls, view) for view in options.view for calls in options.calls]
    show([], {"calls": every, "speech": "ready-made, no recogniser"}, options.json)


def _one(options: argparse.Namespace, calls: int, view: str) -> dict[str, Any]:
    more = ["--people", options.people, "--ramp", str(options.ramp), "--settle", str(options.settle)]
    figures = measure(calls, view, options.seconds, more)
    if not options.json:
        print(line(figures), flush=True)
    return figures


if __name__ == "__main__":
    main()
