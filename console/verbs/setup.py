"""setup and smoke: is everything there, and would a call go out?"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from console.text import clean
from console.verbs.door import running_engine
from console.verbs.runner import DONE, FAILED, INVALID, Session, fail
from console.verbs.unverified import warn_unverified
from engine.check import Check
from engine.checks import run_checks
from engine.config import Config, ConfigError, is_phone_number

SMOKE_MESSAGE: Final = "This is a test call from voicecall. Everything works. Goodbye."


def run(session: Session) -> int:
    try:
        loaded = session.load()
    except ConfigError as error:
        return _broken(session, error)
    warn_unverified(loaded.config)
    state_dir = session.state_dir(loaded)
    if session.args.verb == "smoke":
        return _smoke(session, loaded.config, list(run_checks(loaded, state_dir)), state_dir)
    if (wrong := _misused(session.args)) is not None:
        return fail(session.out, INVALID, "invalid_params", *wrong)
    checks = list(run_checks(loaded, state_dir))
    if session.args.online:
        from console.verbs import setup_online

        return setup_online.run(session, loaded.config, state_dir, checks)
    session.out.result(report(checks), check_lines(checks))
    return DONE if all(check.ok for check in checks) else FAILED


def _misused(args: argparse.Namespace) -> tuple[str, str] | None:
    """What is wrong with the options, and how they are meant."""
    if args.fix and not args.online:
        return "--fix needs --online", "voicecall setup --online --fix"
    if args.yes and not args.fix:
        return "--yes confirms what --fix writes, and there is no --fix", "voicecall setup --online --fix --yes"
    return None


def report(checks: Sequence[Check]) -> dict[str, Any]:
    return {"ok": all(check.ok for check in checks), "checks": [check.to_json() for check in checks]}


def check_lines(checks: Sequence[Check]) -> Iterator[str]:
    """The checks for people."""
    width = max((14, *(len(check.id) for check in checks)))
    for check in checks:
        first, *more = check.message.splitlines() or [""]
        yield f"{'ok  ' if check.ok else 'FAIL'}  {check.id:<{width}} {clean(first)}"
        for line in more:
            yield f"      {'':<{width}} {clean(line)}"
        if check.fix:
            yield f"      {'':<{width}} -> {clean(check.fix)}"


def _broken(session: Session, error: ConfigError) -> int:
    checks = [Check("config", False, problem.describe(error.path), problem.hint) for problem in error.problems]
    session.out.result(report(checks), check_lines(checks))
    return INVALID


def _smoke(session: Session, config: Config, checks: list[Check], state_dir: Path) -> int:
    args = session.args
    if args.yes and not args.to:
        return fail(
            session.out, INVALID, "invalid_params", "--yes places a real call and needs --to", "name a number"
        )
    to = args.to or config.to_number
    call = {
        "provider": config.provider,
        "from": config.from_number,
        "to": to,
        "mode": args.mode or config.outbound.default_mode,
        "message": args.message or SMOKE_MESSAGE,
    }
    if to and not is_phone_number(to):
        checks.append(Check("to", False, f"{to} is not a phone number in E.164 form", "write it like +15550100142"))
    checks += _from_outside(config, state_dir)
    ok = all(check.ok for check in checks)
    if not args.yes or not ok:
        failed = [check.id for check in checks if not check.ok]
        why = f"not called: {', '.join(failed)} failed" if failed else "without --yes nothing is called"
        told = {**report(checks), "dryRun": True, "why": why, "call": call}
        session.out.result(told, [*check_lines(checks), *_plan(call, ok)])
        return DONE if ok else FAILED
    call_id = asyncio.run(_dial(state_dir, call))
    result = {**report(checks), "dryRun": False, "call": call, "callId": call_id}
    session.out.result(result, [*check_lines(checks), f"dialling: call {call_id}"])
    return DONE


def _from_outside(config: Config, state_dir: Path) -> list[Check]:
    """How the engine that runs here is reached from outside; nothing when none runs, or nothing is public."""
    from engine.exposure.reach import tunnel_kind
    from engine.online_exposure import exposure_of_running

    if tunnel_kind(config) == "loopback":
        return []
    return asyncio.run(exposure_of_running(config, state_dir)) or []


def _plan(call: dict[str, Any], ok: bool) -> Iterator[str]:
    if not ok:
        yield "no call was placed: put the failed checks right first"
        return
    to = clean(call["to"]) if call["to"] else "(no number: give --to)"
    yield f"dry run: would call {to} by {call['provider']}, mode {call['mode']}, and say: {clean(call['message'])}"
    yield "to really call: voicecall smoke --to NUMBER --yes"


async def _dial(state_dir: Path, call: dict[str, Any]) -> str:
    async with running_engine(state_dir) as client:
        return await client.call(call["to"], call["message"], call["mode"])
