"""What only a client behind a socket meets: engines that are gone, come back, or were never there."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from itertools import groupby
from pathlib import Path
from typing import cast

import pytest
from aiohttp import web

from engine.client import Batch, Connection, Cursor, NoEngine, Refusal, SocketClient
from engine.control.door import Door
from engine.store import LOCK_NAME, EngineLock, EventLog
from tests.control.engine_on_log import EchoEngine
from tests.control.fixtures import TOKEN, Tcp, as_api


def watch(client: SocketClient, cursor: Cursor | None = None) -> aclosing[AsyncGenerator[Batch, None]]:
    return aclosing(cast(AsyncGenerator[Batch, None], client.watch(cursor)))


async def test_a_watcher_survives_a_restart_of_the_engine_and_misses_nothing(tmp_path: Path) -> None:
    states: list[str] = []
    seqs: list[int] = []
    lags: list[bool] = []
    state = tmp_path / "state"

    async def run_engine(events: int, until: asyncio.Event) -> None:
        async with await EventLog.open(state / "calls.db") as log:
            engine = EchoEngine(log)
            # Recorded before the door opens: the watcher has to get these from the store.
            for _ in range(events):
                await engine.record("speech.final", None, text="x")
            door = Door(as_api(engine), state, Tcp())
            await door.open()
            running.set()
            await until.wait()
            await door.close()

    async def follow(client: SocketClient) -> None:
        async with watch(client, cursor) as batches:
            async for batch in batches:
                seqs.extend(event.seq for event in batch.events)
                lags.append(batch.lagged)
                seen[len(lags) - 1].set()
                if len(lags) == 3:
                    return

    running = asyncio.Event()
    seen = [asyncio.Event() for _ in range(3)]
    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        engines = group.create_task(run_engine(3, seen[0]))
        await running.wait()
        async with await SocketClient.connect(state / "control.sock") as client:
            client.on_connection = lambda connection: states.append(connection.state)
            cursor = Cursor((await client.backlog()).cursor.generation, 0)
            reader = group.create_task(follow(client))
            await engines
            await group.create_task(run_engine(4, seen[1]))
            await group.create_task(run_engine(5, seen[2]))
            await reader
            assert client.connection == Connection("up")
    assert seqs == list(range(1, 13))
    assert lags == [False, True, True]
    assert [state for state, _ in groupby(states)] == ["up", "lost", "up", "lost", "up", "closed"]


async def test_a_state_folder_leads_to_the_socket_that_its_lock_names(
    engine: EchoEngine, door: Door, tmp_path: Path
) -> None:
    state = tmp_path / "state"
    with pytest.raises(NoEngine, match="No engine runs on the state folder"):
        await SocketClient.connect(state)
    with EngineLock.acquire(state / LOCK_NAME, version="1", control=door.address):
        async with await SocketClient.connect(str(state)) as client:
            assert (await client.health())["engine"]["version"] == "test"


@pytest.mark.parametrize("target", ["control.sock", "http://127.0.0.1:1"])
async def test_nobody_there_is_said_with_what_to_do(target: str, tmp_path: Path) -> None:
    with pytest.raises(NoEngine, match="No engine answers") as caught:
        await SocketClient.connect(target if target.startswith("http") else tmp_path / target)
    assert "voicecall serve" in caught.value.hint


async def test_a_dead_socket_file_is_nobody(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / "control.sock"))
    with pytest.raises(NoEngine, match="No engine answers"):
        await SocketClient.connect(tmp_path / "control.sock")


@pytest.mark.parametrize("token", [None, "wrong", TOKEN + "x"])
async def test_a_wrong_token_is_refused(door: Door, token: str | None) -> None:
    with pytest.raises(Refusal, match="token") as caught:
        await SocketClient.connect(door.tcp_address, token)
    assert caught.value.code == "unauthorized"


async def test_who_waits_is_told_that_the_engine_stops(engine: EchoEngine, door: Door) -> None:
    async with await SocketClient.connect(door.address) as client:
        call_id = await client.call(None, "hello")
        engine.hold.clear()
        asking = asyncio.ensure_future(client.continue_call(call_id, "still there?"))
        async with asyncio.timeout(10):
            await engine.asked.wait()
            await door.close()
            with pytest.raises(Refusal) as caught:
                await asking
            assert caught.value.code == "engine_stopping"
            with pytest.raises(NoEngine):
                await client.health()


async def test_an_engine_that_dies_before_it_answers_leaves_an_act_uncertain(tmp_path: Path) -> None:
    dead = False

    async def answer(request: web.Request) -> web.Response:
        if dead and request.transport is not None:
            request.transport.abort()
        return web.json_response({"jsonrpc": "2.0", "id": 1, "result": {}})

    path = str(tmp_path / "s.sock")
    async with serving(answer, path), await SocketClient.connect(path) as client:
        dead = True
        with pytest.raises(Refusal) as caught:
            await client.end("c1")
        assert caught.value.code == "outcome_unknown"
        with pytest.raises(NoEngine, match="went away"):
            await client.health()


async def test_a_closed_client_says_so_and_ends_its_stream(engine: EchoEngine, door: Door) -> None:
    client = await SocketClient.connect(door.address)
    await engine.record("engine.started")
    async with asyncio.timeout(10), watch(client, Cursor(engine.log.generation, 0)) as batches:
        await anext(batches)
        await client.close()
        with pytest.raises(StopAsyncIteration):
            await anext(batches)
    assert client.connection.state == "closed"
    with pytest.raises(NoEngine, match="closed"):
        await client.health()


@pytest.mark.parametrize(
    "reply", ["hello", "[]", "{}", '{"result": 1, "error": 5}', '{"error": {"message": 1, "data": []}}']
)
async def test_something_else_that_answers_is_not_taken_for_an_engine(tmp_path: Path, reply: str) -> None:
    async def answer(request: web.Request) -> web.Response:
        return web.Response(text=reply)

    path = str(tmp_path / "s.sock")
    async with serving(answer, path):
        with pytest.raises((NoEngine, Refusal)):
            client = await SocketClient.connect(path)
            await client.close()


async def test_garbage_on_the_stream_is_a_lost_connection_and_not_a_crash(tmp_path: Path) -> None:
    hellos = ['{"type":"hello","version":"1","cursor":"g:0"}'] * 2 + ["garbage"] * 2
    streams = ["garbage", '{"type":"events","events":[{}],"cursor":"g:1","lagged":false}', "", ""]
    good = '{"type":"events","events":[],"cursor":"g:9","lagged":false}'

    async def answer(request: web.Request) -> web.StreamResponse:
        if request.method == "POST":
            return web.json_response({"jsonrpc": "2.0", "id": 1, "result": {}})
        ws = web.WebSocketResponse()
        await ws.prepare(request)
        await ws.send_str(hellos.pop(0) if hellos else '{"type":"hello","version":"1","cursor":"g:0"}')
        await ws.send_str('{"type":"news of a later version"}')
        await ws.send_str(streams.pop(0) if streams else good)
        await ws.receive()
        return ws

    path = str(tmp_path / "s.sock")
    async with serving(answer, path), await SocketClient.connect(path) as client, watch(client) as batches:
        async with asyncio.timeout(10):
            batch = await anext(batches)
    assert batch == Batch([], Cursor("g", 9), lagged=True)
    assert streams == []


class serving:  # noqa: N801 (used like a function)
    """One handler for everything, on a Unix socket."""

    def __init__(self, handler: Callable[[web.Request], Awaitable[web.StreamResponse]], path: str) -> None:
        application = web.Application()
        application.router.add_route("*", "/{any:.*}", handler)
        self._runner = web.AppRunner(application, shutdown_timeout=0.1)
        self._path = path

    async def __aenter__(self) -> None:
        await self._runner.setup()
        await web.UnixSite(self._runner, self._path).start()

    async def __aexit__(self, *error: object) -> None:
        await self._runner.cleanup()


def test_importing_the_client_costs_neither_aiohttp_nor_pydantic() -> None:
    code = "import sys, engine.client; print({'aiohttp', 'pydantic', 'numpy'} & set(sys.modules))"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert shown.stdout == "set()\n"
