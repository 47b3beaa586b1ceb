"""expose: have this machine reached from outside, by tailscale's routes or an ngrok agent; or no more."""

from __future__ import annotations

import asyncio
import contextlib
import re
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from console.verbs.door import running_engine
from console.verbs.runner import DONE, FAILED, INVALID, Session, fail
from engine.client import NoEngine
from engine.config import Config, reveal
from engine.exposure.by_hand import (
    BY_HAND,
    described,
    described_by_engine,
    expose,
    install_ngrok,
    take_away,
)
from engine.exposure.factory import FOLDER, local_server
from engine.exposure.port import Local, TunnelError
from engine.exposure.supervisor import State, Supervisor
from engine.logs import logging_to
from engine.store import EngineLock, EngineRunning, prepare_folder

STAYS: Final = "it stays until `voicecall expose --mode off`"
_LINK: Final = re.compile(r"https://\S+?(?=[;,]?(?:\s|$))")


def run(session: Session) -> int:
    args = session.args
    if args.install and args.mode != "ngrok":
        return fail(session.out, INVALID, "invalid_params", "--install fetches ngrok", "use it with --mode ngrok")
    if args.https_port is not None and args.mode not in ("serve", "funnel"):
        error = "--https-port is the public port of tailscale's routes"
        return fail(session.out, INVALID, "invalid_params", error, "use it with --mode serve or funnel")
    loaded = session.load()
    config, state_dir = loaded.config, session.state_dir(loaded)
    exposure = asyncio.run(_running(state_dir))
    try:
        local = _local(session, config, exposure)
        return _act(session, config, state_dir, exposure, local)
    except TunnelError as error:
        found = _LINK.search(error.hint)
        more: dict[str, Any] = {"ok": False, "mode": args.mode}
        if found and error.code.endswith("_not_enabled"):
            more["enableUrl"] = found[0]
        return fail(session.out, FAILED, error.code or "tunnel_failed", str(error), error.hint, **more)


async def _running(state_dir: Path) -> Mapping[str, Any] | None:
    """How the running engine is exposed; None when none runs."""
    try:
        async with running_engine(state_dir) as client:
            health = await client.health()
    except NoEngine:
        return None
    found = health.get("exposure")
    return found if isinstance(found, Mapping) else None


def _local(session: Session, config: Config, exposure: Mapping[str, Any] | None) -> Local:
    """Our server: where the engine listens, or would. Raises TunnelError."""
    port = session.args.port or (exposure or {}).get("port") or config.serve.port
    if not port:
        raise TunnelError(
            "no port to lead to: serve.port is 0, and no engine runs", "start the engine, or give --port"
        )
    local = local_server(config, int(port))
    path = session.args.serve_path
    return local if path is None else Local(local.host, local.port, path, local.stream_path)


def _act(session: Session, config: Config, state_dir: Path, exposure: Mapping[str, Any] | None, local: Local) -> int:
    mode, path = session.args.mode, session.args.path
    by_engine = str((exposure or {}).get("provider", ""))
    if mode == "off":
        return _off(session, path, local, by_engine)
    if exposure is not None and by_engine.endswith(mode) and exposure.get("ok"):
        return _tell(session, described_by_engine(mode, exposure, local))
    if mode == "ngrok":
        return _ngrok(session, config, state_dir, local)
    port = session.args.https_port or config.tailscale.port
    address = asyncio.run(expose(mode, path or _set_path(config), port, local))
    note = f"{STAYS}; set public_url: {address.webhook_url}"
    return _tell(session, {**described(mode, address, local, note), "path": path or local.webhook_path})


def _set_path(config: Config) -> str | None:
    return config.tailscale.path if "path" in config.tailscale.model_fields_set else None


def _tell(session: Session, result: Mapping[str, Any]) -> int:
    lines = [
        f"webhook  {result['publicUrl']} -> {result['localUrl']}",
        f"stream   {result['streamUrl']}",
        *(part for part in str(result["hint"]["note"]).split("; ") if part),
    ]
    session.out.result(result, lines)
    return DONE


