"""Hosts for an engine: a thread of its own beside a screen, or the main thread of a headless process.

The engine's loop is uvloop where there is one; whatever starts it learns within a limit that it is ready, or why it
is not. A host that is stopped drains; stopped again, it stops at once.
"""

from __future__ import annotations

import asyncio
import logging
import resource
import signal
import sys
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import uvloop

from engine import __version__
from engine.api import EngineFailed, Refusal
from engine.carriers.base import CarrierError
from engine.carriers.factory import make_carrier
from engine.config import Config, ConfigError, Problem, missing
from engine.engine import Engine
from engine.exposure.reach import refused
from engine.speech.desk import SpeechDesk
from engine.speech.ports import SpeechUnavailable
from engine.store import DATABASE_NAME, LOCK_NAME, EngineLock, EventLog, StoreError
from engine.web.server import PortTaken

log = logging.getLogger(__name__)

READY_SECONDS: Final = 30.0
STOP_SECONDS: Final = 30.0
MAX_FILES: Final = 65_536
SWITCH_INTERVAL: Final = 0.0005
"""Seconds a thread may keep the interpreter while another wants it: a screen must not make audio late."""


@asynccontextmanager
async def open_engine(config: Config, state_dir: Path, desk: SpeechDesk | None = None) -> AsyncIterator[Engine]:
    """An engine on `state_dir`, with its lock and its log. Raises ConfigError, EngineFailed, and EngineRunning."""
    _check_complete(config)
    _raise_file_limit()
    lock = EngineLock.acquire(state_dir / LOCK_NAME, version=__version__)
    try:
        event_log = await EventLog.open(state_dir / DATABASE_NAME)
        try:
            carrier = await make_carrier(config, state_dir)
            yield Engine(config, state_dir, lock, event_log, carrier, desk or make_desk(config))
        finally:
            await event_log.close()
    finally:
        lock.release()


def _check_complete(config: Config) -> None:
    """Refuse to start with what can not work, and say what is missing."""
    needs = [*missing(config), *refused(config)]
    if needs:
        raise ConfigError(None, [Problem(0, 0, need.key, need.message, need.hint) for need in needs])


