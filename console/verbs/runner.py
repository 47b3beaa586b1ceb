"""Runs a verb: settings in, exit code out, and every failure in the one shape that people and scripts can read."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import os
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol, TextIO

from engine.client import NoEngine, Refusal
from engine.config import ConfigError, Loaded, default_state_dir, load_config
from engine.store import StoreError

DONE: Final = 0
FAILED: Final = 1
INVALID: Final = 2
NO_ENGINE: Final = 3
TIMED_OUT: Final = 4


class OutputClosed(Exception):
    """Nobody reads our output any more."""


@dataclass(frozen=True, slots=True)
class Output:
    """Where results go: one JSON value a line, or text for people."""

    json: bool
    stream: TextIO

    def result(self, value: Any, text: Iterable[str]) -> None:
        """Print a result: `value` for machines, the lines of `text` for people."""
        if self.json:
            # On a terminal, everything beyond ASCII is escaped: what a caller said must not steer the terminal.
            self.line(json.dumps(value, ensure_ascii=to_terminal(self.stream)))
            return
        for line in text:
            self.line(printable(line))

    def line(self, text: str) -> None:
        try:
            print(text, file=self.stream, flush=True)
        except BrokenPipeError:
            raise OutputClosed from None

    def note(self, text: str) -> None:
        """A remark beside the result."""
        with contextlib.suppress(OSError):  # nobody reads it: no reason to fail
            print(printable(text), file=sys.stderr)


def to_terminal(stream: TextIO) -> bool:
    """Whether a person reads this stream."""
    return stream.isatty()


def printable(line: str) -> str:
    """A line that can not steer a terminal: no control, direction or invisible characters, whoever wrote them."""
    return "".join(char for char in line if char.isprintable())


@dataclass(frozen=True, slots=True)
class Session:
    """What every verb is given."""

    args: argparse.Namespace
    out: Output
    env: Mapping[str, str]

    def load(self) -> Loaded:
        """The configuration. Raises ConfigError."""
        return load_config(self.args.config, self.env)

    def state_dir(self, loaded: Loaded) -> Path:
        return default_state_dir(loaded.config, self.env, self.args.state_dir)


class _VerbModule(Protocol):
    def run(self, session: Session) -> int: ...


def run(args: argparse.Namespace) -> int:
    """Run the verb that was parsed; returns the exit code of CONTRACT 1."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    out = Output(args.json or not to_terminal(sys.stdout), sys.stdout)
    module: _VerbModule = importlib.import_module(args.module)
    try:
        return module.run(Session(args, out, os.environ))
    except ConfigError as error:
        return _invalid(out, error)
    except NoEngine as error:
        return fail(out, NO_ENGINE, "no_engine", error.error, error.hint)
    except Refusal as refusal:
        code = TIMED_OUT if refusal.code == "timeout" else FAILED
        more = {"callId": refusal.call_id} if refusal.call_id else {}
        return fail(out, code, refusal.code, refusal.error, refusal.hint, **more)
    except StoreError as error:
        return fail(out, FAILED, "store_failed", error.error, error.hint)
    except OSError as error:
        what = f"{error.filename}: " if error.filename else ""
        return fail(
            out, FAILED, "system_error", f"{what}{error.strerror or error}", "check owner, mode and disk space"
        )


def fail(out: Output, code: int, slug: str, error: str, hint: str = "", **more: Any) -> int:
    """Tell a failure on stderr, and in JSON on stdout where machines read; returns the exit code."""
    out.note(f"voicecall: {error}")
    if hint:
        out.note(f"  {hint}")
    if out.json:
        out.result({"success": False, "code": slug, "error": error, "hint": hint, **more}, ())
    return code


def problems_json(error: ConfigError) -> list[dict[str, Any]]:
    """The problems of a configuration as `config check` and failures list them."""
    return [
        {
            "file": str(error.path) if error.path is not None else None,
            "line": problem.line or None,
            "column": problem.column or None,
            "key": problem.key,
            "message": problem.message,
            "hint": problem.hint,
        }
        for problem in error.problems
    ]


def _invalid(out: Output, error: ConfigError) -> int:
    for problem in error.problems:
        out.note(problem.describe(error.path))
    if out.json:
        first = error.problems[0]
        failure = {"success": False, "code": "invalid_config", "error": first.describe(error.path)}
        out.result({**failure, "hint": "see `voicecall config check`", "problems": problems_json(error)}, ())
    return INVALID
