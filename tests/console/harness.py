"""A console under test: a real app on a headless terminal, a scripted engine, and a clock that stands still."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from textual.pilot import Pilot

from console.app import ConsoleApp
from console.options import ConsoleOptions, ExitChoice
from console.screens.main import MainScreen
from console.screens.view import LagMeter
from console.widgets.call_table import CallTable
from console.widgets.transcript import Transcript
from engine.calls import Event
from tests.console.scripted import HEALTH, START, ScriptedClient


@dataclass
class Bench:
    """The console, its engine, and the fingers of the operator."""

    app: ConsoleApp
    client: ScriptedClient
    pilot: Pilot[ExitChoice]
    screen: MainScreen
    clock: list[int]

    async def send(self, *events: Event, lagged: bool = False) -> None:
        """Deliver events and paint them."""
        self.client.send(*events, lagged=lagged)
        await self.client.taken()
        await self.paint()

    async def paint(self) -> None:
        """Bring the screen up to date."""
        self.screen.paint(self.clock[0])
        await self.pilot.pause()

    async def press(self, *keys: str) -> None:
        """Press keys, one after the other."""
        await self.pilot.press(*keys)

    async def type(self, text: str) -> None:
        """Type a text."""
        await self.pilot.press(*(_KEY_NAMES.get(char, char) for char in text))

    async def requested(self, count: int = 1) -> list[tuple[str, Mapping[str, Any]]]:
        """The requests, once there are as many."""
        async with asyncio.timeout(10):
            while len(self.client.requests) < count:
                self.client.requested.clear()
                await self.client.requested.wait()
        await self.pilot.pause()
        return self.client.requests

    async def answered(self) -> None:
        """Return once every request under way has been answered and told of."""
        async with asyncio.timeout(10):
            for worker in [worker for worker in self.app.workers if worker.group in ("acts", "dial")]:
                await worker.wait()
        await self.pilot.pause()

    @property
    def table(self) -> CallTable:
        return self.screen.query_one(CallTable)

    @property
    def transcript(self) -> Transcript:
        return self.screen.query_one(Transcript)

    def lines(self) -> list[str]:
        """What the terminal shows, row by row, without trailing space."""
        return screen_lines(self.app)

    def text(self) -> str:
        """What the terminal shows."""
        return "\n".join(self.lines())

    async def shows(self, words: str) -> bool:
        """True as soon as the terminal shows `words`: layouts settle over several turns of the loop."""
        try:
            async with asyncio.timeout(10):
                while words not in self.text():
                    await self.pilot.pause()
        except TimeoutError:
            raise AssertionError(f"{words!r} is not on the screen:\n{self.text()}") from None
        return True

    def notices(self) -> list[str]:
        """The notices that are up, oldest first."""
        return [notice.text for notice in self.app.notices.up(time.monotonic())]


_KEY_NAMES = {
    " ": "space",
    ":": "colon",
    "+": "plus",
    "/": "slash",
    "?": "question_mark",
    "!": "exclamation_mark",
    "*": "asterisk",
    "#": "number_sign",
    ".": "full_stop",
    ",": "comma",
}


def screen_lines(app: ConsoleApp) -> list[str]:
    """The rows of the compositor: exactly what is written to a terminal."""
    strips = app.screen._compositor.render_strips()
    return [strip.text.rstrip() for strip in strips]


class StillLag(LagMeter):
    """The lag of a machine that is not there."""

    @property
    def worst_ms(self) -> float:
        return 0.0


@asynccontextmanager
async def bench(
    events: Sequence[Event] = (),
    size: tuple[int, int] = (120, 40),
    *,
    now: int | None = None,
    health: Mapping[str, Any] = HEALTH,
    attached: bool = False,
    theme: str | None = None,
    masked: bool = False,
    keys: Mapping[str, str] | None = None,
    theme_folders: tuple[Path, ...] = (),
    typing_pause: float = 0,
    engine: type[ScriptedClient] = ScriptedClient,
) -> AsyncIterator[Bench]:
    """Run a console on a scripted engine. `now`: what its clock says, by default the time of the last event."""
    clock = [now if now is not None else (events[-1].at if events else START)]
    client = engine(events, health)
    options = ConsoleOptions(
        typing_pause=typing_pause,
        attached=attached,
        theme=theme,
        mask_numbers=masked,
        keys=keys or {},
        theme_folders=theme_folders,
        clock=lambda: clock[0],
    )
    app = ConsoleApp(client, options)
    app.animation_level = "none"
    async with app.run_test(size=size) as pilot:
        async with asyncio.timeout(10):
            await client.watching.wait()
            await client.asked_health.wait()
        await pilot.pause()
        screen = app.screen
        assert isinstance(screen, MainScreen)
        screen.lag = StillLag()
        made = Bench(app, client, pilot, screen, clock)
        await made.paint()
        yield made
