"""The board knows what the log says, and the few facts beside it."""

from __future__ import annotations

from typing import Any

import pytest

from console.board import MAX_ENDED, Board
from console.facts import Unsaid
from console.paint import plain
from console.widgets.transcript import item_rows, items_of
from engine.calls import Event
from tests.console.scenes import live_details, morning
from tests.console.scripted import START, Script


def board_of(events: list[Event]) -> Board:
    board = Board()
    board.take(events)
    return board


def test_calls_are_the_fold_of_the_log() -> None:
    board = board_of(morning().events)
    assert len(board.calls) == 8
    assert len(board.live) == 4
    assert board.calls["anna"].transcript[-1].speaker == "operator"


def test_a_partial_grows_until_it_is_final() -> None:
    script = morning()
    board = board_of(script.events)
    board.take([script.ephemeral("speech.partial", "anna", text="And")])
    began = board.partials["anna"].at
    script.at += 500
    board.take([script.ephemeral("speech.partial", "anna", text="And could")])
    assert (board.partials["anna"].at, board.partials["anna"].text) == (began, "And could")
    board.take([script.add("speech.final", "anna", text="And could you?", turn=4)])
    assert "anna" not in board.partials


def test_an_ended_call_leaves_no_partial_level_or_lost_stream_behind() -> None:
    script = morning()
    board = board_of(script.events)
    board.take([*live_details(script), script.add("stream.lost", "anna", streamId="x", why="reset by peer")])
    assert board.lost["anna"] == "reset by peer"
    script.ended("anna")
    board.take([script.events[-1], *live_details(script)])
    assert "anna" not in board.partials | board.levels | board.lost
    assert [note.text for note in board.notes["anna"]][-1] == "the caller hung up"


@pytest.mark.parametrize(("kind", "key"), [("say.skipped", "why"), ("say.failed", "error")])
def test_a_line_of_the_operator_that_was_not_said_stays_in_the_transcript(kind: str, key: str) -> None:
    script = morning()
    script.add("say.queued", "anna", sayId="s9", speaker="operator", kind="speak", text="One moment please.")
    script.add(kind, "anna", 100, sayId="s9", **{key: "the voice failed"})
    board = board_of(script.events)
    assert board.notes["anna"][-1] == Unsaid(script.at, "One moment please.", "the voice failed")
    rows = [plain(row) for item in items_of(board, board.calls["anna"]) for row in item_rows(item, 100)]
    assert rows[-1].endswith("◆ operator One moment please. (not said: the voice failed)")
    assert not any("not spoken" in row for row in rows)


def test_lines_of_the_operator_that_wait_when_a_call_ends_are_kept_and_those_of_the_agent_are_not() -> None:
    script = morning()
    script.add("say.queued", "anna", sayId="s8", speaker="agent", kind="reply", text="The agent's.")
    script.add("say.queued", "anna", sayId="s9", speaker="operator", kind="speak", text="Mine.")
    script.ended("anna")
    script.add("say.skipped", "anna", sayId="s9", why="the call ended")
    kept = [note for note in board_of(script.events).notes["anna"] if isinstance(note, Unsaid)]
    assert [(note.text, note.why) for note in kept] == [("Mine.", "the call ended")]


def test_a_stream_is_lost_until_it_is_back_or_the_call_is_over() -> None:
    script = morning()
    for call_id in ("anna", "carl"):
        script.add("stream.lost", call_id, streamId="x", why="reset by peer")
    board = board_of(script.events)
    assert set(board.lost) == {"anna", "carl"}
    board.take([script.add("stream.resumed", "anna", streamId="x"), script.add("call.ended", "carl", reason="error")])
    assert board.lost == {}


def test_levels_are_bounded_whatever_they_claim() -> None:
    script = morning()
    board = board_of(script.events)
    for caller in (float("nan"), 1e300, -1e300, "loud", None, True):
        board.take([script.ephemeral("audio.level", "anna", caller=caller, agent=-90)])
        assert all(0 <= level <= 8 for level in board.levels["anna"].caller)


def test_webhooks_are_counted_by_verdict_and_the_last_one_says_why() -> None:
    script = Script()
    script.webhook(None, "call.ringing")
    script.webhook(None, "call.ringing", verdict="replay")
    script.webhook(None, "call.answered", verdict="refused", why="signed for port 80\x1b[2J")
    hooks = board_of(script.events).webhooks
    assert (hooks.ok, hooks.replays, hooks.refused) == (1, 1, 1)
    assert hooks.last_why == "signed for port 80"


def test_a_frozen_picture_does_not_move() -> None:
    script = morning()
    board = board_of(script.events)
    picture = board.copy()
    script.ended("anna")
    board.take(script.events[-1:])
    assert picture.calls["anna"].live
    assert not board.calls["anna"].live


def test_a_new_backlog_replaces_calls_but_not_the_memory_of_acts() -> None:
    script = morning()
    board = board_of(script.events)
    board.take([script.add("operator.acted", "anna", action="speak", by="cli")])
    before = board.version
    board.reset([])
    assert board.calls == {}
    assert [act.who for act in board.acts] == ["cli"]
    assert board.version > before


def test_old_calls_are_forgotten_and_live_ones_never() -> None:
    script = Script()
    script.talking("live")
    for index in range(MAX_ENDED + 20):
        script.talking(f"c{index}")
        script.ended(f"c{index}")
    board = board_of(script.events)
    assert len(board.calls) == MAX_ENDED + 1
    assert board.calls["live"].live
    assert "c0" not in board.calls
    assert "c0" not in board.notes


def test_events_of_any_shape_are_survived() -> None:
    board = board_of(morning().events)
    kinds = ("webhook.received", "stream.lost", "exposure.probed", "say.failed", "speech.partial", "audio.level")
    for kind in (*kinds, "call.error", "floor.changed", "operator.acted", "engine.started", "never.heard.of"):
        for call_id in (None, "anna", "nobody"):
            values: tuple[Any, ...] = (None, 3, [], {}, "\x1b[2J")
            for value in values:
                keys = ("why", "text", "ms", "ok", "by", "holder", "caller", "message", "verdict", "provider")
                board.take([Event(0, START, call_id, kind, dict.fromkeys(keys, value))])
    assert len(board.live) == 4
