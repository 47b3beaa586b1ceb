"""Twilio's signatures, with Twilio's own validator and its published vectors as the judge."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from multidict import MultiDict
from twilio.request_validator import HMAC_SHA1, HMAC_SHA256, RequestValidator

from engine.carriers.base import Verdict, WebhookRequest
from engine.carriers.twilio_signature import MAX_FIELDS, SETTINGS, SIGNATURE, SigningKeys, form_pairs, verify
from engine.carriers.urls import shown, take_apart

TOKEN = "12345"
KEYS = SigningKeys((TOKEN,))
URL = "https://calls.example.com/voice/webhook?callId=1&flow=answer"
SOCKET = "wss://calls.example.com/voice/stream"
FORM = [("CallSid", "CA1"), ("CallStatus", "ringing"), ("From", "+15550100"), ("ToZip", "")]
VECTORS: Mapping[str, Any] = json.loads(
    (Path(__file__).parents[1] / "fixtures/twilio_signature_vectors.json").read_text()
)
Pairs = Sequence[tuple[str, str]]


def by_sdk(url: str, pairs: Pairs = (), token: str = TOKEN, algorithm: str = HMAC_SHA1) -> str:
    """The signature as Twilio's SDK makes it."""
    return str(RequestValidator(token).compute_signature(url, MultiDict(pairs), algorithm))


def request(
    url: str = URL,
    pairs: Pairs = FORM,
    signature: str | None = None,
    *,
    body: bytes | None = None,
    settings: str = "",
    content_type: str = "application/x-www-form-urlencoded",
    method: str = "POST",
    suspects: Sequence[str] = (),
) -> WebhookRequest:
    """A webhook, signed over its own URL if nothing else is said."""
    headers = {SIGNATURE: by_sdk(url, pairs) if signature is None else signature, "content-type": content_type}
    if settings:
        headers[SETTINGS] = settings
    content = urlencode(pairs).encode() if body is None else body
    return WebhookRequest(method, url, headers, content, suspects=suspects)


def upgrade(url: str, signed: str | None = None) -> Verdict:
    sent = WebhookRequest("GET", url, {SIGNATURE: by_sdk(signed or url)}, b"")
    return verify(sent, KEYS, upgrade=True)


def pairs_of(params: Mapping[str, str | list[str]]) -> Pairs:
    return [
        (name, each) for name, value in params.items() for each in (value if isinstance(value, list) else [value])
    ]


class TestPublishedVectors:
    @pytest.mark.parametrize("vector", VECTORS["form_vectors"], ids=lambda vector: vector["id"])
    def test_of_forms(self, vector: Mapping[str, Any]) -> None:
        """Trap 1.6/vectors."""
        sent = request(vector["url"], pairs_of(vector["params"]), vector["signature"])
        verdict = verify(sent, KEYS)
        assert verdict.ok is vector["expect"], verdict.why
        assert bool(verdict.replay_key) is vector["expect"]

    @pytest.mark.parametrize("vector", VECTORS["body_vectors"], ids=lambda vector: vector["id"])
    def test_of_json_bodies(self, vector: Mapping[str, Any]) -> None:
        """Trap 1.6/vectors."""
        body = vector["body"].encode()
        sent = request(vector["url"], (), vector["signature"], body=body, content_type="application/json")
        assert verify(sent, KEYS).ok is vector["expect"]
        assert not verify(dataclasses.replace(sent, body=body + b" "), KEYS).ok

    def test_of_a_quote_as_it_goes_over_the_wire(self) -> None:
        (vector,) = [each for each in VECTORS["form_vectors"] if "wire_url" in each]
        sent = request(vector["wire_url"], pairs_of(vector["params"]), vector["signature"])
        assert verify(sent, KEYS).ok


words = st.text(st.characters(codec="utf-8"), max_size=12)
forms = st.lists(st.tuples(words, words), max_size=8)
hosts = st.sampled_from(["calls.example.com", "localhost", "10.0.0.7"])
ports = st.sampled_from(["", ":443", ":80", ":8443", ":1234"])
paths = st.from_regex(r"(/[a-z0-9._~%-]{0,6}){0,3}", fullmatch=True)
queries = st.from_regex(r"(\?[a-z0-9=&%+._-]{1,12})?", fullmatch=True)


