"""Runs the program: an engine, a screen, or both, and what happens to one when the other ends.

The screen may die; calls may not. When the operator leaves, or the terminal or the console fails while calls are
live, the engine goes on without a screen and a console can be attached again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from json import dumps
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, Final

from console.attaching import AttachingClient
from console.starting import EngineStarter, StartingClient
from console.who import my_name
from engine.api import EngineFailed
from engine.client import EngineClient, Refusal, SocketClient
from engine.config import Config, Loaded, user_config_dir
from engine.demo import CALLS, SEED, Demo, DemoPlan, demo_config
from engine.logs import LOG_NAME, logging_to
from engine.store import LOCK_NAME, prepare_folder, read_holder

if TYPE_CHECKING:
    # Textual and the engine are loaded where they are used, so that nobody pays for what does not run.
    from console.options import ConsoleOptions, ExitChoice
    from engine.engine import Engine
    from engine.host import EngineThread

log = logging.getLogger(__name__)

MAX_CRASHES: Final = 3
"""Consoles that may fail within one run before the engine goes on without a screen."""
SUMMARY_SECONDS: Final = 30.0
QUIET_SECONDS: Final = 10.0


def run_console(loaded: Loaded, state_dir: Path) -> int:
    """The console; its engine runs in this process, or is the one that runs on this state folder already."""
    _need_terminal("voicecall serve")
    prepare_folder(state_dir)
    if read_holder(state_dir / LOCK_NAME) is not None:
        return run_attach(None, None, loaded, state_dir)
    with logging_to(state_dir):
        return _supervise(EngineStarter(loaded.config, state_dir), loaded.config, state_dir)


def run_attach(target: str | None, token_file: Path | None, loaded: Loaded, state_dir: Path) -> int:
    """A console on an engine that runs elsewhere. Raises NoEngine and Refusal."""
    from console.app import run_app
    from console.options import ExitChoice

    _need_terminal("voicecall tail")
    where = target or _control_address(state_dir)
    token = token_file.read_text().strip() if token_file is not None else None
    asyncio.run(_probe(where, token))
    options = _options(loaded.config, state_dir, attached=True)
    with logging_to(state_dir) if state_dir.is_dir() else contextlib.nullcontext():
        choice = run_app(AttachingClient(where, token, options.me), options)
    if choice is not ExitChoice.CRASHED:
        return 0
    _say(f"voicecall: the console failed; calls go on. {state_dir / LOG_NAME} says why; `voicecall attach` again.")
    return 1


def run_serve(loaded: Loaded, state_dir: Path) -> int:
    """A headless engine, until SIGTERM or SIGINT. Raises EngineFailed and StoreError."""
    from console.verbs.unverified import warn_unverified
    from engine.checks import missing_speech
    from engine.host import serve

    def ready(engine: Engine) -> None:
        health = engine.health()["exposure"]
        where = health["publicUrl"] or f"no public address yet: {health['error']}. {health['hint']}"
        _say(f"voicecall: the engine is ready: {where} ({engine.carrier.name}), state {state_dir}")

    warn_unverified(loaded.config)
    for check in missing_speech(loaded.config):
        _say(f"voicecall: calls will go without it: {check.message}. {check.fix}")
    prepare_folder(state_dir)
    with logging_to(state_dir), _telling("engine.exposure.pulse"):
        serve(loaded.config, state_dir, ready, _tell_stopping)
    return 0


def run_demo(
    loaded: Loaded,
    state_dir: Path,
    *,
    calls: int | None,
    seed: int | None,
    seconds: float | None,
    headless: bool,
    json: bool,
) -> int:
    """The demonstration, on the screen or without one. Raises EngineFailed, StoreError and Refusal."""
    from engine.checks import missing_speech

    if not headless:
        _need_terminal("voicecall demo --headless --for 60")
    for check in missing_speech(loaded.config):
        raise Refusal("speech_unavailable", f"nobody could speak or be understood: {check.message}", check.fix)
    plan = DemoPlan(calls or CALLS, SEED if seed is None else seed)
    config = demo_config(loaded.config, plan, _free_port(loaded.config))
    prepare_folder(state_dir)
    demo = _RunningDemo(plan)
    starter = EngineStarter(config, state_dir, demo.begin)
    with logging_to(state_dir):
        if headless:
            return _headless_demo(starter, demo, seconds)
        return _supervise(starter, config, state_dir, seconds, demo)


# -- pieces -----------------------------------------------------------------------------------


class _RunningDemo:
    """The demonstration that an engine runs, on that engine's loop."""

    def __init__(self, plan: DemoPlan) -> None:
        self._plan = plan
        self.demo: Demo | None = None
        self.task: asyncio.Task[None] | None = None

    def begin(self, engine: Engine) -> None:
        """Called on the engine's loop once it serves."""
        from engine.carriers.mock import MockCarrier

        if not isinstance(engine.carrier, MockCarrier):
            raise EngineFailed("the demonstration runs on the simulated carrier only")
        self.demo = Demo(engine, engine.carrier, self._plan)
        self.task = asyncio.create_task(self.demo.run(), name="demonstration")

    def end(self, thread: EngineThread) -> None:
        """Nobody calls in any more. Again is harmless."""
        from engine.carriers.base import CarrierError

        if self.task is not None:
            thread.loop.call_soon_threadsafe(self.task.cancel)
        if self.demo is not None:
            with contextlib.suppress(CarrierError):
                asyncio.run_coroutine_threadsafe(self.demo.quiet(), thread.loop).result(QUIET_SECONDS)

    def summary(self, thread: EngineThread) -> dict[str, Any]:
        """End all calls and sum up. Raises what ended the demonstration, if something did."""
        if self.demo is None or self.task is None:
            raise EngineFailed("the demonstration did not begin", "see voicecall.log")
        if self.task.done() and not self.task.cancelled():
            self.task.result()
        thread.loop.call_soon_threadsafe(self.task.cancel)
        return asyncio.run_coroutine_threadsafe(self.demo.finish(), thread.loop).result(SUMMARY_SECONDS)


