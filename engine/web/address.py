"""Which URL a request is believed to have been sent to, and which ones it might have been sent to. Pure.

Carriers sign the URL that they called. Behind a proxy that is not the one that arrives here. With a public address
of our own nothing in the request is believed but its query. Without one, forwarded headers count when the
configuration says so, and only from the peers that it names.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from ipaddress import IPv6Address, ip_address
from itertools import islice, product
from typing import Final, Self

from engine.carriers.urls import Url, take_apart
from engine.config import Config
from engine.config.base import is_loopback

MAX_SUSPECTS: Final = 40
_FORWARDED_HOSTS: Final = ("x-forwarded-host", "x-original-host", "ngrok-forwarded-host")
_FORWARDED: Final = (*_FORWARDED_HOSTS, "x-forwarded-proto", "forwarded")
_PASSED_ON: Final = ("x-forwarded", "x-original", "x-real-ip", "forwarded", "via", "ngrok", "cf-", "tailscale")
"""How the headers begin that proxies and tunnels add."""
_ORIGINAL_PATHS: Final = ("x-original-uri", "x-original-url", "x-forwarded-uri")
_LABEL: Final = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_NAME: Final = re.compile(rf"{_LABEL}(?:\.{_LABEL})*", re.ASCII)
_AUTHORITY: Final = re.compile(r"(\[[0-9a-f:.]+\]|[^:\[\]@]+)(?::([0-9]{1,5}))?", re.ASCII)
_PATH: Final = re.compile(r"/[^\s?#]{0,500}")
_ELEMENT: Final = re.compile(r'(?:^|[;,\s])(host|proto)="?([^";,\s]+)"?', re.IGNORECASE)
_OTHER_SCHEME: Final = {"http": "https", "https": "http", "ws": "wss", "wss": "ws"}


@dataclass(frozen=True, slots=True)
class Arrival:
    """Where a request says that it was sent, true or not."""

    target: str
    """Path and query, byte for byte."""
    headers: Mapping[str, str]
    """Lower-case names."""
    peer: str
    """The address at the other end of the socket: a proxy's, if there is one."""


@dataclass(frozen=True, slots=True)
class Believed:
    """The URL of a request. `suspects` are others that its sender may have called; they only explain a refusal."""

    url: str
    suspects: tuple[str, ...] = ()
    doubt: str = ""
    """Why forwarded headers were not believed, where there were some."""
    unsigned: bool = False
    """It needs no signature: somebody on this machine tries things out, as the configuration allows."""


@dataclass(frozen=True, slots=True)
class Trust:
    """Whose forwarded headers are believed, and which hosts they may carry."""

    hosts: frozenset[str] = frozenset()
    """Empty: any, where `headers` is set."""
    headers: bool = False
    proxies: frozenset[str] = frozenset()
    """Empty: any peer."""
    local_agent: bool = False
    """A tunnel's agent on this machine is believed."""

    @classmethod
    def of(cls, config: Config) -> Self:
        security = config.webhook_security
        tunnel = config.tunnel
        return cls(
            frozenset(host for text in security.allowed_hosts if (host := host_name(text))),
            security.trust_forwarding_headers,
            frozenset(_peer(address) for address in security.trusted_proxy_ips),
            tunnel.provider == "ngrok" and tunnel.allow_ngrok_free_tier_loopback_bypass,
        )

    def doubt(self, peer: str) -> str:
        """Why forwarded headers from `peer` are not believed; empty when they are."""
        if not (self.hosts or self.headers or (self.local_agent and is_loopback(peer))):
            return "neither webhook_security.allowed_hosts nor trust_forwarding_headers is set"
        if self.proxies and peer not in self.proxies:
            return f"{peer} is not in webhook_security.trusted_proxy_ips"
        return ""

    def allows(self, host: str) -> bool:
        return not self.hosts or host in self.hosts


def believe(arrival: Arrival, own: str, trust: Trust, *, public: bool, socket: bool = False) -> Believed:
    """The URL that a request was sent to. `own`: our address as the carrier was told, `public` if it is a real one.

    A webhook has the path of `own`: a proxy may have changed the one that arrived. A media socket may have a token
    at the end of its path.
    """
    path, mark, query = arrival.target.partition("?")
    address = take_apart(own)
    if address is None:
        return Believed(own + mark + query)
    ours = replace(address, path=path if socket else address.path, query=mark + query)
    url, doubt = ours, ""
    if not public:
        doubt = trust.doubt(_peer(arrival.peer))
        forwarded = None if doubt else _forwarded(arrival, address, trust)
        if forwarded is not None:
            url = replace(forwarded, path=path, query=mark + query)
        elif not doubt:
            doubt = "none of their hosts is in webhook_security.allowed_hosts"
        if not any(name in arrival.headers for name in _FORWARDED):
            doubt = ""
    suspects = (str(suspect) for suspect in _suspects(arrival, ours, path))
    unlike = dict.fromkeys(suspect for suspect in suspects if suspect != str(url))
    return Believed(str(url), tuple(islice(unlike, MAX_SUSPECTS)), doubt)


