"""What `setup --online` finds in Twilio's answers: each finding from values, without a Twilio."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.carriers import twilio_setup as setup
from engine.carriers.base import CarrierError
from engine.carriers.callback import Callback
from engine.carriers.twilio_account import Account, OwnNumber
from engine.check import Check

URL = "https://calls.example.com/voice/webhook"
STATUS = f"{URL}?type=status"
ACCOUNT = Account("AC1", "Practice", "active", "Full")
NUMBER = OwnNumber("PN1", "+15550100000", URL, "POST", STATUS, "POST", voice=True)


def verdicts(number: OwnNumber, url: str = URL) -> list[bool]:
    return [check.ok for check in setup.addresses(number, url)]


def test_an_active_account_is_ok_and_a_trial_account_is_told_what_it_can_not_do() -> None:
    assert setup.credentials(ACCOUNT) == Check("twilio-credentials", True, "account Practice is active")
    trial = setup.credentials(replace(ACCOUNT, type="Trial"))
    assert trial.ok and "trial account" in trial.message and "verified" in trial.message


@pytest.mark.parametrize("status", ["suspended", "closed", ""])
def test_an_account_that_is_not_active_fails(status: str) -> None:
    check = setup.credentials(replace(ACCOUNT, status=status))
    assert not check.ok and (status or "no known state") in check.message


def test_a_refusal_keeps_code_words_and_link_and_says_the_way_out_once() -> None:
    text = "Twilio would not show the account: Authenticate; check twilio.account_sid and twilio.auth_token; each region has tokens of its own"  # noqa: E501
    error = CarrierError(text, code="20003", link="https://www.twilio.com/docs/errors/20003")
    check = setup.credentials(error)
    assert not check.ok
    assert check.message == "Twilio would not show the account: Authenticate (Twilio 20003)"
    assert check.fix.startswith("check twilio.account_sid") and check.fix.endswith("/20003")


def test_a_refusal_without_code_or_link_still_says_what_to_do() -> None:
    check = setup.own_number("+15550100000", CarrierError("Twilio did not answer in time", code="timeout"))
    assert not check.ok and check.fix == "try again" and check.message.startswith("+15550100000: ")


def test_a_number_must_belong_to_the_account_and_talk() -> None:
    assert setup.own_number(NUMBER.number, NUMBER).ok
    assert not setup.own_number(NUMBER.number, None).ok
    mute = setup.own_number(NUMBER.number, replace(NUMBER, voice=False))
    assert not mute.ok and "voice" in mute.message


def test_addresses_that_are_ours_are_ok_and_need_no_change() -> None:
    assert verdicts(NUMBER) == [True, True]
    assert setup.change(NUMBER, URL) is None


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        ({"voice_url": ""}, [False, True]),
        ({"voice_url": URL + "/"}, [False, True]),
        ({"voice_url": URL.replace("https", "http")}, [False, True]),
        ({"voice_url": URL.replace("voice", "Voice")}, [False, True]),
        ({"voice_url": URL + "?x=1"}, [False, True]),
        ({"voice_url": URL.replace("com/", "com:8443/")}, [False, True]),
        ({"voice_method": "GET"}, [False, True]),
        ({"status_callback": ""}, [True, False]),
        ({"status_callback": URL}, [True, False]),
        ({"status_callback_method": "GET"}, [True, False]),
        ({"handled_elsewhere": "TK1"}, [False, False]),
        # the same address in other letters
        ({"voice_url": URL.replace("com/", "com:443/")}, [True, True]),
        ({"voice_url": URL.replace("calls", "CALLS")}, [True, True]),
        ({"voice_method": "", "status_callback_method": ""}, [True, True]),
    ],
)
def test_each_difference_fails_its_own_check_and_would_be_written(
    other: dict[str, str], expected: list[bool]
) -> None:
    number = replace(NUMBER, **other)  # type: ignore[arg-type]
    assert verdicts(number) == expected
    # What a trunk handles is not put right by the number's addresses.
    assert (setup.change(number, URL) is not None) == (not all(expected) and not number.handled_elsewhere)


def test_the_difference_is_two_lines_ours_and_theirs() -> None:
    number = replace(NUMBER, voice_url="https://old.example.com/a", voice_method="GET", status_callback="")
    voice, status = setup.addresses(number, URL)
    assert voice.message.splitlines()[1:] == [f"ours: POST {URL}", "theirs: GET https://old.example.com/a"]
    assert status.message.splitlines()[1:] == [f"ours: POST {STATUS}", "theirs: nothing"]
    assert "--fix" in voice.fix


def test_a_webhook_url_with_a_query_keeps_it_in_the_status_callback() -> None:
    assert setup.ours(f"{URL}?line=2").status.url == f"{URL}?line=2&type=status"


def test_a_root_address_is_the_same_with_and_without_its_slash() -> None:
    number = replace(NUMBER, voice_url="https://h.example/", status_callback="https://h.example/?type=status")
    assert verdicts(number, "https://h.example") == [True, True]


def test_what_others_wrote_into_an_address_is_not_shown() -> None:
    theirs = "https://bob:hunter2@old.example.com/a?token=hunter2&type=status&hunter2"
    number = replace(NUMBER, voice_url=theirs, status_callback=theirs)
    change = setup.change(number, URL)
    assert change is not None
    seen = [*(check.message for check in setup.addresses(number, URL)), *change.lines(), str(change.to_json())]
    assert not any("bob" in text or "hunter2=h" in text or "=hunter2" in text or ":hunter2" in text for text in seen)
    assert "token=…" in seen[0] and "type=status" in seen[1]


@given(st.text(max_size=60))
def test_any_address_can_be_shown_in_one_printable_line_and_compared(text: str) -> None:
    number = replace(NUMBER, voice_url=text)
    voice, _ = setup.addresses(number, URL)
    assert len(voice.message.splitlines()) in (1, 3)
    assert all(line.isprintable() for line in voice.message.splitlines())


@given(st.from_regex(r"https?://[a-z@:]{0,8}[/?a-z=&%]{0,20}", fullmatch=True))
def test_an_address_fits_itself(url: str) -> None:
    assert Callback(url).fits(Callback(url, ""))
    assert Callback(url).shown(url)


def test_without_an_address_of_ours_public_url_is_asked_for() -> None:
    check = setup.no_address("")
    assert not check.ok and "public_url" in check.fix
    assert setup.no_address("ngrok").ok


def test_countries_that_may_not_be_called_fail_and_silence_is_only_remarked() -> None:
    assert setup.dialling("US", "to_number", True).ok
    assert setup.dialling("US", "to_number", None).ok
    assert setup.dialling("", "to_number", None).ok
    refused = setup.dialling("CU", "to_number", False)
    assert not refused.ok and "CU" in refused.message and "geo-permissions" in refused.fix
    assert not setup.dialling("US", "to_number", CarrierError("no")).ok


@pytest.mark.parametrize(
    ("number", "country"),
    [
        ("+14165550123", "CA"),
        ("+15550100142", "US"),
        ("+493012345678", "DE"),
        ("+442079460000", "GB"),
        ("+80012345678", ""),
        ("+99912345678", ""),
        ("+7", ""),
    ],
)
def test_a_number_tells_its_country(number: str, country: str) -> None:
    assert setup.country_of(number) == country


@pytest.mark.parametrize(
    ("ahead_ms", "ok", "word"),
    [
        (0, True, "agrees"),
        (30_000, True, "30 s"),
        (-30_000, True, "30 s"),
        (31_000, False, "31 s behind"),
        (-600_000, False, "600 s ahead of"),
    ],
)
def test_the_clock_may_be_half_a_minute_off(ahead_ms: int, ok: bool, word: str) -> None:
    check = setup.clock(ahead_ms)
    assert check.ok == ok and word in check.message and (ok or check.fix)
