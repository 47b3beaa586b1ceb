"""The door over real sockets: who comes in, how much, and that a slow or rude client costs nobody else anything."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
import stat
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from pydantic import SecretStr

from engine.control.address import MAX_SOCKET_PATH, DoorError, socket_path
from engine.control.attach import MAX_CONCURRENT
from engine.control.door import Door
from tests.control.engine_on_log import EchoEngine
from tests.control.fixtures import TOKEN, Tcp, as_api

HEALTH = {"jsonrpc": "2.0", "id": 1, "method": "voicecall.health"}
BEARER = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture
async def unix(door: Door) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession("http://localhost", connector=aiohttp.UnixConnector(door.address)) as session:
        yield session


@pytest.fixture
async def tcp(door: Door) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(door.tcp_address) as session:
        yield session


class TestSocket:
    async def test_it_is_for_its_owner_alone_and_goes_with_the_door(self, door: Door, tmp_path: Path) -> None:
        assert stat.S_IMODE(os.stat(door.address).st_mode) == 0o600
        await door.close()
        await door.close()
        assert "control.sock" not in os.listdir(tmp_path / "state")

    async def test_a_dead_socket_is_replaced(self, engine: EchoEngine, tmp_path: Path) -> None:
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(str(tmp_path / "control.sock"))
        door = Door(as_api(engine), tmp_path, Tcp())
        await door.open()
        await door.close()

    async def test_one_that_answers_is_left_alone(self, engine: EchoEngine, door: Door, tmp_path: Path) -> None:
        with pytest.raises(DoorError, match="Another engine answers"):
            await Door(as_api(engine), tmp_path / "state", Tcp()).open()
        assert "control.sock" in os.listdir(tmp_path / "state")

    async def test_a_file_in_the_way_is_left_alone(self, engine: EchoEngine, tmp_path: Path) -> None:
        (tmp_path / "control.sock").write_text("mine")
        with pytest.raises(DoorError, match="in the way"):
            await Door(as_api(engine), tmp_path, Tcp()).open()
        assert (tmp_path / "control.sock").read_text() == "mine"

    async def test_a_path_too_long_for_a_socket_goes_to_the_runtime_folder(
        self, engine: EchoEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        short = tempfile.mkdtemp(prefix="vc")
        monkeypatch.setattr(
            "engine.control.address.platformdirs.user_runtime_path", lambda *a, **k: Path(short) / "rt"
        )
        deep = tmp_path / ("d" * 60) / ("e" * 60)
        path = socket_path(deep)
        assert len(os.fsencode(path)) <= MAX_SOCKET_PATH
        assert path != socket_path(tmp_path / ("d" * 60) / ("f" * 60))
        door = Door(as_api(engine), deep, Tcp())
        await door.open()
        try:
            assert door.address == str(path)
            assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        finally:
            await door.close()
            shutil.rmtree(short)

    async def test_a_runtime_folder_that_others_may_write_is_refused(
        self, engine: EchoEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("engine.control.address.platformdirs.user_runtime_path", lambda *a, **k: tmp_path / "rt")
        (tmp_path / "rt").mkdir()
        (tmp_path / "rt" / "other").touch()
        (tmp_path / "rt").chmod(0o777)
        with pytest.raises(DoorError, match="not yours alone"):
            await Door(as_api(engine), tmp_path / ("d" * 120), Tcp()).open()


class TestTcp:
    async def test_it_needs_the_token(self, tcp: aiohttp.ClientSession) -> None:
        wrong = [
            {},
            {"Authorization": "Bearer nope"},
            {"Authorization": f"Basic {TOKEN}"},
            {"Authorization": "Bearer"},
        ]
        for headers in wrong:
            async with tcp.post("/rpc", json=HEALTH, headers=headers) as response:
                assert response.status == 401
                assert response.headers["WWW-Authenticate"] == "Bearer"
                assert (await response.json())["error"]["data"]["code"] == "unauthorized"
            with pytest.raises(aiohttp.WSServerHandshakeError, match="401"):
                await tcp.ws_connect("/attach", headers=headers)
        async with tcp.post("/rpc", json=HEALTH, headers=BEARER) as response:
            assert (await response.json())["result"]["engine"] == {"version": "test"}

    async def test_a_web_page_can_not_come_in(self, tcp: aiohttp.ClientSession) -> None:
        page = {**BEARER, "Origin": "https://evil.example"}
        async with tcp.post("/rpc", json=HEALTH, headers=page) as response:
            assert response.status == 403
        with pytest.raises(aiohttp.WSServerHandshakeError, match="403"):
            await tcp.ws_connect("/attach", headers=page)
        async with tcp.post("/rpc", data=json.dumps(HEALTH), headers=BEARER) as response:
            assert response.status == 415

    async def test_health_is_for_everybody_and_says_nothing_more(self, tcp: aiohttp.ClientSession) -> None:
        async with tcp.get("/healthz") as response:
            assert (response.status, await response.json()) == (200, {"ok": True})

    @pytest.mark.parametrize("bind", ["0.0.0.0", "::", "192.0.2.1", "example.com"])
    async def test_beyond_this_machine_a_token_is_needed(self, engine: EchoEngine, tmp_path: Path, bind: str) -> None:
        with pytest.raises(DoorError, match="without a token"):
            await Door(as_api(engine), tmp_path, Tcp(bind, 0)).open()
        assert not (tmp_path / "control.sock").exists()

    @pytest.mark.parametrize(
        ("host", "status"),
        [
            ("127.0.0.1:80", 200),
            ("localhost", 200),
            ("[::1]:5", 200),
            ("evil.example", 403),
            ("localhost.evil.example", 403),
        ],
    )
    async def test_without_a_token_the_host_must_be_this_machine(
        self, engine: EchoEngine, tmp_path: Path, host: str, status: int
    ) -> None:
        door = Door(as_api(engine), tmp_path, Tcp(port=0))
        await door.open()
        async with (
            aiohttp.ClientSession(door.tcp_address) as session,
            session.post("/rpc", json=HEALTH, headers={"Host": host}) as response,
        ):
            assert response.status == status
        await door.close()

    async def test_a_port_in_use_says_so_and_leaves_nothing_open(
        self, engine: EchoEngine, door: Door, tmp_path: Path
    ) -> None:
        port = int(door.tcp_address.rpartition(":")[2])
        with pytest.raises(DoorError, match=rf"127\.0\.0\.1:{port}"):
            await Door(as_api(engine), tmp_path, Tcp(port=port, token=SecretStr("x"))).open()
        assert not (tmp_path / "control.sock").exists()


class TestLimits:
    async def test_a_body_has_64_kib_at_most(self, unix: aiohttp.ClientSession) -> None:
        params = {"callId": "c", "message": "x" * 65_536}
        async with unix.post("/rpc", json={**HEALTH, "params": params}) as response:
            assert response.status == 413
            assert "65536" in (await response.json())["error"]["message"]

    @pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe", b"[[[[", b"[" * 60_000, b'"\\ud800"', b"NaN", b"1e999"])
    async def test_garbage_is_answered(self, unix: aiohttp.ClientSession, body: bytes) -> None:
        async with unix.post("/rpc", data=body) as response:
            assert response.status == 200
            assert (await response.json())["error"]["code"] in (-32700, -32600)

    async def test_a_body_that_does_not_arrive_is_given_up(
        self, unix: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("engine.control.door.BODY_TIMEOUT_S", 0.05)
        over = asyncio.Event()

        async def drip() -> AsyncIterator[bytes]:
            yield b"{"
            await over.wait()

        async with asyncio.timeout(10), unix.post("/rpc", data=drip()) as response:
            assert response.status == 408
            over.set()

    async def test_too_many_requests_at_once_are_refused_and_others_go_on(
        self, unix: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("engine.control.door.MAX_IN_FLIGHT", 0)
        async with unix.post("/rpc", json=HEALTH) as response:
            assert response.status == 503
            assert (await response.json())["error"]["data"]["code"] == "at_capacity"

    async def test_everything_else_is_404(self, unix: aiohttp.ClientSession) -> None:
        async with unix.get("/") as response:
            assert response.status == 404
        async with unix.get("/rpc") as response:
            assert response.status == 405

    async def test_a_notification_has_no_content(self, unix: aiohttp.ClientSession) -> None:
        async with unix.post("/rpc", json={"jsonrpc": "2.0", "method": "voicecall.health"}) as response:
            assert (response.status, await response.read()) == (204, b"")

    async def test_the_client_names_itself_for_the_record(
        self, unix: aiohttp.ClientSession, engine: EchoEngine
    ) -> None:
        dial = {**HEALTH, "method": "voicecall.initiate", "params": {"message": "x"}}
        for name in ("agent", "bad\tname", "x" * 99):
            async with unix.post("/rpc", json=dial, headers={"X-Voicecall-Client": name}):
                pass
        assert [by for _, by in engine.acts] == ["agent", "rpc", "rpc"]


class TestAttach:
    async def test_it_says_hello_sends_events_and_answers_requests(
        self, unix: aiohttp.ClientSession, engine: EchoEngine
    ) -> None:
        await engine.record("engine.started")
        generation = engine.log.generation
        async with asyncio.timeout(10), unix.ws_connect(f"/attach?cursor={generation}:0") as ws:
            hello = await ws.receive_json()
            assert (hello["type"], hello["cursor"]) == ("hello", f"{generation}:0")
            assert hello["version"]
            await ws.send_json(HEALTH)
            got = [await ws.receive_json(), await ws.receive_json()]
        events = next(message for message in got if message.get("type") == "events")
        assert [event["type"] for event in events["events"]] == ["engine.started"]
        assert (events["cursor"], events["lagged"]) == (f"{generation}:1", False)
        assert next(message for message in got if "id" in message)["result"]["slots"] == {"live": 0}

    @pytest.mark.parametrize(
        "query", ["cursor=x", "cursor=:5", "cursor=g:-1", "last=x", "last=-1", "last=1001", "last=²"]
    )
    async def test_a_wrong_query_is_refused(self, unix: aiohttp.ClientSession, query: str) -> None:
        async with unix.get(f"/attach?{query}") as response:
            assert response.status == 400
            assert "attach" in (await response.json())["error"]["message"]

    async def test_garbage_gets_answers_and_the_stream_goes_on(
        self, unix: aiohttp.ClientSession, engine: EchoEngine
    ) -> None:
        async with asyncio.timeout(10), unix.ws_connect("/attach") as ws:
            await ws.receive_json()
            for text in ("", "{", "[]", "null", "\0"):
                await ws.send_str(text)
                assert "error" in await ws.receive_json()
            await ws.send_bytes(b"\x00" * 100)
            assert "text frames" in (await ws.receive_json())["error"]["message"]
            await engine.record("engine.started")
            assert (await ws.receive_json())["events"][0]["type"] == "engine.started"

    async def test_a_message_that_is_too_large_ends_this_connection_alone(
        self, unix: aiohttp.ClientSession, engine: EchoEngine
    ) -> None:
        async with asyncio.timeout(10), unix.ws_connect("/attach") as rude, unix.ws_connect("/attach") as other:
            await rude.send_str("x" * 70_000)
            async for _ in rude:
                pass
            assert rude.close_code == aiohttp.WSCloseCode.MESSAGE_TOO_BIG
            await other.send_json(HEALTH)
            await other.receive_json()
            assert "result" in await other.receive_json()

    async def test_one_client_has_a_bounded_number_of_requests_under_way(
        self, unix: aiohttp.ClientSession, engine: EchoEngine
    ) -> None:
        wait = {**HEALTH, "method": "voicecall.events", "params": {"waitMs": 40_000}}
        async with asyncio.timeout(10), unix.ws_connect("/attach") as ws:
            await ws.receive_json()
            for number in range(MAX_CONCURRENT + 1):
                await ws.send_json({**wait, "id": number})
            answer = await ws.receive_json()
            assert (answer["id"], answer["error"]["data"]["code"]) == (MAX_CONCURRENT, "at_capacity")

    async def test_only_so_many_clients_attach(
        self, unix: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("engine.control.door.MAX_ATTACHED", 1)
        async with asyncio.timeout(10), unix.ws_connect("/attach") as ws:
            await ws.receive_json()
            with pytest.raises(aiohttp.WSServerHandshakeError, match="503"):
                await unix.ws_connect("/attach")

    async def test_a_client_that_never_reads_slows_nobody_and_is_dropped(
        self, unix: aiohttp.ClientSession, door: Door, engine: EchoEngine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("engine.control.attach.SEND_TIMEOUT_S", 0.2)
        reader, writer = await asyncio.open_unix_connection(door.address, limit=1024)
        upgrade = (
            f"GET /attach?cursor={engine.log.generation}:0 HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n"
            "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        )
        writer.write(upgrade.encode())
        async with asyncio.timeout(30):
            assert b"101" in await reader.readline()
            writer.transport.pause_reading()  # type: ignore[attr-defined]
            for _ in range(40):
                await asyncio.gather(*(engine.record("speech.final", None, text="x" * 50_000) for _ in range(5)))
            async with unix.ws_connect("/attach?last=1") as ws:
                await ws.receive_json()
                assert (await ws.receive_json())["events"][0]["seq"] == 200
                # That its place is free again is the only trace of its going.
                while len(door._attached) > 1:  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
        writer.close()

    async def test_when_the_engine_stops_the_stream_is_closed_politely(
        self, unix: aiohttp.ClientSession, door: Door
    ) -> None:
        async with asyncio.timeout(10), unix.ws_connect("/attach") as ws:
            await ws.receive_json()
            closing = asyncio.create_task(door.close())
            async for _ in ws:
                pass
            assert ws.close_code == aiohttp.WSCloseCode.GOING_AWAY
            await closing


async def test_a_log_that_ends_ends_the_stream(unix: aiohttp.ClientSession, engine: EchoEngine) -> None:
    async with asyncio.timeout(10), unix.ws_connect("/attach") as ws:
        await ws.receive_json()
        await engine.watched.wait()
        await engine.log.close()
        async for _ in ws:
            pass
        assert ws.close_code == aiohttp.WSCloseCode.GOING_AWAY