def is_from_here(arrival: Arrival) -> bool:
    """Whether a request was made by a program of this machine, for this machine: by no proxy or tunnel, whose peer is
    local as well, and by no page in a browser."""
    headers = arrival.headers
    if any(name.startswith(_PASSED_ON) for name in headers) or "origin" in headers:
        return False
    return is_loopback(_peer(arrival.peer)) and is_loopback(host_name(headers.get("host", "")).strip("[]"))


def host_name(text: str) -> str:
    """The host of a header's value, without a port and in lower case; empty for what is none (RFC 1123).

    Several proxies make a list of them: the first is nearest to the sender.
    """
    found = _AUTHORITY.fullmatch(text.partition(",")[0].strip().lower())
    if found is None or len(found[1]) > 253:
        return ""
    if found[1].startswith("["):
        return found[1] if _is_ipv6(found[1][1:-1]) else ""
    return found[1] if _NAME.fullmatch(found[1]) else ""


def _forwarded(arrival: Arrival, own: Url, trust: Trust) -> Url | None:
    """Scheme and host by the forwarded headers, else by Host; None for what came straight to us."""
    headers = arrival.headers
    straight = not any(name in headers for name in _FORWARDED)
    if straight and _authority(headers.get("host", "")) == _authority(_place(own)):
        return None
    named = [host_name(headers.get(name, "")) for name in (*_FORWARDED_HOSTS, "host")]
    host = next((host for host in named if host and trust.allows(host)), "")
    if not host:
        return None
    proto = headers.get("x-forwarded-proto", "").partition(",")[0].strip().lower()
    return replace(own, scheme=_scheme(own, proto if proto in ("http", "https") else "https"), host=host, port="")


def _suspects(arrival: Arrival, ours: Url, path: str) -> Iterator[Url]:
    """Likely ones first: the path matters most, then the host."""
    schemes = [_scheme(ours, proto) for proto in _protos(arrival)] + [ours.scheme, _OTHER_SCHEME[ours.scheme]]
    authorities = [*_authorities(arrival), _place(ours)]
    for changed, authority, scheme in product(_paths(arrival, ours, path), authorities, dict.fromkeys(schemes)):
        url = take_apart(f"{scheme}://{authority}{changed}{ours.query}")
        if url is not None:
            yield url


def _paths(arrival: Arrival, ours: Url, path: str) -> Mapping[str, None]:
    """The path that was told to the carrier, the one that arrived, and what proxies say that it was before."""
    said = [path_of(arrival.headers.get(name, "")) for name in _ORIGINAL_PATHS]
    prefix = path_of(arrival.headers.get("x-forwarded-prefix", "")).rstrip("/")
    slash = ours.path.rstrip("/") if ours.path.endswith("/") else f"{ours.path}/"
    return dict.fromkeys(filter(None, [ours.path, path, *said, prefix + path if prefix else "", slash]))


def path_of(text: str) -> str:
    """The path of a header that holds a path or a URL, without its query; empty for what is neither."""
    url = take_apart(text.strip())
    plain = (url.path if url is not None else text.strip()).partition("?")[0]
    return plain if _PATH.fullmatch(plain) else ""


def _authorities(arrival: Arrival) -> Mapping[str, None]:
    """Every host that the request names, with the port that stands with it, or beside it."""
    headers = arrival.headers
    named = [headers.get(name, "") for name in (*_FORWARDED_HOSTS, "host")] + _elements(headers, "host")
    found = [authority for text in named if (authority := _authority(text))]
    port = headers.get("x-forwarded-port", "").partition(",")[0].strip()
    if re.fullmatch(r"[0-9]{1,5}", port, re.ASCII):
        found += [f"{host}:{port}" for text in named[:-1] if (host := host_name(text))]
    return dict.fromkeys(found)


def _protos(arrival: Arrival) -> list[str]:
    said = arrival.headers.get("x-forwarded-proto", "").partition(",")[0]
    named = [text.strip().lower() for text in (said, *_elements(arrival.headers, "proto"))]
    return [proto for proto in named if proto in ("http", "https")]


def _elements(headers: Mapping[str, str], name: str) -> list[str]:
    """The values of one name in the header Forwarded (RFC 7239)."""
    return [value for key, value in _ELEMENT.findall(headers.get("forwarded", "")) if key.lower() == name][:2]


def _authority(text: str) -> str:
    """Host and port as they stand in a header; empty for what is no host."""
    host = host_name(text)
    port = text.partition(",")[0].strip()[len(host) :]
    return host + port if host else ""


def _place(url: Url) -> str:
    return f"{url.host}:{url.port}" if url.port else url.host


def _scheme(own: Url, proto: str) -> str:
    """`proto` for a webhook; the WebSocket scheme that goes with it for a media socket."""
    return proto.replace("http", "ws") if own.scheme in ("ws", "wss") else proto


def _is_ipv6(text: str) -> bool:
    try:
        return isinstance(ip_address(text), IPv6Address)
    except ValueError:
        return False


def _peer(address: str) -> str:
    """A peer's address in one spelling: on a socket for both versions, IPv4 looks like ::ffff:127.0.0.1."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    mapped = parsed.ipv4_mapped if isinstance(parsed, IPv6Address) else None
    return str(mapped or parsed)
