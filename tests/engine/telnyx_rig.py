"""A whole engine and, at the other end of its wires, a Telnyx."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from engine.calls import Call
from engine.carriers.factory import make_carrier
from engine.config import Config, parse_config
from engine.engine import Engine
from engine.simulator.voices import VoiceBank
from engine.speech.brains.script import ScriptBrain
from engine.speech.desk import SpeechDesk
from engine.speech.ports import Recogniser, Voice
from engine.store import DATABASE_NAME, LOCK_NAME, EngineLock, EventLog
from tests.carriers.telnyx_far import OUR_NUMBER, FarCall, Settings, TelnyxFar
from tests.engine.conftest import Humming, Understands

QUICK = {"ring_ms": 20, "think_ms": 20}
SINK = "+15550100202"
BUSY = "+15550100203"
MACHINE = "+15550100205"
COLLEAGUE = "+15550100207"
LATE = "+15550100208"
LIMIT_S = 20.0


def person(number: str, name: str, script: Sequence[str] = (), **manners: Any) -> dict[str, Any]:
    return {"number": number, "name": name, "script": list(script), "manners": {**QUICK, **manners}}


CALLERS = [
    person(SINK, "Sink", deaf_and_mute=True),
    person(BUSY, "Busy", answers="busy"),
    person(MACHINE, "Machine", ["Nobody is at home. Please leave a message after the beep.", "beep"], machine=True),
    person(COLLEAGUE, "Colleague", ["This is the other desk."], machine=True, hangs_up_at=0),
    person(LATE, "Late", deaf_and_mute=True, ring_ms=1500),
]


class Live:
    """A running engine and the far end that it talks to."""

    def __init__(self, engine: Engine, far: TelnyxFar) -> None:
        self.engine = engine
        self.far = far

    async def dial(self, to: str, message: str, mode: Any = "conversation") -> tuple[Call, FarCall]:
        call_id = await self.engine.initiate(to, message, mode, by="cli")
        return self.call(call_id), self.far.call()

    async def ring_in(self, person: str = "Sink") -> tuple[Call, FarCall]:
        """Somebody calls; returns once we know of it."""
        far = self.far.ring_in(person)
        async with asyncio.timeout(LIMIT_S):
            async for _ in self.engine.watch(None, 100):
                call = self.engine.call(far.id)
                if call is not None:
                    return call, far
        raise AssertionError("the watch ended")

    def call(self, call_id: str) -> Call:
        found = self.engine.call(call_id)
        assert found is not None
        return found

    async def until(self, call: Call, test: Any) -> Call:
        async with asyncio.timeout(LIMIT_S):
            async for _ in self.engine.watch(None, 1):
                found = self.call(call.call_id)
                if test(found):
                    return found
        raise AssertionError("the watch ended")

    async def facts(self, call: Call) -> list[tuple[str, Mapping[str, Any]]]:
        page = await self.engine.events(None, call.call_id)
        cursor = type(page.cursor)(page.cursor.generation, 0)
        events = (await self.engine.events(cursor, call.call_id, limit=5000)).events
        return [(event.type, event.data) for event in events]

    async def types(self, call: Call) -> list[str]:
        return [type_ for type_, _ in await self.facts(call)]


def config_for(
    far: TelnyxFar, outbound: Mapping[str, Any], changes: Mapping[str, Any], telnyx: Mapping[str, Any] | None = None
) -> Config:
    """The configuration of an account at the far end, on any free port; `telnyx` is more of that part of it."""
    config = parse_config(b"", None, {}).config
    account: dict[str, Any] = {"api_key": far.settings.api_key, "connection_id": far.settings.connection_id}
    account |= {"public_key": far.public_key, "api_base_url": far.base_url, **(telnyx or {})}
    return config.model_copy(
        update={
            "provider": "telnyx",
            "telnyx": type(config.telnyx).model_validate(account),
            "serve": config.serve.model_copy(update={"port": 0}),
            "from_number": OUR_NUMBER,
            "inbound_policy": "open",
            "outbound": config.outbound.model_copy(update=dict(outbound)),
            **changes,
        }
    )


@asynccontextmanager
async def live(
    state_dir: Path,
    wait_speed: float = 20,
    changes: Mapping[str, Any] | None = None,
    *,
    settings: Mapping[str, Any] | None = None,
    telnyx: Mapping[str, Any] | None = None,
    voices: VoiceBank | None = None,
    voice: Voice | None = None,
    hears: str | Recogniser = "what are your opening hours",
    **outbound: Any,
) -> AsyncIterator[Live]:
    """`changes` are to the configuration, `telnyx` and `outbound` to those parts of it, `settings` to the far end.
    `voices` are those of the people there, `voice` is ours, and `hears` is what is understood of them. Our number
    rings here."""
    set_up = {"callers": CALLERS, "say_speed": 1, "wait_speed": wait_speed, **(settings or {})}
    async with TelnyxFar(Settings(**set_up), voices) as far:
        config = config_for(far, outbound, changes or {}, telnyx)
        ears = Understands(hears) if isinstance(hears, str) else hears
        desk = SpeechDesk(ears, voice or Humming(), ScriptBrain())
        with EngineLock.acquire(state_dir / LOCK_NAME, version="test") as lock:
            async with await EventLog.open(state_dir / DATABASE_NAME) as log:
                engine = Engine(config, state_dir, lock, log, await make_carrier(config, state_dir), desk)
                ready, stop = asyncio.Event(), asyncio.Event()
                async with asyncio.TaskGroup() as group:
                    serving = group.create_task(engine.run(ready, stop))
                    await ready.wait()
                    far.app.webhook_url = engine.health()["exposure"]["publicUrl"]
                    try:
                        yield Live(engine, far)
                    finally:
                        engine.hurry.set()
                        for call in engine.live_calls():
                            await engine.end(call.call_id, "test")
                        stop.set()
                        await serving
        assert far.complaints == []
