"""What the log tells beside a call's own record of why it may have gone wrong. Pure folds, bounded.

`Clues` belong to one call. `Around` is what happened to the engine meanwhile: webhooks that were refused name no
call, since nothing in them is believed, and the public address is everybody's.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

from engine.calls.events import Event

MEDIA_SOCKET: Final = "media socket"
"""The type of a refused upgrade."""
_KEPT: Final = 50
_KEPT_ALERTS: Final = 10


@dataclass(frozen=True, slots=True)
class Alert:
    """An error of the call, or what the carrier noted about it."""

    code: str
    message: str
    hint: str = ""
    carrier_code: str = ""
    link: str = ""

    @property
    def words(self) -> str:
        number = f" ({self.carrier_code})" if self.carrier_code and self.carrier_code not in self.message else ""
        return f"{self.message or self.code}{number}"


@dataclass(frozen=True, slots=True)
class Clues:
    """Of one call; the newest of each kind."""

    alerts: tuple[Alert, ...] = ()
    stream_refused: str = ""
    stream_lost: str = ""
    speech_failed: str = ""
    say_failed: str = ""
    reply_failed: str = ""
    end_detail: str = ""


@dataclass(frozen=True, slots=True)
class Refused:
    """A webhook or a media socket that was not let in. `at` is epoch ms."""

    at: int
    why: str
    type: str = ""
    forwarded: str = ""


@dataclass(frozen=True, slots=True)
class Outside:
    """How the public address fared from `at` (epoch ms) on."""

    at: int
    ok: bool
    step: str = ""
    error: str = ""
    fix: str = ""


@dataclass(frozen=True, slots=True)
class Around:
    """What happened to the engine, the newest last."""

    refused: tuple[Refused, ...] = ()
    outside: tuple[Outside, ...] = ()


def clue(clues: Clues, event: Event) -> Clues:
    """The clues after one more event of their call."""
    data = event.data
    match event.type:
        case "call.error":
            names = ("code", "message", "hint", "carrierCode", "link")
            alert = Alert(*(_text(data, name) for name in names))
            return clues if alert in clues.alerts else replace(clues, alerts=(*clues.alerts, alert)[-_KEPT_ALERTS:])
        case "stream.refused":
            return replace(clues, stream_refused=_text(data, "why"))
        case "stream.lost":
            return replace(clues, stream_lost=_text(data, "why"))
        case "speech.failed":
            return replace(clues, speech_failed=_with_hint(data))
        case "speech.ready":
            return replace(clues, speech_failed="") if clues.speech_failed else clues
        case "say.failed":
            return replace(clues, say_failed=_with_hint(data))
        case "reply.failed":
            return replace(clues, reply_failed=_with_hint(data))
        case "call.ended":
            return replace(clues, end_detail=_text(data, "detail"))
    return clues


def surround(around: Around, event: Event) -> Around:
    """What happened around the calls after one more event, of whichever call or none."""
    data = event.data
    if event.type == "webhook.received" and data.get("verdict") == "refused":
        refused = Refused(event.at, _text(data, "why"), _text(data, "type"), _text(data, "forwarded"))
        return replace(around, refused=(*around.refused, refused)[-_KEPT:])
    if event.type in ("exposure.changed", "exposure.probed") and isinstance(data.get("ok"), bool):
        fix = _text(data, "fix") or _text(data, "hint")
        seen = Outside(event.at, bool(data["ok"]), _text(data, "step"), _text(data, "error"), fix)
        return replace(around, outside=(*around.outside, seen)[-_KEPT:])
    return around


def _with_hint(data: Any) -> str:
    error, hint = _text(data, "error"), _text(data, "hint")
    return f"{error}. {hint}" if error and hint and hint not in error else error or hint


def _text(data: Any, key: str) -> str:
    value = data.get(key)
    return value[:500] if isinstance(value, str) else ""
