"""A stranger who waits to be let in can not be missed, and one key decides about the one that is seen."""

from __future__ import annotations

from typing import Any

import pytest

from console.board import Board
from console.keys import Registry
from console.paint import plain, row_width
from console.widgets.waiting import attestation_text, find_stranger, waiting_rows
from engine.api import Refusal
from tests.console.harness import Bench, bench
from tests.console.scenes import morning
from tests.console.scripted import HEALTH, START, Script
from tests.console.snapshot import check, picture
from tests.console.test_hostile import HOSTILE

EVE, TOM = "+15550100166", "+447700900155"


def waits(script: Script, call_id: str = "eve", number: str = EVE, **facts: Any) -> None:
    ends: dict[str, Any] = {"from_": number, "to": "+15550109999"}
    script.add("call.initiated", call_id, provider="mock", direction="inbound", mode="conversation", **ends)
    script.add("call.accepted", call_id, providerCallId=f"sim-{call_id}")
    script.add("call.ringing", call_id)
    script.add("call.waiting", call_id, **{"seconds": 30, "earlier": 0, **facts})
    script.webhook(call_id, "call.incoming", "hold: the caller waits")


def scene() -> Script:
    script = morning()
    waits(script, attestation="TN-Validation-Passed-B", earlier=3)
    waits(script, "tom", TOM)
    return script


