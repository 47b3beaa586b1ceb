"""Keeps the board true to the engine's log, heals the connection, and knows how the engine fares.

Two tasks on the console's loop: one reads the log (backlog, then batches from its cursor), one asks for the health.
Whatever goes wrong is shown and tried again; nothing here ends the screen, and the screen waits for nothing here.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

from console.abilities import Abilities
from console.board import Board
from console.health import EngineHealth, read_health
from console.text import clean
from engine.client import Cursor, EngineClient

log = logging.getLogger(__name__)

BACKLOG_CALLS: Final = 100
ASK_SECONDS: Final = 10.0
"""How long the engine may take to answer a question."""
HEALTH_SECONDS: Final = 2.0
RETRY_SECONDS: Final = (0.2, 0.5, 1.0, 2.0, 5.0)


@dataclass(frozen=True, slots=True)
class Link:
    """The connection to the engine."""

    state: Literal["connecting", "up", "lost"] = "connecting"
    why: str = ""


class Feed:
    """Feeds `board` from `client`; `changed` is called after each change, on the console's loop."""

    def __init__(self, client: EngineClient, board: Board, changed: Callable[[], None] = lambda: None) -> None:
        self._client = client
        self._board = board
        self._changed = changed
        self._up = asyncio.Event()
        self.link = Link()
        self.health: EngineHealth | None = None
        self.carrier = Abilities()
        """As the engine told it last: a question that it did not answer in time does not change the carrier."""
        self.dropped = 0
        """Batches that came late because the screen was slower than the engine; nothing stored was missed."""

    async def run(self) -> None:
        """Read the log for ever."""
        failures = 0
        while True:
            try:
                await self._follow()
                self._lost("the engine closed the stream of events")
            except Exception as error:
                log.warning("reading the engine's log: %s", type(error).__name__)
                self._lost(clean(str(error), 200) or type(error).__name__)
            failures = 0 if self._up.is_set() else failures + 1
            self._up.clear()
            await asyncio.sleep(RETRY_SECONDS[min(failures, len(RETRY_SECONDS) - 1)])

    async def _follow(self) -> None:
        cursor = await self._catch_up()
        async for batch in self._client.watch(cursor):
            if batch.cursor.generation != cursor.generation:
                return  # another log: what the board knows belongs to the old one
            self.dropped += batch.lagged
            self._board.take(batch.events)
            self._changed()

    async def _catch_up(self) -> Cursor:
        """Fold the backlog; the cursor to go on from."""
        async with asyncio.timeout(ASK_SECONDS):
            page = await self._client.backlog(BACKLOG_CALLS)
        self._board.reset(page.events)
        self._up.set()
        self._set_link(Link("up"))
        return page.cursor

    def _lost(self, why: str) -> None:
        self.health = None
        self._set_link(Link("lost", why))

    def _set_link(self, link: Link) -> None:
        self.link = link
        self._changed()

    async def poll_health(self) -> None:
        """Ask for the engine's health for ever."""
        while True:
            await self._up.wait()
            await self._ask_health()
            await asyncio.sleep(HEALTH_SECONDS)

    async def _ask_health(self) -> None:
        try:
            async with asyncio.timeout(ASK_SECONDS):
                health = read_health(await self._client.health())
        except Exception as error:
            log.warning("asking for the engine's health: %s", type(error).__name__)
            health = None
        if health is not None:
            self.carrier = health.carrier
        if health != self.health:
            self.health = health
            self._changed()
