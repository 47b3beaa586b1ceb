"""status: one call, or the calls there are; from the running engine, else from the stored log."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from console.text import clean, clock_text
from console.verbs.door import running_engine
from console.verbs.runner import DONE, Session
from console.verbs.unverified import warn_unverified
from engine.client import NoEngine
from engine.clock import epoch_ms
from engine.history import open_history

Record = Mapping[str, Any]


def run(session: Session) -> int:
    loaded = session.load()
    warn_unverified(loaded.config)
    state_dir = session.state_dir(loaded)
    call_id: str | None = session.args.call_id
    now: int | None = None
    try:
        found = asyncio.run(_ask_engine(state_dir, call_id))
        now = epoch_ms()
    except NoEngine:
        found = _read_log(state_dir, call_id)
        session.out.note("no engine runs on this state folder: this is the stored log")
    if call_id is None:
        session.out.result({"calls": found}, call_lines(found, now))
    elif found:
        session.out.result(found[0], record_lines(found[0], now))
    else:
        session.out.result({"found": False}, [f"there is no call {clean(call_id)}"])
    return DONE


async def _ask_engine(state_dir: Path, call_id: str | None) -> Sequence[Record]:
    async with running_engine(state_dir) as client:
        if call_id is None:
            return await client.live()
        found = await client.status(call_id)
        return [] if found is None else [found]


def _read_log(state_dir: Path, call_id: str | None) -> Sequence[Record]:
    with open_history(state_dir) as history:
        if call_id is None:
            return [_last_known(call.to_json()) for call in history.calls()]
        found = history.call(call_id)
        return [] if found is None else [_last_known(found.to_json())]


def _last_known(record: dict[str, Any]) -> Record:
    """A call that had not ended when the engine was last heard of says so."""
    return {**record, "lastKnown": record["endedAt"] is None}


def call_lines(calls: Sequence[Record], now: int | None) -> Iterator[str]:
    """A table of calls for people. `now` (epoch ms) where an engine runs: only then a call without an end is live."""
    if not calls:
        yield "no calls"
        return
    yield f"{'CALL':<36}  {'STATE':<12} {'DIRECTION':<9} {'PEER':<16} {'STARTED':<19} {'LASTED':>7}"
    for call in calls:
        peer = call["from"] if call["direction"] == "inbound" else call["to"]
        yield (
            f"{clean(call['callId']):<36}  {_state(call, now):<12} {call['direction']:<9} {clean(peer):<16} "
            f"{_moment(call['startedAt'])} {_lasted(call, now):>7}"
        )


def record_lines(call: Record, now: int | None) -> Iterator[str]:
    """One call for people: the facts, then what was said. `now` as for `call_lines`."""
    yield f"call       {clean(call['callId'])}"
    yield f"state      {_state(call, now)}" + (f" (by {clean(call['endedBy'])})" if call.get("endedBy") else "")
    if call.get("refused"):
        yield f"refused    {clean(call['refused'])}"
    if call.get("transferredTo") and call["endedAt"] is None:
        yield f"with       {clean(call['transferredTo'])}, where the caller was put through"
    route = f"{clean(call['from']) or '?'} to {clean(call['to']) or '?'}"
    yield f"route      {call['direction']}, {route}, {call['mode']}"
    yield f"carrier    {clean(call['provider'])} {clean(call['providerCallId'] or '')}".rstrip()
    lasted = _lasted(call, now)
    so_far = " so far" if call["endedAt"] is None else ""
    yield f"started    {_moment(call['startedAt'])}" + (f", lasted {lasted}{so_far}" if lasted else "")
    if call.get("dtmf"):
        yield f"keys       {clean(call['dtmf'])}"
    if call.get("error"):
        yield f"error      {clean(str(call['error'].get('message', call['error'])))}"
    for line in call["transcript"]:
        cut = " (cut)" if line.get("cut") else ""
        yield f"  {_moment(line['at'])[11:]} {line['speaker']:<9} {clean(line['text'])}{cut}"


def _state(call: Record, now: int | None) -> str:
    """In a word. A stranger who has to be let in asks for somebody to do so; see `voicecall admit`. Without an engine
    (`now` is None) nobody knows what became of a call that had not ended."""
    word = str(call.get("shown") or ("waiting" if call.get("waiting") else call["state"]))
    return f"last {word}" if now is None and call["endedAt"] is None else word


def _moment(at: int) -> str:
    return datetime.fromtimestamp(at / 1000).strftime("%Y-%m-%d %H:%M:%S")


def _lasted(call: Record, now: int | None) -> str:
    """How long it was, or is by now; empty for a call that was not answered, or whose end nobody knows."""
    end = call["endedAt"] or now
    if call["answeredAt"] is None or end is None:
        return ""
    return clock_text(max(0, end - call["answeredAt"]) / 1000)
