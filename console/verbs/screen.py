"""The console itself, demo, serve and attach: what holds the terminal, or the machine, for long."""

from __future__ import annotations

from pathlib import Path

from console.run import run_attach, run_console, run_demo, run_serve
from console.verbs.door import DEMO_FOLDER
from console.verbs.runner import FAILED, INVALID, Session, fail
from engine.api import EngineFailed
from engine.config import STATE_ENV, parse_config
from engine.store import EngineRunning


def run(session: Session) -> int:
    try:
        return _run(session)
    except EngineRunning as error:
        return fail(session.out, FAILED, "engine_running", error.error, error.hint)
    except EngineFailed as error:
        return fail(session.out, FAILED, "engine_failed", str(error), error.hint)


def _run(session: Session) -> int:
    args = session.args
    if args.verb == "demo":
        return _demo(session)
    loaded = session.load()
    state_dir = session.state_dir(loaded)
    if args.verb == "serve":
        return run_serve(loaded, state_dir)
    if args.verb == "attach":
        if (problem := _token_problem(args.token_file)) is not None:
            return fail(session.out, INVALID, "invalid_params", problem, "name a file that holds the token")
        return run_attach(args.target, args.token_file, loaded, state_dir)
    return run_console(loaded, state_dir)


def _demo(session: Session) -> int:
    """The demo needs nothing and disturbs nothing: files and folders count only when they are named."""
    args = session.args
    loaded = session.load() if args.config is not None else parse_config(b"", None, {})
    state_dir = session.state_dir(loaded)
    if args.state_dir is None and not session.env.get(STATE_ENV) and loaded.config.store is None:
        state_dir = state_dir / DEMO_FOLDER
    return run_demo(
        loaded,
        Path(state_dir),
        calls=args.calls,
        seed=args.seed,
        seconds=args.seconds,
        headless=args.headless,
        json=session.out.json,
    )


def _token_problem(path: Path | None) -> str | None:
    if path is None:
        return None
    try:
        return None if path.read_text().strip() else f"the token file {path} is empty"
    except (OSError, ValueError) as error:
        return f"the token file {path} can not be read: {error}"
