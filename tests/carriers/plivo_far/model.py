"""Calls, numbers and applications as Plivo keeps and shows them. Values and their JSON."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, Final, Literal

Direction = Literal["inbound", "outbound"]
Status = Literal["queued", "ringing", "in-progress", "completed", "busy", "failed", "timeout", "no-answer", "cancel"]
FINAL: Final = frozenset({"completed", "busy", "failed", "timeout", "no-answer", "cancel"})
ACCOUNT_ZONE: Final = timezone(timedelta(hours=5, minutes=30))
CAUSES: Final = {
    1000: ("ORIGINATOR_CANCEL", "Cancelled"),
    3000: ("NO_ANSWER", "No Answer"),
    3010: ("USER_BUSY", "Busy Line"),
    3020: ("CALL_REJECTED", "Rejected"),
    4000: ("NORMAL_CLEARING", "Normal Hangup"),
    4010: ("NORMAL_CLEARING", "End Of XML Instructions"),
    5000: ("INTERNAL_ERROR", "Network Error"),
    6000: ("SCHEDULED_HANGUP", "Scheduled Hangup"),
    6010: ("NO_ANSWER", "Ring Timeout Reached"),
    7011: ("INVALID_URL", "Error Reaching Answer URL"),
    7012: ("INVALID_URL", "Error Reaching Action URL"),
    7013: ("INVALID_URL", "Error Reaching Transfer URL"),
    7014: ("INVALID_URL", "Error Reaching Redirect URL"),
    8011: ("INVALID_XML", "Invalid Answer XML"),
    8012: ("INVALID_XML", "Invalid Action XML"),
    8013: ("INVALID_XML", "Invalid Transfer XML"),
    8014: ("INVALID_XML", "Invalid Redirect XML"),
}


def bare(number: str) -> str:
    """As Plivo writes numbers in callbacks."""
    return number.removeprefix("+")


@dataclass
class Application:
    app_id: str
    name: str
    answer_url: str = ""
    answer_method: str = "POST"
    hangup_url: str = ""
    hangup_method: str = "POST"

    def to_json(self) -> dict[str, Any]:
        return {
            "answer_method": self.answer_method,
            "answer_url": self.answer_url,
            "app_id": self.app_id,
            "app_name": self.name,
            "default_app": False,
            "enabled": True,
            "fallback_answer_url": "",
            "fallback_method": "POST",
            "hangup_method": self.hangup_method,
            "hangup_url": self.hangup_url,
            "resource_uri": f"/v1/Account/MA/Application/{self.app_id}/",
        }


@dataclass
class Number:
    """One of the account's numbers, with its plus."""

    number: str
    app_id: str = ""
    voice: bool = True

    def to_json(self, auth_id: str) -> dict[str, Any]:
        application = f"/v1/Account/{auth_id}/Application/{self.app_id}/" if self.app_id else None
        return {
            "number": bare(self.number),
            "application": application,
            "voice_enabled": self.voice,
            "sms_enabled": True,
            "number_type": "local",
            "region": "United States",
            "country": "US",
            "resource_uri": f"/v1/Account/{auth_id}/Number/{bare(self.number)}/",
        }


@dataclass
class CallState:
    """One call. Times are epoch seconds; numbers have their plus."""

    uuid: str
    request_uuid: str
    direction: Direction
    from_number: str
    to_number: str
    time_limit_s: int = 14_400
    ring_s: int = 120
    status: Status = "queued"
    created_at: float = field(default_factory=time.time)
    answered_at: float | None = None
    ended_at: float | None = None
    cause: int = 0
    source: str = ""

    @property
    def over(self) -> bool:
        return self.status in FINAL

    @property
    def duration_s(self) -> int:
        if self.answered_at is None:
            return 0
        return max(0, round((self.ended_at or time.time()) - self.answered_at))

    def live_json(self) -> dict[str, Any]:
        return {
            "call_status": self.status,
            "call_uuid": self.uuid,
            "caller_name": "",
            "direction": self.direction,
            "from": self.from_number,
            "request_uuid": self.request_uuid,
            "session_start": utc(self.created_at),
            "to": bare(self.to_number),
        }

    def record_json(self) -> dict[str, Any]:
        name = CAUSES.get(self.cause, ("", ""))[1]
        return {
            "answer_time": zoned(self.answered_at),
            "bill_duration": self.duration_s,
            "billed_duration": -(-self.duration_s // 60) * 60,
            "call_direction": self.direction,
            "call_duration": self.duration_s,
            "call_state": "ANSWER" if self.answered_at else self.status.upper(),
            "call_uuid": self.uuid,
            "end_time": zoned(self.ended_at),
            "from_number": self.from_number,
            "hangup_cause_code": self.cause,
            "hangup_cause_name": name,
            "hangup_source": self.source,
            "initiation_time": zoned(self.created_at),
            "parent_call_uuid": None,
            "to_number": bare(self.to_number),
            "total_amount": "0.01000",
            "total_rate": "0.00500",
        }


def utc(at: float) -> str:
    """Without a zone, in UTC, with microseconds: `SessionStart`."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")


def local(at: float | None) -> str:
    """Without a zone, in the account's own: `AnswerTime` and its like."""
    return "" if at is None else datetime.fromtimestamp(at, ACCOUNT_ZONE).strftime("%Y-%m-%d %H:%M:%S")


def zoned(at: float | None) -> str | None:
    return None if at is None else f"{local(at)}+05:30"