def _need_terminal(instead: str) -> None:
    """Refuse to draw where nobody looks, and where no key can be read. Raises Refusal."""
    if not all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stdout)):
        raise Refusal(
            "no_terminal",
            "the console needs a terminal, and this is none",
            f"without one there is `{instead}`",
        )
    if os.environ.get("TERM") == "dumb":
        raise Refusal(
            "no_terminal",
            "the console can not draw here: TERM is dumb",
            f"set TERM to what the terminal is, or use `{instead}`",
        )


def _supervise(
    starter: EngineStarter,
    config: Config,
    state_dir: Path,
    seconds: float | None = None,
    demo: _RunningDemo | None = None,
) -> int:
    """Show the console until it is left; a console that fails is started again, and at last done without."""
    from console.options import ExitChoice

    try:
        choice = _show(starter, config, state_dir, seconds)
        thread = starter.thread
        if thread is None:
            return 0
        unwatched = demo is not None and choice is ExitChoice.TERMINAL_LOST
        if demo is not None and unwatched:
            demo.end(thread)
        if choice is not ExitChoice.STOP_ENGINE:
            _go_on_headless(thread, choice, state_dir, until_idle=unwatched)
        if demo is not None and thread.alive:
            demo.end(thread)
        return 1 if choice is ExitChoice.CRASHED else 0
    finally:
        starter.stop(now=True)


def _show(starter: EngineStarter, config: Config, state_dir: Path, seconds: float | None) -> ExitChoice:
    """Run consoles until one is left on purpose. Raises what kept the engine from starting."""
    from console.options import ExitChoice

    notice = ""
    choice = ExitChoice.CRASHED
    for _ in range(MAX_CRASHES):
        options = _options(config, state_dir, notice=notice)
        choice = _run_for(StartingClient(starter, options.me), options, seconds)
        if starter.error is not None:
            raise starter.error
        if choice is not ExitChoice.CRASHED:
            break
        notice = "The console failed and was started again; no call was touched. See voicecall.log."
    return choice


def _run_for(client: EngineClient, options: ConsoleOptions, seconds: float | None) -> ExitChoice:
    """Run the console, for a limited time where one is given."""
    from console.app import run_app

    if seconds is None:
        return run_app(client, options)
    leaving = threading.Timer(seconds, os.kill, (os.getpid(), signal.SIGTERM))
    try:
        leaving.start()
        return run_app(client, options)
    finally:
        leaving.cancel()


