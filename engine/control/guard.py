"""Who may come in through the TCP door. The Unix socket needs none of this: its mode says who may connect."""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from engine.api import Refusal


@dataclass(frozen=True, slots=True)
class Denial:
    """An HTTP status and what to say with it."""

    status: int
    refusal: Refusal


@dataclass(frozen=True, slots=True)
class Guard:
    """Checks of one request, in constant time where it counts. An empty `token` is for loopback only."""

    token: str

    def deny(self, headers: Mapping[str, str]) -> Denial | None:
        """Why this request is turned away; None when it may come in."""
        # Browsers send Origin with every WebSocket and every cross-site POST; nothing of ours runs in a browser.
        if "Origin" in headers:
            return _forbidden("A web page may not drive the engine.")
        if self.token:
            return None if self._has_token(headers) else _UNAUTHORIZED
        # Without a token a web page could come in under a name of its own that points to this machine.
        return None if _names_this_machine(headers.get("Host", "")) else _forbidden("The Host header is not ours.")

    def _has_token(self, headers: Mapping[str, str]) -> bool:
        scheme, _, given = headers.get("Authorization", "").partition(" ")
        same = hmac.compare_digest(given.strip().encode("utf-8", "replace"), self.token.encode())
        return same and scheme.lower() == "bearer"


def is_loopback(host: str) -> bool:
    """Is `host` an address of this machine alone?"""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _names_this_machine(host_header: str) -> bool:
    try:
        host = urlsplit(f"//{host_header}").hostname
    except ValueError:
        return False
    return host is not None and is_loopback(host)


def _forbidden(error: str) -> Denial:
    return Denial(403, Refusal("unauthorized", error, "Use `voicecall`, or a program that sends no Origin header."))


_UNAUTHORIZED = Denial(
    401,
    Refusal(
        "unauthorized", "The control door needs a valid token.", "Send `Authorization: Bearer` with `control.token`."
    ),
)
