"""Plivo's signatures: its SDKs' vectors, its own utility for everything else, and whatever strangers send."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plivo.utils import validate_signature
from plivo.utils.signature_v3 import construct_get_url, construct_post_url, get_signature_v3

from engine.carriers.base import WebhookRequest
from engine.carriers.plivo_signature import MAIN_V3, NONCE_V2, NONCE_V3, V2, V3, Tokens, signed_text, verify

VECTORS = json.loads((Path(__file__).parents[1] / "fixtures" / "plivo_signature_vectors.json").read_text())
TOKEN = "the auth token"
URL = "https://calls.example.com/voice/webhook"
NONCE = "31627761595286130198"
FORM = {"CallUUID": "38cb006a-e25d", "CallStatus": "ringing", "From": "15550100001", "X-PH-Empty": ""}


def sign(method: str, url: str, form: dict[str, str], token: str = TOKEN, nonce: str = NONCE) -> str:
    made = construct_get_url(url, {}) if method == "GET" else construct_post_url(url, dict(form))
    return str(get_signature_v3(token, made.decode(), nonce).decode())


def request(
    method: str = "POST", url: str = URL, form: dict[str, str] | None = None, headers: dict[str, str] | None = None
) -> WebhookRequest:
    form = FORM if form is None else form
    headers = headers or {V3: sign(method, url, form), NONCE_V3: NONCE}
    return WebhookRequest(method, url, headers, b"" if method == "GET" else urlencode(form).encode())


def check(asked: WebhookRequest, *tokens: str, allow_v2: bool = False, upgrade: bool = False) -> Any:
    return verify(asked, Tokens(tokens or (TOKEN,), allow_v2), upgrade=upgrade)


@pytest.mark.parametrize("vector", VECTORS["v3"], ids=lambda vector: str(vector["id"]))
def test_the_vectors_of_plivos_own_libraries_come_out(vector: dict[str, Any]) -> None:
    params = vector.get("params") or {}
    url = vector["url"]
    if vector["method"] == "GET" and params:
        url += ("&" if "?" in url else "?") + urlencode(params)
    headers = {V3: vector["signature"], NONCE_V3: vector["nonce"]}
    asked = request(vector["method"], url, params, headers)
    assert check(asked, vector["auth_token"]).ok is vector["expect"]


@pytest.mark.parametrize("method", ["POST", "GET"])
@pytest.mark.parametrize("query", ["", "?", "?a=b&c=d", "?c=d&a=b&a=a", "?empty=&x=%20%26+%3D", "?to=%2B1555&To=1"])
@pytest.mark.parametrize("form", [{}, FORM])
def test_each_shape_is_signed_as_plivos_utility_does(method: str, query: str, form: dict[str, str]) -> None:
    asked = request(method, URL + query, form)
    verdict = check(asked)
    assert verdict.ok, verdict
    assert not check(request(method, URL + query + ("&" if query else "?") + "z=1", form, dict(asked.headers))).ok


def test_a_body_without_a_query_has_the_question_mark_and_no_dot() -> None:
    assert signed_text("POST", URL, [("b", "2"), ("a", "1"), ("b", "1")], []) == f"{URL}?a1b1b2"
    assert signed_text("POST", URL, [("a", "1")], [("q", "r")]) == f"{URL}?q=r.a1"
    assert signed_text("POST", URL, [], [("q", "r")]) == f"{URL}?q=r"
    assert signed_text("POST", URL, [], []) == URL
    assert signed_text("GET", URL, [], []) == URL


def test_letters_beyond_ascii_in_a_query_are_read_as_utf_8() -> None:
    """Plivo's utility for Python fails on them, so what is signed is written here."""
    text = f"{URL}?name=Jürgen"
    headers = {V3: get_signature_v3(TOKEN, text, NONCE).decode(), NONCE_V3: NONCE}
    assert check(request("GET", f"{URL}?name=J%C3%BCrgen", headers=headers)).ok
    assert not check(request("GET", f"{URL}?name=J%FCrgen", headers=headers)).ok


def test_one_signature_of_several_is_enough_and_so_is_the_main_accounts() -> None:
    good, bad = sign("POST", URL, FORM), sign("POST", URL, FORM, "another token")
    for headers in (
        {V3: f"{bad},{good}", NONCE_V3: NONCE},
        {V3: f" {bad} , {good} ", NONCE_V3: NONCE},
        {V3: bad, MAIN_V3: good, NONCE_V3: NONCE},
        {MAIN_V3: good, NONCE_V3: NONCE},
    ):
        assert check(request(headers=headers)).ok, headers
    sub = request(headers={V3: bad, NONCE_V3: NONCE})
    assert not check(sub).ok and check(sub, TOKEN, "another token").ok


def test_without_a_nonce_a_token_or_a_readable_signature_nothing_passes() -> None:
    good = sign("POST", URL, FORM)
    for headers in (
        {},
        {V3: good},
        {V3: good, NONCE_V3: " "},
        {V3: "", NONCE_V3: NONCE},
        {V3: "%%%", NONCE_V3: NONCE},
        {V3: ",,,", NONCE_V3: NONCE},
        {V3: good, NONCE_V3: NONCE + "0"},
    ):
        verdict = check(request(headers=headers or {"x": "y"}))
        assert not verdict.ok and verdict.why and not verdict.replay_key
    assert not check(request(), "").ok
    late = [good] * 20
    late[:19] = ["AAAA"] * 19
    assert not check(request(headers={V3: ",".join(late), NONCE_V3: NONCE})).ok, "so many are no header of Plivo's"


