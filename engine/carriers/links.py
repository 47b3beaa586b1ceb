"""The addresses that a carrier is given for one call: our webhook with what to do in the query.

Pure, and the same for every carrier that asks for documents. The query is signed with the rest of the URL, so what
comes back in it can be believed once the signature verified.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, get_args
from urllib.parse import parse_qsl, urlencode, urlsplit

Flow = Literal["answer", "status", "hold", "connect", "listen", "partial", "transfer", "machine", "stream"]
"""answer: what to do at the answer. status: progress. hold: may this caller in by now? connect: the stream ended or
keys were pressed, what now? listen, partial: what the carrier's recogniser heard. transfer: how a transfer ended.
machine: who answered. stream: trouble with the stream."""

_FLOWS: Final = frozenset(get_args(Flow))


def link(webhook_url: str, flow: Flow, call_id: str, **more: str) -> str:
    """`webhook_url` for one purpose of one call. Progress is told as `type=status`, as OpenClaw's plugin has it.

    What is asked more than once during a call needs something of its own each time in `more`: a carrier that signs
    no time would send the same bytes again, and those are taken for a replay.
    """
    what = {"type": "status"} if flow == "status" else {"flow": flow}
    query = urlencode({"callId": call_id, **what, **more})
    return f"{webhook_url}{'&' if urlsplit(webhook_url).query else '?'}{query}"


def read_link(url: str) -> tuple[Flow | None, Mapping[str, str]]:
    """What a request's URL is for, and its whole query; None for the bare address and for an unknown flow."""
    query = dict(parse_qsl(urlsplit(url).query, keep_blank_values=True))
    if query.get("type") == "status":
        return "status", query
    flow = query.get("flow", "")
    return (flow if flow in _FLOWS else None), query  # type: ignore[return-value]
