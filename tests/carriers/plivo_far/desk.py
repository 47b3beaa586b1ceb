"""Our side in small: takes the far end's callbacks and media sockets, checks their signatures, answers as told.

For tests of the far end itself, and of a carrier without an engine.
"""

from __future__ import annotations

from collections.abc import Mapping

from aiohttp import web
from plivo.utils import validate_v3_signature

from tests.carriers.twilio_far.desk import Desk, Webhook

__all__ = ["PlivoDesk", "Webhook"]


class PlivoDesk(Desk):
    """As `Desk`, with Plivo's signatures; a socket's is over its http:// address."""

    async def __aenter__(self) -> PlivoDesk:
        await super().__aenter__()
        return self

    def _signed(self, request: web.Request, url: str, params: Mapping[str, str]) -> bool:
        named = url.replace("ws", "http", 1) if url.startswith("ws") else url
        nonce = request.headers.get("X-Plivo-Signature-V3-Nonce", "")
        given = request.headers.get("X-Plivo-Signature-V3", "")
        method = "GET" if url.startswith("ws") else request.method
        return bool(validate_v3_signature(method, named, nonce, self.token, given, dict(params)))
