"""Answering machine detection, by what is known of the person."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from engine.simulator.leg import Leg
from engine.simulator.people import Beep, Line

if TYPE_CHECKING:
    from tests.carriers.twilio_far.call import FarCall


class Detector:
    """One call's."""

    def __init__(self, call: FarCall) -> None:
        self._call = call

    async def detect(self, leg: Leg) -> None:
        verdict = await self.verdict(leg)
        if self._call.state.over:
            return
        self._call.state.answered_by = verdict
        if self._call.orders.amd_url:
            spent = str(leg.now_ms)
            pairs = [("CallSid", self._call.state.sid), ("AccountSid", self._call.state.account_sid)]
            pairs += [("AnsweredBy", verdict), ("MachineDetectionDuration", spent)]
            await self._call.reporter.ask("amd", self._call.orders.amd_url, "POST", dict(pairs), whole=False)

    async def verdict(self, leg: Leg) -> str:
        """Who answered, when Twilio would know: a person after a short hello, a machine by its long greeting or, with
        DetectMessageEnd, after its beep."""
        speed = self._call.world.settings.wait_speed
        forced = self._call.world.forced_verdicts.get(self._call.state.to_number)
        if forced is not None:
            await asyncio.sleep(0.5 / speed)
            return forced
        if self._call.person.manners.deaf_and_mute:
            await asyncio.sleep(5.0 / speed)
            return "unknown"
        if not self._call.person.manners.machine:
            await self._until_leg(lambda: bool(leg.said and leg.said[0].end_ms))
            return "human"
        if self._call.orders.machine_detection == "Enable":
            await self._until_leg(lambda: bool(leg.said) and leg.now_ms - leg.said[0].start_ms >= 2400 / speed)
            return "machine_start"
        script = self._call.person.script
        beep = next((at for at, step in enumerate(script) if isinstance(step, Beep)), len(script))
        greeting = sum(isinstance(step, Line) for step in script[:beep])
        await self._until_leg(lambda: sum(bool(line.end_ms) for line in leg.said) >= greeting)
        await asyncio.sleep(1.0)  # the beep itself: the person's clock has no speed
        return "machine_end_beep" if beep < len(script) else "machine_end_silence"

    async def _until_leg(self, condition: Callable[[], bool]) -> None:
        """The leg has no events of its own: it is looked at after each tick."""
        while not condition() and not self._call.state.over:
            self._call.ticked.clear()
            await self._call.ticked.wait()
