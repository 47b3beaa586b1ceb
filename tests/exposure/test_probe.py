"""What a look from outside means: pure verdicts, for whatever came."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.exposure import approach, probe
from engine.exposure.probe import Arrived, Ours, Sent
from engine.exposure.strangers import Answer

OURS = Ours(3334, "/voice/webhook", "/voice/stream")
FORM = "application/x-www-form-urlencoded"
SENT = Sent(
    "/voice/webhook",
    "word=w&text=a%2Bb%20c",
    "calls.example.com",
    body=b"a=1&b=%2B",
    content_type=FORM,
    signature_header="x-twilio-signature",
)
HEADERS = {"host": "calls.example.com", "content-type": FORM, "x-twilio-signature": "probe"}
HERE = Arrived("POST", SENT.path, SENT.query, HEADERS, SENT.body)
PROOF = Answer(200, {}, b"", proved=True)


def judged(arrived: Arrived | None = HERE, answer: Answer | None = PROOF, why: str = "") -> probe.Step:
    return probe.judge_webhook(SENT, arrived, answer, why, OURS, 5)


def test_what_arrives_as_it_was_sent_is_well() -> None:
    assert judged().ok and judged().message == "our own engine answers"


@pytest.mark.parametrize(
    ("changed", "cause"),
    [
        (replace(HERE, query="word=w&text=a%2bb%20c"), "query_rewritten"),
        (replace(HERE, query="word=w&text=a+b+c"), "query_changed"),
        (replace(HERE, query=""), "query_dropped"),
        (replace(HERE, path="/"), "path"),
        (replace(HERE, path="/voice/webhook/"), "trailing_slash"),
        (replace(HERE, method="PUT"), "method"),
        (replace(HERE, body=b""), "body_dropped"),
        (replace(HERE, body=SENT.body[:4]), "body_cut"),
        (replace(HERE, body=b"a=1&b=+"), "body_changed"),
        (replace(HERE, headers=HEADERS | {"content-type": "text/plain"}), "content_type"),
        (replace(HERE, headers={"content-type": FORM}), "signature_header"),
    ],
)
def test_what_was_changed_on_the_way_is_named(changed: Arrived, cause: str) -> None:
    """Pains E1, E2: also a body that is encoded differently, which nginx does not do."""
    step = judged(changed)
    assert (step.ok, step.cause) == (False, cause) and step.message and step.fix


@pytest.mark.parametrize(
    ("answer", "cause"),
    [(None, "answer_lost"), (Answer(504, {}), "answer_replaced"), (Answer(200, {}, b"{}"), "answer_changed")],
)
def test_an_answer_that_does_not_come_back_is_not_taken_for_one_that_never_arrived(
    answer: Answer | None, cause: str
) -> None:
    step = judged(answer=answer, why="nothing within 10 s")
    assert (step.ok, step.cause) == (False, cause)
    assert "engine" in step.message


def test_what_echoes_everything_is_not_taken_for_us() -> None:
    """A program that says 200 and repeats the word has not shown that it is this engine."""
    step = judged(None, Answer(200, {"server": "echo"}, b"word=w"))
    assert step.cause == "other_program"


@pytest.mark.parametrize(
    ("status", "body", "cause"),
    [
        (502, "ERR_NGROK_8012 dial tcp 127.0.0.1:3334", "tunnel_upstream"),
        (404, "The endpoint x.ngrok-free.app is offline. ERR_NGROK_3200", "tunnel_offline"),
        (200, "ERR_NGROK_6024", "interstitial"),
        (400, "ERR_NGROK_99999", "ngrok"),
        (530, "error code: 1033", "bad_gateway"),
        (522, "", "bad_gateway"),
        (429, "", "forbidden"),
    ],
)
def test_tunnels_are_understood_by_their_own_numbers(status: int, body: str, cause: str) -> None:
    assert judged(None, Answer(status, {"content-type": "text/html"}, body.encode())).cause == cause


@pytest.mark.parametrize("address", ["10.0.0.1", "192.168.1.4", "100.64.0.7", "127.0.0.1", "fd00::1", "169.254.1.1"])
def test_an_address_that_only_this_network_knows_fails_for_a_real_carrier(address: str) -> None:
    step = approach.resolved("calls.example.com", [address], 1, may_be_private=False)
    assert (step.ok, step.cause) == (False, "private_address") and address in step.message
    assert approach.resolved("calls.example.com", [address], 1, may_be_private=True).ok
    assert approach.resolved("calls.example.com", [address, "93.184.215.14"], 1, may_be_private=False).ok
    assert ("100.64" in address) is ("tailnet" in step.message)


def test_a_certificate_that_ends_soon_is_told_of_in_time() -> None:
    assert "expires in 3 days" in approach.secured("TLSv1.3", 3.2, 1).message
    assert approach.secured("TLSv1.3", 60, 1).fix == ""


def test_a_frame_that_does_not_come_back_is_no_success() -> None:
    assert probe.judge_echo("x", "x", "", 1).ok
    assert probe.judge_echo(None, "x", "within 5 s", 1).cause == "no_frame"
    assert probe.judge_echo("y", "x", "", 1).cause == "changed"


def test_an_upgrade_that_reached_us_and_was_answered_with_something_else() -> None:
    here = Arrived("GET", OURS.stream_path, "", {"upgrade": "websocket", "x-twilio-signature": "probe"})
    sent = replace(SENT, path=OURS.stream_path, method="GET")
    step = probe.judge_upgrade(sent, here, Answer(200, {}), "", OURS, 1)
    assert (step.ok, step.cause) == (False, "answer_lost")


text = st.text(max_size=30)
headers = st.dictionaries(st.sampled_from(["server", "location", "ngrok-error-code", "content-type", "host"]), text)
answers = st.none() | st.builds(Answer, st.integers(100, 999), headers, st.binary(max_size=60), st.booleans())
arrivals = st.none() | st.builds(Arrived, text, text, text, headers, st.binary(max_size=20), text)


@given(arrivals, answers, text)
def test_whatever_comes_gives_one_verdict_with_a_fix_and_printable_words(
    arrived: Arrived | None, answer: Answer | None, why: str
) -> None:
    for step in (
        probe.judge_webhook(SENT, arrived, answer, why, OURS, 1),
        probe.judge_upgrade(SENT, arrived, answer, why, OURS, 1),
    ):
        assert step.message and (step.ok or (step.fix and step.cause))
