"""Who may call in, and what a number is. Fails closed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

InboundPolicy = Literal["disabled", "allowlist", "pairing", "open"]
Decision = Literal["once", "always", "no"]
"""What a person says about a caller who waits. always: the number is let in from now on."""

_E164: Final = re.compile(r"\+[1-9]\d{1,14}", re.ASCII)
_NUMBER: Final = re.compile(r"\+?[0-9 ().-]{3,24}", re.ASCII)
_DIGITS: Final = re.compile(r"[0-9A-D*#wWpP,]{1,64}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Admission:
    """Whether an inbound call is let in. `ask` means that a person has to say so first."""

    verdict: Literal["accept", "reject", "ask"]
    why: str


def admit(policy: InboundPolicy, allow_from: Sequence[str], caller: str) -> Admission:
    """Decide about a caller. Numbers are compared whole, digit by digit; a hidden number is nobody's number."""
    if policy == "open":
        return Admission("accept", "inbound calls are open to everyone")
    if policy == "disabled":
        return Admission("reject", "inbound calls are disabled (inbound_policy)")
    number = digits_of(caller) if is_number(caller) else ""
    if number and any(digits_of(entry) == number for entry in allow_from):
        return Admission("accept", "the caller is in allow_from")
    if policy == "pairing":
        return Admission("ask", "the caller is unknown: a console has to accept")
    return Admission("reject", "the caller is not in allow_from" if number else "the caller hides the number")


def digits_of(number: str) -> str:
    """The decimal digits of a number, without plus sign, spaces and brackets."""
    return "".join(char for char in number if char in "0123456789")


def is_number(text: str) -> bool:
    """A telephone number as people write it: nothing but digits, a plus sign before them and the signs between them.
    An address or a name that holds the digits of a number is not that number's."""
    return _NUMBER.fullmatch(text) is not None and 3 <= len(digits_of(text)) <= 15


def is_e164(number: str) -> bool:
    """`+`, a country code that does not begin with zero, at most 15 digits in all."""
    return _E164.fullmatch(number) is not None


def are_dtmf(digits: str) -> bool:
    """Keys 0-9 A-D * #, and w W p P or a comma for pauses."""
    return _DIGITS.fullmatch(digits) is not None
