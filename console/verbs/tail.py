"""tail: events as they happen, one a line."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Final

from console.text import clean
from console.verbs.door import running_engine
from console.verbs.runner import DONE, Output, Session
from engine.client import Connection, Cursor, EngineClient, Event, NoEngine
from engine.history import open_history

_PAGE: Final = 1000


def run(session: Session) -> int:
    args = session.args
    state_dir = session.state_dir(session.load())
    try:
        asyncio.run(_follow(session.out, state_dir, args.since, args.call_id, once=args.no_follow))
    except NoEngine:
        if not args.no_follow:
            raise
        with open_history(state_dir) as history:
            _print(session.out, history.events(args.since, args.call_id))
        session.out.note("no engine runs on this state folder: this was the stored log")
    return DONE


async def _follow(out: Output, state_dir: Path, since: int, call_id: str | None, *, once: bool) -> None:
    async with running_engine(state_dir) as client:
        events, cursor = await _last_events(client, since, call_id)
        _print(out, events)
        if once:
            return
        client.on_connection = partial(_tell_connection, out)
        async for batch in client.watch(cursor):
            _print(out, (event for event in batch.events if event.seq and call_id in (None, event.call_id)))


def _tell_connection(out: Output, connection: Connection) -> None:
    """An engine that stops may come back: the watch goes on from its cursor then."""
    if connection.state == "lost":
        out.note(f"lost the engine ({connection.why}); waiting for it to come back, ctrl+c ends")


async def _last_events(client: EngineClient, last: int, call_id: str | None) -> tuple[list[Event], Cursor]:
    """The `last` newest events, of one call or of all, and where to go on from."""
    now = (await client.events(None)).cursor
    # A call's own events may lie anywhere in the log; of all events the last ones are at its end.
    cursor = Cursor(now.generation, max(0, now.seq - last) if call_id is None else 0)
    events: list[Event] = []
    while last:
        page = await client.events(cursor, call_id=call_id, limit=_PAGE)
        events = [*events, *page.events][-last:]
        cursor = page.cursor
        if len(page.events) < _PAGE or cursor.seq >= now.seq:
            break
    return events, max(cursor, now, key=lambda place: place.seq)


def _print(out: Output, events: Iterable[Event]) -> None:
    for event in events:
        out.result(event.to_json(), [event_line(event)])


def event_line(event: Event) -> str:
    """One event for people."""
    moment = datetime.fromtimestamp(event.at / 1000).strftime("%H:%M:%S.%f")[:-3]
    call = (event.call_id or "")[:8]
    data = "  ".join(f"{name}={_value(value)}" for name, value in event.data.items())
    return f"{moment}  {clean(call):<8}  {event.type:<18} {data}".rstrip()


def _value(value: object) -> str:
    return clean(value) if isinstance(value, str) else clean(json.dumps(value, ensure_ascii=False))
