"""setup and smoke: is everything there, and would a call go out?"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from console.text import clean
from console.verbs.door import running_engine
from console.verbs.runner import DONE, FAILED, INVALID, Session, fail
from engine.checks import Check, run_checks
from engine.config import Config, ConfigError, is_phone_number

SMOKE_MESSAGE: Final = "This is a test call from voicecall. Everything works. Goodbye."


def run(session: Session) -> int:
    try:
        loaded = session.load()
    except ConfigError as error:
        return _broken(session, error)
    state_dir = session.state_dir(loaded)
    if session.args.verb == "smoke":
        return _smoke(session, loaded.config, list(run_checks(loaded, state_dir)), state_dir)
    checks = list(run_checks(loaded, state_dir))
    session.out.result(report(checks), check_lines(checks))
    return DONE if all(check.ok for check in checks) else FAILED


def report(checks: Sequence[Check]) -> dict[str, Any]:
    return {"ok": all(check.ok for check in checks), "checks": [check.to_json() for check in checks]}


def check_lines(checks: Sequence[Check]) -> Iterator[str]:
    """The checks for people."""
    for check in checks:
        yield f"{'ok  ' if check.ok else 'FAIL'}  {check.id:<14} {clean(check.message)}"
        if check.fix:
            yield f"      {'':<14} -> {clean(check.fix)}"


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
    ok = all(check.ok for check in checks)
    if not args.yes or not ok:
        plan = _plan(call, ok)
        session.out.result({**report(checks), "dryRun": True, "call": call}, [*check_lines(checks), *plan])
        return DONE if ok else FAILED
    call_id = asyncio.run(_dial(state_dir, call))
    result = {**report(checks), "dryRun": False, "call": call, "callId": call_id}
    session.out.result(result, [*check_lines(checks), f"dialling: call {call_id}"])
    return DONE


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
