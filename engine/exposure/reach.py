"""Whether a carrier can reach an address at all, by the look of it, and what to do when it can not. Pure.

A carrier lives on the internet: loopback, private, link-local and `.local` addresses are dead for it. The one
exception is a stand-in for a carrier on this machine or network, whose `api_base_url` is such an address itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv6Address, ip_address
from typing import Final
from urllib.parse import urlsplit

from engine.config import Config, is_loopback
from engine.config.problems import Finding

_LOCAL_NAMES: Final = (".local", ".localhost", ".internal", ".lan", ".home.arpa", ".home", ".corp", ".test")
_WAYS: Final = (
    "set public_url to the https address at which this machine is reached from the internet, or let voicecall open "
    "one: tunnel.provider ngrok, tailscale-funnel or command"
)
_STAND_IN: Final = "; a carrier's stand-in on this machine needs its own address in {key}"


def unreachable(url: str) -> str:
    """Why the internet can not reach the host of this URL, or "" when nothing speaks against it."""
    try:
        host = (urlsplit(url).hostname or "").rstrip(".").lower()
    except ValueError:
        return "is no URL"
    if not host:
        return "names no host"
    if is_loopback(host) or host == "localhost":
        return f"{host} is this machine itself"
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        if host.endswith(_LOCAL_NAMES):
            return f"{host} is a name of the local network"
        return "" if "." in host else f"{host} is no full host name"
    return _unreachable_ip(host, address)


def _unreachable_ip(host: str, address: object) -> str:
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return _unreachable_ip(host, address.ipv4_mapped)
    flags = {
        "is_unspecified": "is no address that can be called",
        "is_loopback": "is this machine itself",
        "is_link_local": "is a link-local address",
        "is_multicast": "is a multicast address",
        "is_private": "is an address of a private network",
    }
    for flag, words in flags.items():
        if getattr(address, flag):
            return f"{host} {words}"
    return "" if getattr(address, "is_global", True) else f"{host} is not an address of the internet"


def carrier_is_near(config: Config) -> bool:
    """The carrier is simulated, or a stand-in on this machine or network: it reaches local addresses."""
    if config.provider == "mock":
        return True
    base = getattr(config, config.provider).api_base_url
    return bool(base) and unreachable(str(base)) != ""


def wrong_address(config: Config, url: str) -> tuple[str, str] | None:
    """What is wrong with this address for the configured carrier, and what fixes it; None when it can be tried."""
    if carrier_is_near(config) or not (why := unreachable(url)):
        return None
    stand_in = _STAND_IN.format(key=f"{config.provider}.api_base_url")
    return f"{config.provider} can not reach {url}: {why}", _WAYS + stand_in


def tunnel_kind(config: Config) -> str:
    """How we are reached: public_url, loopback, ngrok, tailscale-serve, tailscale-funnel or command.

    A `public_url` is an address that is there already: then no tunnel is opened.
    """
    if config.public_url:
        return "public_url"
    if config.tunnel.provider != "none":
        return config.tunnel.provider
    return f"tailscale-{config.tailscale.mode}" if config.tailscale.mode != "off" else "loopback"


def refused(config: Config) -> Iterator[Finding]:
    """What an engine does not start with: an address that the configured carrier can not reach."""
    if carrier_is_near(config):
        return
    kind = tunnel_kind(config)
    if kind == "public_url":
        wrong = wrong_address(config, config.public_url or "")
        if wrong is not None:
            yield Finding("public_url", *wrong)
    elif kind == "loopback":
        yield Finding("public_url", f"is not set: {config.provider} could not reach this machine", _WAYS)
    elif kind == "tailscale-serve":
        key = "tunnel.provider" if config.tunnel.provider == kind else "tailscale.mode"
        words = f"tailscale serve is seen by your own tailnet only: {config.provider} is not in it"
        yield Finding(key, words, "use funnel, which is open to the internet")
