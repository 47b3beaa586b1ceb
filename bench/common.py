"""What the benchmarks share: percentiles, what the system says about a process, and how figures are printed."""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent


def arguments(doc: str) -> argparse.ArgumentParser:
    """A parser with the script's docstring as its help, and `--json`."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="one JSON object instead of lines")
    return parser


def show(lines: Sequence[str], figures: dict[str, Any], as_json: bool) -> None:
    """Print the figures for a person, or for a program."""
    if as_json:
        print(json.dumps({**figures, "machine": machine()}))
        return
    for line in lines:
        print(line)
    print(", ".join(f"{name} {value}" for name, value in machine().items()))


def machine() -> dict[str, Any]:
    """Where the figures come from. The load is that of the last minute, this benchmark included."""
    return {
        "cores": os.cpu_count() or 1,
        "python": platform.python_version(),
        "load": round(os.getloadavg()[0], 1),
    }


def percentile(values: Sequence[float], share: float) -> float:
    """The value that `share` (0..1) of `values` do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, round(share * len(ordered) + 0.5) - 1))]


def cpu_seconds(pid: int) -> float:
    """Processor time of a process so far (Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_mb(pid: int) -> float:
    """Resident memory of a process (Linux)."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def voicecall() -> list[str]:
    """The command as a user runs it: the one that stands beside this interpreter, or the module."""
    script = Path(sys.executable).parent / "voicecall"
    return [str(script)] if shutil.which(str(script)) else [sys.executable, "-m", "console.cli"]
