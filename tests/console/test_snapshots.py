"""How it looks, at the three sizes that matter, in both themes."""

from __future__ import annotations

import pytest

from tests.console.harness import bench
from tests.console.scenes import live_details, morning
from tests.console.snapshot import check, picture, styles

WORDS = ("listening", "ringing", "caller", "agent", "operator", "cut", "past eleven", "FROZEN", "MASKED", "voicecall")


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 50)])
async def test_the_main_screen(size: tuple[int, int]) -> None:
    script = morning()
    async with bench(script.events, size) as made:
        await made.send(*live_details(script))
        check(f"main-{size[0]}x{size[1]}", picture(made))


@pytest.mark.parametrize("theme", ["harbour", "paper"])
async def test_the_colours_of_a_theme(theme: str) -> None:
    script = morning()
    async with bench(script.events, theme=theme, masked=True) as made:
        await made.send(*live_details(script))
        await made.press("p")
        check(f"colours-{theme}", styles(made, *WORDS))


async def test_the_empty_screen() -> None:
    async with bench(size=(80, 24)) as made:
        check("empty-80x24", picture(made))


@pytest.mark.parametrize(
    ("name", "keys"),
    [("dial", "n+1555"), ("end", "e"), ("keypad", "d12"), ("leave", "q"), ("help", "?"), ("command", ":the")],
)
async def test_dialogs(name: str, keys: str) -> None:
    async with bench(morning().events, (80, 24)) as made:
        await made.type(keys)
        check(f"dialog-{name}", picture(made))


async def test_a_screen_without_colour_still_tells_states_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    script = morning()
    async with bench(script.events, (120, 40)) as made:
        await made.send(*live_details(script))
        text = made.text()
    for sign in (
        "● listening",
        "◐ ringing",
        "✓ completed",
        "✗ busy",
        "▸ agent",
        "◂ caller",
        "◆ operator",
        "─ cut ─",
        "!",
    ):
        assert sign in text
