"""What Plivo's REST interface says about calls, numbers and the account, as plain values. Pure.

Shapes: the response fixtures of plivo-python. A call has three places at Plivo: queued, live, and the records of
calls that are over. `from`, `to` and times differ between them in name, plus sign and zone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from engine.carriers.base import CarrierStatus, LostDial
from engine.carriers.plain import plain
from engine.carriers.plivo_errors import end_of, explain
from engine.carriers.plivo_numbers import from_plivo

TIMEOUT_S: Final = 10.0
"""Seconds that one request may take."""
FIT_BEFORE_MS: Final = 15_000
FIT_AFTER_MS: Final = 60_000
"""A lost dial's call was made at Plivo between so long before (clocks differ) and so long after we wrote the dial
down: the request has a limit of its own, well below."""


@dataclass(frozen=True, slots=True)
class Access:
    """Where the REST interface is and who asks."""

    auth_id: str
    auth_token: str = field(repr=False)
    base_url: str = ""
    timeout_s: float = TIMEOUT_S


@dataclass(frozen=True, slots=True)
class PlivoCall:
    """A call as Plivo tells of it. `made_at` in epoch ms, None where it is not said."""

    call_uuid: str
    live: bool
    status: str = ""
    direction: str = ""
    from_number: str = ""
    to_number: str = ""
    request_uuid: str = ""
    made_at: int | None = None
    answered: bool = False
    duration_s: int | None = None
    cause_code: str = ""
    cause: str = ""
    source: str = ""


@dataclass(frozen=True, slots=True)
class Account:
    """The account behind the credentials."""

    auth_id: str
    name: str
    type: str
    credits: str = ""


@dataclass(frozen=True, slots=True)
class Application:
    """Where Plivo reports the calls of the numbers that belong to it."""

    app_id: str
    name: str
    answer_url: str
    answer_method: str
    hangup_url: str
    hangup_method: str
    numbers: int = 1
    """How many of the account's numbers belong to it."""


@dataclass(frozen=True, slots=True)
class OwnNumber:
    """One of the account's numbers."""

    number: str
    voice: bool
    """It can make and take calls."""
    app_id: str = ""
    application: Application | None = None


def live_call(value: Mapping[str, Any], queued: bool = False) -> PlivoCall | None:
    """A call that is up, or waits to be placed; None for an answer of another shape."""
    uuid = plain(value.get("call_uuid")) or plain(value.get("request_uuid"))
    if not uuid:
        return None
    status = plain(value.get("call_status")) or ("queued" if queued else "")
    return PlivoCall(
        call_uuid=uuid,
        live=True,
        status=status,
        direction=plain(value.get("direction")),
        from_number=from_plivo(plain(value.get("from"))),
        to_number=from_plivo(plain(value.get("to"))),
        request_uuid=plain(value.get("request_uuid")),
        made_at=epoch_of(value.get("session_start")),
        answered=status == "in-progress",
    )


def ended_call(value: Mapping[str, Any]) -> PlivoCall | None:
    """A record of a call that is over."""
    uuid = plain(value.get("call_uuid"))
    if not uuid:
        return None
    seconds = _seconds(value.get("call_duration"))
    return PlivoCall(
        call_uuid=uuid,
        live=False,
        status=plain(value.get("call_state")) or plain(value.get("call_status")),
        direction=plain(value.get("call_direction")),
        from_number=from_plivo(plain(value.get("from_number"))),
        to_number=from_plivo(plain(value.get("to_number"))),
        request_uuid=plain(value.get("request_uuid")),
        made_at=epoch_of(value.get("initiation_time")),
        answered=bool(value.get("answer_time")),
        duration_s=seconds,
        cause_code=_code(value.get("hangup_cause_code")),
        cause=plain(value.get("hangup_cause_name")),
        source=plain(value.get("hangup_source")),
    )


def to_status(call: PlivoCall) -> CarrierStatus:
    """What became of a call."""
    facts = {"direction": call.direction, "hangupCauseCode": call.cause_code, "hangupSource": call.source}
    known = {name: value for name, value in facts.items() if value}
    if call.live:
        return CarrierStatus(live=True, raw=call.status, answered=call.answered, facts=known)
    said = " ".join(filter(None, (call.cause_code, call.cause, explain(call.cause_code)))) or call.status
    return CarrierStatus(
        live=False,
        reason=end_of(call.cause_code, call.status, answered=call.answered),
        raw=said or "over",
        answered=call.answered,
        duration_s=call.duration_s,
        facts=known,
    )


def lost_call(calls: Iterable[PlivoCall], lost: LostDial, ahead_ms: int) -> str | None:
    """The call that a dial with an uncertain outcome made, if it made one: Plivo keeps no reference of ours.

    It was dialled by this account, between the same numbers, at the same time, and is no other call of ours; of
    several the one nearest in time. `ahead_ms`: how far Plivo's clock is before ours.
    """
    dialled = lost.dialled_at + ahead_ms
    fits = [
        (abs((call.made_at or dialled) - dialled), call.call_uuid)
        for call in calls
        if call.direction in ("outbound", "")
        and (call.from_number, call.to_number) == (lost.from_number, lost.to_number)
        and not {call.call_uuid, call.request_uuid} & set(lost.owned)
        and -FIT_BEFORE_MS <= (call.made_at or dialled) - dialled <= FIT_AFTER_MS
    ]
    return min(fits)[1] if fits else None


def epoch_of(value: object) -> int | None:
    """A time of Plivo's in epoch ms. One without a zone is UTC (`session_start`), others name theirs."""
    if not isinstance(value, str) or not value:
        return None
    try:
        at = datetime.fromisoformat(value)
    except ValueError:
        return None
    return round((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1000)


def request_id(value: object) -> str:
    """`request_uuid` of a create request: with several destinations it is a list."""
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return next((text for item in value if (text := plain(item))), "")
    return plain(value)


def application_id(value: object) -> str:
    """The id at the end of `/v1/Account/…/Application/123/`."""
    return plain(value).rstrip("/").rpartition("/")[2]


def _seconds(value: object) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value if value >= 0 else None
    text = plain(value)
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 9 else None


def _code(value: object) -> str:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else plain(value)
