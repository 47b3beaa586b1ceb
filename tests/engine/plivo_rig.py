"""A whole engine and, at the other end of its wires, a Plivo."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
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
from tests.carriers.plivo_far import OUR_NUMBER, FarCall, PlivoFar, Settings
from tests.engine.conftest import Humming, Understands
from tests.engine.twilio_rig import BUSY, COLLEAGUE, MACHINE, SINK, person

__all__ = ["BUSY", "COLLEAGUE", "MACHINE", "SINK", "STRANGER", "Live", "live", "native", "person", "ring_in"]

STRANGER = "+15550100299"
LIMIT_S = 20.0
CALLERS = [
    person(SINK, "Sink", deaf_and_mute=True),
    person(BUSY, "Busy", answers="busy"),
    person(MACHINE, "Machine", ["Nobody is at home. Please leave a message after the beep.", "beep"], machine=True),
    person(COLLEAGUE, "Colleague", ["This is the other desk."], machine=True, hangs_up_at=0),
]


class Live:
    """A running engine and the far end that it talks to."""

    def __init__(self, engine: Engine, far: PlivoFar) -> None:
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

    async def events(self, call: Call) -> list[Any]:
        page = await self.engine.events(None, call.call_id)
        cursor = type(page.cursor)(page.cursor.generation, 0)
        return list((await self.engine.events(cursor, call.call_id, limit=5000)).events)

    async def types(self, call: Call) -> list[str]:
        return [event.type for event in await self.events(call)]


async def ring_in(at: Live, from_number: str = SINK, to_number: str = OUR_NUMBER) -> tuple[Call, FarCall]:
    """Somebody calls a number of ours, whose application is as `setup` asks for."""
    webhook = str(at.engine.health()["exposure"]["publicUrl"])
    if to_number not in at.far.numbers:
        at.far.add_number(to_number, next(iter(at.far.applications)))
    application = at.far.applications[at.far.numbers[to_number].app_id]
    application.answer_url, application.hangup_url = webhook, f"{webhook}?type=status"
    far = at.far.ring_in("Sink", to_number, from_number)
    async with asyncio.timeout(LIMIT_S):
        async for _ in at.engine.watch(None, 100):
            call = at.engine.call(far.state.uuid)
            if call is not None:
                return call, far
    raise AssertionError("the watch ended")


def config_for(far: PlivoFar, outbound: Mapping[str, Any], changes: Mapping[str, Any]) -> Config:
    """The configuration of an account at the far end, on any free port."""
    config = parse_config(b"", None, {}).config
    account = {"auth_id": far.settings.auth_id, "auth_token": far.settings.auth_token}
    return config.model_copy(
        update={
            "provider": "plivo",
            "plivo": type(config.plivo).model_validate({**account, "api_base_url": far.base_url}),
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
    voices: VoiceBank | None = None,
    voice: Any = None,
    hears: Any = "what are your opening hours",
    **outbound: Any,
) -> AsyncIterator[Live]:
    """`changes` are to the configuration, `outbound` to that part of it, `settings` to the far end. `voices` are
    those of the people there, `voice` is ours, and `hears` is what is understood of them. Our number rings here."""
    set_up = {"callers": CALLERS, "say_speed": 20, "wait_speed": wait_speed, **(settings or {})}
    async with PlivoFar(Settings(**set_up), voices) as far:
        config = config_for(far, outbound, changes or {})
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
        for told in far.calls.values():
            assert [stream.problems for stream in told.streams if stream.problems] == []


def native(state_dir: Path, **more: Any) -> AbstractAsyncContextManager[Live]:
    """An engine that opens no media streams."""
    streaming = parse_config(b"", None, {}).config.streaming.model_copy(update={"enabled": False})
    return live(state_dir, changes={"streaming": streaming, **more.pop("changes", {})}, **more)
