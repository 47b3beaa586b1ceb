"""What failed requests to Telnyx mean: its own examples, proxies in between, and broken connections."""

from __future__ import annotations

import json
from typing import Any

import pytest

from engine.carriers.telnyx_errors import Failure, broken, classify, from_failure, nonsense, read_failure, timed_out
from engine.carriers.telnyx_speech import SPEAK_LIMIT, say_in_parts
from tests.carriers.telnyx_far.spec import VECTORS

EXAMPLES = VECTORS / "error_examples_from_openapi.json"
STATUS = {"BadRequestResponse": 400, "UnprocessableEntityResponse": 422, "InternalServerErrorResponse": 500}


def body(code: str, title: str = "Title", detail: str = "Detail") -> dict[str, Any]:
    link = f"https://developers.telnyx.com/docs/overview/errors/{code}"
    return {"errors": [{"code": code, "title": title, "detail": detail, "meta": {"url": link}}]}


@pytest.mark.parametrize(
    ("status", "code", "intent", "kind"),
    [
        (422, "90018", "again", "gone"),
        (422, "90015", "again", "gone"),
        (404, "10005", "again", "gone"),
        (404, "10005", "dial", "refused"),
        (422, "90018", "dial", "refused"),
        (422, "90034", "again", "retry"),
        (429, "10011", "dial", "retry"),
        (401, "10009", "ask", "refused"),
        (403, "10010", "dial", "refused"),
        (422, "10016", "dial", "refused"),
        (500, "10007", "dial", "unknown"),
        (503, "10007", "dial", "unknown"),
        (503, "10007", "again", "retry"),
        (502, "", "ask", "retry"),
        (418, "99999", "again", "refused"),
    ],
)
def test_what_a_refusal_means_depends_on_what_was_asked(status: int, code: str, intent: Any, kind: str) -> None:
    assert classify(Failure(status, [code] if code else []), intent) == kind


@pytest.mark.skipif(not EXAMPLES.is_file(), reason="the shared vectors are not there")
def test_telnyx_own_examples_keep_their_code_and_their_words() -> None:
    groups = json.loads(EXAMPLES.read_text())
    seen = 0
    for name, examples in groups.items():
        for value in [examples] if "errors" in examples else [example["value"] for example in examples.values()]:
            error = from_failure(read_failure(STATUS.get(name, 503), value), "do this", "again")
            first = value["errors"][0]
            assert error.code == first["code"] and first["title"] in str(error)
            seen += 1
    assert seen >= 20


@pytest.mark.parametrize(
    "value", [None, "<html>", [], {"errors": "x"}, {"errors": [7]}, {"errors": [{"code": None}]}]
)
def test_an_answer_of_somebody_else_says_its_status(value: object) -> None:
    error = from_failure(read_failure(502, value), "place the call", "dial")
    assert (error.kind, error.code) == ("unknown", "502") and "HTTP 502" in str(error) and error.hint


def test_a_link_that_is_none_is_dropped_and_control_letters_too() -> None:
    value = {"errors": [{"code": "1", "title": "a\x1b[31mb", "detail": "c\nd", "meta": {"url": "javascript:x"}}]}
    error = from_failure(read_failure(422, value), "x", "again")
    assert error.link == "" and str(error).isprintable()


def test_several_errors_are_all_told() -> None:
    value = {"errors": [*body("10016", "One", "One")["errors"], *body("10032", "Two", "More")["errors"]]}
    failure = read_failure(422, value)
    assert failure.codes == ["10016", "10032"] and failure.message == "One; Two: More"


@pytest.mark.parametrize(("intent", "kind"), [("dial", "unknown"), ("again", "retry"), ("ask", "retry")])
def test_what_may_have_happened_is_unknown_for_a_dial_only(intent: Any, kind: str) -> None:
    for error in (timed_out("x", intent), broken("x", "EOF", intent), nonsense("x", intent)):
        assert error.kind == kind and error.hint


@pytest.mark.parametrize("text", ["Hello.", "a" * 7000, "One sentence. " * 500, "no end " * 900, "  spaced   out  "])
def test_a_long_line_is_cut_between_sentences_or_words_and_nothing_is_lost(text: str) -> None:
    parts = say_in_parts(text)
    assert all(0 < len(part) <= SPEAK_LIMIT for part in parts)
    assert "".join("".join(parts).split()) == "".join(text.split())


def test_nothing_to_say_is_nothing() -> None:
    assert say_in_parts("   ") == []