class TestTwiliosOwnValidatorAgrees:
    @settings(max_examples=300)
    @given(
        data=st.data(),
        scheme=st.sampled_from(["http", "https"]),
        place=st.tuples(hosts, ports),
        path=paths,
        query=queries,
        pairs=forms,
        algorithm=st.sampled_from([HMAC_SHA1, HMAC_SHA256]),
    )
    def test_on_every_request(
        self,
        data: st.DataObject,
        scheme: str,
        place: tuple[str, str],
        path: str,
        query: str,
        pairs: Pairs,
        algorithm: str,
    ) -> None:
        """Whatever port, host or path was signed, and whatever was requested."""
        url = f"{scheme}://{place[0]}{place[1]}{path}{query}"
        signed_place = data.draw(st.tuples(st.just(place[0]) | hosts, ports))
        signed_url = f"{scheme}://{signed_place[0]}{signed_place[1]}{data.draw(st.just(path) | paths)}{query}"
        signature = by_sdk(signed_url, pairs, algorithm=algorithm)
        keys = SigningKeys((TOKEN,)) if algorithm == HMAC_SHA1 else SigningKeys((), {"K1": TOKEN})
        header = "" if algorithm == HMAC_SHA1 else f"key=K1,algorithm={algorithm}"
        ours = verify(request(url, pairs, signature, settings=header), keys)
        theirs = RequestValidator(TOKEN).validate(url, MultiDict(pairs), signature, algorithm)
        assert ours.ok is theirs, (url, signed_url, ours)

    @given(pairs=st.lists(st.tuples(st.sampled_from(["A", "B", "Ab"]), st.sampled_from(["", "1", "2"])), max_size=8))
    def test_on_names_that_come_twice_in_any_order(self, pairs: Pairs) -> None:
        """Trap 1.6/duplicates."""
        signature = by_sdk(URL, pairs)
        for order in (pairs, list(reversed(pairs)), sorted(pairs)):
            assert verify(request(pairs=order, signature=signature), KEYS).ok

    @given(body=st.binary(max_size=200))
    def test_on_bodies_that_are_covered_by_their_hash(self, body: bytes) -> None:
        url = f"{URL}&bodySHA256={hashlib.sha256(body).hexdigest()}"
        assert verify(request(url, (), body=body, content_type="application/json"), KEYS).ok

    @given(pairs=forms, at=st.integers(0, 10_000), to=st.integers(0, 255))
    def test_on_a_byte_that_was_changed(self, pairs: Pairs, at: int, to: int) -> None:
        sent = request(pairs=[*FORM, *pairs])
        at %= len(sent.body)
        body = sent.body[:at] + bytes([to]) + sent.body[at + 1 :]
        theirs = RequestValidator(TOKEN).validate(URL, MultiDict(form_pairs(body)), sent.headers[SIGNATURE])
        assert verify(dataclasses.replace(sent, body=body), KEYS).ok is theirs


class TestAddresses:
    @pytest.mark.parametrize(
        "host", ["[2001:db8::7]", "name:pass%20word@calls.example.com", "u@[::1]", "u:p@h.example"]
    )
    @pytest.mark.parametrize(("asked", "signed"), [("", ":443"), (":443", ""), (":8443", ""), (":8443", ":8443")])
    def test_ports_next_to_ipv6_and_passwords(self, host: str, asked: str, signed: str) -> None:
        """Trap 1.6/ports. The SDK cuts the host at its first colon."""
        sent = request(f"https://{host}{asked}/w", signature=by_sdk(f"https://{host}{signed}/w", FORM))
        verdict = verify(sent, KEYS)
        assert verdict.ok and verdict.form == f"https://{host}{signed}/w"
        assert "pass" not in verdict.why

    def test_e1_a_port_that_was_added_is_said(self) -> None:
        """Trap 1.6/ports."""
        verdict = verify(request(signature=by_sdk(URL.replace(".com/", ".com:443/"), FORM)), KEYS)
        assert verdict.ok and verdict.why == "ok, signed as https://calls.example.com:443/voice/webhook"
        assert verdict.form in verdict.tried
        assert verify(request(), KEYS).why == "ok"

    def test_another_port_than_the_schemes_own_is_not_made_up(self) -> None:
        assert not verify(request(signature=by_sdk(URL.replace(".com/", ".com:8443/"), FORM)), KEYS).ok

    @pytest.mark.parametrize(("asked", "signed"), [("a=It's", "a=It%27s"), ("a=It%27s", "a=It's")])
    def test_quotes_in_the_query_are_one_however_they_are_written(self, asked: str, signed: str) -> None:
        """Trap 1.6/quote."""
        base = "https://calls.example.com/w?"
        assert verify(request(base + asked, signature=by_sdk(base + signed, FORM)), KEYS).ok

    def test_a_fragment_is_never_signed(self) -> None:
        """Trap 1.3/fragment."""
        assert verify(request(URL + "#rc=2", signature=by_sdk(URL, FORM)), KEYS).ok


