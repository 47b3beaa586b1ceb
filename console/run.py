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
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from json import dumps
from pathlib import Path
from types import FrameType
from typing import Any, Final

import platformdirs

from console.attaching import AttachingClient
from console.options import ConsoleOptions, ExitChoice
from engine.carriers.base import CarrierError
from engine.carriers.mock import MockCarrier
from engine.checks import missing_speech
from engine.client import EngineClient, InProcessClient, Refusal, SocketClient
from engine.config import Config, Loaded
from engine.demo import CALLS, SEED, Demo, DemoPlan, demo_config
from engine.engine import Engine
from engine.host import EngineFailed, EngineThread, serve
from engine.logs import LOG_NAME, logging_to
from engine.store import LOCK_NAME, EngineRunning, prepare_folder, read_holder

log = logging.getLogger(__name__)

MAX_CRASHES: Final = 3
"""Consoles that may fail within one run before the engine goes on without a screen."""
SUMMARY_SECONDS: Final = 30.0
QUIET_SECONDS: Final = 10.0


def run_console(loaded: Loaded, state_dir: Path) -> int:
    """The console; its engine runs in this process, or is the one that runs on this state folder already."""
    _need_terminal("voicecall serve")
    try:
        with _engine(loaded.config, state_dir) as thread:
            return _supervise(thread, loaded.config, state_dir)
    except EngineRunning:
        return run_attach(None, None, loaded, state_dir)


def run_attach(target: str | None, token_file: Path | None, loaded: Loaded, state_dir: Path) -> int:
    """A console on an engine that runs elsewhere. Raises NoEngine and Refusal."""
    _need_terminal("voicecall tail")
    from console.app import run_app

    where = target or _control_address(state_dir)
    token = token_file.read_text().strip() if token_file is not None else None
    asyncio.run(_probe(where, token))
    options = _options(loaded.config, state_dir, attached=True)
    choice = run_app(AttachingClient(where, token), options)
    return 1 if choice is ExitChoice.CRASHED else 0


def run_serve(loaded: Loaded, state_dir: Path) -> int:
    """A headless engine, until SIGTERM or SIGINT. Raises EngineFailed and StoreError."""

    def ready(engine: Engine) -> None:
        health = engine.health()["exposure"]
        _say(f"voicecall: the engine is ready: {health['publicUrl']} ({engine.carrier.name}), state {state_dir}")

    for check in missing_speech(loaded.config):
        _say(f"voicecall: calls will go without it: {check.message}. {check.fix}")
    prepare_folder(state_dir)
    with logging_to(state_dir):
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
    """The demonstration, on the screen or without one. Raises EngineFailed and StoreError."""
    if not headless:
        _need_terminal("voicecall demo --headless --for 60")
    for check in missing_speech(loaded.config):
        raise Refusal("speech_unavailable", f"nobody could speak or be understood: {check.message}", check.fix)
    plan = DemoPlan(calls or CALLS, SEED if seed is None else seed)
    config = demo_config(loaded.config, plan, _free_port(loaded.config))
    with _engine(config, state_dir) as thread:
        demo, task = _start_demo(thread, plan)
        if headless:
            return _headless_demo(thread, demo, task, seconds)

        def leave() -> None:
            task.cancel()
            with contextlib.suppress(CarrierError):
                asyncio.run_coroutine_threadsafe(demo.quiet(), thread.loop).result(QUIET_SECONDS)

        return _supervise(thread, config, state_dir, seconds, leave)


def _need_terminal(instead: str) -> None:
    """Refuse to draw where nobody looks, and where no key can be read. Raises Refusal."""
    if not all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stdout)):
        raise Refusal(
            "no_terminal",
            "the console needs a terminal, and this is none",
            f"without one there is `{instead}`",
        )


# -- pieces -----------------------------------------------------------------------------------


@contextlib.contextmanager
def _engine(config: Config, state_dir: Path) -> Iterator[EngineThread]:
    """An engine in a thread of its own for as long as the context lasts."""
    prepare_folder(state_dir)
    with logging_to(state_dir):
        thread = EngineThread(config, state_dir)
        thread.start()
        try:
            yield thread
        finally:
            thread.stop()


def _supervise(
    thread: EngineThread,
    config: Config,
    state_dir: Path,
    seconds: float | None = None,
    leave: Callable[[], None] | None = None,
) -> int:
    """Show the console until it is left; a console that fails is started again, and at last done without.

    `leave` ends a demonstration: before the engine stops, or when nobody can look at it any more.
    """
    notice = ""
    for _ in range(MAX_CRASHES):
        client = InProcessClient(thread.engine, thread.loop, by="console")
        options = _options(config, state_dir, notice=notice)
        choice = _run_for(client, options, seconds)
        if choice is not ExitChoice.CRASHED:
            break
        notice = "The console failed and was started again; no call was touched. See voicecall.log."
    unwatched = leave is not None and choice is ExitChoice.TERMINAL_LOST
    if leave is not None and unwatched:
        leave()
    if choice is not ExitChoice.STOP_ENGINE:
        _go_on_headless(thread, choice, state_dir, until_idle=unwatched)
    if leave is not None and thread.alive:
        leave()
    thread.stop(now=True)
    return 1 if choice is ExitChoice.CRASHED else 0


def _run_for(client: EngineClient, options: ConsoleOptions, seconds: float | None) -> ExitChoice:
    """Run the console, for a limited time where one is given."""
    from console.app import run_app  # Textual: only those who draw pay for it

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
    live = len(thread.engine.live_calls())
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
            if until_idle and not thread.engine.live_calls():
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


def _start_demo(thread: EngineThread, plan: DemoPlan) -> tuple[Demo, Future[None]]:
    carrier = thread.engine.carrier
    if not isinstance(carrier, MockCarrier):
        raise EngineFailed("the demonstration runs on the simulated carrier only")
    demo = Demo(thread.engine, carrier, plan)
    return demo, asyncio.run_coroutine_threadsafe(demo.run(), thread.loop)


def _headless_demo(thread: EngineThread, demo: Demo, task: Future[None], seconds: float | None) -> int:
    """Run, stop, and print the summary as JSON."""
    with _signals() as stopped:
        deadline = None if seconds is None else time.monotonic() + seconds
        while not stopped.is_set() and thread.alive and not task.done():
            if deadline is not None and time.monotonic() >= deadline:
                break
            stopped.wait(0.2)
    if task.done() and not task.cancelled():
        task.result()
    task.cancel()
    summary: dict[str, Any] = asyncio.run_coroutine_threadsafe(demo.finish(), thread.loop).result(SUMMARY_SECONDS)
    print(dumps(summary, indent=2))
    return 0


def _tell_stopping(signals: int, live: int) -> None:
    """What a signal does to a headless engine, in words."""
    if signals == 1 and live:
        _say(f"voicecall: stopping; {live} live calls may end by themselves for 10 s. Again hangs up at once.")
    elif signals == 2:
        _say(f"voicecall: hanging up {live} calls. Again leaves them.")


def _options(config: Config, state_dir: Path, *, attached: bool = False, notice: str = "") -> ConsoleOptions:
    return ConsoleOptions(
        attached=attached,
        theme=config.console.theme,
        mask_numbers=config.console.mask_numbers,
        keys=config.console.keys,
        theme_folders=(platformdirs.user_config_path("voicecall") / "themes",),
        log_path=state_dir / LOG_NAME if state_dir.is_dir() else None,
        notice=notice,
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


def _say(text: str) -> None:
    with contextlib.suppress(OSError):
        print(text, file=sys.stderr, flush=True)
