"""The simulator as a process of its own."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace

import aiohttp
import pytest

from engine.carriers.base import DialOrder
from engine.carriers.mock import MockCarrier
from engine.simulator.launch import (
    STATE_FILE,
    SimulatorAddress,
    SimulatorFailed,
    ensure_simulator,
    find_simulator,
    start_simulator,
)

SETUP = {"api_key": "an api key", "signing_secret": "a signing secret", "seed": 3}
LIMIT_S = 20


@pytest.fixture
async def folder(tmp_path: Path) -> AsyncIterator[Path]:
    """A state directory; a simulator that is still running in it is ended."""
    yield tmp_path
    try:
        os.kill(pid_in(tmp_path), signal.SIGTERM)
    except (OSError, ValueError):
        return
    await gone(tmp_path)


def pid_in(folder: Path) -> int:
    return int(json.loads((folder / STATE_FILE).read_text())["pid"])


def command_line(pid: int) -> bytes:
    path = Path(f"/proc/{pid}/cmdline")
    if not path.exists():
        pytest.skip("there is no /proc here")
    return path.read_bytes()


async def gone(folder: Path) -> None:
    """Return when the simulator has taken its address away."""
    async with asyncio.timeout(LIMIT_S):
        while (folder / STATE_FILE).exists():  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.05)


async def ping(address: SimulatorAddress) -> int:
    headers = {"Authorization": f"Bearer {address.api_key}"}
    async with aiohttp.ClientSession() as http, http.get(f"{address.base_url}/v1/ping", headers=headers) as reply:
        return reply.status


async def test_a_simulator_is_started_once_and_found_again(folder: Path) -> None:
    config = SimpleNamespace(seed=3, callers=[], inbound_every_seconds=0)
    first = await ensure_simulator(folder, config)
    assert await ping(first) == 200
    assert await ensure_simulator(folder, config) == first
    assert (folder / STATE_FILE).stat().st_mode & 0o777 == 0o600


async def test_keys_are_not_on_the_command_line(folder: Path) -> None:
    address = await start_simulator(folder, SETUP)
    assert address.api_key.encode() not in command_line(pid_in(folder))


async def test_it_ends_by_itself_when_nobody_needs_it(folder: Path) -> None:
    await start_simulator(folder, {**SETUP, "linger_s": 0.3})
    await gone(folder)


async def call_up(address: SimulatorAddress) -> tuple[MockCarrier, str]:
    """A carrier that the simulator is there for alone, and a call that rings."""
    carrier = MockCarrier(address.base_url, address.api_key, address.signing_secret, ends_with_us=True)
    await carrier.open()
    order = DialOrder("c1", "+15550100100", "+15550100156", "http://127.0.0.1:9/", 60_000, 60)
    return carrier, await carrier.dial(order)


async def test_it_ends_at_once_when_its_engine_has_left_and_no_call_is_up(folder: Path) -> None:
    address = await start_simulator(folder, SETUP)
    carrier, call_id = await call_up(address)
    await carrier.hang_up(call_id)
    await carrier.close()
    async with asyncio.timeout(5):
        await gone(folder)


async def test_it_stays_with_a_call_that_is_up_and_with_an_engine_that_comes_back(folder: Path) -> None:
    address = await start_simulator(folder, SETUP)
    carrier, call_id = await call_up(address)
    await carrier.close()
    await asyncio.sleep(1.2)  # longer than it takes to look whether it is needed
    await carrier.open()
    await carrier.hang_up(call_id)
    await asyncio.sleep(1.2)
    assert await ping(address) == 200
    await carrier.close()


async def test_a_simulator_that_belongs_to_others_stays_when_we_go(folder: Path) -> None:
    address = await start_simulator(folder, SETUP)
    config = SimpleNamespace(api_base_url=address.base_url, api_key="an api key", signing_secret="a signing secret")
    shared = await ensure_simulator(folder, config)
    carrier = MockCarrier(shared.base_url, shared.api_key, shared.signing_secret, ends_with_us=shared.ours)
    await carrier.open()
    await carrier.close()
    await asyncio.sleep(1.2)  # longer than it takes to look whether it is needed
    assert await ping(address) == 200


async def test_a_stale_address_is_not_used(folder: Path) -> None:
    stale = {"pid": 1, "base_url": "http://127.0.0.1:9", "api_key": "x", "signing_secret": "y"}
    (folder / STATE_FILE).write_text(json.dumps(stale))
    assert await find_simulator(folder) is None
    (folder / STATE_FILE).write_text("{")
    assert await find_simulator(folder) is None


async def test_an_external_simulator_is_taken_as_configured_and_needs_its_keys(folder: Path) -> None:
    config = SimpleNamespace(api_base_url="http://sim:1/", api_key="key", signing_secret="secret")
    assert await ensure_simulator(folder, config) == SimulatorAddress("http://sim:1", "key", "secret", ours=False)
    config.signing_secret = None
    with pytest.raises(SimulatorFailed, match=r"mock\.signing_secret"):
        await ensure_simulator(folder, config)


async def test_a_simulator_that_can_not_start_says_where_its_log_is(folder: Path) -> None:
    with pytest.raises(SimulatorFailed, match=r"simulator\.log"):
        await start_simulator(folder, {**SETUP, "callers": [{"number": "+15550100101", "manners": ["rude"]}]})
    assert "rude" in (folder / "simulator.log").read_text()
