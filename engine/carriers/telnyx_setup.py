"""What `setup --online` finds in a Telnyx account, and what it would write there. Pure: answers in, findings out.

An answer is what Telnyx said, or the CarrierError that came instead. Sources: Telnyx's descriptions of Call Control
applications and phone numbers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit, urlunsplit

from engine.carriers import setup_checks
from engine.carriers.base import CarrierError
from engine.carriers.callback import same_address
from engine.carriers.plain import plain
from engine.carriers.setup_checks import out_of_reach
from engine.carriers.telnyx_account import Application, OwnNumber
from engine.check import Check

SKEW_MS: Final = 60_000
"""Webhooks are refused when their time is five minutes from ours; a clock that is a minute off is on its way."""
FIX: Final = "voicecall setup --online --fix writes it, after showing what it would do"
PORTAL: Final = "https://portal.telnyx.com/#/call-control/applications"


@dataclass(frozen=True, slots=True)
class Change:
    """What would be written: where the application reports and how, or who gets the calls of a number."""

    number: str
    """What it is about: a number, or the application by its name."""
    id: str
    name: str
    """The application's name."""
    parts: Sequence[tuple[str, str, str]]
    """What, as it is now, as it would be."""
    url: str = ""
    """Our webhook; empty for a number."""

    def lines(self) -> Iterator[str]:
        for what, now, then in self.parts:
            yield f"{self.number} {what}: {now} -> {then}"

    def to_json(self) -> dict[str, object]:
        names = {"webhook URL": "webhookUrl", "webhook API version": "webhookApiVersion", "calls go to": "connection"}
        fields: dict[str, object] = {names[what]: {"from": now, "to": then} for what, now, then in self.parts}
        return {"number": self.number, **fields}


def application_change(app: Application, webhook_url: str) -> Change | None:
    """What to write to the application; None when it is as it should be."""
    parts = []
    if not _same_url(app.webhook_url, webhook_url):
        parts.append(("webhook URL", _shown(app.webhook_url) or "nothing", webhook_url))
    if app.api_version != "2":
        parts.append(("webhook API version", app.api_version, "2"))
    return Change(f"application {app.name}", app.id, app.name, parts, webhook_url) if parts else None


def number_change(number: OwnNumber, app: Application) -> Change | None:
    """What to write to a number. One that is somebody else's is left to a person."""
    if number.connection_id:
        return None
    parts = [("calls go to", "nobody", f"application {app.name}")]
    return Change(number.number, number.id, app.name, parts)


def key(answer: Application | CarrierError) -> Check:
    """Whether the API key is one. An application that does not exist is told by an account that does."""
    check = "telnyx-key"
    if out_of_reach(answer):
        return Check(check, False, f"{answer}; nothing was asked", "check the network and telnyx.api_base_url")
    if isinstance(answer, CarrierError) and answer.kind != "gone":
        return _refused(check, answer)
    return Check(check, True, "the API key is good")


def connection(answer: Application | CarrierError, connection_id: str) -> Check:
    check = "telnyx-connection"
    if isinstance(answer, CarrierError):
        if answer.kind == "gone":
            what = f"telnyx.connection_id {connection_id} is no Call Control application of this account"
            return Check(check, False, what, f"copy the id of the application: {PORTAL}")
        return _refused(check, answer)
    who = f"the application {answer.name or answer.id}"
    if not answer.active:
        return Check(check, False, f"{who} is switched off", f"activate it: {PORTAL}")
    if not answer.outbound_profile:
        return Check(
            check,
            False,
            f"{who} has no outbound voice profile: it can place no calls",
            f"give it one under Outbound: {PORTAL}",
        )
    return Check(check, True, f"{who} is active and may place calls")


def api_version(app: Application) -> Check:
    check = "telnyx-api-version"
    if app.api_version == "2":
        return Check(check, True, "webhooks come in API version 2")
    return Check(check, False, f"webhooks come in API version {app.api_version}, which holds too little", FIX)


def webhook_url(app: Application, ours: str) -> Check:
    check = "telnyx-webhook-url"
    if _same_url(app.webhook_url, ours):
        return Check(check, True, f"calls that come in are told to {_shown(app.webhook_url)}")
    theirs = _shown(app.webhook_url) or "nobody"
    lines = ("calls that come in are not told to us", f"ours: {ours}", f"theirs: {theirs}")
    return Check(check, False, "\n".join(lines), FIX)


def no_address(tunnel: str) -> Check:
    """There is nothing to compare with. `tunnel`: what gives us an address once it is up, or nothing."""
    return setup_checks.no_address("telnyx-webhook-url", "Telnyx", tunnel)


def own_number(number: str, answer: OwnNumber | CarrierError | None, app: Application) -> Check:
    check = "telnyx-number"
    if isinstance(answer, CarrierError):
        return _refused(check, answer, f"{number}: ")
    if answer is None:
        return Check(
            check, False, f"{number} is not a number of this account", "buy it, or correct from_number or numbers"
        )
    if answer.connection_id == app.id:
        return Check(check, True, f"{number}: its calls go to the application {app.name or app.id}")
    if not answer.connection_id:
        return Check(check, False, f"{number}: its calls go to nobody", FIX)
    instead = answer.connection_name or answer.connection_id
    return Check(
        check,
        False,
        f"{number}: its calls go to {instead}, not to the application {app.name or app.id}",
        "assign the number to the application in the Telnyx portal, or correct telnyx.connection_id",
    )


def no_number() -> Check:
    return Check("telnyx-number", False, "no number is configured", "set from_number")


def clock(ahead_ms: int) -> Check:
    """`ahead_ms`: how far Telnyx's clock is before ours."""
    so = "from 300 s on every webhook is refused"
    return setup_checks.clock("telnyx-clock", "Telnyx", ahead_ms, so, SKEW_MS)


def _refused(check: str, error: CarrierError, before: str = "") -> Check:
    number = f" (Telnyx {error.code})" if error.code.isdecimal() else ""
    see = f"see {error.link}" if error.link else ""
    fix = "; ".join(dict.fromkeys(part for part in (error.hint, see) if part and part != error.link)) or "try again"
    return Check(check, False, f"{before}{error}{number}", fix)


def _same_url(one: str, other: str) -> bool:
    return same_address(one) == same_address(other)


def _shown(url: str) -> str:
    """For people, without what may be secret in somebody's address: its query and its user."""
    if not url:
        return ""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    query = "?…" if parts.query else ""
    return plain(urlunsplit((parts.scheme, host, parts.path, "", ""))) + query
