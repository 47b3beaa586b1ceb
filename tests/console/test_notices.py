"""Notices stand in the two bottom lines and hide nothing that lives."""

from __future__ import annotations

import pytest

from console.notices import Notice, Notices, notice_rows
from console.paint import plain, row_width
from engine.api import Refusal
from tests.console.harness import Bench, bench
from tests.console.scenes import live_details, morning
from tests.console.snapshot import check, picture

LONG = Refusal(
    "carrier_refused",
    "the carrier refused the keys: Call is not in-progress. Cannot redirect",
    "see https://www.twilio.com/docs/errors/21220, then look at the call before you try again",
)


async def refuse(made: Bench) -> None:
    made.client.answers["voicecall.dtmf"] = LONG
    await made.type(":keypad 1")
    await made.press("enter")
    await made.requested()
    await made.answered()
    await made.paint()


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_a_refusal_covers_no_call_and_no_word(size: tuple[int, int]) -> None:
    script = morning()
    async with bench(script.events, size) as made:
        await made.send(*live_details(script))
        before = made.lines()
        await refuse(made)
        after = made.lines()
        assert after[:-2] == before[:-2]
        assert "✗ keys: carrier_refused: the carrier refused" in after[-2]
        check(f"notice-{size[0]}x{size[1]}", picture(made))


async def test_a_short_notice_leaves_the_keys_in_the_footer() -> None:
    async with bench(morning().events, (80, 24)) as made:
        footer = made.lines()[-1]
        await made.press("y")
        assert made.lines()[-2:] == [" · copied the number (12 characters)", footer]


async def test_a_line_that_is_typed_is_not_covered() -> None:
    async with bench(morning().events, (80, 24)) as made:
        await made.press("y", "s")
        await made.type("hello there")
        await made.paint()
        typed, below = made.lines()[-2:]
        assert "hello there" in typed
        assert below == " · copied the number (12 characters)"


async def test_a_notice_goes_when_it_is_clicked() -> None:
    async with bench(morning().events, (80, 24)) as made:
        await made.press("y")
        await made.pilot.click("#prompt-idle")
        assert made.notices() == []
        assert "speaks in the selected call" in made.lines()[-2]


async def test_the_main_screen_shows_no_toast_even_after_a_dialog() -> None:
    async with bench(morning().events, (80, 24)) as made:
        await made.press("n")
        await made.type("+15550100152")
        await made.press("enter", "enter")
        await made.requested()
        await made.pilot.pause()
        assert await made.shows("· dialling +15550100152")
        assert made.text().count("dialling +15550100152") == 1


def test_what_went_well_makes_room_and_what_went_wrong_stays() -> None:
    notices = Notices()
    notices.add(Notice("sent 1", "information", 4.0))
    notices.add(Notice("end: refused", "error", 15.0))
    notices.add(Notice("sent 2", "information", 5.0))
    assert [notice.text for notice in notices.up(1.0)] == ["end: refused", "sent 2"]
    assert [notice.text for notice in notices.up(6.0)] == ["end: refused"]
    notices.dismiss()
    assert notices.up(7.0) == ()


@pytest.mark.parametrize("width", [60, 80, 120, 200])
@pytest.mark.parametrize("height", [1, 2])
def test_a_notice_stays_in_its_rows(width: int, height: int) -> None:
    notices = [Notice("first", "warning", 1.0), Notice("words " * 80 + "\x1b[2J[/x]", "error", 1.0)]
    rows = notice_rows(notices, width, height)
    assert len(rows) == height
    assert all(row_width(row) <= width for row in rows)
    assert plain(rows[0]).startswith(" ✗ words words")
    assert plain(rows[-1]).endswith("…")
    assert "(and 1 more)" in plain(notice_rows([notices[1], notices[0]], width, height)[0])
