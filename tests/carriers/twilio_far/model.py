"""Calls and notifications as Twilio keeps and shows them. Values and their JSON."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Any, Final, Literal

Direction = Literal["inbound", "outbound-api", "outbound-dial"]
Status = Literal["queued", "ringing", "in-progress", "completed", "busy", "failed", "no-answer", "canceled"]
FINAL: Final = frozenset({"completed", "busy", "failed", "no-answer", "canceled"})
API_VERSION: Final = "2010-04-01"


@dataclass
class Notification:
    """What Twilio's debugger says about a call. `level` 0 is an error, 1 a warning."""

    sid: str
    call_sid: str
    code: int
    text: str
    level: int
    url: str
    at: float

    def to_json(self, account_sid: str) -> dict[str, Any]:
        date = _date(self.at)
        level = "ERROR" if self.level == 0 else "WARNING"
        return {
            "sid": self.sid,
            "account_sid": account_sid,
            "call_sid": self.call_sid,
            "api_version": API_VERSION,
            "log": str(self.level),
            "error_code": str(self.code),
            "more_info": f"https://www.twilio.com/docs/errors/{self.code}",
            "message_text": f"EmailNotification=false&LogLevel={level}&sourceComponent=12000&Msg={self.text}",
            "message_date": date,
            "request_url": self.url,
            "request_method": "POST",
            "date_created": date,
            "date_updated": date,
            "uri": f"/{API_VERSION}/Accounts/{account_sid}/Notifications/{self.sid}.json",
        }


@dataclass
class CallState:
    """One call. Times are epoch seconds."""

    sid: str
    account_sid: str
    direction: Direction
    from_number: str
    to_number: str
    time_limit_s: int = 14_400
    ring_s: int = 60
    parent_sid: str = ""
    status: Status = "queued"
    answered_by: str = ""
    created_at: float = field(default_factory=time.time)
    started_at: float | None = None
    answered_at: float | None = None
    ended_at: float | None = None
    sip_code: int | None = None
    over_because: str = ""
    """person, api, document, time-limit, no-document, ... : for tests; Twilio does not tell."""

    @property
    def over(self) -> bool:
        return self.status in FINAL

    @property
    def duration_s(self) -> int:
        if self.answered_at is None:
            return 0
        return max(0, round((self.ended_at or time.time()) - self.answered_at))

    def to_json(self) -> dict[str, Any]:
        base = f"/{API_VERSION}/Accounts/{self.account_sid}/Calls/{self.sid}"
        # Right after the dial, and while it waits in the queue, a call has no dates yet.
        dated = self.status != "queued"
        parts = ("events", "notifications", "payments", "recordings", "siprec", "streams", "transcriptions")
        return {
            "sid": self.sid,
            "account_sid": self.account_sid,
            "annotation": None,
            "answered_by": self.answered_by or None,
            "api_version": API_VERSION,
            "caller_name": None,
            "date_created": _date(self.created_at if dated else None),
            "date_updated": _date(self.created_at if dated else None),
            "direction": self.direction,
            "duration": str(self.duration_s) if self.over else None,
            "end_time": _date(self.ended_at),
            "forwarded_from": None,
            "from": self.from_number,
            "from_formatted": self.from_number,
            "group_sid": None,
            "parent_call_sid": self.parent_sid or None,
            "phone_number_sid": "PN" + "0" * 32,
            "price": None,
            "price_unit": "USD",
            "queue_time": "0",
            "start_time": _date(self.started_at),
            "status": self.status,
            "subresource_uris": {part: f"{base}/{part.capitalize()}.json" for part in parts},
            "to": self.to_number,
            "to_formatted": self.to_number,
            "trunk_sid": None,
            "uri": f"{base}.json",
        }


def _date(at: float | None) -> str | None:
    """RFC 2822 in UTC, whole seconds."""
    return None if at is None else formatdate(at, usegmt=False).replace("-0000", "+0000")
