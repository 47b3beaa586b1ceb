"""The engine's health as panels read it. What is missing or odd in it stays unknown; it never breaks the screen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from console.abilities import Abilities, read_abilities
from console.facts import Answers, Exposure
from console.hooks import Access, read_access
from console.text import clean


@dataclass(frozen=True, slots=True)
class EngineHealth:
    """Lag in ms. Counts are since the engine started."""

    provider: str = ""
    carrier: Abilities = Abilities()
    version: str = ""
    lag_ms: float | None = None
    stopping: bool = False
    port: int | None = None
    public_url: str = ""
    exposed_by: str = ""
    webhooks: tuple[int, int, int] | None = None
    """Accepted, replayed, refused."""
    streams: tuple[int, int] | None = None
    """Media sockets that asked to come in, and those that carried a call."""
    access: tuple[Access, ...] = ()
    """Who reaches which path."""
    today: int = 0
    """Calls since midnight."""
    exposure: Exposure = Exposure()
    """As the last look from outside found it."""
    answers: Answers = Answers()
    verifying: bool = True
    troubles: tuple[str, ...] = ()
    """Sentences about speech and store that the operator must know."""


def read_health(health: Mapping[str, Any]) -> EngineHealth:
    """Read what `voicecall.health` answered."""
    engine, exposure = _part(health, "engine"), _part(health, "exposure")
    return EngineHealth(
        provider=_word(engine, "provider"),
        carrier=read_abilities(health.get("carrier")),
        version=_word(engine, "version"),
        lag_ms=_number(engine.get("lagMs")),
        stopping=engine.get("stopping") is True,
        port=_whole(exposure.get("port")),
        public_url=_word(exposure, "publicUrl"),
        exposed_by=_word(exposure, "provider"),
        webhooks=_verdicts(_part(exposure, "webhooks")),
        access=read_access(exposure.get("access")),
        streams=_sockets(_part(exposure, "sockets")),
        today=_whole(engine.get("today")) or 0,
        exposure=_exposure(exposure),
        answers=_answers(_part(exposure, "answers")),
        verifying=_part(health, "security").get("skipSignatures") is not True,
        troubles=(*_store_trouble(_part(health, "store")), *_speech_troubles(_part(health, "speech"))),
    )


def _exposure(part: Mapping[str, Any]) -> Exposure:
    probe = _part(part, "probe")
    state = probe.get("state")
    if part.get("ok") is False:
        return Exposure(
            provider=_word(part, "provider"),
            ok=False,
            error=_word(part, "error"),
            fix=_word(part, "hint"),
            looked=True,
            failing=True,
        )
    return Exposure(
        provider=_word(part, "provider"),
        public_url=_word(part, "publicUrl"),
        ok={"ok": True, "failing": None, "dead": False}.get(str(state)),
        ms=_number(probe.get("ms")),
        error=_word(probe, "error"),
        fix=_word(probe, "fix"),
        looked=bool(probe),
        failing=state in ("failing", "dead"),
    )


def _answers(part: Mapping[str, Any]) -> Answers:
    unknown = Answers()
    return Answers(
        count=_whole(part.get("count")) or 0,
        p95_ms=_number(part.get("p95")) or 0.0,
        worst_ms=_number(part.get("max")) or 0.0,
        limit_ms=_number(part.get("limitMs")) or unknown.limit_ms,
    )


def _part(value: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    part = value.get(key)
    return part if isinstance(part, Mapping) else {}


def _word(value: Mapping[str, Any], key: str) -> str:
    word = value.get(key)
    return clean(word, 200) if isinstance(word, str) else ""


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) and value == value else None


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _verdicts(counts: Mapping[str, Any]) -> tuple[int, int, int] | None:
    found = [_whole(counts.get(name)) for name in ("ok", "replay", "refused")]
    ok, replay, refused = (count or 0 for count in found)
    return (ok, replay, refused) if found[0] is not None else None


def _sockets(counts: Mapping[str, Any]) -> tuple[int, int] | None:
    opened, started = _whole(counts.get("opened")), _whole(counts.get("started"))
    return (opened, started) if opened is not None and started is not None else None


def _store_trouble(store: Mapping[str, Any]) -> tuple[str, ...]:
    if store.get("ok") is False:
        return (f"events can not be stored: {_word(store, 'error') or 'unknown reason'}; new calls are refused",)
    return ()


def _speech_troubles(speech: Mapping[str, Any]) -> tuple[str, ...]:
    troubles: list[str] = []
    for name, part in speech.items():
        if isinstance(part, Mapping) and part.get("ok") is False:
            why = _word(part, "error") or _word(part, "message") or "not ready"
            hint = _word(part, "hint") or _word(part, "fix")
            troubles.append(clean(f"{name}: {why}{'. ' + hint if hint else ''}", 300))
    return tuple(troubles)
