"""What `setup` says of the tunnel without opening it: is its program there, and what it needs."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from engine.check import Check
from engine.config import Config, reveal
from engine.exposure.factory import FOLDER
from engine.exposure.ngrok_files import NgrokFiles, users_token
from engine.exposure.process import find_program
from engine.exposure.reach import refused, tunnel_kind

ID: Final = "tunnel"


def tunnel_ready(config: Config, state_dir: Path) -> Iterator[Check]:
    """The tunnel's needs that can be seen from here; nothing for an engine that has none."""
    kind = tunnel_kind(config)
    if kind == "ngrok":
        yield _ngrok(config, state_dir)
    elif kind == "command":
        yield _command(config)
    elif kind.startswith("tailscale"):
        yield _tailscale(config, kind)


def _ngrok(config: Config, state_dir: Path) -> Check:
    tunnel = config.tunnel
    program = NgrokFiles(state_dir / FOLDER / "ngrok").find(tunnel.ngrok_path)
    if program is None:
        what = (
            f"tunnel.ngrok_path: {tunnel.ngrok_path} is no program" if tunnel.ngrok_path else "ngrok is not installed"
        )
        fix = "install it from ngrok.com/download, or have it fetched: voicecall expose --mode ngrok --install"
        return Check(ID, False, what, fix)
    if not (reveal(tunnel.ngrok_auth_token) or users_token()):
        fix = "copy it from dashboard.ngrok.com/get-started/your-authtoken into NGROK_AUTHTOKEN"
        return Check(ID, False, "tunnel.ngrok_auth_token is not set", fix)
    if not tunnel.ngrok_domain and not tunnel.update_carrier_number and config.provider != "mock":
        fix = "set tunnel.ngrok_domain to a domain of your ngrok account, or tunnel.update_carrier_number: true"
        return Check(ID, True, f"ngrok: {program}; its name may be another one at each start", fix)
    return Check(ID, True, f"ngrok: {program}")


def _command(config: Config) -> Check:
    try:
        name = (shlex.split(config.tunnel.command or "") or [""])[0]
    except ValueError as error:
        return Check(ID, False, f"tunnel.command can not be read: {error}", "close its quotes")
    program = find_program(name) if name else None
    if program is None:
        return Check(ID, False, f"tunnel.command: {name or 'nothing'} is no program", "install it, or give its path")
    if "{port}" not in (config.tunnel.command or ""):
        words = f"tunnel.command: {program}; it is not told our port, {config.serve.port}"
        return Check(ID, True, words, "{port} in the command is replaced by it")
    return Check(ID, True, f"tunnel.command: {program}")


def _tailscale(config: Config, kind: str) -> Check:
    for finding in refused(config):
        return Check(ID, False, finding.message, finding.hint)
    program = find_program("tailscale")
    if program is None:
        return Check(ID, False, "tailscale is not installed", "get it from tailscale.com/download and log in")
    return Check(ID, True, f"{kind} on port {config.tailscale.port}: {program}")
