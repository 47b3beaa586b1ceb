"""A request as a carrier's `verify` wants it: text that is text, whatever bytes came in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from aiohttp import web

from engine.carriers.base import Verdict, WebhookRequest
from engine.carriers.urls import shown
from engine.web.address import Arrival

MAX_TRIED = 12
"""URL forms that a fact holds."""


def arrival(request: web.Request) -> Arrival:
    """Where `request` says that it was sent."""
    return Arrival(_plain(request.rel_url.raw_path_qs), _headers(request), request.remote or "")


def as_signed(request: web.Request, url: str, body: bytes = b"", suspects: Sequence[str] = ()) -> WebhookRequest:
    """`request` with the address that the carrier is believed to have called, and those that it may have.

    aiohttp keeps bytes that are not UTF-8 as lone surrogates. Those can not be encoded again, so they become
    question marks here: no signature matches then, which is what such a request deserves.
    """
    return WebhookRequest(
        method=request.method,
        url=_plain(url),
        headers=_headers(request),
        body=body,
        peer=request.remote or "",
        suspects=suspects,
    )


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


def _headers(request: web.Request) -> Mapping[str, str]:
    return {name.lower(): _plain(value) for name, value in request.headers.items()}


def _plain(text: str) -> str:
    return text if text.isascii() else text.encode("utf-8", "replace").decode()
