"""setup --online: what the carrier's account says, and with --fix where its numbers report from now on."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from console.text import clean
from console.verbs import runner
from console.verbs.runner import DONE, FAILED, Session
from console.verbs.setup import check_lines, report
from engine.check import Check
from engine.config import Config
from engine.online import Change, Findings, Written, ask, write


def run(session: Session, config: Config, state_dir: Path, static: Sequence[Check]) -> int:
    found = asyncio.run(ask(config, state_dir))
    checks = [*static, *found.checks]
    if session.args.fix:
        return _fix(session, config, state_dir, static, found)
    session.out.result(report(checks), check_lines(checks))
    return _code(checks)


def _fix(session: Session, config: Config, state_dir: Path, static: Sequence[Check], found: Findings) -> int:
    checks = [*static, *found.checks]
    if not session.out.json:
        _tell(session, check_lines(checks))
    refusal = _refusal(session, found)
    if refusal or not found.changes:
        unclear = "nothing was written: see the failed checks"
        why = refusal or ("there is nothing to write" if _code(checks) == DONE else unclear)
        if session.out.json:
            session.out.note(f"voicecall: {why}")
        session.out.result(_report(checks, found.changes, (), why), [why])
        return FAILED if refusal else _code(checks)
    written = asyncio.run(write(config, state_dir, found.changes))
    again = asyncio.run(ask(config, state_dir)).checks
    checks = [*static, *again]
    session.out.result(
        _report(checks, found.changes, written, ""),
        [*(_written(one) for one in written), "as it is now:", *check_lines(again)],
    )
    return _code(checks) if not any(one.error for one in written) else FAILED


def _refusal(session: Session, found: Findings) -> str:
    """Why nothing may be written; shows what would be, and asks, where somebody has to say so."""
    if not found.changes:
        return ""
    _tell(session, [f"{'would write' if found.unwritable else 'to write'}:", *_plan(found.changes)])
    if found.unwritable:
        return f"nothing was written: {found.unwritable}"
    if session.args.yes:
        return ""
    if not (runner.to_terminal(sys.stdin) and runner.to_terminal(sys.stderr)):
        return (
            "nothing was written: there is no terminal to ask at; `setup --online --fix --yes` writes without asking"
        )
    print("Write this to the account? [y/N] ", end="", file=sys.stderr, flush=True)
    answer = sys.stdin.readline().strip().lower()
    return "" if answer in ("y", "yes") else "nothing was written"


def _plan(changes: Sequence[Change]) -> Iterable[str]:
    return (f"  {clean(line)}" for change in changes for line in change.lines())


def _written(one: Written) -> str:
    number = one.change.number
    return f"{number}: not written: {clean(one.error)}" if one.error else f"{number}: written, and read back"


def _tell(session: Session, lines: Iterable[str]) -> None:
    """For people, before the result: where the output is JSON, beside it."""
    for line in lines:
        if session.out.json:
            session.out.note(line)
        else:
            session.out.line(runner.printable(line))


def _report(
    checks: Sequence[Check], changes: Sequence[Change], written: Sequence[Written], why: str
) -> dict[str, Any]:
    """The checks, and per number what would have been or was written."""
    errors = {one.change.number: one.error for one in written}
    return {
        **report(checks),
        "changes": [
            {
                **change.to_json(),
                "written": errors.get(change.number) == "",
                "error": errors.get(change.number, why),
            }
            for change in changes
        ],
    }


def _code(checks: Sequence[Check]) -> int:
    return DONE if all(check.ok for check in checks) else FAILED
