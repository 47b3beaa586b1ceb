"""The way to our address before a request is sent, as findings: its name, a connection, TLS. Pure.

What OpenSSL says of a certificate is told by its number (X509_V_ERR_..., openssl verify(1)).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from ipaddress import IPv4Network, ip_address, ip_network
from typing import Final

from engine.exposure.probe import Step

_SHARED: Final = ip_network("100.64.0.0/10")
"""Between a provider's network and its customers (RFC 6598); Tailscale takes its addresses from it."""


def unresolved(host: str, why: str, ms: float) -> Step:
    return Step(
        "dns",
        False,
        f"the name {host} does not resolve ({why}): nobody finds this address",
        "is the name spelt right, and does the tunnel still have it? A free tunnel gets a new name each time",
        "unknown_name",
        ms,
    )


def resolved(host: str, addresses: Sequence[str], ms: float, *, may_be_private: bool) -> Step:
    """`may_be_private`: the carrier is another one than the real one, and may be on this machine."""
    if not may_be_private and not any(ip_address(address).is_global for address in addresses):
        shown = ", ".join(addresses[:3])
        return Step(
            "dns",
            False,
            f"{host} is {shown}: {_kind(addresses[0])}, which no carrier on the internet can reach",
            "set public_url to a public address, or use a tunnel (tunnel.provider)",
            "private_address",
            ms,
        )
    shown = "an address, no name" if [host] == list(addresses) else f"{host} is {', '.join(addresses[:3])}"
    return Step("dns", True, shown, ms=ms)


def _kind(address: str) -> str:
    parsed = ip_address(address)
    if parsed.is_loopback:
        return "this machine itself"
    if parsed.version == 4 and isinstance(_SHARED, IPv4Network) and parsed in _SHARED:
        return "an address inside a provider's network or a tailnet (100.64.0.0/10)"
    return "a private address"


def connected(host: str, port: int, ms: float) -> Step:
    return Step("tcp", True, f"port {port} of {host} takes connections", ms=ms)


def unconnected(host: str, port: int, error: OSError | TimeoutError, ms: float) -> Step:
    """TimeoutError is an OSError without an errno here."""
    if isinstance(error, TimeoutError):
        return Step(
            "tcp",
            False,
            f"{host}:{port} does not answer: no connection within {ms / 1000:.0f} s",
            "is the port open in the firewall and forwarded by the router? Some routers do not let a machine reach "
            "its own public address: then ask from another network",
            "no_connection",
            ms,
        )
    if isinstance(error, ConnectionRefusedError):
        return Step(
            "tcp",
            False,
            f"{host}:{port} refuses connections: nothing listens there",
            "is the proxy or the tunnel up, and is that its port?",
            "refused",
            ms,
        )
    return Step(
        "tcp",
        False,
        f"{host}:{port} can not be reached: {error.strerror or error}",
        "check this machine's network",
        "unreachable",
        ms,
    )


def secured(version: str, days_left: float | None, ms: float) -> Step:
    """A certificate that ends soon is told of in time."""
    if days_left is not None and days_left < 7:
        soon = f"{version}; the certificate expires in {max(0, days_left):.0f} days"
        return Step("tls", True, soon, "renew it", ms=ms)
    return Step("tls", True, version, ms=ms)


def insecure(host: str, port: int, reason: str, ms: float, *, code: int | None = None, names: str = "") -> Step:
    """`code`: OpenSSL's X509_V_ERR number of a certificate that did not verify; `names`: whose it is."""
    message, fix, cause = _tls_words(host, port, reason, code, names)
    return Step("tls", False, message, fix, cause, ms)


def _tls_words(host: str, port: int, reason: str, code: int | None, names: str) -> tuple[str, str, str]:
    if code == 10:
        return f"the certificate of {host} has expired", "renew it", "expired"
    if code == 9:
        return f"the certificate of {host} is not valid yet", "check the clocks here and where it was made", "early"
    if code in (62, 64):
        whose = f": it is for {names}" if names else ""
        fix = "give the proxy a certificate for this name, or set public_url to the name that it has"
        return f"the certificate is not for {host}{whose}", fix, "other_name"
    if code in (18, 19):
        fix = "carriers take certificates of known authorities only: Let's Encrypt has them for nothing"
        return f"the certificate of {host} is self-signed", fix, "self_signed"
    if code in (2, 20, 21):
        fix = "have the proxy send the whole chain (fullchain.pem), of an authority that carriers know"
        return f"the certificate of {host} lacks its chain, or nobody knows who issued it", fix, "unknown_issuer"
    if code is not None:
        return f"the certificate of {host} is not good: {reason}", "renew it", "certificate"
    if re.search(r"WRONG_VERSION_NUMBER|HTTP_REQUEST|RECORD_LAYER|wrong version|record layer", reason):
        fix = "write http:// in public_url if that is meant, or use the port on which the proxy speaks TLS"
        return f"{host}:{port} does not speak TLS: public_url says https, plain HTTP is spoken there", fix, "no_tls"
    fix = "see the log of the proxy or tunnel"
    return f"the TLS handshake with {host}:{port} failed: {reason}", fix, "handshake"
