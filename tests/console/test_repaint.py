"""What a repaint costs, counted in rows that were drawn: the clock of a busy machine proves nothing."""

from __future__ import annotations

import pytest
from textual.screen import Screen

from console.widgets.lines import Inked
from tests.console.harness import Bench, bench
from tests.console.scripted import Script


def drawn(made: Bench) -> int:
    return sum(widget.lines_rendered for widget in made.screen.walk_children() if isinstance(widget, Inked))


def hundred() -> Script:
    script = Script()
    for index in range(100):
        script.talking(f"c{index:03}", f"+1555010{index:04d}")
    return script


async def test_a_level_repaints_one_row_of_a_hundred() -> None:
    script = hundred()
    async with bench(script.events) as made:
        await made.send(script.ephemeral("audio.level", "c005", caller=-50, agent=-90))
        before = drawn(made)
        await made.send(script.ephemeral("audio.level", "c005", caller=-10, agent=-90))
        assert 1 <= drawn(made) - before <= 2


async def test_levels_of_all_calls_repaint_only_rows_in_view() -> None:
    script = hundred()
    async with bench(script.events) as made:
        before = drawn(made)
        await made.send(*(script.ephemeral("audio.level", f"c{i:03}", caller=-10, agent=-90) for i in range(100)))
        assert drawn(made) - before <= made.table.size.height + 2


async def test_a_growing_partial_repaints_its_own_rows() -> None:
    script = hundred()
    async with bench(script.events) as made:
        await made.send(script.ephemeral("speech.partial", "c000", text="Hello"))
        before = drawn(made)
        await made.send(script.ephemeral("speech.partial", "c000", text="Hello there, is"))
        assert 1 <= drawn(made) - before <= 2


async def test_nothing_new_draws_nothing() -> None:
    async with bench(hundred().events) as made:
        before = drawn(made)
        await made.paint()
        await made.send()
        assert drawn(made) == before


async def test_a_long_transcript_is_not_wrapped_again_for_a_new_line() -> None:
    script = Script()
    script.talking("c")
    for turn in range(1500):
        script.add("speech.final", "c", text=f"This is sentence number {turn} of a long call.", turn=turn)
    async with bench(script.events) as made:
        kept = made.transcript._rows[200]
        before = drawn(made)
        await made.send(script.add("speech.final", "c", text="One more.", turn=2000))
        assert made.transcript._rows[200] is kept
        assert drawn(made) - before <= made.app.size.height


async def test_a_new_line_lays_nothing_out_again_and_is_in_view(monkeypatch: pytest.MonkeyPatch) -> None:
    script = Script()
    script.talking("c")
    for turn in range(100):
        script.add("speech.final", "c", text=f"This is sentence number {turn}.", turn=turn)
    async with bench(script.events) as made:
        layouts: list[object] = []
        lay_out = Screen._refresh_layout
        monkeypatch.setattr(Screen, "_refresh_layout", lambda *a, **k: layouts.append(lay_out(*a, **k)))
        await made.send(script.add("speech.final", "c", text="One more.", turn=100))
        transcript = made.transcript
        assert not layouts
        assert transcript.max_scroll_y == transcript.row_count - transcript.size.height == transcript.scroll_offset.y