class TestBodies:
    def test_empty_values_count(self) -> None:
        """Trap 1.6/empty-values."""
        sent = request()
        without = urlencode(FORM[:-1]).encode()
        assert not verify(dataclasses.replace(sent, body=without), KEYS).ok

    def test_nothing_at_all_is_hashed_as_an_empty_object_or_as_nothing(self) -> None:
        """Trap 1.6/empty-body."""
        for hashed in (b"{}", b""):
            url = f"{URL}&bodySHA256={hashlib.sha256(hashed).hexdigest()}"
            assert verify(request(url, (), body=b""), KEYS).ok
            assert verify(request(url, (), body=b"{}"), KEYS).ok is (hashed == b"{}")

    def test_a_hash_needs_a_signature_beside_it(self) -> None:
        """Trap 1.6/json-body. Whoever writes a body can write its hash."""
        url = f"{URL}&bodySHA256={hashlib.sha256(b'{}').hexdigest()}"
        forged = request(url, (), by_sdk(URL), body=b"{}", content_type="application/json")
        assert not verify(forged, KEYS).ok

    def test_a_genuine_address_does_not_carry_another_body(self) -> None:
        """Trap 1.6/json-body."""
        url = f"{URL}&bodySHA256={hashlib.sha256(b'{}').hexdigest()}"
        genuine = request(url, (), body=b"{}")
        assert verify(genuine, KEYS).ok
        verdict = verify(dataclasses.replace(genuine, body=b"CallSid=CA1"), KEYS)
        assert not verdict.ok and "bodySHA256" in verdict.why

    def test_json_that_is_not_covered_is_refused_with_the_reason(self) -> None:
        verdict = verify(request(pairs=(), body=b'{"a":1}', content_type="application/json; charset=utf-8"), KEYS)
        assert not verdict.ok and "bodySHA256" in verdict.why

    def test_a_body_of_a_get_is_not_left_out(self) -> None:
        """Trap 1.6/get."""
        assert not verify(request(pairs=(), body=b"CallSid=CA1", method="GET"), KEYS).ok

    def test_a_form_has_only_so_many_parameters(self) -> None:
        """Pain F12."""
        many = [(f"p{number}", "") for number in range(MAX_FIELDS + 1)]
        assert verify(request(pairs=many[1:]), KEYS).ok
        assert not verify(request(pairs=many), KEYS).ok


class TestKeys:
    def test_both_tokens_are_good_while_they_are_rotated(self) -> None:
        """Trap 1.6/rotation."""
        keys = SigningKeys(("the new one", TOKEN))
        assert verify(request(), keys).ok
        assert verify(request(signature=by_sdk(URL, FORM, "the new one")), keys).ok
        assert not verify(request(signature=by_sdk(URL, FORM, "a third")), keys).ok

    @pytest.mark.parametrize("keys", [SigningKeys(), SigningKeys(("",)), SigningKeys((), {"K1": "x"})])
    def test_without_a_token_nothing_is_believed(self, keys: SigningKeys) -> None:
        for token in (TOKEN, "", "x"):
            verdict = verify(request(signature=by_sdk(URL, FORM, token)), keys)
            assert not verdict.ok and "twilio.auth_token" in verdict.why

    def test_a_shared_key_signs_with_sha_256(self) -> None:
        """Trap 1.6/shared-key."""
        keys = SigningKeys((TOKEN,), {"KS1": "shared", "KS2": "other"})
        signature = by_sdk(URL, FORM, "shared", HMAC_SHA256)
        for header in ("key=KS1,algorithm=HMAC_SHA256", " algorithm = hmac_sha256 , key = KS1 "):
            assert verify(request(signature=signature, settings=header), keys).ok
        assert not verify(request(signature=signature, settings="key=KS2,algorithm=HMAC_SHA256"), keys).ok
        assert not verify(request(signature=signature), keys).ok

    @pytest.mark.parametrize(
        ("header", "said"),
        [
            ("key=KS9,algorithm=HMAC_SHA256", "KS9"),
            ("algorithm=HMAC_SHA256", "without an id"),
            ("key=KS1,algorithm=HMAC_MD5", "HMAC_MD5"),
            ("key=KS1,algorithm=HMAC_SHA1", "HMAC_SHA1"),
            ("key=KS1", "HMAC_SHA1"),
            ("key=KS0,algorithm=HMAC_SHA256", "KS0"),
            ("key=KS1,key=KS1,algorithm=HMAC_SHA256", "twice"),
            ("key=<b>\x1b[31m,algorithm=HMAC_SHA256", "b31m"),
        ],
    )
    def test_the_header_can_not_choose_what_is_not_configured(self, header: str, said: str) -> None:
        keys = SigningKeys((TOKEN,), {"KS1": "shared", "KS0": ""})
        for token in ("shared", TOKEN, ""):
            for algorithm in (HMAC_SHA1, HMAC_SHA256):
                signature = by_sdk(URL, FORM, token, algorithm)
                verdict = verify(request(signature=signature, settings=header), keys)
                assert not verdict.ok and said in verdict.why and "\x1b" not in verdict.why

    def test_the_header_may_say_what_is_usual(self) -> None:
        for header in ("algorithm=HMAC_SHA1", "", ",", "something=else"):
            assert verify(request(settings=header), KEYS).ok

    def test_keys_are_not_shown(self) -> None:
        assert "shared" not in repr(SigningKeys((TOKEN,), {"KS1": "shared"})) and TOKEN not in repr(KEYS)


