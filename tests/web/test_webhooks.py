"""The webhook pipeline on a real socket: the order of its checks, its codes, and what strangers can not do."""

from __future__ import annotations

import asyncio
import json
import logging
import time
import zlib
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from urllib.parse import urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twilio.request_validator import RequestValidator

from engine.carriers.base import CarrierEvent, Connect, Listen, Pause, Reject
from engine.carriers.links import read_link
from engine.carriers.twilio import TwilioCarrier
from engine.carriers.twilio_account import Access
from engine.carriers.twilio_signature import SigningKeys
from engine.simulator.signing import signed_headers
from engine.store import StoreError
from engine.web.limits import MAX_BODY, MAX_IN_FLIGHT
from engine.web.webhooks import ANSWER_SECONDS, Outcome
from tests.web.rig import LIMIT_S, PATH, SECRET, Front, front, webhook


@pytest.fixture
async def server() -> AsyncIterator[Front]:
    async with front() as made:
        yield made


def head(method: str, path: str, *headers: str) -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: x", *headers, "", ""]).encode()


def signed_head(server: Front, body: bytes, *more: str) -> bytes:
    signed = signed_headers(SECRET, "POST", server.url, body)
    return head("POST", PATH, *(f"{name}: {value}" for name, value in signed.items()), *more)


async def until_status(server: Front, wanted: Callable[[int], bool]) -> None:
    """Ask until the answer is as wanted: each connection is taken up in its own turn of the server's loop."""
    async with asyncio.timeout(LIMIT_S):
        while not wanted((await server.post(webhook()))[0]):
            pass


async def test_a_signed_webhook_is_acted_on_and_answered_with_its_document(server: Front) -> None:
    status, body = await server.post(webhook("call.answered"))
    assert status == 200
    assert json.loads(body)["document"] == [
        {"verb": "connect", "url": "ws://example/stream", "token": "one-time"},
    ]
    assert [event.type for event in server.acts] == ["answered"]
    (note,) = server.posted
    assert note.call_id == "ours"
    expected = {"verdict": "ok", "matched": "ours", "effect": "document: connect", "type": "call.answered"}
    assert expected.items() <= note.data.items()


async def test_the_query_is_part_of_what_was_signed(server: Front) -> None:
    assert (await server.post(webhook(), query="?a=%20b&c"))[0] == 200
    signed = signed_headers(SECRET, "POST", server.url, webhook())
    assert (await server.ask("POST", server.url + "?a=1", webhook(), signed))[0] == 401


@pytest.mark.parametrize(
    "path", ["/", "/voice", PATH + "/", PATH + "/x", "/voice/webhoo%6b", "//voice/webhook", "/voice/../voice/webhook"]
)
async def test_every_other_path_is_not_found(server: Front, path: str) -> None:
    assert await server.raw(head("POST", path, "X-Sim-Signature: x", "Content-Length: 0")) == 404
    assert server.posted == []


@pytest.mark.parametrize("method", ["GET", "PUT", "HEAD", "DELETE", "OPTIONS", "PATCH"])
async def test_only_post_is_served_on_the_path(server: Front, method: str) -> None:
    assert (await server.ask(method, server.url))[0] == 405
    assert server.notes == [("refused", 405)]


async def test_without_a_signature_header_the_body_is_not_even_read(server: Front) -> None:
    assert await server.raw(head("POST", PATH, "Content-Length: 1000")) == 401
    assert await server.raw(head("POST", PATH, "Content-Length: 9999999999")) == 401
    assert server.notes == [("refused", 401)] * 2


@pytest.mark.parametrize("length", [MAX_BODY + 1, 1 << 40])
async def test_a_body_that_is_announced_as_too_large_is_refused_unread(server: Front, length: int) -> None:
    assert await server.raw(head("POST", PATH, "X-Sim-Signature: x", f"Content-Length: {length}")) == 413


async def test_a_body_that_turns_out_too_large_is_refused(server: Front) -> None:
    chunk = b"8000\r\n" + b"x" * 0x8000 + b"\r\n"
    request = head("POST", PATH, "X-Sim-Signature: x", "Transfer-Encoding: chunked") + chunk * 3
    assert await server.raw(request) == 413


async def test_a_body_of_exactly_the_limit_is_read(server: Front) -> None:
    body = webhook().ljust(MAX_BODY)
    assert (await server.post(body))[0] == 200


