"""What the panels say, as plain rows."""

from __future__ import annotations

from dataclasses import replace

import pytest

from console.board import Board
from console.facts import Exposure, Levels, Streams, Webhooks
from console.keys import Registry
from console.paint import pack, plain, row_width
from console.widgets.call_header import METER, call_header_row, level_meter
from console.widgets.call_table import Filter, call_row
from console.widgets.exposure import ExposureFacts, exposure_rows
from console.widgets.header import HeaderFacts, Health, header_row
from console.widgets.hints import hint_rows
from console.widgets.ladder import ladder_rows
from console.widgets.turns import turn_rows
from console.words import STATE_LOOKS, attention
from engine.calls import Call, State
from tests.console.scenes import morning
from tests.console.scripted import START


@pytest.fixture
def board() -> Board:
    made = Board()
    made.take(morning().events)
    return made


def texts(rows: list[tuple[tuple[str, str], ...]]) -> list[str]:
    return [plain(row).rstrip() for row in rows]


@pytest.mark.parametrize("width", range(26, 60))
def test_a_row_of_the_table_fills_its_width_exactly(board: Board, width: int) -> None:
    for call in board.calls.values():
        for levels in (None, Levels()):
            row = call_row(call, call.last_at, width, levels=levels, need=None, masked=False)
            assert row_width(row) == width


def test_every_state_has_a_symbol_and_a_word_of_its_own() -> None:
    assert set(STATE_LOOKS) == set(State)
    assert len({look.word for look in STATE_LOOKS.values()}) == len(State)
    assert all(len(look.word) <= 9 and 0 < len(look.short) <= 4 for look in STATE_LOOKS.values())


def test_a_masked_row_does_not_show_the_number(board: Board) -> None:
    row = call_row(board.calls["anna"], START, 44, levels=None, need=None, masked=True)
    assert "+15•••••••42" in plain(row)


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("0142", {"anna"}),
        ("ringing", {"dora"}),
        ("outbound speaking", set()),
        ("doctor MILLER", {"anna"}),
        ("busy", {"ended-1"}),
        ("!inbound", {"berta", "dora", "ended-1", "ended-3"}),
    ],
)
def test_the_filter_finds_by_number_state_and_words_said(board: Board, wanted: str, found: set[str]) -> None:
    assert {call.call_id for call in board.calls.values() if Filter(wanted).matches(call)} == found


def test_attention_says_why(board: Board) -> None:
    now = max(call.last_at for call in board.live)

    def why(call_id: str, after: int = 0) -> list[str]:
        return [need.why for need in attention(board.calls[call_id], now + after)]

    assert why("carl") == ["speech recognition failed: the agent is deaf"]
    assert why("dora", 70_000)[0] == "nobody has picked up yet"
    assert any("nobody has said anything for" in each for each in why("anna", 60_000))
    assert "the caller has been on hold for a while" in why("berta", 20_001)
    assert why("ended-1") == []


def test_the_ladder_names_the_missing_rung_and_the_cause(board: Board) -> None:
    dora = board.calls["dora"]
    late = dora.last_at + 61_000
    assert texts(ladder_rows(dora, late, 90, 2))[-1] == " ✗ answered: nobody has picked up yet"
    assert texts(ladder_rows(dora, late, 40, 1)) == [" ✗ answered: nobody has picked up yet"]
    tall = texts(ladder_rows(dora, late, 50, 24))
    assert " ✗ answered" in tall
    assert "   nobody has picked up yet" in tall


def test_a_ladder_without_room_counts_what_is_done(board: Board) -> None:
    assert texts(ladder_rows(board.calls["anna"], START, 48, 1)) == [" ✓ 11 of 11"]
    assert texts(ladder_rows(board.calls["dora"], board.calls["dora"].last_at, 48, 1))[0].endswith("…")


def test_turns_are_a_table_where_there_is_room_and_a_waterfall_where_it_is_tall(board: Board) -> None:
    anna = board.calls["anna"]
    table = texts(turn_rows(anna, 72, 4))
    assert table[0].split() == ["total", "end", "text", "agent", "sentence", "voice", "send", "heard", "ms"]
    assert table[1].split()[:10] == ["turn", "3", "620", "180", "110", "90", "40", "130", "20", "50"]
    assert "agent 380" in texts(turn_rows(anna, 48, 3))[1]
    tall = texts(turn_rows(anna, 54, 14))
    assert tall[0] == " turn 3  620 ms"
    starts = [len(row[13:]) - len(row[13:].lstrip()) for row in tall[1:8]]
    assert starts == sorted(starts)


@pytest.mark.parametrize("width", [24, 48, 72, 120])
@pytest.mark.parametrize("height", [1, 2, 4, 20])
def test_facts_never_leave_their_space(board: Board, width: int, height: int) -> None:
    for call in (*board.calls.values(), None):
        for rows in (ladder_rows(call, START, width, height, "x" * 200), turn_rows(call, width, height)):
            assert len(rows) <= height
            assert all(row_width(row) <= width for row in rows)


