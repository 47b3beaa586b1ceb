"""What `tailscale` answers, read into values, and its refusals in words. Pure.

Source: `tailscale status --json` (ipnstate.Status: BackendState, AuthURL, Self.DNSName), `tailscale serve status
--json` (ipn.ServeConfig: TCP by port, Web by host:port with Handlers by path, AllowFunnel by host:port).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from engine.exposure.port import TunnelError
from engine.exposure.process import Answer

Mode = Literal["serve", "funnel"]
FUNNEL_PORTS: Final = (443, 8443, 10000)
SERVE_PORTS: Final = (443, 8443, 10000, 8444)
ADMIN: Final = "https://login.tailscale.com/admin/dns"
_LINK: Final = re.compile(r"https://login\.tailscale\.com/[^\s\"'<>]+")


@dataclass(frozen=True, slots=True)
class Routes:
    """What this machine serves: for each path of a port, where it leads."""

    paths: Mapping[int, Mapping[str, str]] = field(default_factory=dict)
    funnels: frozenset[int] = frozenset()
    """Ports that are open to the internet."""
    other: frozenset[int] = frozenset()
    """Ports that are used for something else than HTTPS."""


def node_name(answer: Answer) -> str:
    """This machine's DNS name in its tailnet. Raises TunnelError when it is in none."""
    status = _read(answer)
    state = str(status.get("BackendState") or "")
    link = str(status.get("AuthURL") or "")
    if state in ("NeedsLogin", "NoState", "NeedsMachineAuth"):
        fix = f"open {link}" if link else "run `tailscale up` and log in"
        if state == "NeedsMachineAuth":
            fix = "an administrator of the tailnet has to approve this machine"
        raise TunnelError("tailscale is not logged in", fix, code=state)
    if state and state != "Running":
        raise TunnelError(f"tailscale is not running ({state})", "run `tailscale up`", code=state)
    own = status.get("Self")
    name = str(own.get("DNSName") or "").rstrip(".") if isinstance(own, Mapping) else ""
    if not name:
        raise TunnelError("this machine has no name in its tailnet", f"switch MagicDNS on: {ADMIN}")
    return name


def routes(answer: Answer) -> Routes:
    """What is served now. Raises TunnelError."""
    config = _read(answer)
    paths: dict[int, dict[str, str]] = {}
    for place, web in _table(config, "Web").items():
        handlers = _table(web, "Handlers")
        paths.setdefault(_port(place), {}).update({path: _target(handler) for path, handler in handlers.items()})
    tcp = {_port(f":{port}"): use for port, use in _table(config, "TCP").items()}
    return Routes(
        paths,
        frozenset(_port(place) for place, on in _table(config, "AllowFunnel").items() if on),
        frozenset(port for port, use in tcp.items() if not (isinstance(use, Mapping) and use.get("HTTPS"))),
    )


def check_port(mode: Mode, port: int) -> None:
    """Raises TunnelError for a port on which Funnel does not work."""
    if mode == "funnel" and port not in FUNNEL_PORTS:
        allowed = ", ".join(map(str, FUNNEL_PORTS))
        raise TunnelError(f"tailscale funnel works on the ports {allowed} only, not on {port}", "set tailscale.port")


def conflict(now: Routes, mode: Mode, port: int, wanted: Mapping[str, str]) -> str:
    """Why our paths can not be put on this port without harm to what is there; "" when they can.

    Funnel opens a whole port: what others serve on it to the tailnet would be open to the internet as well.
    """
    there = now.paths.get(port, {})
    others = [path for path, target in there.items() if wanted.get(path) != target]
    taken = [path for path in others if path in wanted]
    if port in now.other:
        return f"port {port} of this machine's tailnet name is used for something that is not HTTPS"
    if taken:
        return f"{taken[0]} on port {port} leads to {there[taken[0]]} already"
    if mode == "funnel" and others and port not in now.funnels:
        return f"port {port} serves {', '.join(others[:3])} to the tailnet, which funnel would open to the internet"
    if mode == "serve" and others and port in now.funnels:
        return f"port {port} is open to the internet for {', '.join(others[:3])}, which serve would close"
    return ""


def free_port(now: Routes, mode: Mode, wanted: Mapping[str, str]) -> int | None:
    """A port on which nothing stands in our way."""
    ports = FUNNEL_PORTS if mode == "funnel" else SERVE_PORTS
    return next((port for port in ports if not conflict(now, mode, port, wanted)), None)


def refusal(mode: Mode, answer: Answer) -> TunnelError:
    """Why tailscale did not do what was asked, from its own words."""
    said = " ".join(answer.words.split())
    low = said.lower()
    found = _LINK.search(said)
    link = found[0].rstrip(".,)") if found else ""
    if "not enabled on your tailnet" in low or "/f/funnel" in link or "/f/serve" in link:
        return TunnelError(
            f"{mode} is not enabled for this tailnet",
            f"enable it: {link or ADMIN}; then try again",
            code=f"{mode}_not_enabled",
        )
    if "access denied" in low or "operator" in low or "permission denied" in low:
        return TunnelError(
            f"tailscale does not let this user change what is served: {said[:200]}",
            "once: sudo tailscale set --operator=$USER",
            code="denied",
        )
    if "https" in low and ("enable" in low or "certificate" in low):
        return TunnelError(
            f"HTTPS is not enabled for this tailnet: {said[:200]}", f"enable HTTPS certificates: {link or ADMIN}"
        )
    if "failed to connect" in low or "is tailscaled running" in low or "doesn't appear to be running" in low:
        return not_running()
    if answer.code == -1:
        return TunnelError(
            f"tailscale {mode} did not end; it may wait for an answer: {said[:200]}",
            f"open {link}" if link else f"run `tailscale {mode} status` in a terminal and see what it says",
        )
    return TunnelError(f"tailscale {mode} failed: {said[:300]}", link and f"see {link}")


def not_running() -> TunnelError:
    return TunnelError(
        "tailscale's service does not run on this machine",
        "start it: sudo systemctl start tailscaled (Linux), or open the Tailscale app (macOS)",
        code="not_running",
    )


def _read(answer: Answer) -> Mapping[str, Any]:
    low = answer.words.lower()
    if "failed to connect" in low or "is tailscaled running" in low:
        raise not_running()
    text = answer.out.strip()
    if answer.code != 0 and not text.startswith("{"):
        said = " ".join(answer.words.split())[:300]
        raise TunnelError(f"tailscale does not answer: {said}", "run `tailscale status` in a terminal")
    try:
        value = json.loads(text or "{}")
    except ValueError as error:
        raise TunnelError(f"tailscale's answer can not be read: {text[:100]}", "update tailscale") from error
    return value if isinstance(value, Mapping) else {}


def _table(value: object, key: str) -> Mapping[str, Any]:
    found = value.get(key) if isinstance(value, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def _target(handler: object) -> str:
    if not isinstance(handler, Mapping):
        return ""
    return str(handler.get("Proxy") or handler.get("Path") or handler.get("Text") or "")


def _port(place: str) -> int:
    digits = place.rpartition(":")[2]
    return int(digits) if digits.isascii() and digits.isdecimal() else 0