async def test_a_small_body_that_unpacks_into_a_large_one_is_refused(server: Front) -> None:
    bomb = zlib.compress(b"x" * (20 << 20))
    headers = {**signed_headers(SECRET, "POST", server.url, bomb), "Content-Encoding": "deflate"}
    assert (await server.post(bomb, headers))[0] in (400, 401, 413)


async def test_a_body_that_does_not_come_is_not_waited_for(server: Front, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.web.webhooks.BODY_SECONDS", 0.1)
    assert await server.raw(signed_head(server, b"{}", "Content-Length: 2") + b"{") == 408
    assert server.notes == [("refused", 408)]


async def test_the_ninth_request_of_a_peer_is_refused_and_the_place_comes_back(server: Front) -> None:
    began, go_on = asyncio.Semaphore(0), asyncio.Event()

    async def hold(event: CarrierEvent) -> Outcome:
        began.release()
        await go_on.wait()
        return Outcome((), None, "held")

    server.act = hold
    async with asyncio.timeout(LIMIT_S), asyncio.TaskGroup() as group:
        first = [
            group.create_task(server.post(webhook("call.ringing", id=f"CA{number}")))
            for number in range(MAX_IN_FLIGHT)
        ]
        for _ in first:
            await began.acquire()
        assert (await server.post(webhook()))[0] == 429
        go_on.set()
    assert {task.result()[0] for task in first} == {204}
    assert (await server.post(webhook()))[0] == 204


async def test_slow_bodies_take_the_places_of_their_peer_and_not_more(server: Front) -> None:
    async with AsyncExitStack() as stack:
        for _ in range(MAX_IN_FLIGHT):
            _, writer = await server.open()
            stack.callback(writer.close)
            writer.write(signed_head(server, b"{}", "Content-Length: 2"))
            await writer.drain()
        await until_status(server, lambda status: status == 429)
        assert await server.ask("GET", server.url.replace(PATH, "/healthz")) == (200, b'{"ok": true}')


class TestSignatures:
    async def test_of_somebody_else_are_refused(self, server: Front) -> None:
        forged = signed_headers("another secret", "POST", server.url, webhook())
        assert (await server.post(webhook(), forged))[0] == 401

    async def test_do_not_cover_another_body(self, server: Front) -> None:
        signed = signed_headers(SECRET, "POST", server.url, webhook())
        assert (await server.post(webhook("call.ended"), signed))[0] == 401

    async def test_do_not_cover_another_method_or_address(self, server: Front) -> None:
        for method, url in (("GET", server.url), ("POST", server.url.replace("127.0.0.1", "localhost"))):
            assert (await server.post(webhook(), signed_headers(SECRET, method, url, webhook())))[0] == 401

    @pytest.mark.parametrize("age_s", [301, 86_400, -301])
    async def test_grow_stale_either_way(self, server: Front, age_s: int) -> None:
        signed = signed_headers(SECRET, "POST", server.url, webhook(), at=time.time() - age_s)
        assert (await server.post(webhook(), signed))[0] == 401

    @pytest.mark.parametrize("age_s", [290, -290])
    async def test_may_be_some_minutes_old(self, server: Front, age_s: int) -> None:
        signed = signed_headers(SECRET, "POST", server.url, webhook(), at=time.time() - age_s)
        assert (await server.post(webhook(), signed))[0] == 200

    async def test_need_their_time(self, server: Front) -> None:
        signed = signed_headers(SECRET, "POST", server.url, webhook())
        for timestamp in ("", "now", "1e9", "٣", "9" * 30):
            assert (await server.post(webhook(), {**signed, "X-Sim-Timestamp": timestamp}))[0] == 401

    @pytest.fixture(autouse=True)
    def nothing_happens_by_a_refused_one(self, server: Front, request: pytest.FixtureRequest) -> None:
        def check() -> None:
            allowed = "may_be" in request.node.name
            assert bool(server.acts) is allowed
            assert all(verdict == ("ok" if allowed else "refused") for verdict, _ in server.notes)

        request.addfinalizer(check)


class TestTwilioBehindProxies:
    """The path of a signature from the socket to the operator, with the carrier that signs its addresses."""

    TOKEN = "an auth token"
    FORM = {"CallSid": "CA1", "CallStatus": "ringing", "Direction": "inbound", "From": "+15550100", "To": "+15550101"}
    PUBLIC = "https://calls.example.com/hooks/twilio"

    @asynccontextmanager
    async def running(self, config: bytes = b"") -> AsyncIterator[Front]:
        access = Access(account_sid="AC1", auth_token=self.TOKEN)
        carrier = TwilioCarrier(access, SigningKeys((self.TOKEN,)), voice="alloy", language="en-US")
        async with front(carrier=carrier, config=config) as made:
            yield made

    async def post(self, server: Front, signed_url: str, query: str = "", **headers: str) -> int:
        signature = RequestValidator(self.TOKEN).compute_signature(signed_url, self.FORM)
        sent = {"X-Twilio-Signature": signature, "Content-Type": "application/x-www-form-urlencoded"}
        more = {name.replace("_", "-"): value for name, value in headers.items()}
        body = urlencode(self.FORM).encode()
        return (await server.ask("POST", server.url + query, body, sent | more))[0]

    @pytest.mark.parametrize("name", ["X-Twilio-Signature", "x-twilio-signature", "X-TWILIO-SIGNATURE"])
    async def test_the_name_of_the_header_may_be_written_in_any_case(self, name: str) -> None:
        """Trap 1.5/header-case: proxies and HTTP/2 write it in lower case."""
        async with self.running() as server:
            signature = RequestValidator(self.TOKEN).compute_signature(server.url, self.FORM)
            sent = {name: signature, "Content-Type": "application/x-www-form-urlencoded"}
            assert (await server.ask("POST", server.url, urlencode(self.FORM).encode(), sent))[0] == 200

    async def test_e2_a_proxy_may_change_host_port_and_path_of_a_public_address(self) -> None:
        """Trap 1.6/proxies."""
        async with self.running(f"public_url: {self.PUBLIC}".encode()) as server:
            assert await self.post(server, f"{self.PUBLIC}?callId=1&a=%20b", "?callId=1&a=%20b") == 200
            assert await self.post(server, f"{self.PUBLIC}?callId=2", "?callId=1") == 401
            (event,) = server.acts
            assert event.type == "incoming"
            assert server.posted[0].data["form"] == self.PUBLIC

    async def test_e1_the_port_that_was_signed_is_told(self) -> None:
        async with self.running(f"public_url: {self.PUBLIC}".encode()) as server:
            assert await self.post(server, self.PUBLIC.replace(".com/", ".com:443/")) == 200
            assert server.posted[0].data["why"] == "ok, signed as https://calls.example.com:443/hooks/twilio"

    async def test_e3_a_refusal_says_which_public_url_would_be_right_and_what_was_tried(self) -> None:
        async with self.running() as server:
            sent = {"X_Forwarded_Host": "calls.example.com", "X_Forwarded_Proto": "https"}
            url = f"https://calls.example.com{PATH}"
            assert await self.post(server, f"{url}?token=secret", "?token=secret", **sent) == 401
            data = server.posted[0].data
            assert str(data["why"]).startswith(f"the signature fits {url}: set public_url to that")
            assert data["form"] == url
            assert server.url in data["tried"] and url in data["tried"] and len(data["tried"]) <= 12
            assert data["forwarded"].startswith("not believed: neither")
            assert "secret" not in str(data)
            assert server.acts == []

    @pytest.mark.parametrize("allowed", ["[calls.example.com]", "[]"])
    async def test_forwarded_headers_are_believed_from_hosts_that_are_allowed(self, allowed: str) -> None:
        async with self.running(f"webhook_security: {{allowed_hosts: {allowed}}}".encode()) as server:
            sent = {"X_Forwarded_Host": "calls.example.com"}
            status = await self.post(server, f"https://calls.example.com{PATH}", **sent)
            assert status == (401 if allowed == "[]" else 200)
            assert await self.post(server, f"https://other.example{PATH}", X_Forwarded_Host="other.example") == 401

    @pytest.mark.parametrize("proxy", ["127.0.0.1", "192.0.2.1"])
    async def test_forwarded_headers_are_believed_from_proxies_that_are_trusted(self, proxy: str) -> None:
        config = f"webhook_security: {{trust_forwarding_headers: true, trusted_proxy_ips: [{proxy}]}}"
        async with self.running(config.encode()) as server:
            sent = {"X_Forwarded_Host": "calls.example.com", "X_Forwarded_Proto": "https"}
            status = await self.post(server, f"https://calls.example.com{PATH}", **sent)
            assert status == (200 if proxy == "127.0.0.1" else 401)

    async def test_explanations_have_a_bound_and_refusals_go_on(self) -> None:
        async with self.running() as server:
            for _ in range(60):
                assert (
                    await self.post(server, f"https://calls.example.com{PATH}", X_Forwarded_Host="calls.example.com")
                    == 401
                )
            explained = [draft for draft in server.posted if "form" in draft.data]
            assert 20 <= len(explained) < 60


class TestReplay:
    async def test_gives_the_first_answer_without_its_token_and_does_nothing(self, server: Front) -> None:
        """Pain E6."""
        body = webhook("call.answered")
        signed = signed_headers(SECRET, "POST", server.url, body)
        first = await server.post(body, signed)
        again = await server.post(body, signed)
        assert (first[0], again[0]) == (200, 200)
        assert b"one-time" not in again[1]
        assert len(server.acts) == 1
        assert server.notes == [("ok", 200), ("replay", 200)]
        assert server.posted[1].data["effect"] == "nothing: a replay, told to ask again"

    async def test_e8_of_a_document_with_a_token_has_the_carrier_ask_for_a_fresh_one(self, server: Front) -> None:
        """An empty answer would end the call, and the token that was served may be used up."""
        pause = {"verb": "pause", "seconds": 2}

        async def two_verbs(event: CarrierEvent) -> Outcome:
            return Outcome((Pause(2), Connect("ws://example/stream", "one-time")), "ours/1", "document: connect")

        server.act = two_verbs
        body = webhook("call.answered")
        signed = signed_headers(SECRET, "POST", server.url, body)
        _, first = await server.post(body, signed)
        assert json.loads(first)["document"][0] == pause
        urls = set()
        for _ in range(2):
            status, again = await server.post(body, signed)
            first_verb, second_verb = json.loads(again)["document"]
            assert (status, first_verb, second_verb["verb"]) == (200, pause, "redirect")
            flow, query = read_link(second_verb["url"])
            assert (flow, query["callId"]) == ("connect", "ours/1")
            assert second_verb["url"].startswith(f"{server.url}?")
            urls.add(second_verb["url"])
        # Each asks anew: the same address with the same form would be a replay itself.
        assert len(urls) == 2

    async def test_of_a_document_without_a_token_is_that_document(self, server: Front) -> None:
        async def reject(event: CarrierEvent) -> Outcome:
            return Outcome((Reject("busy"),), "ours", "document: reject")

        server.act = reject
        body = webhook("call.incoming")
        signed = signed_headers(SECRET, "POST", server.url, body)
        assert await server.post(body, signed) == await server.post(body, signed)
        assert server.posted[1].data["effect"] == "nothing: a replay"

    async def test_is_recognised_in_every_spelling_of_the_signature(self, server: Front) -> None:
        body = webhook()
        signed = signed_headers(SECRET, "POST", server.url, body)
        spelled = {name.lower(): value for name, value in signed.items()}
        await server.post(body, signed)
        assert (await server.post(body, spelled))[0] == 200
        assert len(server.acts) == 1

    async def test_that_comes_while_the_first_is_under_way_waits_for_its_answer(self, server: Front) -> None:
        """Pain E5."""
        began, go_on = asyncio.Event(), asyncio.Event()

        async def hold(event: CarrierEvent) -> Outcome:
            began.set()
            await go_on.wait()
            return await server.connect(event)

        server.act = hold
        body = webhook("call.answered")
        signed = signed_headers(SECRET, "POST", server.url, body)
        async with asyncio.timeout(LIMIT_S), asyncio.TaskGroup() as group:
            first = group.create_task(server.post(body, signed))
            await began.wait()
            again = group.create_task(server.post(body, signed))
            await asyncio.wait([again], timeout=0.1)
            assert not again.done()
            go_on.set()
        assert json.loads(first.result()[1])["document"][0]["token"] == "one-time"
        assert json.loads(again.result()[1])["document"][0]["verb"] == "redirect"
        assert len(server.acts) == 1

    async def test_may_be_repeated_after_a_failure(self, server: Front) -> None:
        """Pain E5."""

        async def fail(event: CarrierEvent) -> Outcome:
            raise StoreError("The disk is full.", "Free disk space.")

        server.act = fail
        body = webhook("call.answered")
        signed = signed_headers(SECRET, "POST", server.url, body)
        assert (await server.post(body, signed))[0] == 503
        assert server.notes == [("ok", 503)]
        assert "full" in str(server.posted[0].data["effect"])
        server.act = None
        status, answer = await server.post(body, signed)
        assert status == 200
        assert json.loads(answer)["document"][0]["token"] == "one-time"

    async def test_that_waited_for_a_failure_fails_too(self, server: Front) -> None:
        began, go_on = asyncio.Event(), asyncio.Event()

        async def fail(event: CarrierEvent) -> Outcome:
            began.set()
            await go_on.wait()
            raise StoreError("The disk is full.", "Free disk space.")

        server.act = fail
        body = webhook()
        signed = signed_headers(SECRET, "POST", server.url, body)
        async with asyncio.timeout(LIMIT_S), asyncio.TaskGroup() as group:
            first = group.create_task(server.post(body, signed))
            await began.wait()
            again = group.create_task(server.post(body, signed))
            await asyncio.wait([again], timeout=0.1)
            go_on.set()
        assert (first.result()[0], again.result()[0]) == (503, 503)


async def test_a_document_that_the_carrier_can_not_have_is_a_failure_with_its_reason(server: Front) -> None:
    async def listen(event: CarrierEvent) -> Outcome:
        return Outcome((Listen("http://x/", "http://x/"),), "ours", "document: listen")

    server.act = listen
    status, answer = await server.post(webhook("call.answered"))
    assert status == 500 and b"Listen" in answer
    assert server.notes == [("ok", 500)]


async def test_an_act_that_hangs_is_given_up_so_that_the_carrier_tries_again(
    server: Front, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Trap 1.3/15-s."""
    monkeypatch.setattr("engine.web.webhooks.ANSWER_SECONDS", 0.1)

    async def hang(event: CarrierEvent) -> Outcome:
        await asyncio.Event().wait()
        raise AssertionError

    server.act = hang
    body = webhook()
    signed = signed_headers(SECRET, "POST", server.url, body)
    assert (await server.post(body, signed))[0] == 503
    server.act = None
    assert (await server.post(body, signed))[0] == 200


def test_we_give_up_before_the_carrier_does() -> None:
    """Trap 1.3/15-s: Twilio waits 15 s for the whole exchange, and then takes no answer at all."""
    assert ANSWER_SECONDS + 3 <= 15


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff\xfe",
        b"[]",
        b"null",
        b"{}",
        b"[" * 20_000,
        b'{"type": "call.ringing"}',
        webhook(id=7),
        webhook(id=""),
        webhook(direction="sideways"),
        webhook(client_ref="x" * 200),
        webhook("call.dtmf"),
    ],
    ids=range(12),
)
async def test_nonsense_with_a_valid_signature_is_a_bad_request_and_does_nothing(server: Front, body: bytes) -> None:
    signed = signed_headers(SECRET, "POST", server.url, body)
    assert (await server.post(body, signed))[0] == 400
    assert (await server.post(body, signed))[0] == 400
    assert server.acts == []


async def test_an_event_of_a_later_version_is_taken_and_ignored(server: Front) -> None:
    async def nothing(event: CarrierEvent) -> Outcome:
        assert event.type == "ignored"
        return Outcome((), None, "nothing: a test")

    server.act = nothing
    assert (await server.post(webhook("call.teleported")))[0] == 204
    assert server.acts == []
    assert "nothing" in str(server.posted[0].data["effect"])


async def test_no_bytes_make_the_server_fail(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is sent, signed or not, in pieces or not: an answer below 500, or a closed connection."""
    monkeypatch.setattr("engine.web.webhooks.BODY_SECONDS", 0.02)
    monkeypatch.setattr("engine.web.listening.HEADER_SECONDS", 0.02)
    async with front() as server:
        loop = asyncio.get_running_loop()

        @settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
        @given(data=st.data())
        def attack(data: st.DataObject) -> None:
            request = data.draw(_requests(server))
            status = asyncio.run_coroutine_threadsafe(server.raw(request), loop).result(LIMIT_S)
            assert status < 500, request

        await asyncio.to_thread(attack)
        assert (await server.post(webhook()))[0] == 200
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


def _requests(server: Front) -> st.SearchStrategy[bytes]:
    bodies = st.binary(max_size=200) | st.sampled_from([webhook(), webhook("call.ended"), b"{}", b"\x1f\x8b\x08junk"])
    line = st.text(st.characters(max_codepoint=0x7E, min_codepoint=0x20), max_size=30).map(str.encode)
    junk = st.binary(max_size=30).map(lambda raw: raw.replace(b"\r", b"").replace(b"\n", b""))
    header = st.sampled_from(
        [
            b"X-Sim-Signature: \xff\xfe",
            b"X-Sim-Signature: =",
            b"X-Sim-Timestamp: \xe2\x82\xac",
            b"Content-Encoding: gzip",
            b"Content-Encoding: deflate",
            b"Content-Encoding: br",
            b"Expect: 100-continue",
            b"Content-Type: multipart/form-data; boundary=x",
            b"Connection: close",
        ]
    ) | junk.map(lambda raw: b"X-Junk: " + raw)

    @st.composite
    def one(draw: st.DrawFn) -> bytes:
        body = draw(bodies)
        query = draw(st.sampled_from([b"", b"?", b"?a=\xff\xfe", b"?%zz", b"?\xe2\x82\xac", b"?a=%ff"]) | junk)
        signed = signed_headers(SECRET, "POST", server.url + query.decode("latin-1"), body)
        lines = [b"POST " + PATH.encode() + query + b" HTTP/1.1", b"Host: x"]
        if draw(st.booleans()):
            lines += [f"{name}: {value}".encode() for name, value in signed.items()]
        lines += draw(st.lists(header, max_size=3))
        if draw(st.booleans()):
            lines.append(b"Content-Length: %d" % len(body))
            payload = body
        else:
            lines.append(b"Transfer-Encoding: chunked")
            payload = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body) if body and draw(st.booleans()) else body + b"\r\n"
        return b"\r\n".join([*lines, b"", payload])

    return one() | st.lists(line, max_size=4).map(lambda lines: b"\r\n".join([*lines, b"", b""]))


async def test_a_sender_that_goes_away_in_the_middle_leaves_nothing_behind(
    server: Front, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(2 * MAX_IN_FLIGHT):
        _, writer = await server.open()
        writer.write(signed_head(server, b"{}", "Content-Length: 2") + b"{")
        await writer.drain()
        writer.transport.abort()
    await until_status(server, lambda status: status == 200)
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


@pytest.mark.parametrize("sent", [b"", b"POST /voice", head("POST", PATH)[:-2]])
async def test_a_connection_that_asks_for_nothing_is_closed(
    server: Front, monkeypatch: pytest.MonkeyPatch, sent: bytes
) -> None:
    monkeypatch.setattr("engine.web.listening.HEADER_SECONDS", 0.05)
    assert await server.raw(sent) == 0


async def test_connections_have_a_bound_and_their_places_come_back(
    server: Front, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.web.listening.MAX_CONNECTIONS", 3)
    held = [await server.open() for _ in range(3)]
    assert await server.raw(head("GET", "/healthz")) == 0
    for reader, writer in held:
        writer.write(head("GET", "/healthz", "Connection: close"))
        async with asyncio.timeout(LIMIT_S):
            assert (await reader.read()).startswith(b"HTTP/1.1 200")
        writer.close()
    assert await server.raw(head("GET", "/healthz")) == 200


async def test_strangers_can_not_fill_the_logs(server: Front, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    requests = head("POST", PATH, "Content-Length: 0") * 300
    reader, writer = await server.open()
    writer.write(requests)
    async with asyncio.timeout(LIMIT_S):
        for _ in range(300):
            assert b"401" in await reader.readuntil(b"\r\n\r\n")
            # The sentence that goes with it.
            await reader.readline()
    writer.close()
    assert 50 <= len(server.posted) < 100
    assert len([record for record in caplog.records if record.name.startswith("engine")]) < 100
    await server.post(webhook())
    assert server.notes[-1] == ("ok", 200)


async def test_health_says_that_it_lives_and_nothing_more(server: Front) -> None:
    url = server.url.replace(PATH, "/healthz")
    assert await server.ask("GET", url) == (200, b'{"ok": true}')
    assert (await server.ask("POST", url))[0] == 404