def test_turns_of_any_shape_are_drawn() -> None:
    for turn in ({}, {"total": 0}, {"end": -5}, {"x" * 80: 10**12}, {"a": 1, "b": 10**9}):
        call = Call("x", "mock", "inbound", "conversation", "+1", "+2", START, turns=(turn,))
        for height in (1, 3, 12):
            assert all(row_width(row) <= 60 for row in turn_rows(call, 60, height))


def test_the_header_sheds_the_address_before_the_counts() -> None:
    facts = HeaderFacts("mock", True, 2, 1, 14, 0, Exposure("ngrok", "https://calls.example.com/", True, 84.0))
    assert "https://calls.example.com ● 84 ms" in plain(header_row(facts, 120))
    short = plain(header_row(facts, 60))
    assert "2 live · 1 ringing · 14 today" in short
    assert "example" not in short


def test_the_header_shows_its_own_health() -> None:
    row = plain(header_row(HeaderFacts("mock", True, health=Health(12.4, 3.0, 7)), 100))
    assert "ui 12 engine 3 ms · 7 dropped" in row


def test_a_dead_address_is_named_in_words() -> None:
    row = plain(header_row(HeaderFacts(exposure=Exposure("ngrok", "https://x.example", False)), 120))
    assert "https://x.example ✗ unreachable" in row


def test_a_refused_webhook_says_why_even_in_one_line() -> None:
    hooks = Webhooks(4, 1, 0, START, "call.answered", "refused", "would verify with port 443 stripped", 3.0)
    for height in (1, 2):
        rows = texts(exposure_rows(ExposureFacts(webhooks=hooks), 100, height))
        assert rows[-1] == " ✗ last webhook refused: would verify with port 443 stripped"


def test_unchecked_signatures_are_shouted_in_the_panel() -> None:
    assert "signatures ✗ NOT CHECKED" in texts(exposure_rows(ExposureFacts(verifying=False), 100, 2))[0]


def test_a_lost_stream_is_seen_in_the_panel() -> None:
    streams = Streams(3, 3, 1, "lost", "reset by peer")
    rows = texts(exposure_rows(ExposureFacts(streams=streams, streams_lost_now=1), 100, 2))
    assert "stream ✗ lost" in rows[0]
    assert rows[1] == " ✗ stream lost: reset by peer"


@pytest.mark.parametrize(("lost_now", "ink"), [(0, "dim"), (1, "warn")])
def test_streams_lost_by_calls_that_are_over_are_no_warning(lost_now: int, ink: str) -> None:
    streams = Streams(3, 3, 1, "opened")
    row = exposure_rows(ExposureFacts(streams=streams, streams_lost_now=lost_now), 100, 2)[0]
    assert (" 1 lost", ink) in row


def test_a_lost_stream_of_a_call_that_is_over_is_no_trouble() -> None:
    rows = texts(exposure_rows(ExposureFacts(streams=Streams(3, 3, 1, "lost", "reset by peer")), 100, 2))
    assert "stream ● 3/3 1 lost" in rows[0]
    assert "reset by peer" not in rows[1]


def test_who_speaks_is_seen_in_a_narrow_row_without_colour(board: Board) -> None:
    calls = [replace(board.calls["anna"], state=state) for state in (State.SPEAKING, State.LISTENING)]
    rows = [plain(call_row(call, START, 33, levels=Levels(), need=None, masked=False)) for call in calls]
    assert rows[0][0] != rows[1][0]
    assert [row[1:] for row in rows[:1]] == [row[1:] for row in rows[1:]]


def test_the_footer_at_eighty_columns_keeps_the_filter_and_the_command_line() -> None:
    row, places = hint_rows(Registry().hints(), frozenset(), 80)
    assert {"filter", "command", "help", "quit"} <= {name for _, _, name in places}
    assert row_width(row) <= 80


def test_the_call_header_shows_floor_and_what_is_pending(board: Board) -> None:
    row = plain(call_header_row(board.calls["berta"], START, 100, masked=False, pending="… continue 3 s"))
    assert "+447700900123" in row
    assert "… continue 3 s" in row
    assert row.endswith("floor ‖ held ")
    assert "floor" not in plain(call_header_row(board.calls["ended-0"], START, 100, masked=False))


def test_the_level_meter_marks_the_noise_and_what_would_interrupt_us(board: Board) -> None:
    levels = Levels().push(-21.0, -90.0, -57.0, -46.0)
    row = plain(call_header_row(board.calls["anna"], START, 120, masked=False, levels=levels))
    assert "level █┊██│█████··" in row
    quiet = plain(level_meter(Levels().push(-90.0, -90.0, -65.0, -40.0)))
    assert quiet == "level ┊····│······"
    assert level_meter(Levels().push(-20.0, -20.0)) == ()
    for level in (-1000.0, 0.0, 1000.0):
        assert row_width(level_meter(Levels().push(level, level, level, level))) == len("level ") + METER


def test_pack_keeps_the_most_important_parts() -> None:
    left = [(0, (("name", "text"),)), (2, (("optional", "text"),))]
    assert plain(pack(left, [(1, (("right", "text"),))], 12)) == "name   right"
