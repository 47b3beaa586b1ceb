"""What Twilio's REST interface says about calls, numbers and the account, as plain values. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qs

from engine.calls import State
from engine.carriers.base import Alert, CarrierStatus, LostDial
from engine.carriers.plain import plain
from engine.carriers.twilio_errors import UNREACHABLE, docs_link, explain

TIMEOUT_S: Final = 10.0
"""Seconds that one request may take."""
FIT_BEFORE_MS: Final = 15_000
FIT_AFTER_MS: Final = 60_000
"""A lost dial's call was made at Twilio between so long before (clocks differ, Twilio's dates are whole seconds) and
so long after we wrote the dial down: the request has a limit of its own, well below."""
LEG_BEFORE_MS: Final = 3_000
"""Clocks differ, and Twilio's dates are whole seconds."""
_REASONS: Final[Mapping[str, State]] = {
    "completed": State.COMPLETED,
    "busy": State.BUSY,
    "no-answer": State.NO_ANSWER,
    "failed": State.FAILED,
    "canceled": State.HANGUP_BOT,
}


@dataclass(frozen=True, slots=True)
class Access:
    """Where the REST interface is and who asks."""

    account_sid: str
    auth_token: str
    region: str = ""
    edge: str = ""
    base_url: str = ""
    timeout_s: float = TIMEOUT_S


@dataclass(frozen=True, slots=True)
class TwilioCall:
    """A call as Twilio lists it. `made_at` in epoch ms; None while Twilio has not dated it, right after the dial."""

    sid: str
    status: str
    direction: str = ""
    parent_sid: str = ""
    """The call that this one is a leg of: a caller who was put through has one."""
    from_number: str = ""
    to_number: str = ""
    made_at: int | None = None
    answered_by: str = ""
    duration_s: int | None = None


@dataclass(frozen=True, slots=True)
class Account:
    """The account behind the credentials. `status`: active, suspended or closed; `type`: Trial or Full."""

    sid: str
    name: str
    status: str
    type: str


@dataclass(frozen=True, slots=True)
class OwnNumber:
    """One of the account's numbers, and where Twilio reports its calls."""

    sid: str
    number: str
    voice_url: str
    voice_method: str
    status_callback: str
    status_callback_method: str
    voice: bool
    """It can make and take calls."""
    handled_elsewhere: str = ""
    """A trunk or an application that is asked instead of `voice_url`."""


def to_status(call: TwilioCall) -> CarrierStatus:
    """A status that Twilio may invent later counts as live: nothing is ended on a guess."""
    facts = {"direction": call.direction, "answered_by": call.answered_by}
    known = {name: value for name, value in facts.items() if value not in ("", None)}
    if call.status in _REASONS:
        return CarrierStatus(
            live=False,
            reason=_REASONS[call.status],
            raw=call.status,
            answered=call.status == "completed",
            duration_s=call.duration_s,
            facts=known,
        )
    return CarrierStatus(live=True, raw=call.status, answered=call.status == "in-progress", facts=known)


def lost_call(calls: Sequence[TwilioCall], lost: LostDial, ahead_ms: int) -> str | None:
    """The call that a dial with an uncertain outcome made, if it made one: Twilio keeps no reference of ours.

    It was dialled by this account, between the same numbers, at the same time, and is no other call of ours; of
    several the one nearest in time. `ahead_ms`: how far Twilio's clock is before ours.
    """
    dialled = lost.dialled_at + ahead_ms
    fits = [
        (abs((call.made_at or dialled) - dialled), call.sid)
        for call in calls
        if call.direction in ("outbound-api", "")
        and (call.from_number, call.to_number) == (lost.from_number, lost.to_number)
        and call.sid not in lost.owned
        and -FIT_BEFORE_MS <= (call.made_at or dialled) - dialled <= FIT_AFTER_MS
    ]
    return min(fits)[1] if fits else None


def other_leg(calls: Sequence[TwilioCall], provider_call_id: str, asked_at: int, ahead_ms: int) -> str:
    """How the leg of a call to somebody else stands, that was made at or after `asked_at` (epoch ms) by our clock;
    "" where there is none."""
    since = asked_at + ahead_ms - LEG_BEFORE_MS
    made = (call for call in calls if call.parent_sid == provider_call_id and (call.made_at or since) >= since)
    return next((call.status for call in made), "")


def alert(sid: str, code: str, level: str, text: str, link: str, at: int | None, url: str) -> Alert:
    """A notification. Twilio writes its text as a query (`LogLevel=ERROR&Msg=...`) or as words."""
    fields = parse_qs(text, keep_blank_values=False)
    words = plain((fields.get("Msg") or fields.get("msg") or [""])[0]) if "LogLevel" in fields else plain(text)
    number = int(code) if code.isascii() and code.isdecimal() and len(code) < 7 else None
    message = "; ".join(part for part in (words, explain(number)) if part)
    return Alert(
        sid,
        code,
        message or f"Twilio noted {code}",
        link or (docs_link(number) if number else ""),
        level == "0",
        at,
        url,
        number in UNREACHABLE,
    )