@pytest.fixture
def bells(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    rung: list[str] = []
    monkeypatch.setattr("console.app.ConsoleApp.bell", lambda app: rung.append("bell"))
    return rung


def banner(made: Bench) -> list[str]:
    """The lines between the header and the calls."""
    return made.lines()[1:3]


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_how_it_looks(size: tuple[int, int]) -> None:
    script = scene()
    async with bench(script.events, size, now=script.at + 9_000) as made:
        assert await made.shows("lets in once")
        check(f"waiting-{size[0]}x{size[1]}", picture(made))


async def test_who_waits_comes_first_with_a_sign_and_a_word_and_the_seconds_run_down() -> None:
    script = scene()
    async with bench(script.events, (120, 40), now=script.at) as made:
        rows = [row for row in made.lines() if "◈ waiting" in row]
        assert EVE in rows[0] and TOM in rows[1]
        assert made.table._order[:2] == ["eve", "tom"]
        assert "2 waiting · 3 live · 1 ringing" in made.lines()[0]
        left = next(row for row in made.lines() if "s left" in row)
        assert f"◈ {EVE} waits · 30 s left · caller known, number not · 3 earlier calls" in left
        made.clock[0] += 12_000
        await made.paint()
        assert "18 s left" in made.text() and "00:12" in next(row for row in made.lines() if "◈ waiting" in row)
        made.clock[0] += 60_000
        await made.paint()
        assert "· 0 s left" in made.text()


@pytest.mark.parametrize(("key", "verdict"), [("a", "once"), ("A", "always"), ("r", "no")])
async def test_one_key_decides_without_a_question(key: str, verdict: str) -> None:
    async with bench(scene().events, (80, 24)) as made:
        await made.press(key)
        assert await made.requested() == [("voicecall.admit", {"callId": "eve", "verdict": verdict})]
        await made.answered()
        assert EVE in made.notices()[0]


async def test_the_selected_one_is_meant_if_they_wait_and_the_banner_says_so() -> None:
    async with bench(scene().events) as made:
        await made.press("j", "a")
        assert TOM in banner(made)[0]
        made.table.select("anna")
        await made.paint()
        assert EVE in banner(made)[0] and "1 more waiting" in banner(made)[1]
        await made.press("r")
        decided = [(what["callId"], what["verdict"]) for _, what in await made.requested(2)]
        assert decided == [("tom", "once"), ("eve", "no")]


async def test_a_key_never_means_somebody_who_was_not_seen_yet() -> None:
    script = scene()
    async with bench(script.events) as made:
        script.ended("eve")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(made.screen, "paint", lambda now=None: None)
            made.client.send(script.events[-1])
            await made.client.taken()
            await made.press("a")
        assert made.client.requests == []
        assert made.notices() == ["this caller waits no more"]
        await made.paint()
        await made.press("a")
        assert await made.requested() == [("voicecall.admit", {"callId": "tom", "verdict": "once"})]


async def test_the_bell_rings_once_for_everybody_who_begins_to_wait(bells: list[str]) -> None:
    script = morning()
    async with bench(script.events) as made:
        await made.paint()
        assert bells == []
        for count, call_id in enumerate(("eve", "tom"), 1):
            before = len(script.events)
            waits(script, call_id)
            await made.send(*script.events[before:])
            await made.paint()
            assert len(bells) == count
        script.add("call.admitted", "eve", verdict="once", by="console")
        await made.send(script.events[-1])
        assert len(bells) == 2


async def test_who_waits_when_a_console_attaches_rings_too(bells: list[str]) -> None:
    async with bench(scene().events) as made:
        await made.paint()
        assert bells == ["bell"]


async def test_behind_a_dialog_a_notice_says_it(bells: list[str]) -> None:
    script = morning()
    async with bench(script.events) as made:
        await made.press("e")
        assert await made.shows("End this call?")
        before = len(script.events)
        waits(script)
        await made.send(*script.events[before:])
        assert bells == ["bell"]
        assert made.notices() == ["a caller waits to be let in"]


async def test_neither_a_filter_nor_a_frozen_picture_nor_a_zoom_hides_it() -> None:
    script = morning()
    async with bench(script.events) as made:
        await made.type("/miller")
        await made.press("enter", "p", "z")
        before = len(script.events)
        waits(script)
        await made.send(*script.events[before:])
        assert EVE in banner(made)[0]
        await made.press("a")
        assert (await made.requested())[0][1]["callId"] == "eve"


@pytest.mark.parametrize(
    ("type_", "facts"),
    [
        ("call.admitted", {"verdict": "once", "by": "console"}),
        ("call.admitted", {"verdict": "no", "by": "engine"}),
        ("call.ended", {"reason": "hangup-user", "by": "caller"}),
    ],
)
async def test_the_banner_goes_when_nobody_waits_any_more(type_: str, facts: dict[str, Any]) -> None:
    script = morning()
    waits(script)
    async with bench(script.events) as made:
        assert await made.shows("lets in once")
        script.add(type_, "eve", **facts)
        await made.send(script.events[-1])
        await made.pilot.pause()
        assert "s left" not in made.text() and "lets in once" not in made.text()
        assert made.screen.query_one("#waiting").size.height == 0
        await made.press("a")
        assert made.client.requests == [] and made.notices() == ["nobody waits to be let in"]


async def test_without_an_engine_nobody_is_decided_about() -> None:
    script = scene()
    async with bench(script.events) as made:
        script.add("engine.stopped", why="asked to")
        await made.send(script.events[-1])
        assert "s left" not in made.text()
        await made.press("A")
        assert made.client.requests == []


async def test_a_hidden_number_is_not_let_in_for_good() -> None:
    script = morning()
    waits(script, number="")
    async with bench(script.events, (80, 24)) as made:
        assert "a hidden number waits" in banner(made)[0]
        assert "a lets in once  r rejects" in banner(made)[1]
        made.client.answers["voicecall.admit"] = Refusal("not_supported", "the caller hides the number", "once")
        await made.press("A")
        await made.requested()
        await made.answered()
        assert made.notices() == ["admit: not_supported: the caller hides the number; once"]


async def test_the_second_console_is_told_that_it_was_decided() -> None:
    async with bench(scene().events) as made:
        why = "nobody waits to be let in with this call (console decided: once)"
        made.client.answers["voicecall.admit"] = Refusal("not_waiting", why)
        await made.press("r")
        await made.requested()
        await made.answered()
        assert made.notices() == [f"admit: not_waiting: {why}"]


async def test_the_transcript_tells_who_let_them_in() -> None:
    script = scene()
    script.add("call.admitted", "eve", verdict="always", by="console")
    async with bench(script.events) as made:
        made.table.select("eve")
        await made.paint()
        assert "waits to be let in" in made.text() and "let in always by the console" in made.text()
        assert "◐ ringing" in made.text()


async def test_what_is_typed_stays_text_and_commands_can_be_typed() -> None:
    async with bench(scene().events) as made:
        made.table.select("anna")
        await made.type("sar A")
        assert made.client.requests == []
        await made.press("escape")
        await made.type(":reject")
        await made.press("enter")
        assert await made.requested() == [("voicecall.admit", {"callId": "eve", "verdict": "no"})]


async def test_keys_of_the_operators_own_are_named_and_work() -> None:
    async with bench(scene().events, keys={"admit": "f5", "reject": "f6"}) as made:
        assert "f5 lets in once  A lets in always  f6 rejects" in banner(made)[1]
        await made.press("f6")
        assert (await made.requested())[0][1]["verdict"] == "no"


async def test_a_masked_number_is_masked_here_too() -> None:
    async with bench(scene().events, masked=True) as made:
        assert EVE not in made.text() and "+15•••••••66 waits" in made.text()
        await made.press("a")
        await made.requested()
        await made.answered()
        assert all(EVE not in notice for notice in made.notices())


async def test_a_small_terminal_gives_its_room_to_the_notice_and_decides_nothing(bells: list[str]) -> None:
    async with bench(scene().events, (59, 15), health=HEALTH) as made:
        assert "lets in once" not in made.text() and bells == ["bell"]
        await made.press("a")
        assert made.client.requests == []


@pytest.mark.parametrize("size", [(60, 16), (80, 24), (200, 50)])
async def test_hostile_numbers_and_words_of_a_stranger_are_only_text(size: tuple[int, int]) -> None:
    script = Script()
    for index, text in enumerate(HOSTILE):
        waits(script, f"c{index}", text, attestation=text, seconds=text, earlier=text)
    waits(script, "odd", "+1", attestation={"x": 1}, seconds=float("nan"), earlier=True)
    waits(script, "far", EVE, seconds=1e300, earlier=-5)
    async with bench(script.events, size) as made:
        for call_id in [*(f"c{index}" for index in range(len(HOSTILE))), "odd", "far"]:
            made.table.select(call_id)
            await made.paint()
            shown = made.text()
            assert not any(ord(char) < 32 and char != "\n" for char in shown)
            assert "\u202e" not in shown
            assert "rejects" in banner(made)[1]
        await made.press("a")
        await made.requested()
        await made.answered()
        assert made.app.is_running and made.app.crash is None


@pytest.mark.parametrize("width", range(60, 201, 20))
@pytest.mark.parametrize("facts", [{}, {"attestation": "TN-Validation-Passed-B", "earlier": 99}, {"earlier": 9999}])
def test_the_number_and_the_time_are_the_last_to_make_room(width: int, facts: dict[str, Any]) -> None:
    script = Script(START)
    waits(script, **facts)
    board = Board()
    board.take(script.events)
    stranger = find_stranger(board, None)
    assert stranger is not None
    rows = waiting_rows(stranger, script.at, width, Registry(), masked=False)
    if width >= 80 and facts.get("earlier", 0) < 100:
        assert "first call" in plain(rows[0]) or "earlier call" in plain(rows[0])
    assert all(row_width(row) <= width for row in rows) and len(rows) == 2
    assert EVE in plain(rows[0]) and "30 s left" in plain(rows[0])
    assert "a lets in once  A lets in always  r rejects" in plain(rows[1])


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("TN-Validation-Passed-A", "number verified"),
        ("TN-Validation-Passed-A-Diverted", "number verified"),
        ("TN-Validation-Passed-B", "caller known, number not"),
        ("TN-Validation-Passed-C", "only the gateway known"),
        ("TN-Validation-Failed-A", "number check FAILED"),
        ("TN-Validation-Failed", "number check FAILED"),
        ("No-TN-Validation", "number not verified"),
        ("A", "number verified"),
        ("", "number not verified"),
        ("banana", "number not verified"),
    ],
)
def test_what_carriers_say_about_a_number_is_said_in_words(word: str, said: str) -> None:
    assert attestation_text(word) == said


@pytest.mark.parametrize("talking", [True, False])
async def test_who_is_let_in_is_selected_unless_somebody_is_being_talked_to(talking: bool) -> None:
    script = Script()
    script.talking("anna")
    if not talking:
        script.ended("anna")
    waits(script)
    async with bench(script.events) as made:
        made.table.select("anna")
        await made.press("a")
        await made.requested()
        await made.answered()
        assert made.table.selected == ("anna" if talking else "eve")
