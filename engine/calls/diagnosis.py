"""Where a call got stuck, why that is most likely so, and what mends it. Pure: for live calls and those long over.

The ladder says which step is missing. Of the clues, those that can keep this very step from being reached are asked,
the surest first: what was refused here, how the public address fared, what the carrier noted, the call's own errors.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from engine.calls.call import Call
from engine.calls.clues import MEDIA_SOCKET, Alert, Around, Clues, Outside, Refused
from engine.calls.ladder import Rung, first_missing, usual_why
from engine.calls.state import State

BEFORE_MS: Final = 2_000
"""A carrier's first webhook may be here before the call's own record is."""
AFTER_MS: Final = 90_000
"""What is wrong with an address is noticed a look or two later."""
REFUSED_AFTER_MS: Final = 5_000
_REACHING: Final = frozenset({"signed", "ringing", "answered", "waiting", "document"})
_STREAMING: Final = frozenset({"socket", "start", "caller"})
_NOBODY: Final = {
    State.BUSY: "the number was busy",
    State.NO_ANSWER: "nobody answered",
    State.VOICEMAIL: "a machine answered",
}
_TALKED: Final = frozenset({"understood", "reply"})
_FIX: Final = {
    "dialled": "see voicecall.log",
    "accepted": "voicecall setup --online",
    "signed": "voicecall setup --online looks at the address from outside",
    "ringing": "voicecall setup --online",
    "document": "voicecall setup --online looks at the address from outside",
    "socket": "voicecall setup --online looks at the stream path from outside",
    "start": "see voicecall.log",
    "caller": "see the carrier's own log of this call",
    "stt": "voicecall setup",
    "voice": "voicecall setup",
    "heard": "voicecall setup --online looks at the stream path from outside",
    "understood": "voicecall setup",
    "reply": "voicecall setup; see response in the configuration",
}


@dataclass(frozen=True, slots=True)
class Cause:
    """One reason, and what to do."""

    why: str
    fix: str = ""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """`rung` is the first that is missing, None when there is none."""

    ok: bool
    rung: Rung | None
    why: str
    fix: str = ""
    known: bool = False
    """It was found in the log; else it is what is usually the reason."""
    also: tuple[str, ...] = ()
    """More that was found, less likely to be the reason."""

    def to_json(self) -> dict[str, Any]:
        missing = self.rung.name if self.rung is not None else None
        return {"ok": self.ok, "missing": missing, "why": self.why, "fix": self.fix, "also": list(self.also)}


def diagnose(call: Call, clues: Clues, around: Around, now: int) -> Diagnosis:
    """Where `call` hangs at `now` (epoch ms)."""
    rung = first_missing(call, now)
    if rung is None:
        return Diagnosis(True, None, "every step was reached" if not call.live else "every step so far is in time")
    causes = list(dict.fromkeys(_causes(call, rung.name, clues, around, now)))
    if not causes and (natural := _natural_end(call, rung.name)):
        return Diagnosis(True, rung, natural)
    first = causes[0] if causes else Cause(usual_why(call, rung.name))
    also = tuple(cause.why for cause in causes[1:4])
    return Diagnosis(False, rung, first.why, first.fix or _FIX.get(rung.name, ""), bool(causes), also)


def _natural_end(call: Call, rung: str) -> str:
    """Why a call that is over need not have got any further, where nothing went wrong."""
    reason = call.end_reason
    if reason in _NOBODY and "signed" in call.rungs:
        return _NOBODY[reason]
    if reason in (State.ERROR, State.FAILED, None):
        return ""
    if rung in _TALKED and "heard" in call.rungs:
        return "the call ended before that, and nothing failed"
    if rung in ("ringing", "answered") and "signed" in call.rungs:
        return "the call ended before anybody answered, and nothing failed"
    return ""


def _causes(call: Call, rung: str, clues: Clues, around: Around, now: int) -> Iterator[Cause]:
    """All that may be the reason, the surest first."""
    outside = _outside(call, around, now)
    if rung in _REACHING:
        yield from (_refusal(refused) for refused in reversed(_refused(call, around, now, sockets=False)))
        yield from _address(outside)
    elif rung in _STREAMING:
        if clues.stream_refused:
            yield Cause(f"the media socket was refused: {clues.stream_refused}", "see voicecall.log")
        yield from (_refusal(refused) for refused in reversed(_refused(call, around, now, sockets=True)))
        yield from _address(outside)
    yield from _failures(rung, clues)
    yield from (Cause(alert.words, _alert_fix(alert)) for alert in reversed(clues.alerts))
    if clues.end_detail:
        yield Cause(clues.end_detail)
    if rung not in _REACHING | _STREAMING and call.state in (State.ERROR, State.FAILED):
        yield from _address(outside)


def _failures(rung: str, clues: Clues) -> Iterator[Cause]:
    found = {
        "stt": (clues.speech_failed,),
        "caller": (clues.stream_lost,),
        "voice": (clues.say_failed,),
        "heard": (clues.stream_lost, clues.say_failed),
        "understood": (clues.speech_failed, clues.stream_lost),
        "reply": (clues.reply_failed, clues.say_failed, clues.speech_failed),
    }
    yield from (Cause(why) for why in found.get(rung, ()) if why)


def _refused(call: Call, around: Around, now: int, *, sockets: bool) -> list[Refused]:
    since, until = call.started_at - BEFORE_MS, (call.ended_at or now) + REFUSED_AFTER_MS
    return [
        refused
        for refused in around.refused
        if since <= refused.at <= until and (refused.type == MEDIA_SOCKET) is sockets
    ]


def _refusal(refused: Refused) -> Cause:
    what = "the media socket" if refused.type == MEDIA_SOCKET else "a webhook"
    forwarded = f"; forwarded headers {refused.forwarded}" if refused.forwarded else ""
    return Cause(
        f"{what} was refused: {refused.why}{forwarded}", "the console's webhook desk shows which address would verify"
    )


def _outside(call: Call, around: Around, now: int) -> list[Outside]:
    """How the address fared while the call lasted: as it was when it began, and what came later."""
    until = (call.ended_at or now) + AFTER_MS
    before = [seen for seen in around.outside if seen.at < call.started_at][-1:]
    return before + [seen for seen in around.outside if call.started_at <= seen.at <= until]


def _address(outside: list[Outside]) -> Iterator[Cause]:
    seen = next((seen for seen in reversed(outside) if not seen.ok), None)
    if seen is not None:
        yield Cause(f"the public address did not work: {seen.error or 'see voicecall.log'}", seen.fix)


def _alert_fix(alert: Alert) -> str:
    return alert.hint or (f"see {alert.link}" if alert.link else "")
