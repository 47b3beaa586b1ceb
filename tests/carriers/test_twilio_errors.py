"""What a failed request to Twilio means, and that nothing of what Twilio said is lost."""

from __future__ import annotations

import json
import ssl
import sys

import aiohttp
import pytest
from aiohttp.client_reqrep import ConnectionKey
from hypothesis import given
from hypothesis import strategies as st

from engine.carriers.http import Intent, Kind, from_network
from engine.carriers.plain import plain
from engine.carriers.twilio_errors import TWILIO, classify, explain, from_failure, read_failure

INTENTS: tuple[Intent, ...] = ("ask", "again", "once", "dial")


def body(code: int, message: str, status: int) -> bytes:
    link = f"https://www.twilio.com/docs/errors/{code}"
    return json.dumps({"code": code, "message": message, "more_info": link, "status": status}).encode()


@pytest.mark.parametrize(
    ("status", "code", "kinds"),
    [
        # ask, again, once, dial
        (401, 20003, ("refused", "refused", "refused", "refused")),
        (404, 20404, ("gone", "gone", "gone", "refused")),
        (404, None, ("gone", "gone", "gone", "refused")),
        (429, 20429, ("retry", "retry", "retry", "retry")),
        (429, None, ("retry", "retry", "retry", "retry")),
        (429, 10004, ("retry", "retry", "retry", "retry")),
        (400, 10004, ("retry", "retry", "retry", "retry")),
        (400, 21205, ("refused", "refused", "refused", "refused")),
        (400, 21210, ("refused", "refused", "refused", "refused")),
        (400, 21220, ("refused", "refused", "refused", "refused")),
        (400, 21101, ("refused", "refused", "refused", "refused")),
        (400, 13224, ("refused", "refused", "refused", "refused")),
        (400, 99999, ("refused", "refused", "refused", "refused")),
        (403, 20005, ("refused", "refused", "refused", "refused")),
        (302, None, ("refused", "refused", "refused", "refused")),
        (500, 20500, ("retry", "retry", "unknown", "unknown")),
        (500, None, ("retry", "retry", "unknown", "unknown")),
        (502, None, ("retry", "retry", "unknown", "unknown")),
        (503, 20503, ("retry", "retry", "unknown", "unknown")),
        (408, None, ("retry", "retry", "unknown", "unknown")),
        (409, None, ("retry", "retry", "retry", "retry")),
    ],
)
def test_each_failure_means_what_the_sender_can_do_about_it(
    status: int, code: int | None, kinds: tuple[Kind, ...]
) -> None:
    """Trap 1.1/20003-20404-20429."""
    assert tuple(classify(status, code, intent) for intent in INTENTS) == kinds


@pytest.mark.parametrize("code", range(21210, 21221))
def test_every_refusal_of_a_number_is_final_and_explained(code: int) -> None:
    assert classify(400, code, "dial") == "refused" and explain(code)


def test_twilios_code_message_and_link_are_kept() -> None:
    """Trap 1.1/error-body."""
    failure = read_failure(400, body(21211, "The 'To' number 12 is not a valid phone number.", 400))
    error = from_failure(failure, "place the call", "dial")
    assert (error.kind, error.code) == ("refused", "21211")
    assert error.link == "https://www.twilio.com/docs/errors/21211"
    assert "The 'To' number 12 is not a valid phone number." in str(error) and "E.164" in str(error)


def test_the_newer_shape_of_errors_is_read_as_well() -> None:
    value = {"type": "https://www.twilio.com/docs/api/errors/20404", "title": "Not found", "status": 404}
    failure = read_failure(404, json.dumps({**value, "code": 20404, "detail": "No such call"}).encode())
    assert (failure.code, failure.message) == (20404, "Not found: No such call")
    assert failure.link == value["type"]


@pytest.mark.parametrize("content", [b"", b"<html><h1>502</h1></html>", b"[]", b"null", b'{"code":"x"}', b"\xff\xfe"])
def test_an_error_page_of_a_proxy_says_its_status(content: bytes) -> None:
    """Trap 1.1/error-body."""
    failure = read_failure(502, content)
    assert (failure.code, failure.message, failure.link) == (None, "HTTP 502", "")
    assert from_failure(failure, "place the call", "dial").code == "502"


def test_a_link_that_is_no_address_is_left_out() -> None:
    value = {"code": 21211, "message": "x", "more_info": "javascript:alert(1)"}
    assert read_failure(400, json.dumps(value).encode()).link == ""


def test_there_are_no_colours_in_an_error_even_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    error = from_failure(read_failure(400, body(21211, "bad \x1b[31mnumber\x1b[0m\n", 400)), "place the call", "dial")
    assert str(error).isprintable() and "bad [31mnumber" in str(error).replace(" [31m", " [31m")


