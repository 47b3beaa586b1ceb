"""webhooks: requests of the carrier as they came, why they were refused, and letting one come again."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from console.text import clean
from console.verbs.door import running_engine
from console.verbs.runner import DONE, FAILED, INVALID, Session, fail
from engine.client import NoEngine
from engine.config import Config
from engine.history import open_history
from engine.store import WebhookQuery

Record = Mapping[str, Any]
NO_ENGINE: Final = "no engine runs on this state folder: this is the stored log"


def run(session: Session) -> int:
    args = session.args
    if wrong := _wrong(session):
        return fail(session.out, INVALID, "invalid_params", wrong, "see `voicecall webhooks --help`")
    loaded = session.load()
    config, state_dir = loaded.config, session.state_dir(loaded)
    if args.replay is not None:
        return _replay(session, state_dir)
    if args.id is not None or args.curl is not None:
        return _one(session, state_dir, config)
    found = _list(session, state_dir, config)
    session.out.result({"webhooks": found}, list_lines(found))
    return DONE


def _wrong(session: Session) -> str:
    args = session.args
    if args.live and args.replay is None:
        return "--live goes with --replay"
    if args.yes and not args.live:
        return "--yes goes with --replay N --live"
    if args.with_secrets and args.id is None and args.curl is None:
        return "--with-secrets goes with --id or --curl"
    return ""


def _list(session: Session, state_dir: Path, config: Config) -> Sequence[Record]:
    args = session.args
    wanted = WebhookQuery(args.last, args.call_id, args.verdict, args.query or "", args.before)
    try:
        return asyncio.run(_ask_list(state_dir, wanted))
    except NoEngine:
        session.out.note(NO_ENGINE)
        with open_history(state_dir) as history:
            return history.webhooks(wanted, config)


async def _ask_list(state_dir: Path, wanted: WebhookQuery) -> Sequence[Record]:
    async with running_engine(state_dir) as client:
        return await client.webhooks(wanted.last, wanted.call_id, wanted.verdict, wanted.query, wanted.before)


def _one(session: Session, state_dir: Path, config: Config) -> int:
    args = session.args
    webhook_id: int = args.id if args.id is not None else args.curl
    try:
        found: Record = asyncio.run(_ask_one(state_dir, webhook_id, args.with_secrets))
    except NoEngine:
        session.out.note(NO_ENGINE)
        with open_history(state_dir) as history:
            found = history.webhook(webhook_id, config, secrets=args.with_secrets)
    if args.curl is None:
        session.out.result(found, record_lines(found))
    elif not found["curl"]:
        return fail(session.out, FAILED, "not_supported", f"there is no curl command for it: {found['unfit']}")
    elif args.json:
        session.out.result({"curl": found["curl"]}, ())
    else:  # also into a pipe: it is for a shell
        for line in found["curl"].splitlines():
            session.out.line(line)
    return DONE


async def _ask_one(state_dir: Path, webhook_id: int, secrets: bool) -> Record:
    async with running_engine(state_dir) as client:
        return await client.webhook(webhook_id, secrets)


def _replay(session: Session, state_dir: Path) -> int:
    args = session.args
    if args.live and not args.yes and not _agreed(args.replay):
        wrong = "nothing was replayed: it was not agreed to"
        return fail(
            session.out, FAILED, "invalid_params", wrong, "--yes agrees; without --live nothing happens at all"
        )
    found = asyncio.run(_ask_replay(state_dir, args.replay, args.live))
    session.out.result(found, replay_lines(found))
    return DONE


def _agreed(webhook_id: int) -> bool:
    """Ask the person at the terminal, where there is one."""
    if not sys.stdin.isatty():
        return False
    print(f"Webhook {webhook_id} goes through the running engine as if the carrier had sent it now.", file=sys.stderr)
    print("Really? y/N ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


async def _ask_replay(state_dir: Path, webhook_id: int, live: bool) -> Record:
    async with running_engine(state_dir) as client:
        return await client.replay_webhook(webhook_id, "live" if live else "sandbox")


def list_lines(found: Sequence[Record]) -> Iterator[str]:
    """A table for people, newest first."""
    if not found:
        yield "no webhooks"
        return
    yield f"{'ID':>6} {'TIME':<19} {'VERDICT':<8} {'HTTP':>4} {'MS':>5} {'EVENT':<18} {'CALL':<8} EFFECT"
    for one in found:
        why = clean(one["why"]) if one["verdict"] == "refused" else clean(one["effect"])
        again = f" (replay of {one['replayed']['of']} by {clean(one['replayed']['by'])})" if one["replayed"] else ""
        call = clean(one["callId"] or "-")[:8]
        yield (
            f"{one['id']:>6} {_moment(one['at'])} {clean(one['verdict']):<8} {one['status']:>4} {one['ms']:>5} "
            f"{clean(one['type'], 18):<18} {call:<8} {why}{again}"
        )


def record_lines(one: Record) -> Iterator[str]:
    """One request for people: how it was judged, what came, and what was answered."""
    yield f"webhook    {one['id']}, {_moment(one['at'])}, from {clean(one['peer'])}, {one['ms']} ms"
    yield f"verdict    {clean(one['verdict'])}: {clean(one['why'])}"
    yield f"call       {clean(one['callId'] or 'none')}"
    yield f"effect     {clean(one['effect'])}"
    for tried in one["tried"]:
        yield f"tried      {'✓ fits' if tried['fits'] else '✗     '} {clean(tried['url'])}"
    if one["forwarded"]:
        yield f"forwarded  headers are not believed: {clean(one['forwarded'])}"
    if one["signed"]:
        yield f"signed     {clean(one['signed'])}"
    yield ""
    yield f"{clean(one['method'])} {clean(one['target'])}"
    for name, value in one["headers"]:
        yield f"{clean(name)}: {clean(value)}"
    yield ""
    yield from map(clean, one["body"].splitlines() or ["(no body)" if one["bodyRead"] else "(the body was not read)"])
    yield ""
    yield f"answered   {one['status']} {clean(one['answer']['type'])}"
    yield from map(clean, one["answer"]["body"].splitlines())


def replay_lines(found: Record) -> Iterator[str]:
    """What came of a replay, for people."""
    yield f"into       {clean(found['into'])}"
    yield f"verdict    {clean(found['verdict'])}: {clean(found['why'])}"
    yield f"effect     {clean(found['effect'])}"
    for key in ("note", "live", "against"):
        if found.get(key):
            yield f"{key:<10} {clean(found[key])}"
    for event in found.get("events", ()):
        yield f"event      {clean(event['type'])} {clean(str(event['data']), 200)}"
    for change in found.get("changes", ()):
        yield f"change     {clean(change['field'])}: {clean(str(change['before']))} → {clean(str(change['after']))}"
    if found.get("document"):
        yield f"answer     {found['document']['status']} {clean(found['document']['type'])}"
        yield from map(clean, found["document"]["body"].splitlines())


def _moment(at: int) -> str:
    return datetime.fromtimestamp(at / 1000).strftime("%Y-%m-%d %H:%M:%S")
