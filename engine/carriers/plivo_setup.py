"""What `setup --online` finds in a Plivo account, and what it would write there. Pure: answers in, findings out.

At Plivo a number belongs to an application, and the application has the addresses: to write them changes what happens
to every number of that application. Sources: Plivo's pages on the Account, Number and Application resources.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from engine.carriers import setup_checks
from engine.carriers.base import CarrierError
from engine.carriers.callback import Callback
from engine.carriers.plivo_account import Account, OwnNumber
from engine.carriers.setup_checks import FIX, compared, out_of_reach
from engine.check import Check


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where an application reports calls and their ends."""

    answer: Callback
    hangup: Callback

    def to_plivo(self) -> dict[str, str]:
        """By Plivo's names."""
        return {
            "answer_url": self.answer.url,
            "answer_method": self.answer.method,
            "hangup_url": self.hangup.url,
            "hangup_method": self.hangup.method,
        }


@dataclass(frozen=True, slots=True)
class Change:
    """What would be written to the application of one number; without an application one is made."""

    app_id: str
    application: str
    number: str
    now: Addresses
    then: Addresses
    shared: str = ""
    """Why the application is not this number's alone."""

    def lines(self) -> Iterator[str]:
        where = f"application {self.application}" if self.app_id else f"a new application {self.application}"
        note = f" ({self.shared})" if self.shared else ""
        for what, now, then in self._parts():
            yield f"{self.number} {what} of {where}{note}: {now} -> {then}"

    def to_json(self) -> dict[str, object]:
        (_, answer, our_answer), (_, hangup, our_hangup) = self._parts()
        return {
            "number": self.number,
            "application": self.application,
            "answerUrl": {"from": answer, "to": our_answer},
            "hangupUrl": {"from": hangup, "to": our_hangup},
        }

    def _parts(self) -> tuple[tuple[str, str, str], tuple[str, str, str]]:
        now, then = self.now, self.then
        return (
            ("answer URL", now.answer.shown(then.answer.url), then.answer.shown(then.answer.url)),
            ("hangup URL", now.hangup.shown(then.hangup.url), then.hangup.shown(then.hangup.url)),
        )


def ours(webhook_url: str) -> Addresses:
    """What an application must say. Without a hangup URL Plivo reports the end of a call to the answer URL."""
    status = f"{webhook_url}{'&' if '?' in webhook_url else '?'}type=status"
    return Addresses(Callback(webhook_url), Callback(status))


def theirs(number: OwnNumber) -> Addresses:
    """What a number's application says now."""
    found = number.application
    if found is None:
        return Addresses(Callback(""), Callback(""))
    return Addresses(Callback(found.answer_url, found.answer_method), Callback(found.hangup_url, found.hangup_method))


def application_name(number: str) -> str:
    """Of an application that is made for a number: Plivo takes letters, digits, - and _."""
    return f"voicecall-{number.removeprefix('+')}"


def change(number: OwnNumber, webhook_url: str) -> Change | None:
    """What to write; None when it is as it should be."""
    now, then = theirs(number), ours(webhook_url)
    if now.answer.fits(then.answer) and now.hangup.fits(then.hangup):
        return None
    found = number.application
    if found is None:
        return Change("", application_name(number.number), number.number, now, then)
    name = found.name or found.app_id
    others = found.numbers - 1
    shared = f"{others} other number{'s' if others > 1 else ''} belong{'' if others > 1 else 's'} to it too"
    return Change(found.app_id, name, number.number, now, then, shared if others > 0 else "")


def credentials(answer: Account | CarrierError) -> Check:
    check = "plivo-credentials"
    if out_of_reach(answer):
        fix = "check this machine's network, DNS and proxy, and plivo.api_base_url"
        return Check(check, False, f"{answer}; nothing was asked", fix)
    if isinstance(answer, CarrierError):
        return _refused(check, answer)
    who = f"account {answer.name or answer.auth_id}"
    credit = _number(answer.credits)
    if credit is not None and credit <= 0:
        return Check(check, False, f"{who} has no credit left", "see https://console.plivo.com")
    left = f", credit {answer.credits}" if credit is not None else ""
    return Check(check, True, f"{who}{f' ({answer.type})' if answer.type else ''}{left}")


def own_number(number: str, answer: OwnNumber | CarrierError | None) -> Check:
    check = "plivo-number"
    if isinstance(answer, CarrierError):
        return _refused(check, answer, f"{number}: ")
    if answer is None:
        what = f"{number} is not a number of this account: no call to it can reach us"
        return Check(check, False, what, "rent it, or correct from_number or numbers")
    if not answer.voice:
        return Check(check, False, f"{number} can not do voice calls", "choose a number that can")
    return Check(check, True, f"{number} belongs to the account and can do voice calls")


def no_number() -> Check:
    return Check("plivo-number", False, "no number is configured", "set from_number")


def addresses(number: OwnNumber, webhook_url: str) -> Iterator[Check]:
    """Whether calls to a number, and their ends, are reported to us."""
    now, then = theirs(number), ours(webhook_url)
    if number.application is None:
        what = f"{number.number} belongs to no application: calls to it are told to nobody"
        yield Check("plivo-answer-url", False, what, FIX)
        return
    yield compared("plivo-answer-url", f"{number.number}: calls to it", now.answer, then.answer)
    yield compared("plivo-hangup-url", f"{number.number}: the ends of calls to it", now.hangup, then.hangup)


def no_address(tunnel: str) -> Check:
    """There is nothing to compare a number with. `tunnel`: what gives us an address once it is up, or nothing."""
    return setup_checks.no_address("plivo-answer-url", "Plivo", tunnel)


def clock(answer: int | CarrierError) -> Check:
    """`answer`: how far Plivo's clock is before ours, in ms."""
    check = "plivo-clock"
    if isinstance(answer, CarrierError):
        return _refused(check, answer, "Plivo's clock could not be read: ")
    return setup_checks.clock(
        check, "Plivo", answer, "a dial whose outcome is uncertain may be given to the wrong call"
    )


def _refused(check: str, error: CarrierError, before: str = "") -> Check:
    code = f" (HTTP {error.code})" if error.code.isdecimal() else ""
    return Check(check, False, f"{before}{error}{code}", error.hint or "try again")


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
