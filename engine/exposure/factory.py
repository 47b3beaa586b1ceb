"""Makes the tunnel that the configuration names."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from engine.config import Config, reveal
from engine.exposure.fixed import Loopback, PublicUrl
from engine.exposure.port import Local, Tunnel
from engine.exposure.reach import tunnel_kind
from engine.exposure.tailscale_state import Mode

FOLDER: Final = "tunnel"
"""Where in the state folder a tunnel's program has its files."""
_ANY: Final = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}


def make_tunnel(config: Config, state_dir: Path | None) -> Tunnel:
    """The tunnel of this configuration. Those with a program of their own need the state folder."""
    kind = tunnel_kind(config)
    if kind == "public_url":
        return PublicUrl(config.public_url or "")
    if kind == "loopback" or state_dir is None:
        return Loopback()
    if kind == "ngrok":
        return _ngrok(config, state_dir)
    if kind == "command":
        return _command(config, state_dir)
    return _tailscale("funnel" if kind == "tailscale-funnel" else "serve", config)


def local_server(config: Config, port: int) -> Local:
    """Our server as tunnels on this machine reach it."""
    bind = config.serve.bind
    host = _ANY.get(bind, f"[{bind}]" if ":" in bind else bind)
    return Local(host, port, config.serve.path, config.streaming.stream_path)


def _ngrok(config: Config, state_dir: Path) -> Tunnel:
    from engine.exposure.ngrok import NgrokTunnel

    tunnel = config.tunnel
    folder = state_dir / FOLDER / "ngrok"
    return NgrokTunnel(folder, reveal(tunnel.ngrok_auth_token), tunnel.ngrok_domain, tunnel.ngrok_path)


def _command(config: Config, state_dir: Path) -> Tunnel:
    from engine.exposure.command import CommandTunnel
    from engine.exposure.process import Note

    folder = state_dir / FOLDER
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    tunnel = config.tunnel
    return CommandTunnel(
        tunnel.command or "", tunnel.command_url_pattern, Note(folder / "command.pid"), _known(config)
    )


def _tailscale(mode: Mode, config: Config) -> Tunnel:
    from engine.exposure.tailscale import TailscaleTunnel

    path = config.tailscale.path if "path" in config.tailscale.model_fields_set else None
    return TailscaleTunnel(mode, path, config.tailscale.port)


def _known(config: Config) -> list[str]:
    """Secrets that no program's output may carry into the log."""
    secrets = (
        config.tunnel.ngrok_auth_token,
        config.twilio.auth_token,
        config.telnyx.api_key,
        config.plivo.auth_token,
        config.plivo.main_auth_token,
    )
    return [text for secret in secrets if (text := reveal(secret))]
