"""No secret of the configuration appears in anything that is shown of a request, wherever a request has it."""

from __future__ import annotations

import html
import json
from collections.abc import Callable
from urllib.parse import quote, quote_plus, unquote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from engine.carriers.base import Verdict
from engine.config import parse_config
from engine.store import WebhookRow
from engine.web.masking import Masker, is_secret_name, mask_body, mask_target, mask_url, secrets_of
from engine.web.record import Head, Seen, Stored, shown_summary, shown_whole, to_row


def seen(
    target: str, headers: list[tuple[str, str]], body: bytes, judged: Verdict | None = None, **more: str
) -> Seen:
    head = Head("POST", _latin(target), [(name, _latin(value)) for name, value in headers], "203.0.113.7")
    return Seen(
        head=head,
        at=1,
        ms=2.5,
        verdict=more.get("verdict", "ok"),
        why=more.get("why", "ok"),
        status=200,
        effect=more.get("effect", "voice ringing"),
        body=body,
        judged=judged,
        type="voice ringing",
        signatures=("x-twilio-signature",),
        answer=more.get("answer", "").encode("utf-8", "replace"),
        answer_type="text/xml",
    )


def _latin(text: str) -> str:
    return text.encode("utf-8", "replace").decode("latin-1")


def renderings(one: Seen, masker: Masker) -> list[str]:
    """Everything that is shown of a request."""
    row: WebhookRow = to_row(7, one, masker)
    whole = shown_whole(Stored.read(row.summary, row.detail), masker, "http://127.0.0.1:3334")
    shown = json.dumps(whole, ensure_ascii=False)
    summary = json.dumps(shown_summary(row.summary, masker), ensure_ascii=False)
    return [shown, json.dumps(whole), summary, row.summary, row.words, *_texts(whole)]


def _texts(value: object) -> list[str]:
    if isinstance(value, dict):
        return [text for each in value.values() for text in _texts(each)]
    if isinstance(value, list):
        return [text for each in value for text in _texts(each)]
    return [value] if isinstance(value, str) else []


INNOCENT = seen(
    "/voice/webhook?callId=1&x=", [("X-Forwarded-For", "Bearer"), ("Authorization", "x")], b'{"call": {}}'
)
ALWAYS = " ".join(renderings(INNOCENT, Masker()))
"""What is shown of every request: no secret can be told from it."""


def _is_fit(text: str) -> bool:
    """A secret that is long enough, and no word of what is always shown."""
    return len(text.strip()) >= 6 and text.strip() not in ALWAYS


SECRETS = st.text(st.characters(exclude_categories=["C"], exclude_characters="…*"), min_size=6, max_size=40).filter(
    _is_fit
)


PLACES: dict[str, Callable[[str], Seen]] = {
    "query": lambda secret: seen(f"/voice/webhook?callId=1&x={quote(secret, safe='')}", [], b""),
    "query, as a form": lambda secret: seen(f"/voice/webhook?x={quote_plus(secret)}", [], b""),
    "path": lambda secret: seen(f"/voice/{quote(secret, safe='')}/webhook", [], b""),
    "header": lambda secret: seen("/", [("X-Forwarded-For", secret)], b""),
    "authorization": lambda secret: seen("/", [("Authorization", f"Bearer {secret}")], b""),
    "signature": lambda secret: seen("/", [("X-Twilio-Signature", secret)], b""),
    "form": lambda secret: seen("/", [], f"a={quote_plus(secret)}&b=1".encode()),
    "raw body": lambda secret: seen("/", [], f"a={secret}".encode("utf-8", "replace")),
    "json": lambda secret: seen("/", [], json.dumps({"call": {"x": secret}}).encode()),
    "json, not escaped": lambda secret: seen("/", [], json.dumps({"x": secret}, ensure_ascii=False).encode()),
    "why": lambda secret: seen("/", [], b"", why=f"no {secret} here"),
    "effect": lambda secret: seen("/", [], b"", effect=f"failed: {secret}"),
    "answer": lambda secret: seen("/", [], b"", answer=f"<Say>{html.escape(secret)}</Say>"),
    "signed": lambda secret: seen(
        "/",
        [],
        b"",
        Verdict(True, "ok", form=f"https://x/?y={quote(secret)}", signed=f"https://x/?y={quote(secret)}Z"),
    ),
    "tried": lambda secret: seen(
        "/", [], b"", Verdict(False, "no", tried=(f"https://u:{quote(secret, safe='')}@x/?y={quote(secret)}",))
    ),
}