def _refused_connection() -> aiohttp.ClientConnectorError:
    key = ConnectionKey("127.0.0.1", 9, False, True, None, None, None)
    return aiohttp.ClientConnectorError(key, OSError(111, "Connection refused"))


@pytest.mark.parametrize(
    ("error", "kinds"),
    [
        (_refused_connection(), ("retry", "retry", "retry", "retry")),
        (aiohttp.ConnectionTimeoutError("connect"), ("retry", "retry", "retry", "retry")),
        (TimeoutError(), ("retry", "retry", "unknown", "unknown")),
        (aiohttp.ServerTimeoutError("read"), ("retry", "retry", "unknown", "unknown")),
        (aiohttp.ServerDisconnectedError(), ("retry", "retry", "unknown", "unknown")),
        (aiohttp.ClientPayloadError("cut"), ("retry", "retry", "unknown", "unknown")),
        (ConnectionResetError("reset"), ("retry", "retry", "unknown", "unknown")),
    ],
)
def test_without_a_connection_nothing_was_sent_and_afterwards_nobody_knows(
    error: Exception, kinds: tuple[Kind, ...]
) -> None:
    made = [from_network(TWILIO, error, "place the call", intent) for intent in INTENTS]
    assert tuple(failure.kind for failure in made) == kinds
    assert all(str(failure) and failure.code for failure in made)


def test_an_address_that_was_not_reached_is_named_without_words_about_tls() -> None:
    error = from_network(TWILIO, _refused_connection(), "place the call", "dial")
    assert str(error) == "Twilio can not be reached at 127.0.0.1:9: Connection refused"
    assert "twilio.api_base_url" in error.hint


def test_a_certificate_that_is_not_believed_is_named() -> None:
    key = ConnectionKey("api.twilio.com", 443, True, True, None, None, None)
    why = ssl.SSLCertVerificationError(1, "certificate verify failed: Hostname mismatch")
    error = from_network(TWILIO, aiohttp.ClientConnectorCertificateError(key, why), "place the call", "dial")
    assert str(error) == (
        "Twilio can not be reached at api.twilio.com:443: certificate verify failed: Hostname mismatch"
    )


@pytest.mark.parametrize(
    ("status", "word"), [(302, "api_base_url"), (404, "api_base_url"), (503, "status.twilio.com")]
)
def test_an_answer_that_names_no_error_of_twilios_says_what_to_check(status: int, word: str) -> None:
    error = from_failure(read_failure(status, b"<html>"), "place the call", "dial")
    assert word in error.hint


@pytest.mark.parametrize("error", [TimeoutError(), aiohttp.ServerDisconnectedError()])
def test_a_silence_of_twilios_says_where_to_look(error: Exception) -> None:
    assert "status.twilio.com" in from_network(TWILIO, error, "place the call", "dial").hint


def test_twilios_own_page_is_the_hint_where_there_is_one() -> None:
    failure = read_failure(400, body(21211, "x", 400))
    assert from_failure(failure, "place the call", "dial").hint == "https://www.twilio.com/docs/errors/21211"


@given(status=st.integers(300, 599), content=st.binary(max_size=200))
def test_any_answer_at_all_becomes_an_error(status: int, content: bytes) -> None:
    """Pain F8."""
    error = from_failure(read_failure(status, content), "place the call", "dial")
    assert error.kind in ("refused", "retry", "unknown") and str(error).isprintable()


@given(st.text(max_size=2000))
def test_a_carriers_words_are_one_printable_line(text: str) -> None:
    assert plain(text).isprintable() and len(plain(text)) <= 400


MET = (
    *(10004, 11200, 11205, 11210, 11215, 11220, 11235, 11237, 11750, 11770, 12100, 12200, 12300, 13214, 13223, 13224),
    *(13225, 13227, 13248, 13520, 20003, 20404, 20429, *range(21210, 21221), 31901, 31902, 31903, 31904, 31910),
    *(31920, 31921, 31922, 31923, 31924, 31930, 31931, 31941, 31950, 31951),
)
"""What users of Twilio's voice meet, of its error dictionary; 64xxx belongs to <Pay> and ConversationRelay."""


@pytest.mark.parametrize("code", MET)
def test_every_code_that_users_meet_says_what_to_do(code: int) -> None:
    """Trap 1.7/explained."""
    hint = explain(code)
    assert hint and hint.isprintable() and not hint.endswith(".")
    failure = read_failure(400, body(code, "Twilio's own words", 400))
    error = from_failure(failure, "place the call", "dial")
    assert hint in str(error) and "Twilio's own words" in str(error) and error.link.endswith(f"/{code}")