def _off(session: Session, path: str | None, local: Local, by_engine: str) -> int:
    if by_engine.startswith("tailscale"):
        raise TunnelError(
            "the running engine keeps these routes and would set them again",
            "stop it, or set tunnel.provider: none",
            code="engine_runs",
        )
    try:
        removed = asyncio.run(take_away(path, local))
    except TunnelError as error:
        if error.code not in ("not_installed", "not_running"):
            raise
        session.out.result({"ok": True, "mode": "off", "removed": [], "hint": {"note": str(error)}}, [str(error)])
        return DONE
    note = f"left, because they lead elsewhere: {', '.join(removed.left)}" if removed.left else ""
    if by_engine in ("ngrok", "command"):
        note = "; ".join(part for part in (note, "the running engine keeps its tunnel open until it stops") if part)
    result = {"ok": True, "mode": "off", "removed": list(removed.paths), "hint": {"note": note}}
    lines = [f"taken away: {path}" for path in removed.paths] or ["nothing of ours was exposed by tailscale"]
    session.out.result(result, [*lines, *([note] if note else [])])
    return DONE


# -- ngrok: an agent that runs as long as the command does -----------------------------------------


def _ngrok(session: Session, config: Config, state_dir: Path, local: Local) -> int:
    from engine import __version__

    prepare_folder(state_dir)
    folder = state_dir / FOLDER
    folder.mkdir(mode=0o700, exist_ok=True)
    with logging_to(state_dir):
        if session.args.install:
            session.out.note("voicecall: fetching ngrok's agent")
            session.out.note(f"voicecall: it is in {install_ngrok(state_dir)}")
        try:
            lock = EngineLock.acquire(folder / "by-hand.lock", version=__version__)
        except EngineRunning as error:
            raise TunnelError(
                "another `voicecall expose --mode ngrok` runs on this state folder", "stop it first"
            ) from error
        with lock:
            return asyncio.run(_keep_open(session, config, folder, local))


async def _keep_open(session: Session, config: Config, folder: Path, local: Local) -> int:
    """Print the address, and each later one, until a signal comes; leave at once when the first attempt fails."""
    from engine.exposure.ngrok import NgrokTunnel

    settings = config.tunnel
    token = reveal(settings.ngrok_auth_token) or session.env.get("NGROK_AUTHTOKEN", "")
    domain = settings.ngrok_domain or session.env.get("NGROK_DOMAIN")
    states: asyncio.Queue[State] = asyncio.Queue(100)
    stop = asyncio.Event()
    supervisor = Supervisor(
        NgrokTunnel(folder / BY_HAND, token, domain, settings.ngrok_path), lambda state: _put(states, state)
    )
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    running = asyncio.create_task(supervisor.run(local))
    told = asyncio.create_task(_report(session, states, local))
    stopped = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait([running, told, stopped], return_when=asyncio.FIRST_COMPLETED)
    finally:
        await supervisor.close()
        for task in (told, stopped):
            task.cancel()
    if told.done() and not told.cancelled():
        told.result()
    return DONE


def _put(states: asyncio.Queue[State], state: State) -> None:
    with contextlib.suppress(asyncio.QueueFull):  # nobody reads: the newest are of no more use than the oldest
        states.put_nowait(state)


async def _report(session: Session, states: asyncio.Queue[State], local: Local) -> None:
    """Print what becomes of the tunnel. Raises TunnelError when the first attempt failed."""
    first = True
    while True:
        state = await states.get()
        if state.address is not None:
            note = f"it is open until this command is stopped; set public_url: {state.address.webhook_url}"
            _tell(session, described("ngrok", state.address, local, note))
        elif first:
            raise TunnelError(state.error, state.hint, code=state.code)
        else:
            failure = {"ok": False, "mode": "ngrok", "error": state.error, "hint": {"note": state.hint}}
            session.out.result(failure, [f"lost: {state.error}", state.hint])
        first = False