class TestSockets:
    def test_are_signed_in_their_own_scheme_without_parameters(self) -> None:
        """Trap 1.5/upgrade-signature."""
        assert upgrade(SOCKET).ok
        assert upgrade("ws://127.0.0.1:3334/voice/stream").ok
        assert not upgrade(SOCKET, SOCKET.replace("wss", "https")).ok

    @pytest.mark.parametrize("asked", [SOCKET, SOCKET + "/"])
    @pytest.mark.parametrize("signed", [SOCKET, SOCKET + "/", SOCKET.replace(".com", ".com:443")])
    def test_may_have_a_slash_at_the_end_or_not(self, asked: str, signed: str) -> None:
        """Trap 1.5/upgrade-signature."""
        assert upgrade(asked, signed).ok

    def test_of_another_path_are_refused(self) -> None:
        assert not upgrade(SOCKET, SOCKET + "/token").ok
        assert not upgrade(SOCKET + "/token", SOCKET).ok

    def test_a_webhook_has_no_slash_to_spare(self) -> None:
        url = "https://calls.example.com/w"
        assert not verify(request(url, signature=by_sdk(url + "/", FORM)), KEYS).ok


class TestRefusals:
    def test_say_which_address_would_have_been_right(self) -> None:
        real = "https://calls.example.com/hook?callId=1"
        suspects = ["http://10.0.0.1:3334/w?callId=1", "https://calls.example.com/hook?callId=1"]
        inner = "http://127.0.0.1:3334/voice/webhook?callId=1"
        verdict = verify(request(inner, signature=by_sdk(real, FORM), suspects=suspects), KEYS)
        assert not verdict.ok and not verdict.replay_key
        assert verdict.form == real
        expected = "the signature fits https://calls.example.com/hook: set public_url to that"
        assert verdict.why.startswith(expected)
        assert {inner, *suspects} <= set(verdict.tried)

    def test_find_the_port_of_a_suspect_too(self) -> None:
        verdict = verify(
            request(signature=by_sdk("https://x.example:443/w", FORM), suspects=["https://x.example/w"]), KEYS
        )
        assert not verdict.ok and verdict.form == "https://x.example:443/w"

    def test_of_sockets_say_where_public_url_must_begin(self) -> None:
        sent = WebhookRequest("GET", "ws://127.0.0.1:1/s", {SIGNATURE: by_sdk(SOCKET)}, b"", suspects=[SOCKET])
        verdict = verify(sent, KEYS, upgrade=True)
        assert not verdict.ok and verdict.form == SOCKET
        assert verdict.why.endswith("begins with https://calls.example.com/")

    def test_tell_no_secret(self) -> None:
        """Pain E7."""
        suspects = ["https://name:password@x.example/w?token=secret"]
        for signed in (suspects[0], "https://nowhere.example/"):
            verdict = verify(
                request("http://u:password@h/w?token=secret", signature=by_sdk(signed, FORM), suspects=suspects), KEYS
            )
            assert not verdict.ok and "password" not in verdict.why and "secret" not in verdict.why

    def test_with_nothing_to_suspect_name_the_token(self) -> None:
        """Trap 1.6/whose-token."""
        verdict = verify(request(signature=by_sdk(URL, FORM, "another")), KEYS)
        assert not verdict.ok and not verdict.form and "auth token" in verdict.why

    @pytest.mark.parametrize("header", ["", "  ", "not base64!", "€€€€", "AAAA", "A" * 5000, "AAAA,AAAA", "\udcff"])
    def test_of_signatures_that_are_none(self, header: str) -> None:
        """Trap 1.6/lengths."""
        assert not verify(request(signature=header), KEYS).ok

    def test_take_no_long_body_apart_for_every_suspect(self) -> None:
        pairs = [("Payload", "x" * 10_000)]
        signature = by_sdk("https://x.example/w", pairs)
        verdict = verify(request(pairs=pairs, signature=signature, suspects=["https://x.example/w"]), KEYS)
        assert not verdict.ok and not verdict.form


