"""A whole engine and, at the other end of its wires, a Twilio."""

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
from engine.store import DATABASE_NAME, LOCK_NAME, EngineLock, EventLog
from tests.carriers.twilio_far import OUR_NUMBER, FarCall, Settings, TwilioFar
from tests.engine.conftest import Humming, Understands

QUICK = {"ring_ms": 20, "think_ms": 20}
SINK = "+15550100202"
BUSY = "+15550100203"
MACHINE = "+15550100205"
COLLEAGUE = "+15550100207"
LIMIT_S = 20.0


def person(number: str, name: str, script: Sequence[str] = (), **manners: Any) -> dict[str, Any]:
    return {"number": number, "name": name, "script": list(script), "manners": {**QUICK, **manners}}


CALLERS = [
    person(SINK, "Sink", deaf_and_mute=True),
    person(BUSY, "Busy", answers="busy"),
    person(MACHINE, "Machine", ["Nobody is at home. Please leave a message after the beep.", "beep"], machine=True),
    person(COLLEAGUE, "Colleague", ["This is the other desk."], machine=True, hangs_up_at=0),
]


class Live:
    """A running engine and the far end that it talks to."""

    def __init__(self, engine: Engine, far: TwilioFar) -> None:
        self.engine = engine
        self.far = far

    async def dial(self, to: str, message: str, mode: Any = "conversation") -> tuple[Call, FarCall]:
        call_id = await self.engine.initiate(to, message, mode, by="cli")
        call = self.engine.call(call_id)
        assert call is not None
        return call, self.far.call()

    async def until(self, call: Call, test: Any) -> Call:
        async with asyncio.timeout(LIMIT_S):
            async for _ in self.engine.watch(None, 1):
                found = self.engine.call(call.call_id)
                assert found is not None
                if test(found):
                    return found
        raise AssertionError("the watch ended")

    async def types(self, call: Call) -> list[str]:
        page = await self.engine.events(None, call.call_id)
        cursor = type(page.cursor)(page.cursor.generation, 0)
        return [event.type for event in (await self.engine.events(cursor, call.call_id, limit=5000)).events]


def config_for(
    far: TwilioFar, outbound: Mapping[str, Any], changes: Mapping[str, Any], twilio: Mapping[str, Any] | None = None
) -> Config:
    """The configuration of an account at the far end, on any free port; `twilio` is more of that part of it."""
    config = parse_config(b"", None, {}).config
    account = {"account_sid": far.settings.account_sid, "auth_token": far.settings.auth_token, **(twilio or {})}
    return config.model_copy(
        update={
            "provider": "twilio",
            "twilio": type(config.twilio).model_validate({**account, "api_base_url": far.base_url}),
            "serve": config.serve.model_copy(update={"port": 0}),
            "from_number": OUR_NUMBER,
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
    twilio: Mapping[str, Any] | None = None,
    voices: VoiceBank | None = None,
    voice: Humming | None = None,
    hears: str | Understands = "what are your opening hours",
    **outbound: Any,
) -> AsyncIterator[Live]:
    """`changes` are to the configuration, `twilio` and `outbound` to those parts of it, `settings` to the far end.
    `voices` are those of the people there, `voice` is ours, and `hears` is what is understood of them. Our number
    rings here."""
    set_up = {"callers": CALLERS, "say_speed": 20, "wait_speed": wait_speed, **(settings or {})}
    async with TwilioFar(Settings(**set_up), voices) as far:
        config = config_for(far, outbound, changes or {}, twilio)
        ears = Understands(hears) if isinstance(hears, str) else hears
        desk = SpeechDesk(ears, voice or Humming(), ScriptBrain())
        with EngineLock.acquire(state_dir / LOCK_NAME, version="test") as lock:
            async with await EventLog.open(state_dir / DATABASE_NAME) as log:
                engine = Engine(config, state_dir, lock, log, await make_carrier(config, state_dir), desk)
                ready, stop = asyncio.Event(), asyncio.Event()
                async with asyncio.TaskGroup() as group:
                    serving = group.create_task(engine.run(ready, stop))
                    await ready.wait()
                    try:
                        yield Live(engine, far)
                    finally:
                        engine.hurry.set()
                        for call in engine.live_calls():
                            await engine.end(call.call_id, "test")
                        stop.set()
                        await serving
        assert far.complaints == []
