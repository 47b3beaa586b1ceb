"""The main screen with live data, as an operator uses it."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest
from textual import events

from console.options import ExitChoice
from console.screens.main import MainScreen
from console.widgets.call_table import CallTable
from console.widgets.prompt import Prompt
from engine.api import Refusal
from engine.calls import Event
from tests.console.harness import Bench, bench
from tests.console.scenes import live_details, morning
from tests.console.scripted import HEALTH, START, Script, ScriptedClient


async def test_the_backlog_is_shown_and_events_move_it() -> None:
    script = morning()
    async with bench(script.events) as made:
        assert "3 live · 1 ringing · 8 today" in made.text()
        await made.send(*live_details(script))
        assert "And could you tell me whether▌" in made.text()
        script.ended("anna")
        await made.send(script.events[-1])
        assert "2 live · 1 ringing" in made.text()
        assert "▌" not in made.text().replace("▌✓", "")


async def test_the_selection_stays_on_its_call_when_rows_move() -> None:
    script = morning()
    async with bench(script.events) as made:
        await made.press("j", "j")
        assert made.table.selected == "carl"
        script.ended("anna")
        await made.send(script.events[-1])
        assert made.table.selected == "carl"
        assert "+4915112345678" in made.lines()[2]
        script.ended("carl")
        await made.send(script.events[-1])
        assert made.table.selected == "carl"


async def test_keys_walk_the_table_over_the_separator() -> None:
    async with bench(morning().events) as made:
        seen = [made.table.selected]
        for _ in range(8):
            await made.press("down")
            seen.append(made.table.selected)
        assert seen[:5] == ["anna", "berta", "carl", "dora", "ended-3"]
        assert seen[-1] == "ended-0"
        await made.press("g")
        assert made.table.selected == "anna"
        await made.press("G")
        assert made.table.selected == "ended-0"
        await made.press("k", "home")
        assert made.table.selected == "anna"


async def test_a_click_selects_and_a_double_click_opens() -> None:
    async with bench(morning().events) as made:
        await made.pilot.click(CallTable, offset=(5, 3))
        assert made.table.selected == "carl"
        await made.pilot.click(CallTable, offset=(5, 2), times=2)
        assert made.table.selected == "berta"
        assert made.transcript.has_focus


async def test_the_filter_narrows_as_it_is_typed_and_esc_clears_it() -> None:
    async with bench(morning().events) as made:
        await made.type("/miller")
        assert [row for row in made.lines()[2:10] if "+447700900123" in row] == []
        assert "+15550100142" in made.lines()[2]
        await made.press("enter")
        assert "filter: miller" in made.text()
        await made.press("escape")
        assert "+447700900123" in made.text()
        await made.type("/nothing-like-that")
        assert "no call matches" in made.text()
        await made.press("escape")
        assert "no call matches" not in made.text()


async def test_fast_typing_after_a_command_key_goes_into_the_line() -> None:
    async with bench(morning().events) as made:
        for key in ("colon", "d", "e", "n", "d"):
            made.app.post_message(_key(key))
        await made.pilot.pause()
        assert isinstance(made.app.screen, MainScreen)
        assert made.screen.query_one(Prompt).input.value == "dend"


def _key(key: str) -> events.Key:
    return events.Key(key, ":" if key == "colon" else key)


async def test_speaking_goes_to_the_call_that_was_selected_when_the_prompt_opened() -> None:
    script = morning()
    async with bench(script.events) as made:
        await made.press("s")
        assert "speak to +15550100142 ›" in made.text()
        script.ended("anna")
        await made.send(script.events[-1])
        await made.type("Hello")
        await made.press("enter")
        requests = await made.requested()
        assert requests == [("voicecall.speak", {"callId": "anna", "message": "Hello"})]


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_continue_shows_that_it_waits_and_then_the_answer(size: tuple[int, int]) -> None:
    async with bench(morning().events, size) as made:
        answer: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        made.client.answers["voicecall.continue"] = answer
        await made.type("cWhich day?")
        await made.press("enter")
        await made.requested()
        await made.paint()
        assert re.search(r"… continue \d+ s", made.text())
        answer.set_result({"success": True, "transcript": "Thursday [/x]"})
        await made.answered()
        await made.paint()
        assert "… continue" not in made.text()
        assert made.notices() == ["the caller answered: Thursday [/x]"]


async def test_ending_asks_first_and_keeps_by_default() -> None:
    async with bench(morning().events) as made:
        await made.press("e")
        assert await made.shows("End this call?")
        await made.press("enter")
        assert made.client.requests == []
        await made.press("e", "escape")
        assert made.client.requests == []
        await made.press("e", "y")
        assert await made.requested() == [("voicecall.end", {"callId": "anna"})]


async def test_a_refusal_is_shown_with_code_reason_and_hint_and_remembered() -> None:
    async with bench(morning().events) as made:
        made.client.answers["voicecall.dtmf"] = Refusal("not_supported", "no keys here", "use speech")
        await made.type(":keypad 12#")
        await made.press("enter")
        await made.requested()
        await made.answered()
        assert made.notices() == ["keys: not_supported: no keys here; use speech"]
        await made.press("L")
        assert "✗ you        keys +15550100142  not_supported: no keys here; use speech" in made.text()


async def test_commands_that_make_no_sense_say_why() -> None:
    async with bench(morning().events) as made:
        await made.press("G", "h")
        assert made.notices() == ["hold: this call is over (completed): select a live one"]
        await made.type(":speak Hello")
        await made.press("enter")
        assert made.notices()[1:] == ["speak: this call is over (completed): select a live one"]
        assert made.screen.query_one(Prompt).mode is None


@pytest.mark.parametrize("key", ["s", "c"])
async def test_what_is_typed_after_a_refused_command_is_text_and_is_kept(key: str) -> None:
    async with bench(morning().events, (80, 24)) as made:
        await made.press("G", key)
        assert "this call is over (completed)" in made.lines()[-2]
        await made.type("he typed qmp")
        prompt = made.screen.query_one(Prompt)
        assert prompt.input.value == "he typed qmp"
        await made.press("enter")
        assert "this call is over (completed): select a live one" in made.notices()[0]
        assert prompt.input.value == "he typed qmp"
        assert made.client.requests == []
        await made.press("escape")
        assert prompt.mode is None
        await made.press("g", key, "up")
        assert prompt.input.value == "he typed qmp"
        assert await made.shows("to +15550100142 ›")


async def test_without_a_call_a_typed_line_is_refused_and_is_no_command() -> None:
    async with bench() as made:
        await made.type("shello")
        assert "✗ select a call first" in made.text()
        assert made.screen.query_one(Prompt).input.value == "hello"


async def test_an_unexpected_error_in_a_request_does_not_end_the_screen() -> None:
    async with bench(morning().events) as made:
        made.client.answers["voicecall.end"] = ZeroDivisionError("oops")
        await made.press("e", "y")
        await made.requested()
        await made.answered()
        assert "end: internal_error: ZeroDivisionError: oops; the log has more" in made.notices()
        assert made.app.is_running


async def test_hold_and_take_hand_the_floor_over_and_back() -> None:
    async with bench(morning().events) as made:
        await made.press("h")
        await made.requested(1)
        await made.press("t")
        await made.requested(2)
        await made.press("j", "h")
        requests = await made.requested(3)
        assert [params["holder"] for _, params in requests] == ["held", "operator", "agent"]


async def test_the_dial_dialog_judges_while_one_types_and_keeps_what_was_typed_when_refused() -> None:
    async with bench(morning().events) as made:
        made.client.answers["voicecall.initiate"] = Refusal("at_capacity", "1 of 1 calls is live", "end one first")
        await made.type("n555")
        assert await made.shows("begin with + and the country code")
        await made.press("home")
        await made.type("+1")
        assert await made.shows("go on …")
        await made.press("end")
        await made.type(" 0100142")
        assert await made.shows("✓ +15550100142")
        await made.press("enter", "enter")
        await made.requested()
        await made.answered()
        await made.pilot.pause()
        assert await made.shows("✗ at_capacity: 1 of 1 calls is live; end one first")
        assert "+1555 0100142" in made.text()
        assert made.client.requests[0][1]["to"] == "+15550100142"
        await made.press("escape")
        assert made.app.screen is made.screen


async def test_a_call_from_the_dialog_is_confirmed_and_selected_when_its_first_event_comes() -> None:
    async with bench(morning().events) as made:
        await made.type("n+15550100152")
        await made.press("enter", "enter")
        await made.requested()
        await made.answered()
        assert made.app.screen is made.screen
        assert made.notices() == ["dialling +15550100152"]
        await made.send(_begun(90_000, "new"))
        assert made.table.selected == "new"


async def test_a_refusal_that_comes_after_the_dialog_was_left_is_told() -> None:
    async with bench(morning().events) as made:
        answer: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        made.client.answers["voicecall.initiate"] = answer
        await made.type("n+15550100152")
        await made.press("enter", "enter")
        await made.requested()
        await made.press("escape")
        answer.set_exception(Refusal("at_capacity", "1 of 1 calls is live", "end one first"))
        await made.answered()
        assert made.notices() == ["dial: at_capacity: 1 of 1 calls is live; end one first"]


async def test_enter_after_the_number_goes_on_to_the_message_which_is_then_said() -> None:
    async with bench(morning().events) as made:
        await made.type("n+15550100152")
        await made.press("enter")
        await made.type("Hello, is ten all right?")
        await made.press("enter")
        _, params = (await made.requested())[0]
        assert (params["to"], params["message"]) == ("+15550100152", "Hello, is ten all right?")


async def test_a_text_that_is_typed_on_after_a_dial_is_no_command() -> None:
    async with bench(morning().events, typing_pause=10) as made:
        await made.type("n+15550100152")
        await made.press("enter", "enter")
        await made.requested()
        await made.answered()
        assert made.app.screen is made.screen
        await made.type("Hello, every day")
        assert made.app.screen is made.screen and made.screen.query_one(Prompt).mode is None
        assert len(made.client.requests) == 1


async def test_a_burst_of_letters_answers_a_question_once() -> None:
    async with bench(morning().events) as made:
        for letters in ("nn", "yy"):
            await made.press("e")
            made.app.post_message(events.Key(letters[0], letters[0]))
            made.app.post_message(events.Key(letters[1], letters[1]))
            await made.pilot.pause()
            await made.pilot.pause()
            assert made.app.screen is made.screen and made.app.crash is None
        assert [method for method, _ in await made.requested()] == ["voicecall.end"]


async def test_a_letter_in_the_middle_of_typing_ends_no_call() -> None:
    async with bench(morning().events, typing_pause=10) as made:
        await made.type("ey")
        assert made.app.screen is not made.screen and made.client.requests == []
        await made.press("n")
        assert made.app.screen is made.screen


async def test_a_question_about_a_call_that_ends_by_itself_goes_away() -> None:
    async with bench(morning().events) as made:
        await made.press("e")
        assert made.app.screen is not made.screen
        over = {"reason": "hangup-user", "by": "caller"}
        await made.send(Event(95_000, START + 95_000, "anna", "call.ended", over))
        async with asyncio.timeout(10):
            while made.app.screen is not made.screen:
                await made.pilot.pause()
        await made.pilot.pause()
        assert made.notices() == ["the call is over already"] and made.client.requests == []


async def test_only_themes_with_our_colours_can_be_chosen() -> None:
    async with bench(morning().events) as made:
        for name in ("nord", "ansi-light", "textual-dark", "nope"):
            await made.type(f":theme {name}")
            await made.press("enter")
            assert f"there is no theme '{name}', only harbour, paper" in made.notices()
            assert made.app.theme == "harbour"


async def test_a_dialog_makes_room_for_the_notice_of_a_small_terminal() -> None:
    async with bench(morning().events) as made:
        await made.press("e")
        await made.pilot.resize_terminal(60, 15)
        assert "End this call?" not in made.text()
        await made.pilot.resize_terminal(80, 24)
        assert await made.shows("End this call?")
        await made.press("escape")


async def test_a_wanted_call_that_the_filter_hides_does_not_jump_in_later() -> None:
    async with bench(morning().events) as made:
        await made.type("/miller")
        await made.press("enter")
        made.table.select("dialled")
        await made.send(_begun(90_000, "dialled"))
        await made.press("escape")
        assert made.table.selected == "anna"


async def test_dialling_by_line_and_by_dialog_is_a_conversation() -> None:
    async with bench(morning().events) as made:
        await made.type(":dial +15550100150")
        await made.press("enter")
        await made.requested(1)
        await made.type("n+15550100152")
        await made.press("enter", "enter")
        assert {params["mode"] for _, params in await made.requested(2)} == {"conversation"}


async def test_the_number_is_taken_out_of_what_is_pasted() -> None:
    async with bench(morning().events) as made:
        await made.press("n")
        made.app.post_message(events.Paste("\x1b[2J\tMiller, room 12:\r\ncall +1 (555)\x07 010-0152, ask for +49 30"))
        assert await made.shows("✓ +15550100152")
        await made.press("enter", "enter")
        assert (await made.requested())[0][1]["to"] == "+15550100152"


async def test_a_number_after_dial_is_dialled_at_once() -> None:
    async with bench(morning().events) as made:
        await made.type(":dial +15550100150 Good morning")
        await made.press("enter")
        method, params = (await made.requested())[0]
        assert method == "voicecall.initiate"
        assert (params["to"], params["message"]) == ("+15550100150", "Good morning")


async def test_keys_before_a_notice_are_refused_in_the_dialog() -> None:
    async with bench(size=(80, 24)) as made:
        await made.type("n+15550100152")
        await made.press("tab")
        await made.type("Hello.")
        await made.press("tab", "tab", "1", "ctrl+t")
        assert await made.shows("keys need a conversation (ctrl+t)")
        await made.press("enter")
        assert made.client.requests == []
        await made.press("ctrl+t")
        assert await made.shows("✓ +15550100152")


async def test_the_keypad_takes_clicks_and_keys_and_refuses_letters() -> None:
    async with bench(morning().events) as made:
        await made.type("d1x2#")
        await made.pilot.click("#keypad-4")
        await made.press("enter")
        assert await made.requested() == [("voicecall.dtmf", {"callId": "anna", "digits": "12#5"})]


async def test_numbers_can_be_masked_everywhere() -> None:
    async with bench(morning().events) as made:
        await made.press("m")
        assert "+15550100142" not in made.text()
        assert "MASKED" in made.text()
        await made.press("s")
        assert "speak to +15•••••••42 ›" in made.text()


async def test_a_frozen_view_stands_still_while_calls_go_on() -> None:
    script = morning()
    async with bench(script.events) as made:
        await made.press("p")
        before = made.lines()[2:30]
        script.hears("anna", "Are you still there?", 9)
        script.ended("berta")
        await made.send(*script.events[-3:])
        assert "FROZEN" in made.text()
        assert made.lines()[2:30] == before
        assert "2 live" in made.text()
        await made.press("escape")
        assert "Are you still there?" in made.text()


async def test_copying_says_what_was_copied() -> None:
    async with bench(morning().events) as made:
        await made.press("y")
        assert made.app.clipboard == "+15550100142"
        assert made.notices() == ["copied the number (12 characters)"]
        await made.press("enter", "y")
        assert made.app.clipboard == "caller pressed 1"
        await made.press("Y")
        assert "Nine is good, thank you." in made.app.clipboard
        assert made.notices()[0].startswith("copied the transcript")


async def test_zoom_gives_a_pane_the_screen_and_back() -> None:
    async with bench(morning().events) as made:
        await made.press("z")
        assert "transcript" not in made.text()
        await made.press("z")
        assert "transcript" in made.text()


async def test_help_lists_every_command_with_its_keys() -> None:
    async with bench(morning().events, (120, 80)) as made:
        await made.press("question_mark")
        text = made.text()
        for command in made.screen.registry.commands:
            assert command.help in text
        await made.press("escape")
        assert made.app.screen is made.screen


async def test_the_palette_runs_commands() -> None:
    async with bench(morning().events) as made:
        await made.press("ctrl+p")
        await made.type("mask")
        await made.pilot.pause()
        async with asyncio.timeout(10):
            while not made.screen.masked:
                await made.press("enter")
        assert made.screen.masked


async def test_the_theme_changes_and_other_words_are_refused() -> None:
    async with bench(morning().events) as made:
        assert made.app.theme == "harbour"
        await made.type(":theme paper")
        await made.press("enter")
        assert made.app.theme == "paper"
        await made.type(":theme mud")
        await made.press("enter")
        assert made.app.theme == "paper"
        assert "there is no theme 'mud'" in made.notices()[0]


async def test_footer_hints_can_be_clicked() -> None:
    async with bench(morning().events) as made:
        x = made.lines()[-1].index("help")
        await made.pilot.click("#hints", offset=(x, 0))
        assert await made.shows("keys and commands")


async def test_other_keys_from_the_configuration_work_and_show_in_the_footer() -> None:
    async with bench(morning().events, keys={"mask": "Q", "speak": "S", "xyzzy": "z"}) as made:
        assert "S speak" in made.lines()[-1]
        assert made.notices() == ["console.keys: no command 'xyzzy'"]
        await made.press("Q")
        assert made.screen.masked


async def test_texts_name_the_keys_that_the_operator_chose() -> None:
    keys = {"dial": "N", "speak": "S", "command": "semicolon", "quit": "Q"}
    async with bench(keys=keys) as made:
        assert "N dials a number;" in made.text()
        assert "S speaks in the selected call" in made.text()
        await made.pilot.resize_terminal(50, 12)
        assert await made.shows("Q leaves")


async def test_an_empty_transcript_says_where_the_call_stands() -> None:
    async with bench() as made:
        assert "No call is selected." in made.text()
        await made.send(_begun(1, "dora"))
        assert await made.shows("Starting; nothing was said yet.")
        await made.send(Event(2, START, "dora", "call.ringing", {}))
        assert await made.shows("Ringing; nothing was said yet.")


async def test_n_leaves_the_question_about_leaving_and_nothing_else() -> None:
    async with bench(morning().events) as made:
        await made.press("q")
        assert await made.shows("4 calls are live.")
        assert await leaving(made, "n") is None
        assert made.app.screen is made.screen


async def test_a_bad_theme_file_is_one_notice(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("name: [", encoding="utf-8")
    (tmp_path / "b.yaml").write_text("colors: 3", encoding="utf-8")
    async with bench(theme="nowhere", theme_folders=(tmp_path,)) as made:
        notices = made.notices()
        assert len(notices) == 2
        assert "a.yaml" in notices[0] and "b.yaml" in notices[0]
        assert notices[1] == "there is no theme 'nowhere': harbour is used"
        assert made.app.theme == "harbour"


async def test_a_lost_engine_is_said_and_healed() -> None:
    script = morning()
    async with bench(script.events) as made:
        made.client.watching.clear()
        made.client.fail(ConnectionResetError("engine went away"))
        await made.client.taken()
        await made.pilot.pause()
        await made.paint()
        assert await made.shows("connection to the engine lost: engine went away")
        async with asyncio.timeout(10):
            await made.client.watching.wait()
        await made.paint()
        assert "connection to the engine lost" not in made.text()


async def test_a_lagging_screen_says_how_often_it_missed_updates() -> None:
    script = morning()
    async with bench(script.events, (160, 40)) as made:
        await made.send(script.ephemeral("audio.level", "anna", caller=-9, agent=-90), lagged=True)
        assert "1 dropped" in made.text()


async def test_unchecked_signatures_put_a_banner_on_the_screen() -> None:
    health = {**HEALTH, "security": {"skipSignatures": True}}
    async with bench(morning().events, health=health) as made:
        assert await made.shows("SIGNATURES ARE NOT CHECKED")


async def test_health_of_any_shape_is_survived() -> None:
    health = {"engine": [], "exposure": {"webhooks": {"ok": "x"}}, "speech": {"stt": {"ok": False, "error": "gone"}}}
    async with bench(morning().events, health=health) as made:
        assert await made.shows("stt: gone")


@pytest.mark.parametrize(("size", "fits"), [((59, 24), False), ((80, 15), False), ((60, 16), True), ((20, 5), False)])
async def test_a_terminal_that_is_too_small_says_so(size: tuple[int, int], fits: bool) -> None:
    async with bench(morning().events, size) as made:
        assert ("voicecall needs 60" in made.text()) is not fits
        await made.pilot.resize_terminal(120, 40)
        await made.paint()
        assert "3 live" in made.text()


@pytest.mark.parametrize("key", ["n", "e", "d", "s", "colon", "question_mark", "L", "ctrl+p"])
async def test_nothing_opens_over_the_notice_of_a_small_terminal(key: str) -> None:
    async with bench(morning().events, (50, 12)) as made:
        await made.press(key)
        assert made.app.screen is made.screen
        assert made.screen.query_one(Prompt).mode is None
        assert "voicecall needs 60" in made.text()


async def test_leaving_a_small_terminal_leaves_calls_running_without_a_question() -> None:
    async with bench(morning().events, (50, 12)) as made:
        assert await leaving(made, "q") is ExitChoice.DETACH


async def test_text_is_wrapped_again_when_the_terminal_changes() -> None:
    async with bench(morning().events) as made:
        before = made.transcript.row_count
        await made.pilot.resize_terminal(80, 24)
        await made.paint()
        assert made.transcript.row_count > before
        assert "doctor miller" in made.text().casefold().replace("\n", " ") or "Miller." in made.text()


async def test_the_transcript_follows_until_one_scrolls_and_then_counts() -> None:
    script = morning()
    for turn in range(30):
        script.hears("anna", f"Sentence number {turn}.", turn)
    async with bench(script.events, (120, 24)) as made:
        assert "Sentence number 29." in made.text()
        await made.press("enter", "pageup")
        for turn in range(30, 33):
            script.hears("anna", f"Sentence number {turn}.", turn)
        await made.send(*script.events[-6:])
        assert await made.shows("+3 new")
        assert "Sentence number 32." not in made.text()
        await made.press("G")
        assert await made.shows("Sentence number 32.")
        assert made.transcript.unread == 0
        script.hears("anna", "And on.", 40)
        await made.send(*script.events[-2:])
        assert await made.shows("And on.")


async def leaving(made: Bench, *keys: str) -> ExitChoice | None:
    await made.press(*keys)
    return made.app.return_value


async def test_leaving_without_live_calls_stops_the_engine() -> None:
    async with bench() as made:
        assert await leaving(made, "q") is ExitChoice.STOP_ENGINE


@pytest.mark.parametrize(
    ("key", "choice"),
    [
        ("l", ExitChoice.DETACH),
        ("enter", ExitChoice.DETACH),
        ("e", ExitChoice.STOP_ENGINE),
        ("c", None),
        ("escape", None),
    ],
)
async def test_leaving_with_live_calls_asks_what_to_do(key: str, choice: ExitChoice | None) -> None:
    async with bench(morning().events) as made:
        await made.press("q")
        assert await made.shows("4 calls are live.")
        assert await leaving(made, key) is choice


async def test_an_attached_console_only_detaches() -> None:
    async with bench(morning().events, attached=True) as made:
        assert await leaving(made, "q") is ExitChoice.DETACH


async def test_ctrl_c_twice_leaves() -> None:
    async with bench() as made:
        await made.press("ctrl+c")
        assert made.app.return_value is None
        assert "ctrl+c once more leaves" in made.notices()[0]
        assert await leaving(made, "ctrl+c") is ExitChoice.STOP_ENGINE


async def test_a_new_log_behind_the_same_door_replaces_what_was_shown() -> None:
    async with bench(morning().events) as made:
        fresh = Script()
        fresh.talking("new", "+33123456789")
        made.client.generation = "g2"
        made.client.stored = list(fresh.events)
        made.client.watching.clear()
        made.client.send(_event_of(made.client))
        async with asyncio.timeout(10):
            await made.client.watching.wait()
        await made.paint()
        assert list(made.app.board.calls) == ["new"]


def _event_of(client: ScriptedClient) -> Event:
    return Event(0, client.stored[-1].at, "new", "audio.level", {"caller": -10, "agent": -90})


def _begun(seq: int, call_id: str) -> Event:
    facts = {"provider": "mock", "direction": "outbound", "mode": "conversation", "to": "+15550100152"}
    return Event(seq, START, call_id, "call.initiated", facts)


async def test_a_dialled_call_is_selected_once_its_first_event_is_here() -> None:
    script = morning()
    async with bench(script.events) as made:
        before = made.table.selected
        made.table.select("dialled")
        assert made.table.selected == before
        await made.send(_begun(90_000, "dialled"))
        assert made.table.selected == "dialled"


async def test_a_choice_of_the_operator_outdoes_a_call_that_was_wanted_before() -> None:
    script = morning()
    async with bench(script.events) as made:
        made.table.select("dialled")
        await made.press("j")
        chosen = made.table.selected
        await made.send(_begun(90_000, "dialled"))
        assert made.table.selected == chosen


async def test_n_keeps_what_a_question_would_end() -> None:
    script = morning()
    async with bench(script.events) as made:
        await made.press("e", "n")
        assert not made.client.requests
