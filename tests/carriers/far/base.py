"""A far end as a whole, whoever the carrier is: its calls and its people, behind a real HTTP server."""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Coroutine, Mapping
from random import Random
from typing import Any, Final, Generic, Protocol, Self, TypeVar

import aiohttp
from aiohttp import web

from engine.simulator.cast import Cast
from engine.simulator.people import Person
from engine.simulator.ticker import Ticker
from engine.simulator.voices import VoiceBank
from tests.carriers.far.settings import FarSettings
from tests.carriers.far.sounds import tones

log = logging.getLogger(__name__)

GOODBYE_S: Final = 3.0


class AnyCall(Protocol):
    """A call at any far end."""

    @property
    def id(self) -> str:
        """The carrier's name for it."""
        ...

    @property
    def person(self) -> Person: ...

    @property
    def over(self) -> bool: ...

    async def run(self) -> None: ...

    async def press(self, digits: str) -> None: ...

    def hang_up_person(self) -> None: ...


CallT = TypeVar("CallT", bound=AnyCall)
SettingsT = TypeVar("SettingsT", bound=FarSettings)
OperationT = TypeVar("OperationT", bound=str)
FaultT = TypeVar("FaultT", bound=str)


class FarEnd(ABC, Generic[CallT, SettingsT, OperationT, FaultT]):
    """Use as an async context manager; leaving it ends all calls.

    `calls` is every call by its name, oldest first. `fail` lets REST requests fail. `complaints` holds what the
    carrier would have ignored or refused in what we answer and ask: no test should see one by accident.
    """

    base_url: str

    def __init__(self, settings: SettingsT, voices: VoiceBank | None, port: int) -> None:
        self.settings = settings
        self.calls: dict[str, CallT] = {}
        self.complaints: list[str] = []
        self.empty_lists = 0
        """So many lists of calls are still empty: what was made a moment ago is not always there yet."""
        self.ahead_s = 0.0
        """How far the Date header is before the real time."""
        self.closing = asyncio.Event()
        self.changed = asyncio.Event()
        self.failures: list[BaseException] = []
        """Faults of the far end itself."""
        self._faults: deque[tuple[OperationT, FaultT]] = deque()
        self._voices = voices or tones()
        self._cast = Cast([dict(caller) for caller in settings.callers])
        self._ticker = Ticker()
        self._ids = Random(settings.seed)
        self._tasks: set[asyncio.Task[object]] = set()
        self._port = port
        self._turn = 0

    @abstractmethod
    def _open(self, http: aiohttp.ClientSession) -> web.Application:
        """Make what the calls share, and the REST interface."""

    @abstractmethod
    def _cut(self, call: CallT) -> None:
        """End a call that lives, because the far end closes."""

    @abstractmethod
    def ring_in(self, person: str = "", to_number: str = "", from_number: str = "") -> CallT:
        """Somebody calls one of our numbers: by name or number, or the next of the cast. Raises LookupError."""

    @abstractmethod
    def _call_report(self, call: CallT) -> Mapping[str, Any]:
        """A call, as JSON."""

    async def __aenter__(self) -> Self:
        self._http = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
        self._runner = web.AppRunner(self._open(self._http), access_log=None, shutdown_timeout=0.2)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self._port).start()
        self.base_url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop_listening()
        for call in self.live():
            self._cut(call)
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=GOODBYE_S)
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        await self._ticker.close()
        await self._http.close()
        self._voices.close()
        if self.failures:
            raise AssertionError("the far end itself failed") from self.failures[0]

    # tests

    async def stop_listening(self) -> None:
        """REST is gone; calls go on."""
        self.closing.set()
        await self._runner.cleanup()

    def fail(self, operation: OperationT, fault: FaultT, times: int = 1) -> None:
        """The next requests of a kind meet a fault."""
        self._faults.extend([(operation, fault)] * times)

    def take_fault(self, operation: OperationT) -> FaultT | None:
        for item in self._faults:
            if item[0] == operation:
                self._faults.remove(item)
                return item[1]
        return None

    def live(self) -> list[CallT]:
        return [call for call in self.calls.values() if not call.over]

    def call(self, index: int = -1) -> CallT:
        """A call by its place; the newest by default."""
        return list(self.calls.values())[index]

    async def until_calls(self, count: int, limit_s: float = 10.0) -> CallT:
        """The newest call, once there are so many."""
        async with asyncio.timeout(limit_s):
            while len(self.calls) < count:
                self.changed.clear()
                await self.changed.wait()
        return self.call()

    def report(self, last: int = 1000) -> dict[str, Any]:
        """Everything, as JSON."""
        calls = list(self.calls.values())[-last:]
        return {"calls": [self._call_report(call) for call in calls], "complaints": self.complaints}

    # calls

    def person_at(self, number: str) -> Person:
        return self._cast.at(number, Random(f"{self.settings.seed}:{number}"))

    def _caller(self, person: str, from_number: str) -> Person:
        wanted = person or from_number
        found = self._cast.find(wanted) if wanted else None
        if found is None and person:
            raise LookupError(f"there is no person {person!r}")
        if found is None:
            callers = self._cast.callers()
            self._turn += 1
            found = callers[(self._turn - 1) % len(callers)]
        return found

    def _start(self, call: CallT) -> CallT:
        self.calls[call.id] = call
        self.changed.set()
        self._spawn(call.run())
        return call

    def _spawn(self, job: Coroutine[Any, Any, object]) -> asyncio.Task[object]:
        task: asyncio.Task[object] = asyncio.ensure_future(job)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[object]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("the far end failed", exc_info=error)
            self.failures.append(error)
