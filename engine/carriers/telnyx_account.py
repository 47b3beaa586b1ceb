"""Values of Telnyx's REST interface, and what they mean to us. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from engine.calls import State
from engine.carriers.base import CarrierStatus
from engine.carriers.plain import plain

API: Final = "https://api.telnyx.com/v2"
TIMEOUT_S: Final = 10.0
"""Seconds that one request may take."""


@dataclass(frozen=True, slots=True)
class Access:
    """Where the REST interface is and who asks."""

    api_key: str
    connection_id: str
    base_url: str = ""
    timeout_s: float = TIMEOUT_S

    @property
    def address(self) -> str:
        """With the version in its path: an address that is a mere host gets it."""
        given = self.base_url.rstrip("/")
        if not given:
            return API
        return given if "/" in given.partition("://")[2] else f"{given}/v2"


@dataclass(frozen=True, slots=True)
class Application:
    """A Call Control application, which is what `connection_id` names."""

    id: str
    name: str
    active: bool
    webhook_url: str
    api_version: str
    outbound_profile: str
    """The outbound voice profile, without which nothing can be dialled."""


@dataclass(frozen=True, slots=True)
class OwnNumber:
    """One of the account's numbers. `connection_id`: who gets its calls; empty for nobody."""

    id: str
    number: str
    status: str
    connection_id: str
    connection_name: str


def application(data: Mapping[str, Any]) -> Application:
    """`GET /call_control_applications/{id}`."""
    outbound = data.get("outbound")
    profile = outbound.get("outbound_voice_profile_id") if isinstance(outbound, dict) else None
    return Application(
        id=_text(data, "id"),
        name=_text(data, "application_name"),
        active=data.get("active") is not False,
        webhook_url=_text(data, "webhook_event_url"),
        api_version=str(data.get("webhook_api_version") or "1"),  # the documented default
        outbound_profile=plain(str(profile)) if profile else "",
    )


def own_number(data: Mapping[str, Any]) -> OwnNumber:
    """One of `GET /phone_numbers`."""
    names = ("id", "phone_number", "status", "connection_id", "connection_name")
    return OwnNumber(*(_text(data, name) for name in names))


def to_status(data: Mapping[str, Any]) -> CarrierStatus:
    """`GET /calls/{id}`. It tells neither why a call ended nor whether anybody answered; one that lasted was taken.

    A call that is over has an end. One that is not alive and has none was dialled just now: nothing is ended on a
    guess.
    """
    seconds = data.get("call_duration")
    duration = seconds if isinstance(seconds, int) and not isinstance(seconds, bool) else None
    alive, ended = data.get("is_alive"), _text(data, "end_time")
    if alive is not False or not (ended or duration):
        return CarrierStatus(live=True, raw="alive" if alive else "not alive yet")
    reason = State.COMPLETED if duration else State.NO_ANSWER
    return CarrierStatus(
        live=False, reason=reason, raw="over", answered=bool(duration), duration_s=duration, facts={"end_time": ended}
    )


def _text(data: Mapping[str, Any], name: str) -> str:
    value = data.get(name)
    return plain(str(value)) if isinstance(value, str | int) and not isinstance(value, bool) else ""