class TestReplayKeys:
    def test_e4_are_the_same_in_every_spelling_of_the_signature(self) -> None:
        signature = by_sdk(URL, FORM)
        last = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".index(signature[-2])
        other = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"[last ^ 1]
        respelled = f"{signature[:-2]}{other}="
        assert base64.b64decode(respelled) == base64.b64decode(signature) and respelled != signature
        keys = {
            verify(request(signature=spelled), KEYS).replay_key
            for spelled in (signature, respelled, f" {signature} ")
        }
        assert len(keys) == 1 and "" not in keys

    def test_are_the_same_in_every_spelling_of_the_body(self) -> None:
        sent = request()
        twice = dataclasses.replace(sent, body=sent.body + b"&" + sent.body)
        escaped = dataclasses.replace(sent, body=sent.body.replace(b"CallSid", b"Call%53id"))
        keys = {verify(each, KEYS).replay_key for each in (sent, twice, escaped)}
        assert len(keys) == 1 and "" not in keys

    def test_are_the_same_when_a_letter_moves_from_a_name_to_its_value(self) -> None:
        """Pain E4. Nothing stands between names and values in what is signed: it is genuine, but not new."""
        sent = request(pairs=[("CallStatus", "ringing")])
        moved = dataclasses.replace(sent, body=b"CallStatusr=inging")
        assert verify(moved, KEYS).ok
        assert verify(moved, KEYS).replay_key == verify(sent, KEYS).replay_key

    def test_differ_for_different_requests(self) -> None:
        hashed = [f"{URL}&bodySHA256={hashlib.sha256(body).hexdigest()}" for body in (b"a", b"b")]
        requests = [
            request(),
            request(URL + "&n=2"),
            request(pairs=FORM[1:]),
            request(hashed[0], (), body=b"a"),
            request(hashed[1], (), body=b"b"),
        ]
        keys = {verify(each, KEYS).replay_key for each in requests}
        assert len(keys) == len(requests) and "" not in keys


class TestAnyBytes:
    anything = st.text(st.characters(), max_size=60)
    urls = anything | st.builds("{}://{}".format, st.sampled_from(["http", "https", "ws", "wss", "ftp"]), anything)

    @settings(max_examples=400)
    @given(
        url=urls,
        headers=st.dictionaries(st.sampled_from([SIGNATURE, SETTINGS, "content-type"]), anything),
        body=st.binary(max_size=200),
        suspects=st.lists(urls, max_size=3),
        is_upgrade=st.booleans(),
    )
    def test_are_refused_and_nothing_else(
        self, url: str, headers: Mapping[str, str], body: bytes, suspects: list[str], is_upgrade: bool
    ) -> None:
        """Trap 1.6/lengths."""
        keys = SigningKeys((TOKEN,), {"K": "secret"})
        sent = WebhookRequest("POST", url, headers, body, suspects=suspects)
        verdict = verify(sent, keys, upgrade=is_upgrade)
        assert not verdict.ok and verdict.why and not verdict.replay_key

    @settings(max_examples=400)
    @given(url=urls, body=st.binary(max_size=200))
    def test_of_an_address_and_a_body_do_not_keep_a_request_from_being_read(self, url: str, body: bytes) -> None:
        verify(WebhookRequest("POST", url, {SIGNATURE: by_sdk("https://x/")}, body), KEYS)
        parts = take_apart(url)
        if parts is not None and "#" not in url:
            assert str(parts).lower() == url.lower() and str(parts)[5:] == url[5:]
        assert "?" not in shown(url) and len(shown(url)) <= 200
