"""Who can reach which path: the table on top of the webhook desk. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from engine.config import Config, is_loopback

Who = Literal["loopback", "network", "tailnet", "public", "nobody"]
"""loopback: programs of this machine. network: who reaches this machine's address. tailnet: our own devices. public:
anybody on the internet."""

_WHOLE: Final = frozenset({"ngrok", "command"})
"""Tunnels that lead to our server as a whole, not to single paths of it."""


@dataclass(frozen=True, slots=True)
class Access:
    """One path, who reaches it, by what, and what is asked of them."""

    path: str
    what: str
    who: Who
    by: str
    guard: str

    def to_json(self) -> dict[str, Any]:
        return {"path": self.path, "what": self.what, "who": self.who, "by": self.by, "guard": self.guard}


def access(config: Config, kind: str, port: int, socket: str, *, up: bool = True) -> Sequence[Access]:
    """`kind`: how we are reached, as the exposure names it. `port`: where our server listens. `socket`: the control
    door's path. `up`: the way from outside is open as far as is known."""
    at_home: Who = "loopback" if is_loopback(config.serve.bind) else "network"
    listening = f"{config.serve.bind}:{port}"
    outside = _outside(kind)
    reached: Who = outside if outside is not None and up else at_home
    by = f"{kind} → {listening}" if outside is not None and up else listening
    if outside is not None and not up:
        by = f"{listening}; {kind} is down"
    signed = "signature" if not config.skip_signature_verification else "NOTHING: signatures are not checked"
    whole = reached if kind in _WHOLE or outside is None else at_home
    health_by = by if whole == reached else f"{listening}, unless {_other(kind)}"
    return (
        Access(config.serve.path, "webhook", reached, by, signed),
        Access(config.streaming.stream_path, "media", reached, by, f"{signed} and a token for each call"),
        Access("/healthz", "health", whole, health_by, "nothing, and it says nothing but ok"),
        *_control(config, socket),
    )


def _outside(kind: str) -> Who | None:
    if kind == "loopback":
        return None
    return "tailnet" if kind == "tailscale-serve" else "public"


def _other(kind: str) -> str:
    return "your proxy passes it on" if kind == "public_url" else f"{kind} passes it on"


def _control(config: Config, socket: str) -> Sequence[Access]:
    doors = [Access(socket, "control", "loopback", "a Unix socket", "your user: nobody else may open it")]
    if config.control.port is not None:
        bind = config.control.bind
        who: Who = "loopback" if is_loopback(bind) else "network"
        guard = "token" if config.control.token is not None else "nothing but coming from this machine"
        doors.append(Access(f"{bind}:{config.control.port}", "control", who, "TCP", guard))
    return doors
