"""Putting a caller through from the console: typed or by key, judged, asked about once."""

from __future__ import annotations

import pytest

from console.board import Board
from console.words import attention
from engine.api import Refusal
from tests.console.harness import bench
from tests.console.scripted import Script
from tests.console.snapshot import check, picture


def quiet() -> Script:
    script = Script()
    script.talking("anna")
    return script


async def test_a_number_that_was_typed_is_asked_about_before_anything_happens() -> None:
    async with bench(quiet().events) as made:
        await made.type(":transfer +1 555 010 0177")
        await made.press("enter")
        assert await made.shows("Put this caller through?")
        assert "+15550100142 will talk to +15550100177" in made.text()
        await made.press("enter")
        assert made.client.requests == [], "the safe answer has the focus"
        await made.type(":transfer +15550100177")
        await made.press("enter", "escape")
        assert made.client.requests == []
        await made.type(":transfer +15550100177")
        await made.press("enter", "y")
        sent = await made.requested()
        assert sent == [("voicecall.transfer", {"callId": "anna", "to": "+15550100177"})]
        await made.answered()
        assert made.notices() == ["put through to +15550100177: it comes back if nobody answers"]


async def test_the_key_has_the_number_typed() -> None:
    async with bench(quiet().events) as made:
        await made.press("x")
        await made.type("+15550100177")
        await made.press("enter")
        assert await made.shows("Put this caller through?")
        await made.press("y")
        assert len(await made.requested()) == 1


@pytest.mark.parametrize(
    ("typed", "why"),
    [
        ("555", "begin with +"),
        ("+1555", "the number is too short"),
        ("+1555x", "only digits"),
        ("+0155501001", "begin"),
    ],
)
async def test_a_number_that_is_none_is_not_asked_about(typed: str, why: str) -> None:
    async with bench(quiet().events) as made:
        await made.type(f":transfer {typed}")
        await made.press("enter")
        assert any(why in notice for notice in made.notices())
        assert made.app.screen is made.screen
        assert made.client.requests == []


async def test_a_carrier_that_can_not_transfer_says_so() -> None:
    async with bench(quiet().events) as made:
        made.client.answers["voicecall.transfer"] = Refusal("not_supported", "mock can not transfer calls")
        await made.type(":transfer +15550100177")
        await made.press("enter", "y")
        await made.requested()
        await made.answered()
        assert made.notices() == ["transfer: not_supported: mock can not transfer calls"]


async def test_masked_numbers_stay_masked_in_the_question() -> None:
    async with bench(quiet().events) as made:
        await made.press("m")
        await made.type(":transfer +15550100177")
        await made.press("enter")
        assert await made.shows("Put this caller through?")
        assert "+15550100142" not in made.text()
        assert "+15550100177" not in made.text()


async def test_a_call_that_is_over_is_not_put_through() -> None:
    script = quiet()
    script.ended("anna")
    async with bench(script.events) as made:
        await made.type(":transfer +15550100177")
        await made.press("enter")
        assert any("this call is over" in notice for notice in made.notices())


async def test_the_transcript_tells_of_machines_and_of_callers_that_left_and_came_back() -> None:
    script = quiet()
    script.add("call.machine", "anna", answeredBy="machine_end", action="leave_message")
    script.add("call.transferred", "anna", to="+15550100177", by="console")
    script.add("call.returned", "anna", why="busy", to="+15550100177")
    async with bench(script.events) as made:
        assert await made.shows("answered by: machine, greeting over")
        assert await made.shows("the caller was put through to +15550100177")
        assert await made.shows("the caller is back: busy")
        await made.press("m")
        assert await made.shows("the caller was put through to +15•••••••77")
        assert "+15550100177" not in made.text()


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_the_header_and_the_table_say_where_a_caller_is_and_how_that_ended(size: tuple[int, int]) -> None:
    script = quiet()
    script.add("call.transferred", "anna", to="+15550100177", by="console")
    async with bench(script.events, size) as made:
        assert await made.shows("⇢ put through  to +15550100177")
        row = next(line for line in made.lines() if line[1:].lstrip("▌│").startswith("⇢"))
        assert "away" in row[:48]
        check(f"away-{size[0]}x{size[1]}", picture(made))
        script.add("call.ended", "anna", 60_000, reason="completed", by="carrier")
        await made.send(script.events[-1])
        assert await made.shows("✓ completed  ⇢ +15550100177")
        await made.press("m")
        assert await made.shows("⇢ +15•••••••77")
        assert "+15550100177" not in made.text()


def test_a_caller_who_is_away_needs_nobody() -> None:
    board = Board()
    script = quiet()
    script.add("call.transferred", "anna", to="+15550100177", by="console")
    board.take(script.events)
    call = board.calls["anna"]
    assert attention(call, call.last_at + 600_000) == ()
    script.add("call.returned", "anna", why="busy")
    board.take(script.events[-1:])
    assert attention(board.calls["anna"], call.last_at + 600_000)


@pytest.mark.parametrize("floor", ["agent", "operator"])
def test_a_caller_who_is_back_needs_a_person_until_somebody_speaks(floor: str) -> None:
    def wanted() -> bool:
        call = board.calls["anna"]
        return any(need.kind == "returned" for need in attention(call, call.last_at))

    board = Board()
    script = quiet()
    script.add("floor.changed", "anna", holder=floor, by="console")
    script.add("call.transferred", "anna", to="+15550100177", by="console")
    script.add("call.returned", "anna", why="busy")
    board.take(script.events)
    assert wanted()
    seen = len(script.events)
    script.say("anna", "s", "I am sorry, nobody is there.", speaker="operator")
    board.take(script.events[seen:])
    assert not wanted()


async def test_the_log_masks_numbers() -> None:
    async with bench(quiet().events) as made:
        await made.press("m")
        await made.type(":transfer +15550100177")
        await made.press("enter", "y")
        await made.requested()
        await made.answered()
        assert all("+1555" not in notice for notice in made.notices())
        await made.press("L")
        assert await made.shows("transfer to +15•••••••77")
        assert "+1555" not in made.text()
