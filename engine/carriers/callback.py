"""An address at which a carrier reports calls: compared by what it means, shown without somebody's secrets. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl, quote

from engine.carriers.plain import plain
from engine.carriers.urls import DEFAULT_PORTS, take_apart

_NOTHING: Final = "nothing"


@dataclass(frozen=True, slots=True)
class Callback:
    """An address with the method by which it is asked. An empty address is none."""

    url: str
    method: str = "POST"

    def fits(self, other: Callback) -> bool:
        return (same_address(self.url), self.method or "POST") == (same_address(other.url), other.method or "POST")

    def shown(self, known: str = "") -> str:
        """For people. It may hold somebody's secrets: of a query, only the values that `known` has too are shown."""
        return f"{self.method or 'POST'} {_shown(self.url, known)}" if self.url else _NOTHING


def same_address(url: str) -> str:
    """A URL in the one form that stands for all that mean the same."""
    parts = take_apart(url)
    if parts is None:
        return url
    port = "" if parts.port == DEFAULT_PORTS[parts.scheme] else parts.port
    host = parts.host.lower() + (f":{port}" if port else "")
    return f"{parts.scheme}://{parts.user}{host}{parts.path or '/'}{parts.query}"


def _shown(url: str, known: str) -> str:
    parts = take_apart(url)
    if parts is None:
        return "an address that can not be read"
    host = f"{parts.host}:{parts.port}" if parts.port else parts.host
    query = parts.query if url == known else _veiled(parts.query, known)
    return plain(f"{parts.scheme}://{'…@' if parts.user else ''}{host}{parts.path}{query}")


def _veiled(query: str, known: str) -> str:
    """A query whose values are hidden, but for those that `known` has as well."""
    parts = take_apart(known)
    public = set(parse_qsl(parts.query[1:], keep_blank_values=True)) if parts is not None else set()
    pairs = parse_qsl(query[1:], keep_blank_values=True)
    if not pairs:
        return "?…" if query[1:] else query
    return "?" + "&".join(
        f"{quote(name)}={quote(value) if (name, value) in public else '…'}" for name, value in pairs
    )
