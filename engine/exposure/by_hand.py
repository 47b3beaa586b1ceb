"""`voicecall expose`: routes and tunnels that a person asks for, with or without an engine beside them."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from engine.exposure.factory import FOLDER
from engine.exposure.ngrok_files import NgrokFiles
from engine.exposure.port import Address, Local, TunnelError
from engine.exposure.tailscale import Plan, Tailscale, make_plan
from engine.exposure.tailscale_state import Mode

ExposeMode = Literal["funnel", "serve", "ngrok", "off"]
BY_HAND: Final = "ngrok-by-hand"
"""The folder of an agent that is not an engine's: each has files of its own."""


@dataclass(frozen=True, slots=True)
class Removed:
    """What `off` took away, and what it left because it leads elsewhere."""

    paths: Sequence[str]
    left: Sequence[str] = ()


async def expose(mode: Mode, path: str | None, https_port: int, local: Local) -> Address:
    """Set the routes of the webhook and of the stream, both or none; they stay until `off`. Raises TunnelError."""
    tailscale = Tailscale()
    plan = make_plan(mode, path, https_port, local)
    name = await tailscale.name()
    await tailscale.expose(plan)
    return plan.address(name)


async def take_away(path: str | None, local: Local) -> Removed:
    """Take away our paths on every port where they lead to our server. Raises TunnelError."""
    tailscale = Tailscale()
    now = await tailscale.routes()
    removed: list[tuple[int, str]] = []
    left: list[str] = []
    for port, there in now.paths.items():
        mode: Mode = "funnel" if port in now.funnels else "serve"
        targets = Plan(mode, port, path or local.webhook_path, local.stream_path, local).targets
        ours = [name for name, target in targets.items() if there.get(name) == target]
        left += [f"{name} on port {port}" for name in targets if name in there and name not in ours]
        await tailscale.remove(mode, port, ours)
        removed += [(port, name) for name in ours]
    still = (await tailscale.routes()).paths
    kept = [name for port, name in removed if name in still.get(port, {})]
    if kept:
        raise TunnelError(f"tailscale kept the route of {kept[0]}", "run `tailscale serve status`")
    return Removed(list(dict.fromkeys(name for _, name in removed)), left)


def described(mode: ExposeMode, address: Address, local: Local, note: str) -> dict[str, Any]:
    """What `voicecall expose` answers."""
    notes = "; ".join(part for part in (address.note, note) if part)
    return {
        "ok": True,
        "mode": mode,
        "publicUrl": address.webhook_url,
        "streamUrl": address.stream_url,
        "localUrl": local.origin + local.webhook_path,
        "path": local.webhook_path,
        "streamPaths": [local.stream_path],
        "hint": {"note": notes},
    }


def described_by_engine(mode: ExposeMode, exposure: Mapping[str, Any], local: Local) -> dict[str, Any]:
    """The same for a tunnel that the running engine keeps open."""
    address = Address(str(exposure["publicUrl"]), str(exposure["streamUrl"]), str(exposure.get("note") or ""))
    return described(mode, address, local, "the running engine keeps this tunnel open")


def install_ngrok(state_dir: Path) -> Path:
    """Fetch ngrok's agent from ngrok. Only ever called because somebody asked for it. Raises TunnelError."""
    from pyngrok import installer
    from pyngrok.exception import PyngrokError

    target = NgrokFiles(state_dir / FOLDER / "ngrok").own_program
    try:
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with contextlib.redirect_stdout(io.StringIO()):  # it draws its progress there
            installer.install_ngrok(str(target))
    except (PyngrokError, OSError) as error:
        raise TunnelError(
            f"the ngrok agent could not be fetched: {error}",
            "get it from ngrok.com/download and say in tunnel.ngrok_path where it is",
            code="install_failed",
        ) from error
    return target
