"""A request as a carrier's `verify` wants it: text that is text, whatever bytes came in."""

from __future__ import annotations

from aiohttp import web

from engine.carriers.base import WebhookRequest


def as_signed(request: web.Request, url: str, body: bytes = b"") -> WebhookRequest:
    """`request` with the address that the carrier called, which only we know for sure.

    aiohttp keeps bytes that are not UTF-8 as lone surrogates. Those can not be encoded again, so they become
    question marks here: no signature matches then, which is what such a request deserves.
    """
    return WebhookRequest(
        method=request.method,
        url=_plain(url),
        headers={name.lower(): _plain(value) for name, value in request.headers.items()},
        body=body,
        peer=request.remote or "",
    )


def _plain(text: str) -> str:
    return text if text.isascii() else text.encode("utf-8", "replace").decode()
