"""A whole engine and, at the other end of its wires, a carrier's far end: what is the same for all of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

from engine.calls import Call, Event
from engine.carriers.factory import make_carrier
from engine.config import Config, parse_config
from engine.engine import Engine
from engine.speech.brains.script import ScriptBrain
from engine.speech.desk import SpeechDesk
from engine.speech.ports import Recogniser, Voice
from engine.store import DATABASE_NAME, LOCK_NAME, EngineLock, EventLog
from tests.carriers.far.base import AnyCall, FarEnd
from tests.carriers.far.settings import OUR_NUMBER
from tests.engine.conftest import Humming, Understands

QUICK: Final = {"ring_ms": 20, "think_ms": 20}
SINK: Final = "+15550100202"
BUSY: Final = "+15550100203"
MACHINE: Final = "+15550100205"
COLLEAGUE: Final = "+15550100207"
STRANGER: Final = "+15550100299"
LIMIT_S: Final = 20.0
FarT = TypeVar("FarT", bound=FarEnd[Any, Any, Any, Any])
CallT = TypeVar("CallT", bound=AnyCall)


def person(number: str, name: str, script: Sequence[str] = (), **manners: Any) -> dict[str, Any]:
    return {"number": number, "name": name, "script": list(script), "manners": {**QUICK, **manners}}


CALLERS: Final = [
    person(SINK, "Sink", deaf_and_mute=True),
    person(BUSY, "Busy", answers="busy"),
    person(MACHINE, "Machine", ["Nobody is at home. Please leave a message after the beep.", "beep"], machine=True),
    person(COLLEAGUE, "Colleague", ["This is the other desk."], machine=True, hangs_up_at=0),
]


class Live(Generic[FarT, CallT]):
    """A running engine and the far end that it talks to."""

    def __init__(self, engine: Engine, far: FarT) -> None:
        self.engine = engine
        self.far = far

    async def dial(self, to: str, message: str, mode: Any = "conversation") -> tuple[Call, CallT]:
        call_id = await self.engine.initiate(to, message, mode, by="cli")
        return self.call(call_id), self.far.call()

    def call(self, call_id: str) -> Call:
        found = self.engine.call(call_id)
        assert found is not None
        return found

    async def known(self, far: CallT) -> tuple[Call, CallT]:
        """A call that came in, once we know of it."""
        async with asyncio.timeout(LIMIT_S):
            async for _ in self.engine.watch(None, 100):
                call = self.engine.call(far.id)
                if call is not None:
                    return call, far
        raise AssertionError("the watch ended")

    async def until(self, call: Call, test: Callable[[Call], object]) -> Call:
        async with asyncio.timeout(LIMIT_S):
            async for _ in self.engine.watch(None, 1):
                found = self.call(call.call_id)
                if test(found):
                    return found
        raise AssertionError("the watch ended")

    async def events(self, call: Call) -> list[Event]:
        """All that is written down of a call, oldest first."""
        page = await self.engine.events(None, call.call_id)
        cursor = type(page.cursor)(page.cursor.generation, 0)
        return list((await self.engine.events(cursor, call.call_id, limit=5000)).events)

    async def facts(self, call: Call) -> list[tuple[str, Mapping[str, Any]]]:
        return [(event.type, event.data) for event in await self.events(call)]

    async def types(self, call: Call) -> list[str]:
        return [event.type for event in await self.events(call)]


def carrier_config(
    provider: str, account: Mapping[str, Any], outbound: Mapping[str, Any], changes: Mapping[str, Any]
) -> Config:
    """The configuration of an account at a far end, on any free port."""
    config = parse_config(b"", None, {}).config
    return config.model_copy(
        update={
            "provider": provider,
            provider: type(getattr(config, provider)).model_validate(account),
            "serve": config.serve.model_copy(update={"port": 0}),
            "from_number": OUR_NUMBER,
            "outbound": config.outbound.model_copy(update=dict(outbound)),
            **changes,
        }
    )


def no_streams() -> dict[str, Any]:
    """The change to the configuration by which an engine opens no media streams."""
    return {"streaming": parse_config(b"", None, {}).config.streaming.model_copy(update={"enabled": False})}


@asynccontextmanager
async def running_engine(
    state_dir: Path, config: Config, voice: Voice | None, hears: str | Recogniser
) -> AsyncIterator[Engine]:
    """An engine that serves. `voice` is ours, and `hears` is what is understood of the people. Leaving it ends the
    calls."""
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
                    yield engine
                finally:
                    engine.hurry.set()
                    for call in engine.live_calls():
                        await engine.end(call.call_id, "test")
                    stop.set()
                    await serving