def _raise_file_limit() -> None:
    """Take all the file descriptors there are: every media socket is one, and strangers take some too."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_FILES if hard == resource.RLIM_INFINITY else min(hard, MAX_FILES)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def make_desk(config: Config) -> SpeechDesk:
    """The speech engines that the configuration names. Raises EngineFailed for one that does not exist."""
    from engine.speech.brains.factory import make_brain
    from engine.speech.factory import make_recogniser, make_voice

    try:
        return SpeechDesk(make_recogniser(config), make_voice(config), make_brain(config))
    except SpeechUnavailable as error:
        raise EngineFailed(str(error), error.hint) from error


async def run_engine(
    config: Config,
    state_dir: Path,
    ready: Callable[[Engine], None],
    stop: asyncio.Event,
    desk: SpeechDesk | None = None,
) -> None:
    """Run an engine until `stop` is set; `ready` is called once it serves. Raises EngineFailed and StoreError."""
    try:
        async with open_engine(config, state_dir, desk) as engine:
            up = asyncio.Event()
            async with asyncio.TaskGroup() as group:
                announce = group.create_task(_announce(up, engine, ready))
                await engine.run(up, stop)
                announce.cancel()
    except* (Refusal, StoreError, PortTaken, CarrierError) as errors:
        raise _told(first_error(errors)) from None


def first_error(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    """The first error in a group of groups."""
    error: BaseException = errors
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _told(error: BaseException) -> BaseException:
    """Why an engine did not start, as those who start it expect it."""
    if isinstance(error, PortTaken):
        return EngineFailed(str(error), error.hint)
    if isinstance(error, CarrierError):
        return EngineFailed(f"the carrier can not be used: {error}", error.link)
    return error


async def _announce(up: asyncio.Event, engine: Engine, ready: Callable[[Engine], None]) -> None:
    await up.wait()
    ready(engine)


class EngineThread:
    """An engine with a loop and a thread of its own."""

    def __init__(
        self,
        config: Config,
        state_dir: Path,
        desk: SpeechDesk | None = None,
        on_ready: Callable[[Engine], None] | None = None,
    ) -> None:
        """`on_ready` is called on the engine's loop once it serves."""
        self._config = config
        self._state_dir = state_dir
        self._desk = desk
        self._on_ready = on_ready
        self._ready = threading.Event()
        self._error: BaseException | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._engine: Engine | None = None
        self._task: asyncio.Task[None] | None = None
        self._thread = threading.Thread(target=self._main, name="engine", daemon=True)

    @property
    def engine(self) -> Engine:
        """The running engine; its methods belong to `loop`."""
        if self._engine is None:
            raise EngineFailed("the engine is not running")
        return self._engine

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            raise EngineFailed("the engine is not running")
        return self._loop

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def start(self) -> None:
        """Start and return once the engine serves. Raises EngineFailed or StoreError."""
        sys.setswitchinterval(SWITCH_INTERVAL)
        self._thread.start()
        if not self._ready.wait(READY_SECONDS):
            self.stop(force=True)
            raise EngineFailed(f"the engine was not ready within {READY_SECONDS:.0f} s", "see voicecall.log")
        if self._error is not None:
            raise self._error

    def stop(self, *, now: bool = False, force: bool = False) -> None:
        """Drain and stop. `now` hangs up live calls at once; `force` does not even do that. Again is harmless."""
        loop, stop, task = self._loop, self._stop, self._task
        if loop is not None and stop is not None and self._thread.is_alive():
            try:
                loop.call_soon_threadsafe(stop.set)
                if now and self._engine is not None:
                    loop.call_soon_threadsafe(self._engine.hurry.set)
                if force and task is not None:
                    loop.call_soon_threadsafe(task.cancel)
            except RuntimeError:
                log.debug("the engine's loop has ended meanwhile")
        if self._thread.is_alive():
            self._thread.join(STOP_SECONDS)

    def wait(self, seconds: float | None = None) -> bool:
        """Wait for the engine to end; False when it still runs."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _main(self) -> None:
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(self._run())
        except asyncio.CancelledError:
            log.warning("the engine was stopped by force")
        except BaseException as error:
            if self._ready.is_set():
                log.exception("the engine failed")
            self._error = error
        finally:
            self._ready.set()

    async def _run(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        self._task = asyncio.current_task()
        await run_engine(self._config, self._state_dir, self._announce, self._stop, self._desk)

    def _announce(self, engine: Engine) -> None:
        self._engine = engine
        if self._on_ready is not None:
            self._on_ready(engine)
        self._ready.set()


def serve(
    config: Config, state_dir: Path, ready: Callable[[Engine], None], tell_stopping: Callable[[int, int], None]
) -> None:
    """Run an engine on this, the main, thread until a signal (SIGTERM, SIGINT) stops it.

    The first one drains, the second hangs up live calls at once, the third does not even do that. `tell_stopping` is
    called with each: how many there were, and how many calls are live. Raises EngineFailed and StoreError.
    """
    sys.setswitchinterval(SWITCH_INTERVAL)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(config, state_dir, ready, tell_stopping))


async def _serve(
    config: Config, state_dir: Path, ready: Callable[[Engine], None], tell_stopping: Callable[[int, int], None]
) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    assert task is not None

    running: list[Engine] = []
    signals = 0

    def on_signal() -> None:
        nonlocal signals
        signals += 1
        if signals == 2 and running:
            running[0].hurry.set()
        elif signals > 1:
            task.cancel()
        stop.set()
        tell_stopping(signals, len(running[0].live_calls()) if running else 0)

    def announce(engine: Engine) -> None:
        running.append(engine)
        ready(engine)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal)
    # A terminal that closes must not end the calls of a headless engine.
    loop.add_signal_handler(signal.SIGHUP, lambda: log.info("hang-up signal ignored: the engine is headless"))
    try:
        await run_engine(config, state_dir, announce, stop)
    except asyncio.CancelledError:
        raise EngineFailed(
            "stopped by force: calls may still be up at the carrier",
            "start the engine again: it asks the carrier about them",
        ) from None
