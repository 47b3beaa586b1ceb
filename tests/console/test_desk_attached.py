"""From Twilio's far end to the screen: pipeline, store, control door, an attached console; nothing is scripted."""

from __future__ import annotations

import asyncio
from pathlib import Path

from textual.pilot import Pilot

from console.app import ConsoleApp
from console.options import ConsoleOptions, ExitChoice
from console.screens.desk import DeskScreen
from engine.client import SocketClient
from tests.console.harness import screen_lines
from tests.engine.twilio_rig import SINK, live


async def shows(pilot: Pilot[ExitChoice], *words: str) -> str:
    """The screen, once it shows these words."""
    app = pilot.app
    assert isinstance(app, ConsoleApp)
    text = ""
    try:
        async with asyncio.timeout(20):
            while True:
                text = "\n".join(screen_lines(app))
                if all(word in text for word in words):
                    return text
                await pilot.pause(0.05)
    except TimeoutError:
        raise AssertionError(f"{words} are not on the screen:\n{text}") from None


async def test_e1_a_webhook_that_is_refused_is_explained_on_an_attached_console(tmp_path: Path) -> None:
    """Pains E1 to E3 and H1: what was signed, which addresses were tried, and what came of the rest."""
    async with live(tmp_path) as at:
        at.far.webhook_faults.wrong_token.add("ringing")
        call, _ = await at.dial(SINK, "Hello there.")
        await at.until(call, lambda call: "heard" in call.rungs)
        async with await SocketClient.connect(tmp_path) as client:
            app = ConsoleApp(client, ConsoleOptions(attached=True, typing_pause=0))
            app.animation_level = "none"
            async with app.run_test(size=(160, 50)) as pilot:
                await shows(pilot, "EXPOSURE")
                await pilot.press("w")
                text = await shows(pilot, "WHO REACHES", "✗ refused", "✓ ok", "media socket", SINK, "○ loopback")
                assert "/voice/stream" in text
                await pilot.press("x")
                await shows(pilot, "filter: refused")
                await _selected(pilot)
                await pilot.press("enter")
                text = await shows(pilot, "Addresses that were tried", "What was signed", "CallSid")
                assert "none of them would have verified" in text and "each subaccount has its own" in text
                assert at.far.settings.auth_token not in text
                await pilot.press("r")
                text = await shows(pilot, "replayed into the sandbox", "call.ringing")
                assert "live it would be refused with 401" in text
                await pilot.press("escape", "escape", "x")
                await shows(pilot, "media socket")
                before = len(at.engine.live_calls())
                await _selected(pilot)
                await pilot.press("G", "R")
                await shows(pilot, "Replay live?")
                await pilot.press("y")
                await shows(pilot, "replayed live")
                assert len(at.engine.live_calls()) == before
                await pilot.press("escape", "escape")
                await shows(pilot, "EXPOSURE")


async def _selected(pilot: Pilot[ExitChoice]) -> None:
    """Return once the list has what was asked for."""
    screen = pilot.app.screen
    assert isinstance(screen, DeskScreen)
    async with asyncio.timeout(20):
        while screen.table.hook is None or screen.wanted.verdict not in (None, screen.table.hook.verdict):
            await pilot.pause(0.05)