@pytest.mark.parametrize("place", PLACES)
@given(secret=SECRETS)
@example(secret="abc'def\"ghi")
@example(secret="<tok&en>;%41")
@example(secret="ünïcödé-π-🔑")
@example(secret="a\\b/c d+e%20f")
def test_e7_no_secret_of_the_configuration_appears_in_what_is_shown(place: str, secret: str) -> None:
    secret = secret.strip()
    for shown in renderings(PLACES[place](secret), Masker([secret])):
        for text in (shown, unquote(shown), html.unescape(shown)):
            assert secret not in text


def test_every_secret_of_a_configuration_is_known_as_one() -> None:
    text = b"""
provider: twilio
twilio: {account_sid: AC00000000000000000000000000000000, auth_token: tok-1111, secondary_auth_token: tok-2222,
  webhook_signing_keys: {KS00000000000000000000000000000000: key-3333}}
tunnel: {ngrok_auth_token: ngr-4444}
control: {port: 4000, token: "ctl-5555-long-enough-to-be-one"}
tts: {providers: {openai: {api_key: sk-6666}}}
response: {api_key: sk-7777}
"""
    found = secrets_of(parse_config(text, None, {}).config)
    wanted = {"tok-1111", "tok-2222", "key-3333", "ngr-4444", "ctl-5555-long-enough-to-be-one", "sk-6666", "sk-7777"}
    assert wanted <= found


@pytest.mark.parametrize(
    "name",
    ["token", "CallToken", "access_token", "sig", "signature", "api_key", "X-Api-Key", "Cookie", "password", "key"]
    + ["Authorization", "Proxy-Authorization", "Cf-Access-Client-Secret", "X-Goog-Iap-Jwt-Assertion", "session"],
)
def test_what_has_a_secrets_name_is_hidden_wherever_it_stands(name: str) -> None:
    assert is_secret_name(name)
    assert mask_target(f"/a?x=1&{name}=abc&y") == f"/a?x=1&{name}=…&y"
    assert mask_body(f"{name}=abc&From=1") == f"{name}=…&From=1"
    assert mask_body(json.dumps({"x": {name: 'a"b'}, "y": 1})) == json.dumps(
        {"x": {name: "…"}, "y": 1}, ensure_ascii=False
    )


@pytest.mark.parametrize("name", ["callId", "flow", "type", "turn", "n", "From", "CallSid", "AccountSid", "Author"])
def test_what_a_carrier_tells_stays_readable(name: str) -> None:
    assert mask_target(f"/a?{name}=abc") == f"/a?{name}=abc"


def test_a_password_in_an_address_is_hidden() -> None:
    assert mask_url("https://joe:pw@x.example:8443/a?token=1&b=2") == "https://…@x.example:8443/a?token=…&b=2"


def test_a_field_with_a_secrets_name_is_hidden_in_what_was_signed_too() -> None:
    """Twilio signs names and values without anything between them."""
    judged = Verdict(True, "ok", form="https://x/?a=1", signed="https://x/?a=1CallTokenabcdefghFrom+1")
    shown = renderings(seen("/?a=1", [], b"CallToken=abcdefgh&From=%2B1", judged), Masker())
    assert not any("abcdefgh" in text for text in shown)


def test_credentials_are_dropped_before_anything_is_stored() -> None:
    headers = [("Authorization", "Basic c2VjcmV0"), ("Cookie", "a=b"), ("X-Twilio-Signature", "c2lnbmF0dXJlLi4uLg==")]
    row = to_row(1, seen("/", headers, b"x=1"), Masker())
    assert "c2VjcmV0" not in row.detail and "a=b" not in row.detail and "c2lnbmF0" in row.detail
    shown = shown_whole(Stored.read(row.summary, row.detail), Masker(), "http://x")
    assert ["Authorization", "…"] in shown["headers"] and ["Cookie", "…"] in shown["headers"]
    assert shown["curl"].endswith("# left out, because it is not kept: Authorization, Cookie")


def test_with_secrets_the_request_is_there_as_it_came() -> None:
    headers = [("X-Twilio-Signature", "c2lnbmF0dXJlLi4uLg=="), ("Host", "x.example")]
    row = to_row(1, seen("/?token=abc", headers, b"CallToken=abcdefgh"), Masker(["abcdefgh"]))
    shown = shown_whole(Stored.read(row.summary, row.detail), Masker(["abcdefgh"]), "http://x", secrets=True)
    assert shown["target"] == "/?token=abc" and shown["body"] == "CallToken=abcdefgh"
    assert "c2lnbmF0dXJlLi4uLg==" in shown["curl"]


@given(st.binary(max_size=400), st.text(max_size=60), st.lists(st.tuples(st.text(max_size=8), st.text(max_size=20))))
def test_i11_nothing_that_comes_in_keeps_a_request_from_being_kept_and_shown(
    body: bytes, target: str, headers: list[tuple[str, str]]
) -> None:
    assert renderings(seen(target, headers, body), Masker(["a secret"]))
