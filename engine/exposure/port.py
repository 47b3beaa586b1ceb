"""The port behind which every way of being reachable from outside stands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol
from urllib.parse import urlsplit, urlunsplit


@dataclass(frozen=True, slots=True)
class Local:
    """Where our own server listens: what a tunnel leads to. All paths are exposed together, or none."""

    host: str
    """An address of this machine, IPv6 in brackets."""
    port: int
    webhook_path: str
    stream_path: str

    @property
    def origin(self) -> str:
        return f"http://{self.host}:{self.port}"

    def at(self, base: str) -> Address:
        """The address when `base` (scheme, host, and a path that the tunnel cuts off) leads to our server."""
        return Address(base.rstrip("/") + self.webhook_path, socket_url(base) + self.stream_path)


@dataclass(frozen=True, slots=True)
class Address:
    """Where the carrier reaches us. Every URL that we hand out is made from these two."""

    webhook_url: str
    stream_url: str
    """ws or wss."""
    note: str = ""
    """What the operator should know about this address."""


class TunnelError(Exception):
    """A tunnel could not be opened, or is gone. `hint` is the sentence that fixes it; secrets are in neither."""

    def __init__(self, message: str, hint: str = "", *, code: str = "") -> None:
        super().__init__(message)
        self.hint = hint
        self.code = code
        """The vendor's own code, for example ERR_NGROK_107."""


class Tunnel(Protocol):
    """One way of being reachable. Belongs to one supervisor, which calls its methods one at a time."""

    name: str
    pid: int | None
    """The process that keeps the tunnel open, where there is one."""

    async def open(self, local: Local) -> Address:
        """Open it, all paths or none. Raises TunnelError. May be cancelled; `close` then tidies up."""

    async def watch(self) -> Address:
        """Return once the open tunnel has another address. Raises TunnelError once it is gone."""

    async def close(self) -> None:
        """Close it and end what it started. Harmless when it is not open."""


def socket_url(base: str) -> str:
    """A base URL with the WebSocket scheme that goes with it, without a slash at the end."""
    url = urlsplit(base.rstrip("/"))
    return urlunsplit(("wss" if url.scheme == "https" else "ws", url.netloc, url.path, "", ""))
