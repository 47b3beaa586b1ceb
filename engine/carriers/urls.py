"""URLs as carriers sign them: byte for byte, so they are taken apart here without being tidied up. Pure.

The parsers of the standard library drop control characters, unescape nothing but lower-case the host, and raise for a
port or a bracket that they do not like. What a stranger sent must survive all of that.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Final

DEFAULT_PORTS: Final = {"http": "80", "ws": "80", "https": "443", "wss": "443"}
_URL: Final = re.compile(r"(https?|wss?)://([^/?#]*)([^?#]*)(\?[^#]*)?(?:#.*)?", re.ASCII | re.DOTALL | re.IGNORECASE)
_HOST_PORT: Final = re.compile(r"(\[[^\[\]@]*\]|[^:\[\]@]*)(?::([0-9]+))?", re.ASCII)
_SHOWN: Final = 200


@dataclass(frozen=True, slots=True)
class Url:
    """The parts of a URL; `str` gives the same bytes again, but for a fragment, which is never sent."""

    scheme: str
    """In lower case."""
    user: str
    """With its at sign: `name:password@`, or empty."""
    host: str
    """An IPv6 address keeps its brackets."""
    port: str
    """Digits, or empty."""
    path: str
    query: str
    """With its question mark, or empty."""

    def __str__(self) -> str:
        return f"{self.scheme}://{self.user}{self.host}{':' if self.port else ''}{self.port}{self.path}{self.query}"

    def with_port(self, port: str) -> Url:
        return replace(self, port=port)

    def with_query(self, query: str) -> Url:
        return replace(self, query=query)


def take_apart(url: str) -> Url | None:
    """The parts of an http, https, ws or wss URL; None when it can not be read as one."""
    whole = _URL.fullmatch(url)
    if whole is None:
        return None
    scheme, authority, path, query = whole.groups()
    user, at, rest = authority.rpartition("@")
    place = _HOST_PORT.fullmatch(rest)
    if place is None:
        return None
    return Url(scheme.lower(), user + at, place[1], place[2] or "", path, query or "")


def shown(url: str) -> str:
    """A URL for people and logs: without its query and without a password."""
    parts = take_apart(url)
    if parts is None:
        return "an address that can not be read"
    text = str(replace(parts, user="…@" if parts.user else "", query=""))
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"