def test_a_callback_that_is_repeated_with_a_new_nonce_is_the_same_and_one_that_says_more_is_not() -> None:
    first, again = request(), request(headers={V3: sign("POST", URL, FORM, nonce="1"), NONCE_V3: "1"})
    assert check(first).replay_key == check(again).replay_key
    assert check(first).replay_key != check(request(form={**FORM, "CallStatus": "completed"})).replay_key
    respelt = request(headers={V3: sign("POST", URL, FORM) + ", ", NONCE_V3: NONCE})
    assert check(first).replay_key == check(respelt).replay_key
    reordered = WebhookRequest("POST", URL, first.headers, urlencode(dict(reversed(FORM.items()))).encode())
    assert check(reordered).ok and check(reordered).replay_key == check(first).replay_key


def v2(url: str = URL, token: str = TOKEN) -> dict[str, str]:
    from base64 import b64encode
    from hashlib import sha256
    from hmac import new

    plain = url.partition("?")[0]
    made = b64encode(new(token.encode(), (plain + NONCE).encode(), sha256).digest()).decode()
    assert validate_signature(url, NONCE, made, token)
    return {V2: made, NONCE_V2: NONCE}


def test_v2_passes_only_where_it_is_allowed_and_is_called_weak() -> None:
    asked = request(headers=v2())
    assert not check(asked).ok and "allow_signature_v2" in check(asked).why
    verdict = check(asked, allow_v2=True)
    assert verdict.ok and "weak" in verdict.why
    assert not check(request(headers=v2(token="another")), allow_v2=True).ok
    other = request(form={**FORM, "CallStatus": "completed"}, headers=v2())
    assert check(other, allow_v2=True).replay_key == verdict.replay_key, "one nonce is good for one request"


def test_v2_does_not_help_where_v3_is_wrong() -> None:
    wrong = {V3: sign("POST", URL, FORM, "another"), NONCE_V3: NONCE, **v2()}
    assert not check(request(headers=wrong), allow_v2=True).ok


@pytest.mark.parametrize("scheme", ["http", "https", "ws", "wss"])
@pytest.mark.parametrize("port", ["", ":3334", ":443"])
def test_an_upgrade_is_let_in_by_every_scheme_that_is_seen(scheme: str, port: str) -> None:
    socket = f"wss://calls.example.com{port}/voice/stream/tok?a=b"
    named = socket.replace("wss", scheme, 1)
    headers = {V3: get_signature_v3(TOKEN, named, NONCE).decode(), NONCE_V3: NONCE}
    assert check(WebhookRequest("GET", socket, headers, b""), upgrade=True).ok
    assert not check(WebhookRequest("GET", socket + "x", headers, b""), upgrade=True).ok
    assert not check(WebhookRequest("GET", socket, {}, b""), upgrade=True).ok


WITH_PORT = URL.replace(".com/", ".com:443/")


@pytest.mark.parametrize(("ours", "theirs"), [(URL, WITH_PORT), (WITH_PORT, URL)])
def test_the_schemes_own_port_may_be_written_or_not(ours: str, theirs: str) -> None:
    asked = request(url=ours, headers={V3: sign("POST", theirs, FORM), NONCE_V3: NONCE})
    assert check(asked).ok and check(asked).form == theirs
    odd = request(url=URL.replace(".com/", ".com:8443/"), headers={V3: sign("POST", URL, FORM), NONCE_V3: NONCE})
    assert not check(odd).ok


def test_a_refusal_says_under_which_address_it_would_have_passed() -> None:
    elsewhere = "https://other.example.com/voice/webhook?callId=secret"
    headers = {V3: sign("POST", elsewhere, FORM), NONCE_V3: NONCE}
    asked = WebhookRequest("POST", URL, headers, urlencode(FORM).encode(), suspects=(elsewhere,))
    verdict = check(asked)
    assert not verdict.ok and verdict.form == elsewhere
    assert "https://other.example.com/voice/webhook" in verdict.why and "secret" not in verdict.why


@given(st.text(max_size=80), st.text(max_size=80), st.binary(max_size=200), st.text(max_size=80), st.booleans())
def test_nothing_that_a_stranger_sends_passes_or_raises(
    header: str, nonce: str, body: bytes, path: str, upgrade: bool
) -> None:
    for name, other in ((V3, NONCE_V3), (MAIN_V3, NONCE_V3), (V2, NONCE_V2)):
        url = f"https://calls.example.com/{path}"
        asked = WebhookRequest("POST", url, {name: header, other: nonce}, body, suspects=(path,))
        assert not verify(asked, Tokens((TOKEN,), True), upgrade=upgrade).ok


TEXT = st.text(st.characters(codec="utf-8"), max_size=12)


@given(st.dictionaries(TEXT, TEXT, max_size=6), st.sampled_from(["POST", "GET"]))
def test_every_form_of_plivos_utility_verifies(form: dict[str, str], method: str) -> None:
    if method == "GET":
        plain = {name: value for name, value in form.items() if (name + value).isascii()}
        assert check(request("GET", f"{URL}?{urlencode(plain)}", {})).ok
    else:
        assert check(request("POST", URL, form)).ok


def test_more_parameters_than_plivo_ever_sends_are_refused() -> None:
    many = "&".join(f"a{number}=b" for number in range(600))
    assert not check(request("GET", f"{URL}?{many}", {})).ok
    for body, suspect in ((many.encode(), URL), (b"a=b", f"{URL}?{many}")):
        asked = WebhookRequest("POST", URL, {V3: "AAAA", NONCE_V3: NONCE}, body, suspects=(suspect,))
        assert not check(asked).ok
