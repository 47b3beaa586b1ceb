"""A tunnel is kept open: limits, pauses, a budget, and what is told. Time is virtual."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

import pytest

from engine.exposure.backoff import BUDGET, BUDGET_SECONDS, PAUSES, STEADY_SECONDS, Backoff
from engine.exposure.port import Address, Local, Tunnel, TunnelError
from engine.exposure.supervisor import CLOSE_SECONDS, FIRST_SECONDS, OPEN_SECONDS, State, Supervisor
from tests.exposure.agents import LOCAL
from tests.virtual_time import virtual_time

GONE = TunnelError("the agent died", "start it", code="ERR_1")


def address(name: str = "a") -> Address:
    return LOCAL.at(f"https://{name}.example")


class Acted(Tunnel):
    """A tunnel that does what a test says: opens after some seconds or fails, and is lost after some."""

    name = "acted"
    pid = None

    def __init__(self, *opens: tuple[float, Address | Exception], lost_after: float | None = None) -> None:
        self.opens = deque(opens)
        self.lost_after = lost_after
        self.news: deque[tuple[float, Address]] = deque()
        self.log: list[tuple[str, float]] = []
        self.is_open = False
        self.close_seconds = 0.0

    def note(self, what: str) -> None:
        self.log.append((what, round(asyncio.get_running_loop().time(), 3)))

    async def open(self, local: Local) -> Address:
        self.note("open")
        assert not self.is_open
        seconds, result = self.opens[0] if len(self.opens) == 1 else self.opens.popleft()
        await asyncio.sleep(seconds)
        if isinstance(result, Exception):
            raise result
        self.is_open = True
        return result

    async def watch(self) -> Address:
        if self.news:
            seconds, there = self.news.popleft()
            await asyncio.sleep(seconds)
            return there
        if self.lost_after is None:
            await asyncio.get_running_loop().create_future()
        await asyncio.sleep(self.lost_after or 0)
        raise GONE

    async def close(self) -> None:
        self.is_open = False
        self.note("close")
        await asyncio.sleep(self.close_seconds)

    def times(self, what: str) -> list[float]:
        return [at for name, at in self.log if name == what]


class Watched:
    """A supervisor at work, and every state that it told."""

    def __init__(self, tunnel: Acted, check: Callable[[Address], None] = lambda _: None) -> None:
        self.states: list[State] = []
        self.supervisor = Supervisor(tunnel, self.states.append, check)
        self.task = asyncio.create_task(self.supervisor.run(LOCAL))

    async def __aenter__(self) -> Watched:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.supervisor.close()
        assert self.task.done()


@virtual_time
async def test_an_open_tunnel_is_told_once_and_closed_at_the_end() -> None:
    tunnel = Acted((1, address()))
    async with Watched(tunnel) as at:
        assert not at.supervisor.state.ok and at.supervisor.state.error
        await at.supervisor.settle()
        await asyncio.sleep(1000)
        assert [state.address for state in at.states] == [address()] and at.supervisor.state.ok
    assert not tunnel.is_open and tunnel.times("open") == [0]


@virtual_time
async def test_a_tunnel_that_fails_at_the_start_is_told_and_tried_again_with_growing_pauses() -> None:
    tunnel = Acted((0, GONE))
    async with Watched(tunnel) as at:
        await at.supervisor.settle()
        state = at.supervisor.state
        assert (state.ok, state.error, state.hint, state.code) == (False, "the agent died", "start it", "ERR_1")
        assert state.retry_at is not None and 900 <= state.retry_at - state.since <= 1000
        await asyncio.sleep(sum(PAUSES) + 1)
    opens = tunnel.times("open")
    assert [round(b - a, 3) for a, b in zip(opens, opens[1:], strict=False)] == list(PAUSES)
    assert len(tunnel.times("close")) >= len(opens)


@virtual_time
async def test_one_that_never_opens_meets_the_limit_and_the_start_does_not_wait_for_it() -> None:
    tunnel = Acted((10_000, address()))
    async with Watched(tunnel) as at:
        await at.supervisor.settle()
        assert asyncio.get_running_loop().time() == FIRST_SECONDS
        await asyncio.sleep(OPEN_SECONDS)
        assert "not open within 25 s" in at.states[0].error and at.states[0].hint


@virtual_time
async def test_pain_d4_a_lost_tunnel_is_told_and_opened_again_under_its_new_name() -> None:
    tunnel = Acted((0, address("a")), (0, address("b")), lost_after=300)
    async with Watched(tunnel) as at:
        await asyncio.sleep(302)
        assert [state.address for state in at.states] == [address("a"), None, address("b")]
        assert at.states[1].error == "the agent died" and at.states[2].restarts == 1


@virtual_time
async def test_an_address_that_changes_while_the_tunnel_stands_is_told() -> None:
    tunnel = Acted((0, address("a")))
    tunnel.news.append((5, address("b")))
    async with Watched(tunnel) as at:
        await asyncio.sleep(10)
        assert [state.address for state in at.states] == [address("a"), address("b")]
        assert tunnel.times("open") == [0]


@virtual_time
async def test_an_address_that_is_not_good_is_refused_and_the_tunnel_closed() -> None:
    def check(found: Address) -> None:
        if "bad" in found.webhook_url:
            raise TunnelError("nobody reaches that", "use another")

    tunnel = Acted((0, address("bad")), (0, address("a")))
    tunnel.news.append((5, address("bad")))
    async with Watched(tunnel, check) as at:
        await asyncio.sleep(8)
        assert [state.error for state in at.states] == ["nobody reaches that", "", "nobody reaches that"]
        assert not tunnel.is_open


@virtual_time
async def test_trouble_with_a_program_is_trouble_with_the_tunnel_and_no_end_of_the_engine() -> None:
    tunnel = Acted((0, OSError(28, "No space left on device")), (0, address()))
    async with Watched(tunnel) as at:
        await asyncio.sleep(2)
        assert "No space left" in at.states[0].error and at.states[1].ok


@virtual_time
async def test_closing_does_not_wait_for_an_opening_that_hangs_nor_for_a_close_that_does() -> None:
    tunnel = Acted((10_000, address()))
    tunnel.close_seconds = 10_000
    async with Watched(tunnel):
        await asyncio.sleep(1)
    assert asyncio.get_running_loop().time() <= 1 + CLOSE_SECONDS


@virtual_time
async def test_closing_during_a_pause_ends_the_attempts() -> None:
    tunnel = Acted((0, GONE))
    async with Watched(tunnel):
        await asyncio.sleep(4)
    count = len(tunnel.times("open"))
    await asyncio.sleep(1000)
    assert len(tunnel.times("open")) == count


@virtual_time
async def test_at_most_twenty_attempts_an_hour() -> None:
    tunnel = Acted((0, GONE))
    async with Watched(tunnel):
        await asyncio.sleep(6 * BUDGET_SECONDS)
    opens = tunnel.times("open")
    assert len(opens) > 2 * BUDGET
    assert all(len([at for at in opens if start <= at < start + BUDGET_SECONDS]) <= BUDGET for start in opens)


def test_a_tunnel_that_was_up_for_long_starts_over_with_short_pauses() -> None:
    backoff = Backoff()
    first = [backoff.failed(0) for _ in range(4)]
    backoff.worked(STEADY_SECONDS - 1)
    still = backoff.failed(0)
    backoff.worked(STEADY_SECONDS)
    assert first == list(PAUSES[:4]) and still == PAUSES[4] and backoff.failed(0) == PAUSES[0]


@pytest.mark.parametrize("base", ["https://a.example", "https://a.example/"])
def test_addresses_are_made_of_a_base(base: str) -> None:
    assert LOCAL.at(base) == Address("https://a.example/voice/webhook", "wss://a.example/voice/stream")
    prefixed: Any = LOCAL.at("http://a.example:81/x/")
    assert prefixed == Address("http://a.example:81/x/voice/webhook", "ws://a.example:81/x/voice/stream")
