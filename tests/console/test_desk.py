"""The webhook desk: a list that follows, the whole of one request, copies and replays; by keys and by mouse."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest
from textual import events

from console.screens.desk import DeskScreen
from console.screens.main import MainScreen
from console.screens.page import PageScreen
from console.widgets.webhook_table import WebhookTable
from engine.client import NoEngine, Refusal
from tests.console.desk_script import DESK_HEALTH, NUMBER, SANDBOX, DeskEngine, hook, whole
from tests.console.harness import Bench, bench
from tests.console.scripted import Script
from tests.console.snapshot import check, picture

HOSTILE = "[@click=app.quit]x[/] [/red] \x1b]0;owned\x07 \u202eevil\u200b \x9b2J"


class Desk:
    """The console with the desk open."""

    def __init__(self, made: Bench, engine: DeskEngine) -> None:
        self.made = made
        self.engine = engine

    @property
    def screen(self) -> DeskScreen:
        (screen,) = (each for each in self.made.app.screen_stack if isinstance(each, DeskScreen))
        return screen

    @property
    def table(self) -> WebhookTable:
        return self.screen.table

    @property
    def ids(self) -> list[int]:
        return [each.id for each in self.table.hooks]

    async def press(self, *keys: str) -> None:
        await self.made.press(*keys)
        await self.settled()

    async def settled(self) -> None:
        """Every request under way is answered and painted."""
        async with asyncio.timeout(10):
            for worker in [worker for worker in self.made.app.workers if worker.group in ("desk", "acts", "older")]:
                await worker.wait()
        await self.made.pilot.pause()

    async def look(self) -> None:
        """A second later."""
        self.screen.look()
        await self.settled()

    def text(self) -> str:
        return self.made.text()

    def asked(self, method: str) -> list[Mapping[str, Any]]:
        return [params for name, params in self.engine.requests if name == f"voicecall.{method}"]


@asynccontextmanager
async def desk(
    count: int = 3, size: tuple[int, int] = (120, 40), *, line: str = "", **more: Any
) -> AsyncIterator[Desk]:
    script = Script()
    script.talking("c1", NUMBER)
    async with bench(script.events, size, health=more.pop("health", DESK_HEALTH), engine=DeskEngine, **more) as made:
        engine = made.client
        assert isinstance(engine, DeskEngine)
        engine.hooks = [hook(id_, "refused" if id_ % 4 == 0 else "ok") for id_ in range(1, count + 1)]
        engine.answers["voicecall.webhook"] = {"webhook": whole(3)}
        engine.answers["voicecall.webhook.replay"] = SANDBOX
        found = Desk(made, engine)
        if line:
            await made.type(f":{line}")
            await made.press("enter")
        else:
            await made.press("w")
        await found.settled()
        yield found


@pytest.mark.parametrize("size", [(80, 24), (200, 50)])
async def test_the_desk_at_both_ends_of_its_sizes(size: tuple[int, int]) -> None:
    async with desk(12, size) as found:
        check(f"desk-{size[0]}x{size[1]}", picture(found.made))


@pytest.mark.parametrize("size", [(80, 24), (200, 50)])
async def test_the_details_of_a_refused_request(size: tuple[int, int]) -> None:
    async with desk(4, size) as found:
        found.engine.answers["voicecall.webhook"] = {"webhook": whole(4, "refused")}
        await found.press("enter")
        check(f"desk-details-{size[0]}x{size[1]}", picture(found.made))


async def test_a_replay_into_the_sandbox_shows_what_would_come_of_it() -> None:
    async with desk(3, (80, 24)) as found:
        await found.press("r")
        check("desk-replay-80x24", picture(found.made))
        assert found.asked("webhook.replay") == [{"id": 3, "into": "sandbox"}]


async def test_states_are_told_apart_without_colour(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    async with desk(4) as found:
        found.engine.hooks.append(hook(5, "replay"))
        await found.look()
        for sign in (
            "✓ ok",
            "✗ refused",
            "↻ replay",
            "● public",
            "◐ tailnet",
            "○ loopback",
            "◐ network",
            "● following",
        ):
            assert sign in found.text()


async def test_red_line_when_signatures_are_not_checked() -> None:
    async with desk(health={**DESK_HEALTH, "security": {"skipSignatures": True}}) as found:
        assert "SIGNATURES ARE NOT CHECKED" in found.text()


async def test_it_follows_what_comes_until_the_reader_moves_and_again_when_asked() -> None:
    async with desk(30, (80, 24)) as found:
        found.engine.hooks.append(hook(31))
        await found.look()
        assert found.ids[0] == 31 and found.table.selected == 31
        await found.press("j")
        assert found.table.selected == 30 and "holds still" in found.text()
        found.engine.hooks += [hook(32), hook(33)]
        await found.look()
        assert found.table.selected == 30 and "▲ +2 new" in found.text()
        await found.press("g")
        assert found.table.selected == 33 and "● following" in found.text()


@pytest.mark.parametrize("how", ["wheel", "click", "enter", "copy"])
async def test_whatever_the_reader_looks_at_stays_where_it_is(how: str) -> None:
    async with desk(40, (80, 24)) as found:
        if how == "wheel":
            await found.made.pilot._post_mouse_events([events.MouseScrollDown], found.table, offset=(5, 5))
        elif how == "click":
            await found.made.pilot.click(found.table, offset=(5, 5))
        else:
            await found.press("enter" if how == "enter" else "c")
            await found.press(*(["escape"] if how == "enter" else []))
        selected = found.table.selected
        assert not found.table.following
        row = _row_of(found)
        found.engine.hooks += [hook(41), hook(42)]
        await found.look()
        assert found.table.selected == selected and _row_of(found) == row


def _row_of(found: Desk) -> int:
    """Where on the screen the selected request is."""
    index = next(index for index, each in enumerate(found.table.hooks) if each.id == found.table.selected)
    return index - found.table.scroll_offset.y


async def test_only_what_is_new_is_asked_for() -> None:
    async with desk(3) as found:
        await found.look()
        assert [params["after"] for params in found.asked("webhooks")] == [None, 3]


async def test_older_ones_come_when_the_end_is_reached() -> None:
    async with desk(250) as found:
        assert len(found.ids) == 100
        await found.press("G")
        assert found.ids == list(range(250, 50, -1))
        await found.press("G")
        assert found.ids == list(range(250, 0, -1))


async def test_vim_keys_pages_and_the_mouse_move_the_selection() -> None:
    async with desk(40, (80, 24)) as found:
        await found.press("j", "j", "k")
        assert found.table.selected == 39
        await found.press("pagedown")
        paged = found.table.hook
        assert paged is not None and paged.id < 39
        await found.press("G")
        assert found.table.selected == 1
        await found.made.pilot.click(found.table, offset=(3, 0))
        top = found.table.hook
        await found.made.pilot.click(found.table, offset=(3, 2))
        assert top is not None and found.table.selected == top.id - 2
        await found.made.pilot.click(found.table, offset=(3, 2), times=2)
        await found.settled()
        assert isinstance(found.made.app.screen, PageScreen)


@pytest.mark.parametrize(
    ("typed", "params"),
    [
        ("refused", {"verdict": "refused", "callId": None, "query": ""}),
        ("call:c1 ringing", {"verdict": None, "callId": "c1", "query": "ringing"}),
        ("OK 203.0.113.7", {"verdict": "ok", "callId": None, "query": "203.0.113.7"}),
    ],
)
async def test_a_filter_is_the_engines_business(typed: str, params: Mapping[str, Any]) -> None:
    async with desk(8) as found:
        await found.press("slash")
        await found.made.type(typed)
        await found.press("enter")
        assert params.items() <= found.asked("webhooks")[-1].items()
        assert f"filter: {typed.casefold().split()[0]}" in found.text()
        await found.press("escape")
        assert len(found.ids) == 8 and "filter:" not in found.text()


async def test_letters_of_a_filter_are_no_commands_and_escape_leaves_it() -> None:
    async with desk(8) as found:
        await found.press("slash")
        await found.made.type("rRcqxw")
        await found.press("escape")
        assert found.asked("webhook.replay") == [] and found.made.app.screen is found.screen
        assert not found.screen.wanted.text


async def test_x_shows_only_those_that_were_refused() -> None:
    async with desk(8) as found:
        await found.press("x")
        assert found.ids == [8, 4]
        await found.press("x")
        assert len(found.ids) == 8


async def test_words_after_the_command_are_the_filter() -> None:
    async with desk(8, line="webhooks refused") as found:
        assert found.ids == [8, 4]


async def test_nothing_that_matches_is_said() -> None:
    async with desk(3, line="webhooks refused") as found:
        assert "no webhook matches: Esc shows all" in found.text()
    async with desk(0) as found:
        assert "no webhooks yet" in found.text()


async def test_details_show_all_and_escape_goes_back_level_by_level() -> None:
    async with desk(3) as found:
        await found.press("enter")
        text = found.text()
        for words in ("X-Twilio-Signature", "c2lnbm… (28 characters)", "What was signed", "✓ fits", "From", NUMBER):
            assert words in text
        await found.press("escape")
        assert found.made.app.screen is found.screen
        await found.press("escape")
        assert isinstance(found.made.app.screen, MainScreen)


async def test_live_asks_and_no_is_the_safe_answer() -> None:
    async with desk(3) as found:
        await found.press("R")
        assert "Replay live?" in found.text()
        await found.press("enter")
        assert found.asked("webhook.replay") == []
        found.engine.answers["voicecall.webhook.replay"] = {
            "into": "live",
            "verdict": "replay",
            "why": "these bytes were seen before",
            "effect": "nothing: a replay",
            "note": "the replay protection holds",
            "document": {"status": 200, "type": "text/xml", "body": ""},
        }
        await found.press("R")
        await found.press("y")
        assert found.asked("webhook.replay") == [{"id": 3, "into": "live"}]
        assert "the replay protection holds" in found.text() and "↻ replay" in found.text()


async def test_copies_go_to_the_clipboard_masked_unless_asked() -> None:
    async with desk(3) as found:
        await found.press("c")
        assert found.made.app.clipboard == "curl --url http://127.0.0.1:3334/3"
        await found.press("C")
        await found.press("enter")
        await found.press("c")
        assert [params["withSecrets"] for params in found.asked("webhook")] == [False, True, False, False]
        found.engine.answers["voicecall.webhook"] = {"webhook": whole(3, curl="", unfit="too large")}
        await found.press("c")
        assert any("no curl command: too large" in notice for notice in found.made.notices())


@pytest.mark.parametrize("key", ["enter", "r", "c"])
async def test_a_refusal_is_told_and_nothing_opens(key: str) -> None:
    async with desk(3) as found:
        refusal = Refusal("webhook_not_found", "no webhook 3 is kept", "ask again")
        found.engine.answers |= {"voicecall.webhook": refusal, "voicecall.webhook.replay": refusal}
        await found.press(key)
        assert any("no webhook 3 is kept" in notice for notice in found.made.notices())
        assert found.made.app.screen is found.screen


async def test_an_engine_that_is_away_is_said_and_asked_again() -> None:
    async with desk(3) as found:
        found.engine.answers["voicecall.webhooks"] = NoEngine("The engine went away.")
        await found.look()
        assert "The engine went away." in found.text() and len(found.ids) == 3
        del found.engine.answers["voicecall.webhooks"]
        found.engine.hooks.append(hook(4))
        await found.look()
        assert found.ids[0] == 4 and "went away" not in found.text()


async def test_numbers_are_masked_in_the_list_and_in_details() -> None:
    async with desk(3, masked=True) as found:
        assert NUMBER not in found.text()
        await found.press("enter")
        assert NUMBER not in found.text() and "15550100142" not in found.text()
        await found.press("m")
        assert NUMBER in found.text()
        await found.press("escape")
        assert not found.made.screen.masked and NUMBER in found.text()


@pytest.mark.parametrize("size", [(80, 24), (200, 50)])
async def test_i11_hostile_requests_are_drawn_and_do_nothing(size: tuple[int, int]) -> None:
    async with desk(0, size) as found:
        bad = {"path": f"/{HOSTILE}", "type": HOSTILE, "why": HOSTILE, "effect": HOSTILE, "peer": HOSTILE}
        odd = {"id": True, "verdict": "ok", "callId": None}
        found.engine.hooks = [hook(1, HOSTILE, **bad), hook(2, "refused", **bad), odd, hook(3, **bad)]
        await found.look()
        full = whole(3, **bad, body=f'{{"a": "{HOSTILE}"', target=HOSTILE, headers=[[HOSTILE, HOSTILE], "odd"])
        found.engine.answers["voicecall.webhook"] = {
            "webhook": {**full, "signed": HOSTILE, "tried": [{"url": HOSTILE}, 7]}
        }
        found.engine.answers["voicecall.webhook.replay"] = {
            "verdict": HOSTILE,
            "why": HOSTILE,
            "events": [HOSTILE, 5],
        }
        shown = [found.text()]
        for keys in (["enter"], ["G"], ["escape", "r"], ["escape"]):
            await found.press(*keys)
            shown.append(found.text())
        for text in shown:
            assert not any(char in text for char in "\x1b\x07\u202e\u200b\x9b")
        assert "[@click=app.quit]x[/]" in "".join(shown) and found.made.app.is_running


@pytest.mark.parametrize("answer", [None, 5, {}, {"webhooks": "x"}, {"webhooks": [None, 5, {"id": True}]}], ids=repr)
async def test_answers_that_make_no_sense_break_nothing(answer: Any) -> None:
    async with desk(3) as found:
        found.engine.answers["voicecall.webhooks"] = answer if isinstance(answer, dict) else {"webhooks": answer}
        await found.look()
        assert found.made.app.is_running and found.ids == [3, 2, 1]


async def test_the_palette_and_the_help_work_on_the_desk() -> None:
    async with desk(3) as found:
        await found.press("question_mark")
        assert "Copy it as a curl command" in found.text()
        await found.press("escape")
        for screen in (found.screen, None):
            if screen is None:
                await found.press("enter")
            before = found.made.app.screen
            await found.press("ctrl+p")
            await found.made.type("mask")
            await found.made.pilot.pause(0.3)
            await found.press("enter")
            assert found.made.app.screen is before
        assert not found.made.screen.masked  # twice


async def test_only_rows_that_differ_are_painted_again() -> None:
    async with desk(30) as found:
        await found.look()
        before = found.table.lines_rendered
        await found.look()
        assert found.table.lines_rendered == before
