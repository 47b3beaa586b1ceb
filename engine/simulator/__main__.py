"""`python -m engine.simulator`: runs the simulated carrier until nobody needs it any more.

Prints one JSON line with its address when it is ready. Without `--setup` it makes up its keys and prints them too.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import json
import logging
import os
import secrets
import signal
import sys
from pathlib import Path

from aiohttp import web
from pydantic import ValidationError

from engine.simulator.exchange import Exchange
from engine.simulator.launch import STATE_FILE
from engine.simulator.server import create_app, idle_for, was_left
from engine.simulator.setup import PaceBody, Setup

log = logging.getLogger("engine.simulator")


def main() -> int:
    options = _options()
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s")
    try:
        setup = _setup(options)
    except (OSError, ValidationError) as error:
        print(f"the simulator's setup can not be used: {error}", file=sys.stderr)
        return 2
    state_dir = Path(options.state_dir) if options.state_dir else None
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        try:
            runner.run(_serve(setup, state_dir, announce_keys=options.setup is None))
        except (OSError, ValueError) as error:
            print(f"the simulator can not run: {error}", file=sys.stderr)
            return 1
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m engine.simulator", description=__doc__)
    parser.add_argument("--setup", metavar="FILE", help="settings as JSON; - reads standard input")
    parser.add_argument("--state-dir", metavar="DIR", help=f"where to leave {STATE_FILE}")
    parser.add_argument("--port", type=int, help="port on 127.0.0.1 (default: any)")
    parser.add_argument("--seed", type=int, help="decides everything that is random")
    parser.add_argument("--every", type=float, metavar="SECONDS", help="somebody calls in every so often")
    parser.add_argument("--max-live", type=int, metavar="N", help="as long as fewer inbound calls are up")
    parser.add_argument("--linger", type=float, metavar="SECONDS", help="end after so long without anybody asking")
    parser.add_argument("--record", metavar="DIR", help="write each call as a two-channel WAV")
    return parser.parse_args()


def _setup(options: argparse.Namespace) -> Setup:
    if options.setup is None:
        given: dict[str, object] = {"api_key": secrets.token_urlsafe(24), "signing_secret": secrets.token_urlsafe(24)}
        setup = Setup.model_validate(given)
    else:
        text = sys.stdin.read() if options.setup == "-" else Path(options.setup).read_text()
        setup = Setup.model_validate_json(text)
    pace = {"every_seconds": options.every, "max_live": options.max_live}
    changes = {
        "port": options.port,
        "seed": options.seed,
        "linger_s": options.linger,
        "record_dir": options.record,
        "pace": PaceBody.model_validate({**setup.pace.model_dump(), **_given(pace)}),
    }
    return Setup.model_validate({**setup.model_dump(), **_given(changes)})


def _given(values: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in values.items() if value is not None}


def _loop_factory() -> type[asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:  # not made for Windows
        return None
    return uvloop.Loop


async def _serve(setup: Setup, state_dir: Path | None, announce_keys: bool) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    async with Exchange(setup) as exchange:
        app = create_app(exchange)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=2)
        await runner.setup()
        try:
            site = web.TCPSite(runner, "127.0.0.1", setup.port)
            await site.start()
            base_url = f"http://127.0.0.1:{runner.addresses[0][1]}"
            _announce(setup, base_url, state_dir, announce_keys)
            gc.freeze()
            await _until_unneeded(app, exchange, state_dir, stop)
        finally:
            await runner.cleanup()
            if state_dir is not None:
                _forget(state_dir, base_url)


def _announce(setup: Setup, base_url: str, state_dir: Path | None, with_keys: bool) -> None:
    keys = {"api_key": setup.api_key, "signing_secret": setup.signing_secret}
    if state_dir is not None:
        path = state_dir / STATE_FILE
        draft = path.with_suffix(f".{os.getpid()}")
        draft.touch(mode=0o600)
        draft.write_text(json.dumps({"pid": os.getpid(), "base_url": base_url, **keys}))
        draft.replace(path)
    print(json.dumps({"base_url": base_url, **(keys if with_keys else {})}), flush=True)
    log.info("the simulated carrier listens on %s", base_url)


def _forget(state_dir: Path, base_url: str) -> None:
    """Take our address away, unless a later simulator has left its own."""
    path = state_dir / STATE_FILE
    with contextlib.suppress(OSError, ValueError):
        if json.loads(path.read_text()).get("base_url") == base_url:
            path.unlink()


def _is_gone(state_dir: Path | None) -> bool:
    return state_dir is not None and not state_dir.is_dir()


async def _until_unneeded(
    app: web.Application, exchange: Exchange, state_dir: Path | None, stop: asyncio.Event
) -> None:
    """Return on a signal, when the state directory is gone, when our engine has left, or when nobody needed us for
    `linger_s`: no request came and no media socket was open."""
    linger_s = exchange.setup.linger_s
    loop = asyncio.get_running_loop()
    last_stream = loop.time()
    while not stop.is_set():
        if exchange.streams_up():
            last_stream = loop.time()
        if _is_gone(state_dir):
            log.info("the state directory is gone: the simulated carrier ends")
            return
        if was_left(app) and not exchange.live():
            log.info("the engine has gone: the simulated carrier ends")
            return
        idle = min(idle_for(app), loop.time() - last_stream)
        if idle >= linger_s:
            log.info("nobody has asked anything for %.0f s: the simulated carrier ends", linger_s)
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(min(0.2 if was_left(app) else 1.0, linger_s - idle + 0.01)):
                await stop.wait()


if __name__ == "__main__":
    sys.exit(main())
