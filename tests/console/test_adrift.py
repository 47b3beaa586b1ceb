"""An engine that was stopped or is out of reach: no call is shown as live that may be over."""

from __future__ import annotations

import asyncio

from tests.console.harness import Bench, bench
from tests.console.scenes import live_details, morning
from tests.console.scripted import Script


async def lose(made: Bench) -> None:
    """Break the connection and keep it broken."""
    made.client.backlog_answer = ConnectionRefusedError("nobody listens")
    made.client.fail(ConnectionResetError("engine went away"))
    await made.client.taken()
    async with asyncio.timeout(10):
        while made.app.feed.link.state != "lost":
            await made.pilot.pause()
    await made.paint()


def unknown_rows(made: Bench) -> list[str]:
    return [row for row in made.lines()[1:] if "? unknown" in row]


async def test_calls_of_a_lost_engine_are_unknown_until_it_is_back() -> None:
    script = morning()
    async with bench(script.events) as made:
        await made.send(*live_details(script))
        await lose(made)
        assert "connection to the engine lost" in made.lines()[1]
        assert "4 unknown · 8 today" in made.lines()[0]
        assert " live" not in made.lines()[0]
        assert len(unknown_rows(made)) == 4
        assert "!" not in made.lines()[0]
        shown = made.lines()[3]
        made.clock[0] += 60_000
        await made.paint()
        assert made.lines()[3] == shown, "time does not go on for a call that nobody hears of"
        made.client.backlog_answer = None
        assert await made.shows("3 live · 1 ringing")
        assert unknown_rows(made) == []


async def test_an_engine_that_was_stopped_says_so_and_no_call_is_live() -> None:
    script = morning()
    async with bench(script.events, attached=True) as made:
        for call_id in ("anna", "berta", "carl"):
            script.ended(call_id, "hangup-bot", "engine")
        script.add("engine.stopped", why="asked to")
        await made.send(*script.events[-4:])
        await lose(made)
        assert "the engine was stopped" in made.lines()[1]
        assert "connection to the engine lost" not in made.text()
        assert "1 unknown · 8 today" in made.lines()[0]
        assert len(unknown_rows(made)) == 1
        assert "ended by the engine" in made.text()


async def test_an_engine_that_was_stopped_after_all_its_calls_shows_none() -> None:
    script = Script()
    script.talking("anna")
    script.ended("anna", "hangup-bot", "engine")
    script.add("engine.stopped", why="asked to")
    async with bench(script.events) as made:
        await lose(made)
        assert "0 live · 0 ringing" in made.lines()[0]
        assert "we ended" in made.text()
