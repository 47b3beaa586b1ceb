"""What `setup --online` finds in a Twilio account, and what it would write there. Pure: answers in, findings out.

An answer is what Twilio said, or the CarrierError that came instead. Sources: Twilio's documentation of the Account
and IncomingPhoneNumber resources, of trial accounts and of voice dialing permissions.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from engine.carriers import setup_checks
from engine.carriers.base import CarrierError
from engine.carriers.callback import Callback
from engine.carriers.setup_checks import compared, out_of_reach
from engine.carriers.twilio_account import Account, OwnNumber
from engine.carriers.twilio_errors import explain
from engine.check import Check

GEO_LINK: Final = "https://console.twilio.com/us1/develop/voice/settings/geo-permissions"
_TRIAL: Final = (
    "a trial account: it calls only numbers that were verified for it, "
    "and Twilio plays a message of its own before every call"
)


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where a number's calls are reported."""

    voice: Callback
    status: Callback


@dataclass(frozen=True, slots=True)
class Change:
    """What would be written to one number."""

    sid: str
    number: str
    now: Addresses
    then: Addresses

    def lines(self) -> Iterator[str]:
        for what, now, then in self._parts():
            yield f"{self.number} {what}: {now} -> {then}"

    def to_json(self) -> dict[str, object]:
        (_, voice, our_voice), (_, status, our_status) = self._parts()
        return {
            "number": self.number,
            "voiceUrl": {"from": voice, "to": our_voice},
            "statusCallback": {"from": status, "to": our_status},
        }

    def _parts(self) -> tuple[tuple[str, str, str], tuple[str, str, str]]:
        now, then = self.now, self.then
        return (
            ("voice URL", now.voice.shown(then.voice.url), then.voice.shown(then.voice.url)),
            ("status callback", now.status.shown(then.status.url), then.status.shown(then.status.url)),
        )


def ours(webhook_url: str) -> Addresses:
    """What a number must say. The end of a call that came in is told to the number's own callback only."""
    status = f"{webhook_url}{'&' if '?' in webhook_url else '?'}type=status"
    return Addresses(Callback(webhook_url), Callback(status))


def theirs(number: OwnNumber) -> Addresses:
    """What a number says now."""
    return Addresses(
        Callback(number.voice_url, number.voice_method),
        Callback(number.status_callback, number.status_callback_method),
    )


def change(number: OwnNumber, webhook_url: str) -> Change | None:
    """What to write; None when it is as it should be, or when Twilio would not look at it."""
    now, then = theirs(number), ours(webhook_url)
    if number.handled_elsewhere or (now.voice.fits(then.voice) and now.status.fits(then.status)):
        return None
    return Change(number.sid, number.number, now, then)


def credentials(answer: Account | CarrierError) -> Check:
    check = "twilio-credentials"
    if out_of_reach(answer):
        return Check(
            check,
            False,
            f"{answer}; nothing was asked",
            "check this machine's network, DNS and proxy, and twilio.region, twilio.edge and twilio.api_base_url",
        )
    if isinstance(answer, CarrierError):
        return _refused(check, answer)
    who = f"account {answer.name or answer.sid}"
    if answer.status != "active":
        return Check(
            check, False, f"{who} is {answer.status or 'in no known state'}", "see https://console.twilio.com"
        )
    if answer.type == "Trial":
        return Check(check, True, f"{who} is active; {_TRIAL}", "upgrade the account to call anybody")
    return Check(check, True, f"{who} is active")


def own_number(number: str, answer: OwnNumber | CarrierError | None) -> Check:
    check = "twilio-number"
    if isinstance(answer, CarrierError):
        return _refused(check, answer, f"{number}: ")
    if answer is None:
        return Check(
            check,
            False,
            f"{number} is not a number of this account: no call to it can reach us",
            "buy it, or correct from_number or numbers; a caller id that was only verified can place calls, no more",
        )
    if not answer.voice:
        return Check(check, False, f"{number} can not do voice calls", "choose a number that can")
    return Check(check, True, f"{number} belongs to the account and can do voice calls")


def no_number() -> Check:
    return Check("twilio-number", False, "no number is configured", "set from_number")


def addresses(number: OwnNumber, webhook_url: str) -> Iterator[Check]:
    """Whether calls to a number, and their ends, are reported to us."""
    now, then = theirs(number), ours(webhook_url)
    if number.handled_elsewhere:
        instead = f"{number.number}: Twilio asks the trunk or application {number.handled_elsewhere} instead"
        for check in ("twilio-voice-url", "twilio-status-callback"):
            yield Check(check, False, instead, "in the Twilio console, have the number's calls handled by webhook")
        return
    yield compared("twilio-voice-url", f"{number.number}: calls to it", now.voice, then.voice)
    yield compared("twilio-status-callback", f"{number.number}: the ends of calls to it", now.status, then.status)


def no_address(tunnel: str) -> Check:
    """There is nothing to compare a number with. `tunnel`: what gives us an address once it is up, or nothing."""
    return setup_checks.no_address("twilio-voice-url", "Twilio", tunnel)


def dialling(country: str, whose: str, answer: bool | CarrierError | None) -> Check:
    """`country` is an ISO 3166 code, or empty for a number that belongs to no country."""
    check = "twilio-geo"
    if not country:
        return Check(check, True, f"{whose} belongs to no country: nothing to ask")
    if isinstance(answer, CarrierError):
        return _refused(check, answer, f"{country} ({whose}): ")
    if answer is None:
        return Check(check, True, f"{country} ({whose}): Twilio does not say whether it may be called", GEO_LINK)
    if not answer:
        return Check(check, False, f"{country} ({whose}) may not be called", f"allow it: {GEO_LINK}")
    return Check(check, True, f"{country} ({whose}) may be called")


def clock(answer: int | CarrierError) -> Check:
    """`answer`: how far Twilio's clock is before ours, in ms."""
    check = "twilio-clock"
    if isinstance(answer, CarrierError):
        return _refused(check, answer, "Twilio's clock could not be read: ")
    return setup_checks.clock(
        check, "Twilio", answer, "a dial whose outcome is uncertain may be given to the wrong call"
    )


def country_of(number: str) -> str:
    """The ISO 3166 code of a number's country; empty when it belongs to none."""
    import phonenumbers  # 20 ms

    try:
        parsed = phonenumbers.parse(number)
    except phonenumbers.NumberParseException:
        return ""
    # A number out of no known range, +1 555 for one, still has a country code.
    code = phonenumbers.region_code_for_number(parsed) or phonenumbers.region_code_for_country_code(
        parsed.country_code or 0
    )
    return code if len(code) == 2 and code.isalpha() and code != "ZZ" else ""


def _refused(check: str, error: CarrierError, before: str = "") -> Check:
    """The error in our words and Twilio's, with its code; what to do and where to read about it."""
    code = error.code or ""
    hint = explain(int(code) if code.isascii() and code.isdecimal() else None)
    message = str(error).removesuffix(f"; {hint}") if hint else str(error)
    number = f" (Twilio {code})" if code.isascii() and code.isdecimal() else ""
    see = f"see {error.link}" if error.link else ""
    fix = "; ".join(part for part in (hint, see) if part) or error.hint or "try again"
    return Check(check, False, f"{before}{message}{number}", fix)
