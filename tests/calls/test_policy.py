"""Who may call in, and what a number is: it fails closed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.calls.policy import InboundPolicy, admit, are_dtmf, digits_of, is_e164, is_number

ANNA, TOM = "+15550100101", "+15550100102"


@pytest.mark.parametrize(
    ("policy", "allowed", "caller", "verdict"),
    [
        ("disabled", [ANNA], ANNA, "reject"),
        ("allowlist", [ANNA], ANNA, "accept"),
        ("allowlist", ["+1 (555) 010-0101"], ANNA, "accept"),
        ("allowlist", [ANNA], TOM, "reject"),
        ("allowlist", [], ANNA, "reject"),
        ("allowlist", [ANNA], "anonymous", "reject"),
        ("allowlist", [""], "", "reject"),
        ("allowlist", ["anonymous"], "anonymous", "reject"),
        ("pairing", [ANNA], ANNA, "accept"),
        ("pairing", [ANNA], TOM, "ask"),
        ("pairing", [], "", "ask"),
        ("pairing", ["anonymous", ""], "anonymous", "ask"),
        ("open", [], "", "accept"),
    ],
)
def test_admission(policy: InboundPolicy, allowed: list[str], caller: str, verdict: str) -> None:
    admission = admit(policy, allowed, caller)
    assert admission.verdict == verdict
    assert admission.why


@pytest.mark.parametrize("caller", [ANNA[:-1], ANNA + "1", "0101", "1" + ANNA, ANNA[2:]])
def test_numbers_are_compared_whole(caller: str) -> None:
    assert admit("allowlist", [ANNA], caller).verdict == "reject"


@given(st.text(max_size=30), st.lists(st.text(max_size=30), max_size=4))
def test_nobody_gets_in_who_is_not_listed_digit_by_digit(caller: str, allowed: list[str]) -> None:
    verdict = admit("allowlist", allowed, caller).verdict
    listed = is_number(caller) and digits_of(caller) in map(digits_of, allowed)
    assert verdict == ("accept" if listed else "reject")


@pytest.mark.parametrize("number", ["+15550100101", "+4930123456", "+12", "+123456789012345"])
def test_e164_numbers(number: str) -> None:
    assert is_e164(number)


@pytest.mark.parametrize(
    "number", ["", "+", "+1", "+0155501001", "15550100101", "+1 555 0100", "+1234567890123456", "+1555\n", "+١٢٣٤٥"]
)
def test_what_is_no_e164_number(number: str) -> None:
    assert not is_e164(number)


@pytest.mark.parametrize(
    ("digits", "fine"), [("0123456789*#ABCD", True), ("1w2W,p", True), ("", False), ("E", False), ("a", False)]
)
def test_keys(digits: str, fine: bool) -> None:
    assert are_dtmf(digits) is fine


@pytest.mark.parametrize("digits", ["1" * 65, "1 2", "1\n", "١"])
def test_what_are_no_keys(digits: str) -> None:
    assert not are_dtmf(digits)


@pytest.mark.parametrize(
    "caller", [f"sip:{ANNA}@evil.example", f"\x1b[2J{ANNA}", f"Anna {ANNA}", ANNA + "\n", "+", "()"]
)
def test_what_merely_holds_the_digits_of_a_listed_number_is_not_that_number(caller: str) -> None:
    assert not is_number(caller)
    assert admit("allowlist", [ANNA], caller).verdict == "reject"
    assert admit("pairing", [ANNA], caller).verdict == "ask"


def test_numbers_may_be_written_as_people_write_them() -> None:
    for number in ("+1 (555) 010-0142", "15550100142", "+49.30.123456"):
        assert is_number(number)
