"""Requests of a carrier that come to a path where nothing is served: a wrong address, or a proxy that changes paths.

They are answered with 404 like everybody else's; the desk says what was meant.
"""

from __future__ import annotations

from collections.abc import Sequence

from aiohttp import web

from engine.clock import epoch_ms
from engine.web.record import Seen
from engine.web.request import head_of
from engine.web.webhooks import Keeps


class Missed:
    """Keeps those that carry a carrier's signature header; of all others nothing is kept."""

    def __init__(self, signatures: Sequence[str], path: str, stream_path: str, keeps: Keeps) -> None:
        self._signatures = signatures
        self._path = path
        self._stream_path = stream_path
        self._keeps = keeps

    def __call__(self, request: web.Request) -> None:
        """Nothing is served where `request` came to."""
        if not any(name in request.headers for name in self._signatures):
            return
        head = head_of(request)
        why = why_missed(request.method, head.target.partition("?")[0], self._path, self._stream_path)
        self._keeps.keep(
            Seen(
                head=head,
                at=epoch_ms(),
                ms=0,
                verdict="refused",
                why=why,
                status=404,
                effect="refused with 404",
                signatures=self._signatures,
                position=self._keeps.position(),
            )
        )


def why_missed(method: str, path: str, webhook_path: str, stream_path: str) -> str:
    """What is wrong with the address, and what to do about it."""
    if path == stream_path or path.startswith(f"{stream_path}/"):
        if method == "GET":
            return "the media socket was asked for without an upgrade: let the proxy pass on Upgrade and Connection"
        return f"the media socket is opened with GET, this is {method}: {webhook_path} is for webhooks"
    if path.rstrip("/") == webhook_path:
        return f"the path has a slash too many: served is {webhook_path}"
    return (
        f"nothing is served at {path[:100]}: served is {webhook_path}. Correct the address at the carrier, "
        "set serve.path, or let the proxy leave the path alone"
    )
