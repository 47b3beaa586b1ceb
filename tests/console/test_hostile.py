"""Whatever callers, carriers and models write, the screen shows text and nothing else happens."""

from __future__ import annotations

import pytest

from engine.api import Refusal
from tests.console.harness import bench
from tests.console.scripted import Script

HOSTILE = [
    "[/x]",
    "[/foo] closes nothing",
    "[@click=app.quit]boom[/]",
    "[bold red on white]loud",
    "[[[[",
    "\\[",
    "\x1b[2J\x1b[H\x1b]0;owned\x07wiped",
    "\x1b]52;c;ZXZpbA==\x07clipboard",
    "\u202emirror\u202c",
    "مرحبا بالعالم",
    "👩‍👩‍👧‍👦 family 🇩🇪 flag ✊🏿",
    "漢字 wide 漢字",
    "z" + "\u0300" * 500,
    "x" * 10_000,
    "word " * 2_000,
    "\ud800 lone",
    "$primary %s {0} {name}",
    "\r\n\r\n\t\v\f",
]


@pytest.mark.parametrize("size", [(80, 24), (200, 50)])
async def test_hostile_text_in_every_place_is_only_text(size: tuple[int, int]) -> None:
    script = Script()
    for index, text in enumerate(HOSTILE):
        call_id = f"c{index}"
        script.talking(call_id, text)
        script.hears(call_id, text)
        script.say(call_id, f"s{index}", text, speaker="operator")
        script.add("say.queued", call_id, sayId=f"q{index}", speaker="agent", kind="reply", text=text)
        script.add("dtmf.received", call_id, digits=text)
        script.add("floor.changed", call_id, holder="held", by=text)
        script.add("stream.lost", call_id, streamId=text, why=text)
        script.add("reply.failed", call_id, turn=1, error=text)
        script.add("call.error", call_id, code=text, message=text, hint=text)
        script.add("turn.completed", call_id, turn=1, stages={text: 5, "total": 5})
        script.webhook(call_id, text, text, "refused", text)
        script.add("operator.acted", call_id, action=text, by=text)
    script.add("exposure.probed", provider=HOSTILE[0], publicUrl=HOSTILE[2], ok=False, error=HOSTILE[6])
    script.add("engine.started", provider=HOSTILE[2], version=HOSTILE[0], pid=1)
    async with bench(script.events, size) as made:
        for index, text in enumerate(HOSTILE):
            partial = script.ephemeral("speech.partial", f"c{index}", text=text)
            await made.send(partial)
            made.table.select(f"c{index}")
            await made.paint()
            shown = made.text()
            assert not any(ord(char) < 32 and char != "\n" for char in shown)
            assert "\u202e" not in shown
        await made.press("L")
        await made.press("escape")
        await made.press("s")
        assert made.app.is_running
        assert made.app.return_value is None
        assert made.app.crash is None


async def test_a_link_from_a_callers_mouth_is_four_words() -> None:
    script = Script()
    script.talking("c")
    script.hears("c", "[@click=app.quit]boom[/]")
    async with bench(script.events) as made:
        rows = made.lines()
        y = next(index for index, row in enumerate(rows) if "boom" in row)
        x = rows[y].index("boom")
        assert "[@click=app.quit]boom[/]" in rows[y]
        await made.pilot.click(offset=(x, y))
        assert made.app.return_value is None


async def test_hostile_refusals_are_notices() -> None:
    script = Script()
    script.talking("c")
    async with bench(script.events) as made:
        for index, text in enumerate(HOSTILE, 1):
            made.client.answers["voicecall.end"] = Refusal("carrier_refused", text, text)
            await made.press("e", "y")
            await made.requested(index)
            await made.answered()
        assert made.app.is_running
        assert made.app.crash is None