def _go_on_headless(thread: EngineThread, choice: ExitChoice, state_dir: Path, *, until_idle: bool) -> None:
    """Without a screen until somebody says stop, or until the last call is over; without calls, not at all."""
    from console.options import ExitChoice

    live = len(thread.engine.live_calls())
    if choice is ExitChoice.CRASHED:
        _say(f"voicecall: the console failed {MAX_CRASHES} times; {state_dir / LOG_NAME} says why.")
    if not live:
        return
    if choice is not ExitChoice.TERMINAL_LOST:
        _say(
            f"voicecall: {live} calls go on without a screen (process {os.getpid()}). "
            f"`voicecall attach {state_dir}` shows them again; ctrl+c ends them."
        )
    with _signals() as stopped:
        while not stopped.is_set() and thread.alive:
            thread.wait(0.5)
            if until_idle and not thread.engine.live_calls() and not thread.engine.watched:
                return


@contextlib.contextmanager
def _signals() -> Iterator[threading.Event]:
    """SIGTERM and SIGINT set the event; SIGHUP does not, because the terminal is none of the engine's business."""
    stopped = threading.Event()

    def on_signal(number: int, frame: FrameType | None) -> None:
        stopped.set()

    before = {number: signal.signal(number, on_signal) for number in (signal.SIGTERM, signal.SIGINT)}
    before[signal.SIGHUP] = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    # Textual leaves handlers behind that need its loop, and a terminal that hangs up sends SIGCONT as well.
    for number in (signal.SIGCONT, signal.SIGTSTP):
        before[number] = signal.signal(number, signal.SIG_DFL)
    try:
        yield stopped
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _headless_demo(starter: EngineStarter, demo: _RunningDemo, seconds: float | None) -> int:
    """Run, stop, and print the summary as JSON."""
    thread = starter.start()
    try:
        with _signals() as stopped:
            deadline = None if seconds is None else time.monotonic() + seconds
            while not stopped.is_set() and thread.alive and (demo.task is None or not demo.task.done()):
                if deadline is not None and time.monotonic() >= deadline:
                    break
                stopped.wait(0.2)
        print(dumps(demo.summary(thread), indent=2))
    finally:
        starter.stop(now=True)
    return 0


def _tell_stopping(signals: int, live: int) -> None:
    """What a signal does to a headless engine, in words."""
    calls = f"{live} live call{'' if live == 1 else 's'}"
    if signals == 1 and live:
        _say(f"voicecall: stopping; {calls} may end without help for 10 s. Again hangs up at once.")
    elif signals == 2:
        _say(f"voicecall: hanging up {calls}. Again leaves them.")


def _options(config: Config, state_dir: Path, *, attached: bool = False, notice: str = "") -> ConsoleOptions:
    from console.options import ConsoleOptions

    return ConsoleOptions(
        attached=attached,
        theme=config.console.theme,
        mask_numbers=config.console.mask_numbers,
        keys=config.console.keys,
        alerts=config.console.alerts,
        theme_folders=(user_config_dir() / "themes",),
        log_path=state_dir / LOG_NAME if state_dir.is_dir() else None,
        notice=notice,
        me=my_name(),
        loudspeaker=config.console.loudspeaker,
        microphone=config.console.microphone,
    )


def _control_address(state_dir: Path) -> str:
    holder = read_holder(state_dir / LOCK_NAME)
    return holder.control if holder is not None and holder.control else str(state_dir)


async def _probe(where: str, token: str | None) -> None:
    """Be refused here, and not on a drawn screen, when nobody answers."""
    async with await SocketClient.connect(where, token) as client:
        await client.health()


def _free_port(config: Config) -> int:
    """The configured port, or 0 (any) when somebody has it: a demonstration disturbs nobody."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", config.serve.port))
        except OSError:
            return 0
    return config.serve.port


class _Telling(logging.Handler):
    """Log records as lines on stderr."""

    def emit(self, record: logging.LogRecord) -> None:
        _say(f"voicecall: {record.getMessage()}")


@contextlib.contextmanager
def _telling(name: str) -> Iterator[None]:
    """Where there is no screen, whoever started the engine is told on stderr what this logger has to say."""
    logger, handler = logging.getLogger(name), _Telling(logging.INFO)
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)


def _say(text: str) -> None:
    with contextlib.suppress(OSError):
        print(text, file=sys.stderr, flush=True)
