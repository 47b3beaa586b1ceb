"""What carriers are told to do with a call."""

from __future__ import annotations

import secrets

from engine.carriers.base import Connect
from engine.carriers.links import link


def connect(call_id: str, stream_url: str, webhook_url: str, token: str) -> Connect:
    """Hand a call's audio to our media socket. The carrier asks what now, at an address of its own each time, when
    the socket goes away and nobody opens it again."""
    return Connect(
        stream_url,
        token,
        status_url=link(webhook_url, "stream", call_id),
        again_url=link(webhook_url, "connect", call_id, n=secrets.token_hex(4)),
    )
