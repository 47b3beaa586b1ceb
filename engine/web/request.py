"""A request as a carrier's `verify` wants it: text that is text, whatever bytes came in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from aiohttp import web

from engine.carriers.base import Verdict, WebhookRequest
from engine.carriers.urls import shown
from engine.web.address import Arrival
from engine.web.limits import MAX_BODY
from engine.web.record import Head

MAX_TRIED = 12
"""URL forms that a fact holds."""


def head_of(request: web.Request) -> Head:
    """The head of `request`, byte for byte."""
    headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in request.raw_headers]
    target = request.rel_url.raw_path_qs.encode("utf-8", "surrogateescape").decode("latin-1")
    return Head(request.method, target, headers, request.remote or "")


def arrival(head: Head) -> Arrival:
    """Where a request says that it was sent."""
    return Arrival(_text(head.target), _headers(head), head.peer)


def as_signed(head: Head, url: str, body: bytes = b"", suspects: Sequence[str] = ()) -> WebhookRequest:
    """A request with the address that the carrier is believed to have called, and those that it may have.

    Bytes that are not UTF-8 become question marks here: no signature matches then, which is what such a request
    deserves.
    """
    return WebhookRequest(
        method=head.method,
        url=_plain(url),
        headers=_headers(head),
        body=body,
        peer=head.peer,
        suspects=suspects,
    )


async def read_bounded(request: web.Request) -> bytes | None:
    """The body, or None when it is too large."""
    parts: list[bytes] = []
    size = 0
    async for part in request.content.iter_any():
        size += len(part)
        if size > MAX_BODY:
            return None
        parts.append(part)
    return b"".join(parts)


def signature_facts(verdict: Verdict, doubt: str) -> dict[str, Any]:
    """What the operator may know of a verdict: the form that fits and, for a refusal, what was tried.

    Without queries: those hold tokens.
    """
    facts: dict[str, Any] = {"form": shown(verdict.form)} if verdict.form else {}
    if verdict.ok:
        return facts
    if verdict.tried:
        facts["tried"] = list(dict.fromkeys(shown(url) for url in verdict.tried))[:MAX_TRIED]
    return facts | ({"forwarded": f"not believed: {doubt}"} if doubt else {})


def _headers(head: Head) -> Mapping[str, str]:
    return {name.lower(): _text(value) for name, value in head.headers}


def _text(latin: str) -> str:
    return latin if latin.isascii() else _plain(latin.encode("latin-1").decode("utf-8", "surrogateescape"))


def _plain(text: str) -> str:
    return text if text.isascii() else text.encode("utf-8", "replace").decode()
