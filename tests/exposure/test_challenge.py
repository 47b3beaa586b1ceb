"""The door for our own requests lets in nobody else: not by a guess, not by a word that was seen, not for long."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import aiohttp
import pytest
from aiohttp import web

from engine.config import parse_config
from engine.exposure.challenge import FRAME_SECONDS, HEADER, MAX_FRAME, MAX_WAITING, QUERY, Challenges
from engine.exposure.outside import Outside, Target
from engine.exposure.probe import Ours
from engine.web.server import WebServer


@dataclass
class Server:
    """The public server with handlers that only count."""

    challenges: Challenges
    port: int
    webhooks: int = 0
    sockets: int = 0

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    parsed = parse_config(b"", None, {}).config
    config = parsed.model_copy(update={"serve": parsed.serve.model_copy(update={"port": 0})})
    made = Server(Challenges(), 0)

    async def webhook(_: web.Request) -> web.StreamResponse:
        made.webhooks += 1
        return web.Response(status=401, text="no signature\n")

    async def media(_: web.Request) -> web.StreamResponse:
        made.sockets += 1
        raise web.HTTPUnauthorized

    running = WebServer(config, webhook, media, made.challenges.answer)
    await running.open()
    made.port = running.port
    try:
        yield made
    finally:
        await running.close()


async def post(server: Server, word: str, path: str = "/voice/webhook", query: str = "") -> tuple[int, str]:
    headers = {HEADER: word} if word else {}
    async with (
        aiohttp.ClientSession() as http,
        http.post(server.url(path) + query, headers=headers, data=b"x") as reply,
    ):
        return reply.status, await reply.text()


async def test_a_whole_look_touches_neither_webhooks_nor_media_sockets(server: Server) -> None:
    ours = Ours(server.port, "/voice/webhook", "/voice/stream")
    stream = server.url("/voice/stream").replace("http", "ws")
    target = Target(server.url("/voice/webhook"), stream, ours, "x-twilio-signature", may_be_private=True)
    report = await Outside(server.challenges).look(target)
    assert report.ok and [step.name for step in report.steps] == ["dns", "tcp", "webhook", "stream", "echo"]
    assert all(step.ms is not None for step in report.steps) and report.round_trip_ms is not None
    assert (server.webhooks, server.sockets) == (0, 0)


async def test_a_word_is_good_once_and_for_one_request(server: Server) -> None:
    with server.challenges.one() as challenge:
        status, text = await post(server, challenge.word)
        assert status == 200 and challenge.proof in text and challenge.word not in text
        assert (await post(server, challenge.word))[0] == 401
    assert server.webhooks == 1


async def test_a_word_is_good_only_while_its_look_waits(server: Server) -> None:
    with server.challenges.one() as challenge:
        pass
    with server.challenges.one():  # another look waits
        assert (await post(server, challenge.word))[0] == 401


@pytest.mark.parametrize("word", ["", "guess", "x" * 5000, "ä", "None"])
async def test_a_guess_takes_the_way_of_every_stranger(server: Server, word: str) -> None:
    with server.challenges.one() as challenge:
        sent = word.encode("utf-8").decode("latin-1")
        assert (await post(server, sent))[0] == 401
        assert (await post(server, "", query=f"?{QUERY}={word[:50]}"))[0] == 401
        assert (await post(server, sent, "/nowhere"))[0] == 404
        assert challenge.arrived is None


async def test_the_word_is_found_where_a_proxy_drops_the_header_and_on_whatever_path(server: Server) -> None:
    with server.challenges.one() as challenge:
        status, _ = await post(server, "", "/other/path", f"?{QUERY}={challenge.word}")
        assert status == 200 and challenge.arrived is not None and challenge.arrived.path == "/other/path"
        assert challenge.arrived.body == b"x"


async def test_the_socket_gives_one_frame_back_and_closes(server: Server) -> None:
    with server.challenges.one() as challenge:
        async with (
            asyncio.timeout(FRAME_SECONDS),
            aiohttp.ClientSession() as http,
            http.ws_connect(server.url("/voice/stream"), headers={HEADER: challenge.word}) as socket,
        ):
            await socket.send_str("one")
            assert (await socket.receive()).data == "one"
            assert (await socket.receive()).type is aiohttp.WSMsgType.CLOSE
    assert server.sockets == 0


async def test_a_frame_that_is_too_long_comes_not_back(server: Server) -> None:
    with server.challenges.one() as challenge:
        async with (
            asyncio.timeout(FRAME_SECONDS),
            aiohttp.ClientSession() as http,
            http.ws_connect(server.url("/voice/stream"), headers={HEADER: challenge.word}) as socket,
        ):
            await socket.send_str("x" * (MAX_FRAME + 1))
            assert (await socket.receive()).type is not aiohttp.WSMsgType.TEXT


async def test_a_socket_that_says_nothing_is_closed(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.exposure.challenge.FRAME_SECONDS", 0.05)
    with server.challenges.one() as challenge:
        async with (
            asyncio.timeout(FRAME_SECONDS),
            aiohttp.ClientSession() as http,
            http.ws_connect(server.url("/voice/stream"), headers={HEADER: challenge.word}) as socket,
        ):
            assert (await socket.receive()).type is aiohttp.WSMsgType.CLOSE


def test_only_so_many_words_are_good_at_a_time() -> None:
    challenges = Challenges()
    open_ = [challenges.one() for _ in range(MAX_WAITING)]
    words = {each.__enter__().word for each in open_}
    assert len(words) == MAX_WAITING
    with pytest.raises(RuntimeError), challenges.one():
        pass
    for each in open_:
        each.__exit__(None, None, None)
    with challenges.one() as challenge:
        assert challenge.word not in words
