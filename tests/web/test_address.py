"""Which URL a request is believed to have been sent to: as the configuration says, never as a stranger says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from hypothesis import given, settings
from hypothesis import strategies as st
from twilio.request_validator import RequestValidator

from engine.book import CallBook
from engine.carriers.twilio import TwilioCarrier
from engine.carriers.twilio_account import Access
from engine.carriers.twilio_signature import SigningKeys
from engine.carriers.urls import take_apart
from engine.config import parse_config
from engine.live.registry import LiveCalls, StreamTokens
from engine.media.ticker import Ticker
from engine.web.address import MAX_SUSPECTS, Arrival, Believed, Trust, believe, host_name, path_of
from engine.web.media import MediaDoor
from tests.web.rig import LIMIT_S, PATH, Front, front

OWN = "http://127.0.0.1:3334/voice/webhook"
PUBLIC = "https://calls.example.com/hooks/twilio"
EVERYBODY = Trust(headers=True)
FORWARDED = {"x-forwarded-host": "calls.example.com", "x-forwarded-proto": "https", "host": "127.0.0.1:3334"}


def came(
    headers: Mapping[str, str] | None = None, target: str = "/voice/webhook?a=1", peer: str = "127.0.0.1"
) -> Arrival:
    return Arrival(target, {"host": "127.0.0.1:3334"} if headers is None else headers, peer)


def url(
    arrival: Arrival, trust: Trust = EVERYBODY, own: str = OWN, public: bool = False, socket: bool = False
) -> str:
    return believe(arrival, own, trust, public=public, socket=socket).url


def trust(text: str) -> Trust:
    return Trust.of(parse_config(text.encode(), None, {}).config)


class TestAPublicAddress:
    def test_is_believed_with_its_path_and_the_query_of_the_request(self) -> None:
        for headers in ({}, FORWARDED, {"host": "evil.example"}, {"x-forwarded-host": "evil.example"}):
            assert url(came(headers), own=PUBLIC, public=True) == f"{PUBLIC}?a=1"

    def test_may_have_a_query_of_its_own(self) -> None:
        assert url(came(target="/w?key=1&callId=2"), own=f"{PUBLIC}?key=1", public=True) == f"{PUBLIC}?key=1&callId=2"

    def test_of_a_socket_keeps_the_path_that_came(self) -> None:
        arrival = came(FORWARDED, "/voice/stream/token")
        expected = "wss://calls.example.com/voice/stream/token"
        assert url(arrival, own="wss://calls.example.com/voice/stream", public=True, socket=True) == expected

    def test_never_doubts_headers_that_do_not_matter(self) -> None:
        assert believe(came(FORWARDED), PUBLIC, Trust(), public=True).doubt == ""


class TestForwardedHeaders:
    def test_are_not_believed_unless_the_configuration_says_so(self) -> None:
        """Trap 1.6/proxies."""
        believed = believe(came(FORWARDED), OWN, Trust(), public=False)
        assert believed.url == f"{OWN}?a=1"
        assert "allowed_hosts" in believed.doubt

    def test_give_scheme_and_host_and_the_request_its_path(self) -> None:
        expected = "https://calls.example.com/voice/webhook?a=1"
        for how in (EVERYBODY, Trust(hosts=frozenset({"calls.example.com"}))):
            assert url(came(FORWARDED), how) == expected
            assert believe(came(FORWARDED), OWN, how, public=False).doubt == ""

    @pytest.mark.parametrize(
        ("headers", "expected"),
        [
            ({"x-forwarded-host": "a.example", "x-original-host": "b.example"}, "https://a.example"),
            ({"x-original-host": "b.example", "ngrok-forwarded-host": "c.example"}, "https://b.example"),
            ({"ngrok-forwarded-host": "c.example", "host": "d.example"}, "https://c.example"),
            ({"x-forwarded-host": "no_host!", "x-original-host": "b.example"}, "https://b.example"),
            ({"x-forwarded-host": "a.example, inner.example"}, "https://a.example"),
            ({"x-forwarded-host": "A.Example:8443"}, "https://a.example"),
            ({"x-forwarded-host": "[2001:DB8::1]:443"}, "https://[2001:db8::1]"),
            ({"x-forwarded-proto": "http", "host": "d.example:80"}, "http://d.example"),
            ({"x-forwarded-proto": "https, http", "host": "d.example"}, "https://d.example"),
            ({"x-forwarded-proto": "gopher", "host": "d.example"}, "https://d.example"),
            ({"host": "d.example"}, "https://d.example"),
            ({"x-forwarded-host": "user@a.example", "host": "d.example"}, "https://d.example"),
            ({"host": "127.0.0.1:3334"}, "http://127.0.0.1:3334"),
            ({"host": "no_host!"}, "http://127.0.0.1:3334"),
            ({}, "http://127.0.0.1:3334"),
        ],
    )
    def test_are_read_in_order(self, headers: Mapping[str, str], expected: str) -> None:
        assert url(came(headers)) == f"{expected}/voice/webhook?a=1"

    def test_may_only_carry_hosts_that_are_allowed(self) -> None:
        how = Trust(hosts=frozenset({"calls.example.com"}), headers=True)
        stranger = {"x-forwarded-host": "evil.example", "host": "evil.example"}
        believed = believe(came(stranger), OWN, how, public=False)
        assert believed.url == f"{OWN}?a=1" and "allowed_hosts" in believed.doubt
        # A header further down that is allowed still counts.
        assert url(came({**stranger, "x-original-host": "calls.example.com"}), how).startswith("https://calls.")

    @pytest.mark.parametrize(
        ("peer", "believed"), [("10.0.0.7", True), ("::ffff:10.0.0.7", True), ("10.0.0.8", False), ("", False)]
    )
    def test_are_believed_from_the_proxies_that_are_named(self, peer: str, believed: bool) -> None:
        how = trust("webhook_security: {allowed_hosts: [calls.example.com], trusted_proxy_ips: [10.0.0.7]}")
        answer = believe(came(FORWARDED, peer=peer), OWN, how, public=False)
        assert answer.url.startswith("https://calls") is believed
        assert ("trusted_proxy_ips" in answer.doubt) is not believed

    @pytest.mark.parametrize(
        ("config", "peer", "believed"),
        [
            ("tunnel: {provider: ngrok, allow_ngrok_free_tier_loopback_bypass: true}", "127.0.0.1", True),
            ("tunnel: {provider: ngrok, allow_ngrok_free_tier_loopback_bypass: true}", "::1", True),
            ("tunnel: {provider: ngrok, allow_ngrok_free_tier_loopback_bypass: true}", "10.0.0.7", False),
            ("tunnel: {provider: ngrok}", "127.0.0.1", False),
            ("tunnel: {allow_ngrok_free_tier_loopback_bypass: true}", "127.0.0.1", False),
        ],
    )
    def test_of_ngroks_agent_are_believed_on_this_machine_alone(self, config: str, peer: str, believed: bool) -> None:
        headers = {"ngrok-forwarded-host": "x.ngrok-free.app", "host": "127.0.0.1:3334"}
        assert url(came(headers, peer=peer), trust(config)).startswith("https://x.ngrok") is believed

    def test_count_for_media_sockets_by_the_same_rules(self) -> None:
        arrival = came(FORWARDED, "/voice/stream/token?x=1")
        how = Trust(hosts=frozenset({"calls.example.com"}))
        own = "ws://127.0.0.1:3334/voice/stream"
        assert url(arrival, how, own, socket=True) == "wss://calls.example.com/voice/stream/token?x=1"
        other = Trust(hosts=frozenset({"other.example"}))
        assert url(arrival, other, own, socket=True) == "ws://127.0.0.1:3334/voice/stream/token?x=1"
        plain = came({**FORWARDED, "x-forwarded-proto": "http"}, "/voice/stream")
        assert url(plain, how, own, socket=True) == "ws://calls.example.com/voice/stream"

    def test_that_are_absent_are_no_reason_for_doubt(self) -> None:
        assert believe(came(), OWN, Trust(), public=False).doubt == ""

    def test_hosts_of_the_configuration_are_compared_as_hosts(self) -> None:
        how = trust("webhook_security: {allowed_hosts: ['Calls.Example.com:443']}")
        assert url(came(FORWARDED), how).startswith("https://calls.example.com/")


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("Calls.Example.com", "calls.example.com"),
        (" a.example:8443 , b.example", "a.example"),
        ("[::1]:80", "[::1]"),
        ("10.0.0.1", "10.0.0.1"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("a" * 63 + ".example", "a" * 63 + ".example"),
        ("a" * 64 + ".example", ""),
        (".".join(["a" * 50] * 6), ""),
        ("user@a.example", ""),
        ("a.example/path", ""),
        ("a_b.example", ""),
        ("-a.example", ""),
        ("a..example", ""),
        ("a.example:port", ""),
        ("a.example:", ""),
        ("::1", ""),
        ("[::1", ""),
        ("[1:2]", ""),
        ("[10.0.0.1]", ""),
        ("bücher.example", ""),
        ("a.example\x00", ""),
        ("", ""),
        (",a.example", ""),
    ],
)
def test_a_host_is_one_by_rfc_1123(text: str, host: str) -> None:
    assert host_name(text) == host


@pytest.mark.parametrize(
    ("text", "path"),
    [("/a/b", "/a/b"), ("/a?x=1", "/a"), ("https://h.example/a?x#y", "/a"), ("a", ""), ("", ""), ("/a b", "")],
)
def test_a_header_may_hold_a_path_or_a_url(text: str, path: str) -> None:
    assert path_of(text) == path


class TestSuspects:
    """What a carrier may have called when its signature fits nothing that we believe."""

    @pytest.mark.parametrize(
        ("headers", "suspect"),
        [
            ({"host": "calls.example.com"}, "https://calls.example.com/voice/webhook?a=1"),
            ({"host": "calls.example.com:8443"}, "https://calls.example.com:8443/voice/webhook?a=1"),
            ({"host": "calls.example.com"}, "http://calls.example.com/voice/webhook?a=1"),
            (FORWARDED, "https://calls.example.com/voice/webhook?a=1"),
            ({"forwarded": 'for=1.2.3.4;host="f.example:81";proto=http'}, "http://f.example:81/voice/webhook?a=1"),
            ({**FORWARDED, "x-forwarded-port": "8443"}, "https://calls.example.com:8443/voice/webhook?a=1"),
            ({**FORWARDED, "x-forwarded-prefix": "/twilio/"}, "https://calls.example.com/twilio/voice/webhook?a=1"),
            ({**FORWARDED, "x-original-uri": "/outer?a=1"}, "https://calls.example.com/outer?a=1"),
            (FORWARDED, "https://calls.example.com/voice/webhook/?a=1"),
        ],
    )
    def test_without_a_public_address(self, headers: Mapping[str, str], suspect: str) -> None:
        believed = believe(came(headers), OWN, Trust(), public=False)
        assert believed.url == f"{OWN}?a=1"
        assert suspect in believed.suspects

    @pytest.mark.parametrize(
        "suspect",
        [
            "http://calls.example.com/hooks/twilio?a=1",
            "https://calls.example.com/voice/webhook?a=1",
            "https://other.example/hooks/twilio?a=1",
            "https://other.example/voice/webhook?a=1",
            "https://calls.example.com/hooks/twilio/?a=1",
        ],
    )
    def test_beside_a_public_address(self, suspect: str) -> None:
        believed = believe(came({"host": "other.example"}), PUBLIC, Trust(), public=True)
        assert suspect in believed.suspects and believed.url not in believed.suspects

    def test_of_sockets_are_sockets(self) -> None:
        arrival = came(FORWARDED, "/voice/stream")
        believed = believe(arrival, "ws://127.0.0.1:3334/voice/stream", Trust(), public=False, socket=True)
        assert "wss://calls.example.com/voice/stream" in believed.suspects
        assert all(suspect.startswith("ws") for suspect in believed.suspects)

    names = st.sampled_from(
        [*FORWARDED, "x-original-host", "ngrok-forwarded-host", "forwarded", "x-forwarded-port", "x-original-uri"]
    )
    values = st.text(max_size=40) | st.sampled_from(
        ["a.example", "b.example:1", "[::1]:2", "/p", "http", "80", "h,i"]
    )

    @settings(max_examples=300)
    @given(
        headers=st.dictionaries(names, values),
        target=st.text(max_size=40).map("/".__add__),
        peer=st.sampled_from(["", "::1", "10.0.0.1", "%", "fe80::1%eth0"]),
        how=st.sampled_from([Trust(), EVERYBODY, Trust(frozenset({"a.example"}), proxies=frozenset({"::1"}))]),
        own=st.sampled_from([OWN, PUBLIC, "wss://h.example/s"]),
        public=st.booleans(),
        socket=st.booleans(),
    )
    def test_are_few_and_come_of_any_headers_without_trouble(
        self, headers: Mapping[str, str], target: str, peer: str, how: Trust, own: str, public: bool, socket: bool
    ) -> None:
        believed: Believed = believe(Arrival(target, headers, peer), own, how, public=public, socket=socket)
        assert len(believed.suspects) <= MAX_SUSPECTS
        assert believed.url not in believed.suspects
        ours, theirs = take_apart(own), take_apart(believed.url.partition("?")[0].partition("#")[0])
        assert ours is not None and theirs is not None
        if public or how == Trust():
            assert (theirs.scheme, theirs.host, theirs.port) == (ours.scheme, ours.host, ours.port)
        elif how.hosts:
            assert theirs.host in (ours.host, "a.example")


class TestMediaSockets:
    """The door of media sockets, with the carrier that signs its addresses."""

    TOKEN = "an auth token"

    @asynccontextmanager
    async def running(self, config: bytes = b"") -> AsyncIterator[Front]:
        carrier = TwilioCarrier(Access("AC1", self.TOKEN), SigningKeys((self.TOKEN,)), voice="", language="en-US")
        settings = parse_config(config, None, {}).config.streaming.model_copy(update={"pre_start_timeout_ms": 50})
        doors: list[MediaDoor] = []

        async def media(request: web.Request) -> web.StreamResponse:
            return await doors[0].handle(request)

        async with front(media=media, carrier=carrier, config=config) as made:
            book, tokens = CallBook(), StreamTokens()
            assert made.exposure is not None
            address, post = made.exposure.socket_address, made.posted.append
            calls = LiveCalls(book, tokens)
            doors.append(MediaDoor(settings, carrier, address, book, calls, tokens, Ticker(), post))
            yield made

    async def dial(self, server: Front, signed: str, path: str = "/voice/stream", **headers: str) -> int:
        """The status of an upgrade that was signed over `signed`."""
        sent = {"X-Twilio-Signature": RequestValidator(self.TOKEN).compute_signature(signed, {})}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        async with asyncio.timeout(LIMIT_S), aiohttp.ClientSession() as http:
            try:
                async with http.ws_connect(server.url.replace(PATH, path), headers=sent):
                    return 101
            except aiohttp.WSServerHandshakeError as error:
                return error.status

    async def test_a_socket_is_signed_over_the_public_host(self) -> None:
        """Trap 1.5/upgrade-signature."""
        async with self.running(f"public_url: {PUBLIC}".encode()) as server:
            for signed in ("wss://calls.example.com/voice/stream", "wss://calls.example.com/voice/stream/"):
                assert await self.dial(server, signed) == 101
            assert await self.dial(server, "https://calls.example.com/voice/stream") == 401

    async def test_the_name_of_the_header_may_be_written_in_any_case(self) -> None:
        """Trap 1.5/header-case, for the upgrade."""
        async with self.running() as server, aiohttp.ClientSession() as http:
            url = server.url.replace("http", "ws", 1).replace(PATH, "/voice/stream")
            signature = RequestValidator(self.TOKEN).compute_signature(url, {})
            for name in ("x-twilio-signature", "X-TWILIO-SIGNATURE"):
                async with asyncio.timeout(LIMIT_S), http.ws_connect(url, headers={name: signature}) as socket:
                    assert not socket.closed

    async def test_hosts_that_are_not_allowed_open_no_socket(self) -> None:
        config = b"webhook_security: {allowed_hosts: [calls.example.com]}"
        async with self.running(config) as server:
            for host, status in (("calls.example.com", 101), ("evil.example", 401)):
                assert await self.dial(server, f"wss://{host}/voice/stream", X_Forwarded_Host=host) == status

    async def test_a_refused_socket_is_noted_with_the_address_that_would_be_right_and_without_its_token(self) -> None:
        async with self.running() as server:
            sent = {"X_Forwarded_Host": "calls.example.com"}
            signed = "wss://calls.example.com/voice/stream/t0k3n"
            assert await self.dial(server, signed, "/voice/stream/t0k3n", **sent) == 401
            (draft,) = server.posted
            facts: Mapping[str, Any] = draft.data
            assert (draft.type, draft.call_id, facts["verdict"]) == ("webhook.received", None, "refused")
            assert facts["why"].endswith("begins with https://calls.example.com/")
            assert facts["form"] == "wss://calls.example.com/voice/stream/…"
            assert facts["type"] == "media socket" and "t0k3n" not in str(facts)

    async def test_strangers_can_not_fill_the_log_with_refused_sockets(self) -> None:
        async with self.running() as server:
            for _ in range(70):
                assert await self.dial(server, "wss://nowhere.example/") == 401
            assert 50 <= len(server.posted) < 70
