"""doctor: the ladder of one call with the first missing step, the likely reason and the fix; from the stored log."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import reduce
from typing import Final

from console.text import clean
from console.verbs.runner import DONE, FAILED, Session, fail
from engine.calls.diagnosis import AFTER_MS, BEFORE_MS
from engine.client import Around, Call, Clues, Diagnosis, Rung, clue, diagnose, ladder, surround
from engine.clock import epoch_ms
from engine.history import History, open_history

MARKS: Final = {"done": "ok  ", "waiting": "... ", "missing": "MISS", "open": "    "}


def run(session: Session) -> int:
    wanted: str | None = session.args.call_id
    now = epoch_ms()
    with open_history(session.state_dir(session.load())) as history:
        call = history.call(wanted) if wanted else next(iter(history.calls(1)), None)
        if call is None:
            which = f"there is no call {clean(wanted)}" if wanted else "there is no call yet"
            return fail(session.out, FAILED, "call_not_found", which, "`voicecall status` lists the calls")
        found = examine(history, call, now)
    rungs = ladder(call, now)
    value = {
        "callId": call.call_id,
        "state": call.state.value,
        **found.to_json(),
        "ladder": [{"name": rung.name, "state": rung.state, "at": rung.at} for rung in rungs],
    }
    session.out.result(value, lines(call, found, rungs))
    return DONE if found.ok else FAILED


def examine(history: History, call: Call, now: int) -> Diagnosis:
    """What the log says about a call, and about what happened around it."""
    clues = reduce(clue, history.of_call(call), Clues())
    events = history.around(call.started_at - BEFORE_MS, (call.ended_at or now) + AFTER_MS)
    return diagnose(call, clues, reduce(surround, events, Around()), now)


def lines(call: Call, found: Diagnosis, rungs: Sequence[Rung]) -> Iterator[str]:
    """The diagnosis for people."""
    route = f"{clean(call.from_number) or '?'} to {clean(call.to_number) or '?'}"
    yield f"{call.direction} call {clean(call.call_id)}, {route}, {call.state.value}"
    before = call.started_at
    for rung in rungs:
        took = f"{max(0, rung.at - before):>7} ms" if rung.at is not None else ""
        yield f"  {MARKS[rung.state]} {rung.name:<11}{took}".rstrip()
        before = rung.at if rung.at is not None else before
    if found.rung is None:
        yield found.why
        return
    yield f"{'not reached' if found.ok else 'missing'}: {found.rung.name}"
    yield f"why: {clean(found.why)}"
    if found.fix and not found.ok:
        yield f"fix: {clean(found.fix)}"
    for more in found.also:
        yield f"also: {clean(more)}"
