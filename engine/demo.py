"""The demonstration: a practice's telephone on the simulated carrier, and what came of it in figures.

People of the simulated carrier call in and are called, as many at a time as asked for. The summary compares what
they said, which the simulator knows, with what the engine understood.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from engine.api import Refusal
from engine.calls import Call, Event, fold, summarise
from engine.config import Config
from engine.config.network import Tailscale, Tunnel
from engine.speech.wer import word_error_rate

if TYPE_CHECKING:
    from engine.carriers.mock import MockCarrier
    from engine.engine import Engine

log = logging.getLogger(__name__)

CALLS: Final = 4
SEED: Final = 1
OUR_NUMBER: Final = "+15550100100"
GREETING: Final = "Good morning, Riverside Dental. How can I help you?"
CALLED: Final = (
    ("+15550100151", "Hello, this is Riverside Dental. Your check-up is due. Would Tuesday at ten suit you?"),
    ("+15550100152", "Hello, this is Riverside Dental. I am calling about your appointment on Monday at nine."),
    ("+15550100154", "Hello, this is Riverside Dental. Please call us back about your appointment."),
    ("+15550100153", "Hello, this is Riverside Dental. You have an appointment tomorrow at three."),
    ("+15550100155", "Hello, this is Riverside Dental."),
    ("+15550100158", "Hello, this is Riverside Dental. We would like to move your appointment to Friday."),
)
"""Whom the practice calls, and with what message."""
PAUSE_SECONDS: Final = 5.0
"""Between two calls that the practice places."""
CALLER_SECONDS: Final = 2.5
"""Between two people who call in, as long as there is room for another."""
ERRORS: Final = frozenset({"call.error", "speech.failed", "say.failed", "reply.failed"})


@dataclass(frozen=True, slots=True)
class DemoPlan:
    """How busy the practice is."""

    calls: int = CALLS
    """Calls at the same time."""
    seed: int = SEED

    @property
    def outbound(self) -> int:
        """How many of them we place."""
        return 1 if self.calls > 1 else 0


def demo_config(base: Config, plan: DemoPlan, port: int) -> Config:
    """The configuration of the demonstration: everything simulated, nobody refused."""
    return base.model_copy(
        update={
            "provider": "mock",
            "from_number": OUR_NUMBER,
            "to_number": base.to_number or CALLED[0][0],
            "inbound_policy": "open",
            "inbound_greeting": base.inbound_greeting or GREETING,
            "max_concurrent_calls": plan.calls + 2,
            "public_url": None,
            "tunnel": Tunnel(),
            "tailscale": Tailscale(),
            "mock": base.mock.model_copy(update={"seed": plan.seed, "inbound_every_seconds": 0.0}),
            "serve": base.serve.model_copy(update={"bind": "127.0.0.1", "port": port}),
        }
    )


class Demo:
    """Keeps the practice busy, on the engine's loop."""

    def __init__(self, engine: Engine, carrier: MockCarrier, plan: DemoPlan) -> None:
        self._engine = engine
        self._carrier = carrier
        self._plan = plan
        self._since = engine.cursor()

    async def run(self) -> None:
        """Let people call in and call people, for ever."""
        await self._engine.speech_settled()
        inbound = self._plan.calls - self._plan.outbound
        await self._carrier.set_pace(CALLER_SECONDS, inbound)
        await self._carrier.ring_in(OUR_NUMBER)  # The first caller is there at once.
        await self._call_people()

    async def _call_people(self) -> None:
        if not self._plan.outbound:
            await asyncio.get_running_loop().create_future()
        for number, message in itertools.cycle(CALLED):
            try:
                call_id = await self._engine.initiate(number, message, "conversation", by="demo")
            except Refusal as refusal:
                log.warning("the demonstration could not call: %s", refusal)
            else:
                await self._wait_for_end(call_id)
            await asyncio.sleep(PAUSE_SECONDS)

    async def _wait_for_end(self, call_id: str) -> None:
        cursor = self._since
        while (call := self._engine.call(call_id)) is not None and call.live:
            cursor = (await self._engine.events(cursor, call_id, wait_ms=45_000)).cursor

    async def quiet(self) -> None:
        """Nobody calls in any more: the simulator lives on for a while when the engine has gone."""
        await self._carrier.set_pace(0, 1)

    async def finish(self) -> dict[str, Any]:
        """End what is live, so that the last lines are counted, and sum up."""
        await self.quiet()
        for call in self._engine.live_calls():
            with contextlib.suppress(Refusal):
                await self._engine.end(call.call_id, by="demo")
        return await self.summary()

    async def summary(self) -> dict[str, Any]:
        """What came of it since the start: CONTRACT's JSON summary."""
        events = await self._events()
        report = await self._carrier.report()
        return summarise_demo(events, report, dict(self._engine.health()["frames"]))

    async def _events(self) -> list[Event]:
        events: list[Event] = []
        cursor = self._since
        while True:
            page = await self._engine.events(cursor, limit=1000)
            events += page.events
            if not page.events:
                return events
            cursor = page.cursor


def summarise_demo(events: Sequence[Event], report: Mapping[str, Any], frames: Mapping[str, int]) -> dict[str, Any]:
    """Fold events and the simulator's report into the summary."""
    calls = fold(events)
    said = {entry["id"]: entry["said"] for entry in report.get("calls", [])}
    errors = words = 0
    for call in calls.values():
        wrong, total = _score(said.get(call.provider_call_id or "", ()), _understood(call))
        errors += wrong
        words += total
    turns = [event.data["stages"] for event in events if event.type == "turn.completed"]
    stages = summarise(turns)["stages"]
    troubles = [event for event in events if event.type in ERRORS]
    return {
        "calls": len(calls),
        "ended": sum(1 for call in calls.values() if not call.live),
        "turns": len(turns),
        "words": words,
        "wordErrorRate": round(errors / words, 4) if words else None,
        "stages": {name: {"p50": stage["p50Ms"], "p95": stage["p95Ms"]} for name, stage in stages.items()},
        "frames": {"sent": frames["sent"], "late": frames["late"], "p99LateMs": frames["p99LateMs"]},
        "errors": len(troubles),
        "errorDetails": [_trouble(event) for event in troubles[:20]],
    }


def _understood(call: Call) -> list[str]:
    return [line.text for line in call.transcript if line.speaker == "caller"]


def _score(said: Sequence[Mapping[str, Any]], understood: Sequence[str]) -> tuple[int, int]:
    """Word errors and words said in one call.

    A line that was broken off may or may not have been understood as far as it went: it counts as whatever fits
    better, because nobody knows which words of it were spoken.
    """
    whole = " ".join(line["text"] for line in said if line["whole"])
    every = " ".join(line["text"] for line in said)
    text = " ".join(understood)
    best = word_error_rate(whole, text)
    if every != whole:
        candidates = [best, word_error_rate(every, text), word_error_rate(whole, " ".join(understood[:-1]))]
        best = min(candidates, key=lambda pair: pair[0] / max(1, pair[1]))
    return best


def _trouble(event: Event) -> str:
    text = event.data.get("message") or event.data.get("error") or ""
    return f"{event.type}: {text}"
