"""Two people on one line: what one says the other hears."""

from __future__ import annotations

import asyncio
from binascii import a2b_base64
from random import Random

from engine.simulator.leg import Leg
from engine.simulator.people import Person
from tests.carriers.far.world import FarWorld


class Across:
    """One leg's stream (engine.simulator.leg.Stream) that leads into the other leg's ear."""

    def __init__(self, to: Leg) -> None:
        self._to = to

    def send_audio(self, payload: str) -> None:
        self._to.playback.push(a2b_base64(payload))

    def send_key(self, digit: str) -> None:
        self._to.heard.digits += digit

    def send_mark(self, name: str) -> None:
        raise AssertionError("nobody sends marks on a bridged line")


class Bridge:
    """The caller's leg, and the called person's for as long as it lasts."""

    def __init__(self, world: FarWorld, leg: Leg, person: Person, sid: str) -> None:
        self._world = world
        self._leg = leg
        self._left = asyncio.Event()
        self.other = Leg(
            person=person,
            called=True,
            rng=Random(sid),
            voices=world.voices,
            on_leave=self._left.set,
            on_key=lambda digit: None,
        )

    async def run(self) -> None:
        """Return when the called person hangs up."""
        leg, other = self._leg, self.other
        leg.playback.clear()
        leg.stream, other.stream = Across(other), Across(leg)
        self._world.ticker.add(other.tick, lambda _: self._left.set())
        try:
            await self._left.wait()
        finally:
            self._world.ticker.remove(other.tick)
            other.close()
            leg.stream = None
            leg.playback.clear()
