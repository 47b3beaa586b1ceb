"""What is the same of every carrier's REST interface that is asked over aiohttp: failures, clocks, long replies."""

from __future__ import annotations

from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Final, Literal

import aiohttp

from engine.carriers.base import CarrierError
from engine.carriers.plain import plain
from engine.clock import epoch_ms

CONNECT_S: Final = 4.0
"""Seconds in which a connection comes about, or does not."""
REPLY_LIMIT: Final = 8 << 20
"""Bytes."""
Kind = Literal["refused", "gone", "retry", "unknown"]
Intent = Literal["ask", "again", "once", "dial"]
"""What a request is for. ask: it only reads. again: doing it twice is doing it once. once: it must not happen
twice. dial: neither, and there is no call yet that could be gone."""


@dataclass(frozen=True, slots=True)
class Service:
    """A carrier's REST interface in words for the operator."""

    name: str
    key: str
    """Where our settings of it are."""
    down: str
    """What to do when it may be down."""
    unreached: str
    """What to do when no connection came about."""


def uncertain(intent: Intent) -> Kind:
    """What to make of a request that may have been done."""
    return "unknown" if intent in ("once", "dial") else "retry"


def from_network(service: Service, error: Exception, what: str, intent: Intent) -> CarrierError:
    """A request without an answer: when no connection came about, nothing was sent. `what`: the rest of the sentence
    "was asked to ..."."""
    if isinstance(error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError):
        text = f"{service.name} can not be reached{_where(error)}"
        return CarrierError(text, kind="retry", code="not_reached", hint=service.unreached)
    if isinstance(error, TimeoutError):
        text = f"{service.name} did not answer in time when asked to {what}"
        return CarrierError(text, kind=uncertain(intent), code="timeout", hint=service.down)
    why = plain(f"{type(error).__name__}: {error}")
    text = f"the connection to {service.name} broke when it was asked to {what}: {why}"
    return CarrierError(text, kind=uncertain(intent), code="connection_lost", hint=service.down)


def nonsense(service: Service, what: str, intent: Intent) -> CarrierError:
    """An answer that says success and can not be read."""
    text = f"{service.name}'s answer can not be read when asked to {what}"
    hint = f"check {service.key}.api_base_url: is that {service.name}'s API?"
    return CarrierError(text, kind=uncertain(intent), code="bad_answer", hint=hint)


def ahead_ms(date: str, before: int) -> int:
    """How far the clock behind a `Date` header is before ours, to about a second; what was known `before` for no
    date."""
    try:
        theirs = parsedate_to_datetime(date)
    except ValueError:
        return before
    # The date was cut to whole seconds, so on average it is half a second too early.
    return round(theirs.timestamp() * 1000) + 500 - epoch_ms()


async def read_reply(content: aiohttp.StreamReader, limit: int = REPLY_LIMIT) -> bytes:
    """A body that is not longer than any answer should be. Raises ClientPayloadError."""
    body = bytearray()
    async for piece in content.iter_any():
        body += piece
        if len(body) > limit:
            raise aiohttp.ClientPayloadError(f"the reply is longer than {limit} bytes")
    return bytes(body)


def _where(error: aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError) -> str:
    """Which server was not reached and why, without the words of the HTTP client: they speak of TLS without any."""
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return ": no connection in time"
    cause = getattr(error, "certificate_error", None) or error.os_error
    why = plain(getattr(cause, "strerror", None) or str(cause)) or type(cause).__name__
    return f" at {error.host}:{error.port}: {why}"
