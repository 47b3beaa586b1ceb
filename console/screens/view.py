"""From what is known to what the panels say: pure functions, no widget."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from console.abilities import Abilities, call_lacks
from console.board import NO_CLUES, Board
from console.facts import Answers, Exposure, Streams, Webhooks
from console.feed import Link
from console.health import EngineHealth
from console.keys import Command, Registry
from console.text import clean
from console.widgets.exposure import ExposureFacts
from console.widgets.header import HeaderFacts, Health
from console.words import STATE_LOOKS, UNVERIFIED
from engine.client import Call, diagnose

PAINT_SECONDS: Final = 0.1


class LagMeter:
    """How late the console's own loop is: the worst of the last five seconds, in ms."""

    def __init__(self) -> None:
        self._due: float | None = None
        self._late: deque[float] = deque(maxlen=50)

    def tick(self, now: float) -> None:
        """Called every `PAINT_SECONDS`; `now` is monotonic seconds."""
        if self._due is not None:
            self._late.append(max(0.0, now - self._due))
        self._due = now + PAINT_SECONDS

    @property
    def worst_ms(self) -> float:
        return max(self._late, default=0.0) * 1000


def adrift(link: Link, board: Board) -> bool:
    """Nobody tells us any more what becomes of live calls: the engine was stopped, or is out of reach."""
    return link.state == "lost" or bool(board.engine_stopped)


def header_facts(
    board: Board, link: Link, health: EngineHealth | None, *, lag_ms: float, dropped: int, alerts: int, now: int
) -> HeaderFacts:
    """The top line, without the badges."""
    unknown = len(board.live) if adrift(link, board) else 0
    live = [] if unknown else board.live
    waiting = sum(1 for call in live if call.waiting)
    ringing = sum(1 for call in live if call.answered_at is None) - waiting
    midnight = _midnight(now)
    seen_today = sum(1 for call in board.calls.values() if call.started_at >= midnight)
    return HeaderFacts(
        starting=health is None and link.state == "connecting",
        provider=(health.provider if health else "") or board.provider,
        connected=link.state == "up" and not board.engine_stopped,
        live=len(live) - ringing - waiting,
        ringing=ringing,
        waiting=waiting,
        unknown=unknown,
        today=max(seen_today, health.today if health else 0),
        alerts=alerts,
        exposure=_exposure(board.exposure, health),
        health=Health(lag_ms, health.lag_ms if health else None, dropped),
    )


def _midnight(now: int) -> int:
    day = time.localtime(now / 1000)
    return int(time.mktime((day.tm_year, day.tm_mon, day.tm_mday, 0, 0, 0, 0, 0, -1)) * 1000)


def _exposure(seen: Exposure, health: EngineHealth | None) -> Exposure:
    if health is None:
        return seen
    known = replace(
        seen, provider=seen.provider or health.exposed_by, public_url=seen.public_url or health.public_url
    )
    looked = health.exposure
    if not looked.looked:
        return known
    return replace(
        known, looked=True, ok=looked.ok, ms=looked.ms, error=looked.error, fix=looked.fix, failing=looked.failing
    )


def exposure_facts(board: Board, health: EngineHealth | None, carrier: Abilities) -> ExposureFacts:
    """The exposure panel. The engine's own counts are whole; the log shows only the refusals it kept."""
    return ExposureFacts(
        exposure=_exposure(board.exposure, health),
        webhooks=_counted(board.webhooks, health),
        streams=_streams(board.streams, health),
        streams_lost_now=len(board.lost),
        streaming=carrier.streams,
        port=health.port if health else None,
        answers=health.answers if health else Answers(),
        verifying=health.verifying if health else True,
    )


def _counted(seen: Webhooks, health: EngineHealth | None) -> Webhooks:
    if health is None or health.webhooks is None:
        return seen
    ok, replays, refused = health.webhooks
    return replace(seen, ok=max(ok, seen.ok), replays=max(replays, seen.replays), refused=max(refused, seen.refused))


def _streams(seen: Streams, health: EngineHealth | None) -> Streams:
    if health is None or health.streams is None:
        return seen
    opened, started = health.streams
    return replace(seen, opened=max(opened, seen.opened), started=max(started, seen.started))


def alarms(link: Link, board: Board, health: EngineHealth | None) -> list[str]:
    """What must not be overlooked, the worst first."""
    found: list[str] = []
    if board.engine_stopped:
        again = "; connecting again when it is back …" if link.state == "lost" else ""
        found.append(f"the engine was stopped{again}")
    elif link.state == "lost":
        why = link.why.rstrip(".")
        found.append(f"connection to the engine lost: {why}. Calls may go on there; connecting again …")
    if health is not None and not health.verifying:
        found.append(UNVERIFIED)
    if health is not None and health.exposure.ok is False:
        found.append(f"nobody reaches us from outside: {health.exposure.error}; {health.exposure.fix}")
    if health is not None and health.stopping:
        found.append("the engine is stopping: live calls may finish, new ones are refused")
    return [*found, *(health.troubles if health else ())]


def reason_of(board: Board, call: Call, now: int) -> str:
    """Why a call hangs and what mends it, where the log tells more than the ladder by itself; see `doctor`."""
    found = diagnose(call, board.clues.get(call.call_id, NO_CLUES), board.around, now)
    if found.ok or not found.known:
        return ""
    return clean(f"{found.why} → {found.fix}" if found.fix else found.why, 400)


def available(registry: Registry, call: Call | None, carrier: Abilities) -> frozenset[str]:
    """Commands that make sense with this call selected."""
    return frozenset(command.name for command in registry.commands if missing_for(command, call, carrier) == "")


def missing_for(command: Command, call: Call | None, carrier: Abilities) -> str:
    """Why a command can not be run now, or nothing."""
    if lacking := carrier.lacks(command.name):
        return lacking
    if command.needs and call is None:
        return "select a call first"
    if command.needs == "live" and call is not None and not call.live:
        return f"this call is over ({STATE_LOOKS[call.state].full}): select a live one"
    if command.needs == "live" and call is not None:
        return call_lacks(command.name, call)
    return ""


def choices(themes: Iterable[str]) -> dict[str, list[str]]:
    """Words that complete a command's argument."""
    verdicts = ["refused", "ok", "replay"]
    return {
        "webhooks": verdicts,
        "theme": sorted(themes),
        "copy": ["number", "line", "transcript"],
        "filter": ["ringing", "listening"],
    }
