"""Which calls need a person, why, and since when. Pure: every console, `status` and tests find the same.

A need that somebody acknowledged stays a need and is quiet until its cause happens anew.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

from engine.calls.call import Call
from engine.calls.ladder import first_missing
from engine.calls.signs import SLOW_TURNS, Signs
from engine.calls.state import State

SILENT_MS: Final = 25_000
"""A connected call in which nothing happened for longer."""
TALKING_MS: Final = 65_000
"""The longest turn of a caller: until then a caller who began to speak is speaking."""
HELD_MS: Final = 20_000
UNANSWERED_MS: Final = 8_000
"""The caller has spoken, the agent has the floor, and nothing of an answer is there."""


@dataclass(frozen=True, slots=True)
class Need:
    """One reason. The lower the rank, the sooner somebody should look."""

    kind: str
    rank: int
    word: str
    """At most nine cells."""
    why: str
    since: int
    """Epoch ms of its cause."""
    quiet: bool = False
    """Somebody has seen it."""

    def to_json(self) -> dict[str, Any]:
        return {"kind": self.kind, "why": self.why, "since": self.since, "acknowledged": self.quiet}


def needs(call: Call, now: int) -> tuple[Need, ...]:
    """Why a person should look at `call` at `now` (epoch ms); the most urgent reason first."""
    if not call.live:
        return ()
    found = [
        Need("waiting", 0, "waiting", "the caller waits to be let in", call.rungs.get("waiting", call.started_at))
    ]
    if not call.waiting:
        found = list(_needs(call, call.signs, now))
    seen = [replace(need, quiet=True) if need.since <= call.signs.seen_at else need for need in found]
    return tuple(sorted(seen, key=lambda need: (need.quiet, need.rank)))


def _needs(call: Call, signs: Signs, now: int) -> list[Need]:
    found: list[Need] = []

    def add(kind: str, rank: int, word: str, why: str, since: int) -> None:
        found.append(Need(kind, rank, word, why[:200], since))

    if call.error is not None:
        why = str(call.error.get("message") or call.error.get("code") or "error")
        add("error", 2, "error", why, signs.error_at or call.started_at)
    if call.transferred_to:
        return found  # we are not needed: silence and a stream that ended are as they should be
    if call.deaf:
        add("deaf", 1, "deaf", "speech recognition failed: the agent is deaf", signs.deaf_at or call.started_at)
    if signs.lost_at:
        why = f"the audio stream was lost{': ' + signs.lost_why if signs.lost_why else ''}"
        add("stream-lost", 1, "no audio", why, signs.lost_at)
    if signs.person_at and call.floor != "operator":
        add("wants-person", 2, "person?", "the caller asks for a person", signs.person_at)
    if signs.failed_at:
        add("reply-failed", 3, "no reply", f"the last reply failed: {signs.failed_why}", signs.failed_at)
    if signs.back_at:
        add("returned", 3, "is back", "the caller is back, and waits for somebody to speak", signs.back_at)
    rung = first_missing(call, now)
    if rung is not None and not (rung.name == "stt" and call.deaf):
        before = max((at for at in call.rungs.values()), default=call.started_at)
        add("stuck", 3, "stuck", rung.why, before)
    if signs.repeated_at:
        add("repeats", 4, "repeats", "the caller says the same again", signs.repeated_at)
    if signs.unanswered_at and call.floor == "agent" and now - signs.unanswered_at > UNANSWERED_MS:
        late = (now - signs.unanswered_at) // 1000
        add("unanswered", 4, "no answer", f"the agent has not answered for {late} s", signs.unanswered_at)
    if signs.ending_at:
        left = max(0, signs.seconds_left - (now - signs.ending_at) // 1000)
        add("near-limit", 5, "limit", f"the call is ended by its limit in {left} s", signs.ending_at)
    if call.floor == "held" and now - call.last_at > HELD_MS:
        add("held", 5, "on hold", "the caller has been on hold for a while", call.last_at)
    if _is_silent(call, signs, now):
        add("silent", 5, "silent", f"nobody has said anything for {(now - call.last_at) // 1000} s", call.last_at)
    if signs.slow >= SLOW_TURNS:
        add("slow", 6, "slow", f"the last {signs.slow} answers were over budget", signs.slow_at)
    return found


def _is_silent(call: Call, signs: Signs, now: int) -> bool:
    talks = bool(signs.talking_at) and now - signs.talking_at < TALKING_MS
    return call.state in (State.ACTIVE, State.LISTENING) and not talks and now - call.last_at > SILENT_MS
