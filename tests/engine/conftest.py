"""A real engine on the real simulated carrier, with speech engines that are quick and predictable.

People still speak real audio on a real socket at real pace; only the two ends that take processor time, synthesis
and recognition, are stood in for where a test is not about them. One simulator serves all tests of a process; each
engine has a number of its own, so that inbound calls find the right one.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from engine.calls import Call, Cursor, Event
from engine.carriers.mock import MockCarrier
from engine.config import Config, parse_config
from engine.engine import Engine
from engine.host import open_engine
from engine.media.audio import Audio, AudioFormat
from engine.speech.brains.script import ScriptBrain
from engine.speech.desk import SpeechDesk
from engine.speech.ports import Brain, Final, Hearing, Listener, Lost, Recogniser, SpeechUnavailable, Voice
from tests.engine.simulators import Simulator, simulator_process

PCM = AudioFormat("pcm16", 16_000)
WAIT_SECONDS = 15.0
_numbers = itertools.count(1)


class Humming(Voice):
    """A voice that hums a tone, `ms_per_character` long for each character."""

    name = "humming"

    def __init__(self, ms_per_character: int = 12) -> None:
        self.ms_per_character = ms_per_character
        self.broken = ""

    async def start(self) -> None:
        """Nothing to load."""

    async def speak(self, text: str, voice: str = "") -> AsyncGenerator[Audio, None]:
        if self.broken:
            raise SpeechUnavailable(self.broken)
        samples = PCM.rate * self.ms_per_character * len(text) // 1000
        wave = b"".join(
            (6000 if index // 40 % 2 else -6000).to_bytes(2, "little", signed=True) for index in range(80)
        )
        yield Audio(PCM, (wave * (samples // 80 + 1))[: samples * 2])

    async def close(self) -> None:
        """Nothing to let go of."""


class Words(Listener):
    """A listener that understands `text` in every turn."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._hearings: asyncio.Queue[Hearing | None] = asyncio.Queue()
        self._utterance = 0

    def feed(self, audio: bytes) -> None:
        """Audio is not looked at."""

    def finish(self) -> int:
        self._utterance += 1
        self._hearings.put_nowait(Final(self._text, self._utterance))
        return self._utterance

    def lose(self, why: str) -> None:
        self._hearings.put_nowait(Lost(why))

    async def hearings(self) -> AsyncIterator[Hearing]:
        while (hearing := await self._hearings.get()) is not None:
            yield hearing

    async def close(self) -> None:
        self._hearings.put_nowait(None)


class Understands(Recogniser):
    """A recogniser whose listeners understand one text."""

    name = "words"

    def __init__(self, text: str = "what are your opening hours") -> None:
        self.text = text
        self.listeners: list[Words] = []

    async def start(self) -> None:
        """Nothing to load."""

    async def listen(self, format: AudioFormat) -> Words:  # noqa: A002
        listener = Words(self.text)
        self.listeners.append(listener)
        return listener

    async def close(self) -> None:
        """Nothing to let go of."""


@dataclass
class Running:
    """An engine that serves, and what tests ask of it."""

    engine: Engine
    carrier: MockCarrier
    stop: asyncio.Event
    simulator: Simulator
    number: str
    """Ours: who calls it reaches this engine."""

    async def until(self, what: Callable[[], Any]) -> Any:
        """Wait until `what` is true after some event; fails after a limit. Returns what it returned."""
        async with asyncio.timeout(WAIT_SECONDS):
            async for _ in self.engine.watch(None, 1):
                if result := what():
                    return result
        raise AssertionError("the watch ended")

    async def until_event(self, test: Callable[[Event], bool]) -> Event:
        """Wait for an event that is as `test` wants it, stored or not, from the beginning of the log on."""
        beginning = Cursor(self.engine.cursor().generation, 0)
        async with asyncio.timeout(WAIT_SECONDS):
            async for batch in self.engine.watch(beginning):
                for event in batch:
                    if test(event):
                        return event
        raise AssertionError("the watch ended")

    async def until_call(self, call_id: str, test: Callable[[Call], bool]) -> Call:
        """Wait until a call is as `test` wants it."""

        def check() -> Call | None:
            call = self.engine.call(call_id)
            return call if call is not None and test(call) else None

        found: Call = await self.until(check)
        return found

    async def until_carrier(self, call_id: str, test: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Wait until what the simulator knows about a call that we placed is as `test` wants it."""
        async with asyncio.timeout(WAIT_SECONDS):
            while True:
                report = await self.simulator.call_of(call_id)
                if test(report):
                    return report
                await asyncio.sleep(0.05)  # The simulator tells nobody by itself what people heard.

    async def events(self, call_id: str | None = None) -> list[Event]:
        """All stored events, or those of one call."""
        beginning = Cursor(self.engine.cursor().generation, 0)
        page = await self.engine.events(beginning, call_id, limit=5000)
        return list(page.events)

    async def ring_in(self, person: str) -> Call:
        """Somebody calls in; returns our call."""
        provider_call_id = await self.carrier.ring_in(self.number, person)
        found: Call = await self.until(lambda: self.engine.call(provider_call_id))
        return found


def settings(simulator: Simulator, **changes: Any) -> Config:
    """The default configuration on any free port and a new number of ours, open to callers, with `changes`."""
    config = parse_config(b"", None, {}).config
    base: dict[str, Any] = {
        "serve": config.serve.model_copy(update={"port": 0}),
        "from_number": f"+1555020{next(_numbers):04d}",
        "inbound_policy": "open",
        "max_concurrent_calls": 10,
        "mock": simulator.config,
    }
    return config.model_copy(update=base | changes)


@asynccontextmanager
async def running(
    state_dir: Path,
    config: Config,
    simulator: Simulator,
    *,
    voice: Voice | None = None,
    recogniser: Recogniser | None = None,
    brain: Brain | None = None,
) -> AsyncIterator[Running]:
    """An engine on `state_dir` for as long as the context lasts; stopped without draining for long."""
    desk = SpeechDesk(recogniser or Understands(), voice or Humming(), brain or ScriptBrain())
    async with open_engine(config, state_dir, desk) as engine, asyncio.TaskGroup() as group:
        assert isinstance(engine.carrier, MockCarrier)
        ready, stop = asyncio.Event(), asyncio.Event()
        serving = group.create_task(engine.run(ready, stop))
        waiting = group.create_task(ready.wait())
        await asyncio.wait([serving, waiting], return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if serving.done():
            await serving
        try:
            yield Running(engine, engine.carrier, stop, simulator, config.from_number or "")
        finally:
            for call in engine.live_calls():
                await engine.end(call.call_id, "test")
            stop.set()
            await serving


Start = Callable[..., Awaitable[Running]]


@pytest.fixture(scope="session")
def simulator() -> Iterator[Simulator]:
    """The simulated carrier of this test process."""
    with simulator_process() as simulator:
        yield simulator


@pytest.fixture
async def start(tmp_path: Path, simulator: Simulator) -> AsyncIterator[Start]:
    """Start engines on the test's own state folder; they are stopped at its end."""
    async with AsyncExitStack() as stack:

        async def begin(
            *, voice: Voice | None = None, recogniser: Recogniser | None = None, **changes: Any
        ) -> Running:
            config = settings(simulator, **changes)
            return await stack.enter_async_context(
                running(tmp_path, config, simulator, voice=voice, recogniser=recogniser)
            )

        yield begin
