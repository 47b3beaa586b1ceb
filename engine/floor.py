"""Who drives which call: one person at a time, visibly, and nobody any more once their console is gone.

Whoever takes or holds the floor of a call drives it: the record says who (`floor`, `floor_by`), so there is no second
list that could say something else. A console is there as long as it follows the events. When the one that drives is
gone, or loses its microphone in the middle of a word, the call goes to `floor.when_gone`: never to silence.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Final

from engine.api import Refusal
from engine.book import CallBook
from engine.calls import Call, Draft, Floor
from engine.config.floor import FloorSettings
from engine.live.person import Microphone
from engine.live.registry import LiveCalls
from engine.recorder import Recorder
from engine.store import StoreError

log = logging.getLogger(__name__)

GRACE_SECONDS: Final = 3.0
"""How long a console may be gone before its floor is given on: a connection that broke is healed by then."""
PERSON: Final = "console"
"""What the names of people begin with; see `engine.operations`."""
ENGINE: Final = "engine"


class Floors:
    """The floors of all calls. Belongs to the engine's loop."""

    def __init__(self, settings: FloorSettings, recorder: Recorder, book: CallBook, calls: LiveCalls) -> None:
        self._settings = settings
        self._recorder = recorder
        self._book = book
        self._calls = calls
        self._present: Counter[str] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()

    # -- who is there -------------------------------------------------------------------------

    @contextmanager
    def attend(self, by: str) -> Iterator[None]:
        """`by` follows what happens, until this is left."""
        self._present[by] += 1
        try:
            yield
        finally:
            self._present[by] -= 1
            if not self._present[by]:
                del self._present[by]
                if self._driven_by(by):
                    self._spawn(self._after_grace(by))

    def is_present(self, by: str) -> bool:
        """Whether a console of this name follows what happens."""
        return by in self._present

    def driver(self, call: Call) -> str:
        """The person who drives a call, if one does and is there."""
        holder = call.floor_by if call.floor != "agent" else ""
        return holder if holder.startswith(PERSON) and self.is_present(holder) else ""

    def check(self, call_id: str, by: str) -> None:
        """Refuse `by` to drive a call that somebody else drives. Raises Refusal."""
        call = self._book.get(call_id)
        driver = self.driver(call) if call is not None and call.live else ""
        if driver and driver != by:
            name = driver.removeprefix(PERSON).strip() or driver
            raise Refusal(
                "floor_taken",
                f"{name} has the floor of this call",
                "ask them to hand it back, or take it over",
                call_id=call_id,
            )

    # -- the floor ----------------------------------------------------------------------------

    async def set(self, call_id: str, holder: Floor, by: str, *, take_over: bool = False) -> None:
        """Give the floor to somebody. `take_over`: from another person too. Raises Refusal."""
        if not take_over:
            self.check(call_id, by)
        live = self._calls.connected(call_id)
        kept = holder == "operator" and by == self._floor_by(live.call_id)
        if live.person is not None and not kept:
            live.person.put_away(f"the floor went to {holder if holder != 'operator' else by}")
        if holder == "agent":
            await live.words_settled()  # the agent goes on from what was said
        await self._recorder.record(Draft("floor.changed", live.call_id, {"holder": holder, "by": by}))
        live.set_floor(holder)

    async def microphone(self, call_id: str, by: str) -> Microphone:
        """The microphone of whoever has the floor. Raises Refusal."""
        self.check(call_id, by)
        live = self._calls.connected(call_id)
        call = self._book.get(live.call_id)
        if call is None or call.floor != "operator" or call.floor_by != by:
            raise Refusal("no_floor", "only who has the floor speaks in a call", "take the floor first")
        if live.handover.away:
            raise Refusal("call_not_connected", "the caller was put through and can not hear us")
        return live.open_microphone(by, partial(self._microphone_lost, live.call_id, by))

    def _floor_by(self, call_id: str) -> str:
        call = self._book.get(call_id)
        return call.floor_by if call is not None and call.floor == "operator" else ""

    # -- who is gone --------------------------------------------------------------------------

    def _microphone_lost(self, call_id: str, by: str, why: str) -> None:
        self._spawn(self._give_on(call_id, by, f"the microphone was lost: {why}"))

    async def _after_grace(self, by: str) -> None:
        await asyncio.sleep(GRACE_SECONDS)
        if not self.is_present(by):
            for call in self._driven_by(by):
                await self._give_on(call.call_id, by, "their console is gone")

    async def _give_on(self, call_id: str, by: str, why: str) -> None:
        """Somebody who had the floor can not speak any more: the caller gets somebody else."""
        call = self._book.get(call_id)
        if call is None or not call.live or call.floor == "agent" or call.floor_by != by:
            return
        holder = self._settings.when_gone
        log.warning("call %s: the floor goes to %s: %s", call_id, holder, why)
        if not await self._move(call_id, holder, f"{by}: {why}") or holder != "held":
            return
        await asyncio.sleep(self._settings.held_limit_seconds)
        call = self._book.get(call_id)
        if call is not None and call.live and call.floor == "held" and call.floor_by == ENGINE:
            await self._move(call_id, "agent", "nobody has come back")

    async def _move(self, call_id: str, holder: Floor, why: str) -> bool:
        live = self._calls.get(call_id)
        if live is None:
            return False
        if live.person is not None:
            live.person.put_away(why)
        if holder == "agent":
            await live.words_settled()
        try:
            await self._recorder.record(Draft("floor.changed", call_id, {"holder": holder, "by": ENGINE, "why": why}))
        except StoreError:
            log.exception("call %s: the floor was given on without a record", call_id)
        live.set_floor(holder)
        return True

    def _driven_by(self, by: str) -> list[Call]:
        if not by.startswith(PERSON):
            return []
        return [call for call in self._book.live() if call.floor != "agent" and call.floor_by == by]

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("giving a floor on failed", exc_info=error)

    async def close(self) -> None:
        """The engine stops."""
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(list(self._tasks))
